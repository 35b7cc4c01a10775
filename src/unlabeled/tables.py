"""The reader's own .csv files: tables of numbers and texts, looked at before they are used."""

from __future__ import annotations

import csv
import difflib
import io
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unlabeled.runtime import InputError

LARGEST = 100 * 2**20  # bytes of a .csv file: what a laptop reads in seconds
MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "?", "-", "missing"))
CLASS_NAMES = ("class", "classes", "target", "category", "species", "diagnosis", "outcome", "y")
INDEX_NAMES = ("index", "id", "row", "nr", "no", "number", "#")
UNNAMED = "unnamed column"
_COMMA = re.compile(r"[+-]?(\d+(,\d*)?|,\d+)([eE][+-]?\d+)?")  # a number with a decimal comma
_GROUPS = re.compile(r"[+-]?\d{1,3}([,.' \u00a0\u202f]\d{3})+([.,]\d+)?")  # thousands set apart


@dataclass(frozen=True)
class Table:
    """A table of numbers with a class for each row.

    Attributes
    ----------
    name : str
    features : float64 array of shape (n, d), in the table's own units
    labels : int64 array of shape (n,), classes numbered from 0
    columns : tuple of d str, the names of the features
    classes : tuple of str, the name of each class
    notes : tuple of str, what was noticed while reading
    """

    name: str
    features: np.ndarray
    labels: np.ndarray
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def report(self) -> str:
        """What the table holds, in a few lines."""
        head = (
            f"Data {self.name!r}: a table of {count(len(self.labels), 'row')}, "
            f"{count(len(self.columns), 'column')}, {class_counts(self.labels, self.classes)}"
        )
        return lines(head, f"columns: {listed(self.columns)}", *self.notes)

    def sample(self, rows: int) -> Table:
        """At most `rows` rows, drawn at random (the same each time) and kept in their order.

        Classes of which no row is left are dropped, and the others numbered anew.
        """
        n = len(self.labels)
        if n <= rows:
            return self
        kept = np.sort(np.random.default_rng(0).permutation(n)[:rows])
        found, labels = np.unique(self.labels[kept], return_inverse=True)
        return replace(
            self,
            features=self.features[kept],
            labels=labels.astype(np.int64),
            classes=tuple(self.classes[c] for c in found),
            notes=(*self.notes, f"note: {rows:,} of {n:,} rows, drawn at random"),
        )


@dataclass(frozen=True)
class Texts:
    """Labelled texts.

    Attributes
    ----------
    name : str
    texts : tuple of n str
    labels : int64 array of shape (n,), classes numbered from 0
    classes : tuple of str, the name of each class
    test : boolean array of shape (n,), True for the rows of the set's own test part (none in the
        reader's own file)
    notes : tuple of str, what was noticed while reading
    """

    name: str
    texts: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    test: np.ndarray
    notes: tuple[str, ...] = ()

    def report(self) -> str:
        """What the texts are, in a few lines."""
        words = np.array([len(text.split()) for text in self.texts])
        head = (
            f"Data {self.name!r}: {count(len(self.texts), 'text')} of {words.min():,} to "
            f"{words.max():,} words, {class_counts(self.labels, self.classes)}"
        )
        part = [f"test part: {self.test.sum():,} of them"] if self.test.any() else []
        return lines(head, *part, *self.notes)


# What reports are made of


def lines(head: str, *rest: str) -> str:
    """A report: its first line, and what follows set in."""
    return "\n".join([head, *(f"  {line}" for line in rest)])


def count(n: int, thing: str) -> str:
    """``count(2, "row")`` is "2 rows"."""
    plural = thing + ("es" if thing.endswith("s") else "s")
    return f"{n:,} {thing if n == 1 else plural}"


def shown(name: str) -> str:
    """A name as it can stand in one line: printable, 40 characters at most."""
    name = name if name.isprintable() else repr(name)[1:-1]
    return name if len(name) <= 40 else name[:39] + "…"


def listed(names, most: int = 8) -> str:
    """Names in a row, the first `most` of them."""
    rest = len(names) - most
    return ", ".join(map(shown, names[:most])) + (f" and {rest} more" if rest > 0 else "")


def class_counts(labels: np.ndarray, classes) -> str:
    """The classes and how often each occurs."""
    counts = np.bincount(labels, minlength=len(classes))
    head = count(int((counts > 0).sum()), "class")
    if len(counts) > 12:
        return f"{head} of {counts[counts > 0].min():,} to {counts.max():,}"
    return f"{head} ({', '.join(f'{shown(str(c))}: {n:,}' for c, n in zip(classes, counts) if n)})"


# The file


@dataclass
class _File:
    """A .csv file as columns of text; `at` holds the line in which each row ends."""

    path: str
    names: list[str]
    cells: list[list[str]]
    at: list[int]
    delimiter: str
    notes: list[str]
    header: list[str] | None = None  # all names, as they stood in the file

    def refuse(self, sentence: str):
        raise InputError(f"The dataset file {self.path!r} {sentence}.")

    def column(self, wanted: str) -> list[str]:
        """Take the column called `wanted` (in any case) out of the others."""
        self.header = self.header or list(self.names)
        found = [i for i, name in enumerate(self.names) if name.casefold() == wanted]
        if len(found) > 1:
            which = " and ".join(repr(self.names[i]) for i in found)
            self.refuse(f"has two columns that could be '{wanted}' ({which}): rename or drop one")
        if not found:
            self._no_column(wanted)
        name = self.names.pop(found[0])
        if name != wanted:
            self.notes.append(f"note: the column {name!r} was taken as '{wanted}'")
        return [cell.strip() for cell in self.cells.pop(found[0])]

    def _no_column(self, wanted):
        if all(_is_number(name) for name in self.header):
            self.refuse(
                "has no header, its first line holds numbers: write the columns' names above "
                f"them, '{wanted}' among them"
            )
        near = difflib.get_close_matches(wanted, [name.casefold() for name in self.names], 1)
        if wanted == "label":
            near += [name.casefold() for name in self.names if name.casefold() in CLASS_NAMES]
        like = [repr(name) for name in self.names if near and name.casefold() == near[0]]
        what = "classes" if wanted == "label" else "texts"
        rename = (
            f"rename {like[0]}, if it holds the {what}"
            if like
            else (f"give the column that holds the {what} this name")
        )
        self.refuse(f"has no column '{wanted}' among {listed(self.header)}: {rename}")


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _decoded(path, raw, refuse):
    """The text of a file, and a note on its encoding if it is none of Unicode's."""
    for magic, what in (
        (b"PK\x03\x04", "a spreadsheet or zip"),
        (b"\xd0\xcf\x11\xe0", "a spreadsheet"),
    ):
        if raw.startswith(magic):
            refuse(f"is {what} file by its content: save the table as .csv")
    if raw.startswith(b"\x1f\x8b"):
        refuse("is compressed: unpack it first")
    encoding = "utf-8-sig"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif raw[:1000].count(0) > len(raw[:1000]) / 4:
        encoding = "utf-16-le" if raw[1:2] == b"\0" else "utf-16-be"
    note = []
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
        note = ["note: the file is not in UTF-8, so it was read as Windows-1252"]
    if "\0" in text:
        refuse("is not a text file: save the table as .csv")
    return text, note


def _delimiter(text, wanted):
    """What parts the fields: the candidate that isolates the wanted column and fits most lines."""
    head = [line for _, line in zip(range(20), io.StringIO(text, newline=""))]

    def fit(delimiter):
        try:
            rows = [
                row for row in csv.reader(head, delimiter=delimiter, skipinitialspace=True) if row
            ]
        except csv.Error:
            return (False,)
        width = len(rows[0]) if rows else 0
        has = bool(rows) and wanted in [cell.strip().casefold() for cell in rows[0]]
        return has, width > 1, sum(len(row) == width for row in rows), width

    return max((",", ";", "\t", "|"), key=fit)


def _rows(text, delimiter, quoting):
    """Rows that are not blank, and the line in which each ends; csv.Error carries its line."""
    csv.field_size_limit(LARGEST)  # a text may be long
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=quoting,
        strict=True,
        skipinitialspace=True,
    )
    rows, at = [], []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                at.append(reader.line_num)
    except csv.Error as error:
        raise csv.Error(str(error), reader.line_num) from None
    return rows, at


def read_file(path: Path, wanted: str) -> _File:
    """Read a .csv: header and rows of equal length, whatever parts the fields.

    Raises
    ------
    InputError : with one sentence that says what is wrong with the file
    """

    def refuse(sentence):
        raise InputError(f"The dataset file {str(path)!r} {sentence}.")

    try:
        size = path.stat().st_size
        if size > LARGEST:
            refuse(
                f"has {size / 2**20:,.0f} MB, more than {LARGEST // 2**20}: draw a sample of its "
                "rows"
            )
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"There is no dataset file {str(path)!r}: check the path.") from None
    except OSError as error:
        refuse(f"cannot be read ({type(error).__name__}): check what it is and who may read it")
    text, notes = _decoded(path, raw, refuse)
    given = re.match(r"sep=(.)\r?\n", text)  # a line that spreadsheets write for each other
    if given:
        text = text[given.end() :]
    delimiter = given[1] if given else _delimiter(text, wanted)
    try:
        rows, at = _rows(text, delimiter, csv.QUOTE_MINIMAL)
    except csv.Error as error:
        if delimiter != "\t":
            refuse(
                "has a quotation mark that is not closed as it should be (before line "
                f"{error.args[1] + 1}): mend it there"
            )
        rows, at = _rows(text, delimiter, csv.QUOTE_NONE)  # tabs need no quotation marks
    at = [line + bool(given) for line in at]
    if not rows:
        refuse("is empty: write a header and rows into it")
    if len(rows) < 3:
        refuse(
            f"has {('no rows', 'one row')[len(rows) - 1]} below its header: two classes need two "
            "rows or more"
        )
    header = [cell.strip() for cell in rows[0]]
    rows, at = rows[1:], at[1:]
    if len(header) == 1 and wanted in header[0].casefold().split() and len(header[0].split()) > 1:
        refuse("seems to have fields that are parted by spaces: part them by commas")
    for row, line in zip(rows, at):
        if [cell.strip() for cell in row] == header:
            refuse(f"repeats its header in line {line}: drop that line")
    if all(len(row) == len(header) + 1 and not row[-1].strip() for row in rows):
        rows = [row[:-1] for row in rows]  # every line ends with a delimiter
    if all(len(row) == len(header) + 1 for row in rows):
        refuse(
            "has one field more in its rows than in its header, so its first column has no name "
            "(row names?): write it without them"
        )
    for row, line in zip(rows, at):
        if len(row) != len(header):
            commas = delimiter == "," and len(row) > len(header)
            hint = ", or save with semicolons if its numbers have decimal commas" if commas else ""
            refuse(
                f"has {count(len(row), 'field')} in line {line} where its header has "
                f"{len(header)}: mend that line{hint}"
            )
    if delimiter != ",":
        word = {";": "semicolons", "\t": "tabs"}.get(delimiter, repr(delimiter))
        notes.append(f"note: fields are parted by {word}")
    header = [name or f"{UNNAMED} {i + 1}" for i, name in enumerate(header)]
    cells = [list(column) for column in zip(*rows)]
    blank = [i for i, column in enumerate(cells) if not any(cell.strip() for cell in column)]
    if named := [header[i] for i in blank if not header[i].startswith(UNNAMED)]:
        notes.append(f"left out, empty: {listed(named)}")
    header, cells = ([x for i, x in enumerate(both) if i not in blank] for both in (header, cells))
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        refuse(f"has more than one column called {shown(twice[0])!r}: rename or drop one")
    return _File(str(path), header, cells, at, delimiter, notes)


# Tables


def read_table(path: Path, least_classes: int, least_rows: int, least_columns: int) -> Table:
    """Read the reader's own table; see `unlabeled.data.table`."""
    file = read_file(path, "label")
    labels, classes = _labels(file, file.column("label"), least_classes, least_rows)
    features = _numbers(file)
    names = file.names
    for name, values in zip(names, features):
        _refuse_index(file, name, values)
        if len(labels) >= 20 and _is_label(values, labels, len(classes)):
            file.refuse(
                f"has a column {shown(name)!r} with one value for each class: it gives the class "
                "away, so drop it"
            )
    kept, constant, copies = [], [], []
    seen = {}
    for i, values in enumerate(features):
        if (values == values[0]).all():
            constant.append(names[i])
        elif (first := seen.setdefault(values.tobytes(), i)) != i:
            copies.append(f"{shown(names[i])} (of {shown(names[first])})")
        else:
            kept.append(i)
    if constant:
        file.notes.append(f"left out, the same in every row: {listed(constant)}")
    if copies:
        file.notes.append(
            f"left out, copies: {', '.join(copies[:8])}{' …' if len(copies) > 8 else ''}"
        )
    if len(kept) < least_columns:
        file.refuse(
            f"has {count(len(kept), 'column')} of numbers that differ from row to row: at least "
            f"{least_columns} beside the label are needed"
        )
    features = np.stack([features[i] for i in kept], axis=1)
    file.notes += _repeated([row.tobytes() for row in features], labels, "row")
    return Table(
        path.stem, features, labels, tuple(names[i] for i in kept), classes, tuple(file.notes)
    )


def _labels(file, cells, least_classes, least_rows):
    if "" in cells:
        file.refuse(f"has no class in line {file.at[cells.index('')]}: fill it in or drop the row")
    names = sorted(set(cells))
    if all(re.fullmatch(r"[+-]?\d+", name) for name in names):
        names = sorted(names, key=int)
    if len(names) == 1:
        file.refuse(
            f"has one class only ({shown(names[0])!r}): at least {least_classes} are needed"
        )
    if len(names) > max(2, len(cells) / 2):
        file.refuse(
            f"has {len(names):,} classes in {len(cells):,} rows: 'label' must hold classes, not a "
            "measurement or a name for each row"
        )
    if len(names) < least_classes:
        file.refuse(f"has {len(names)} classes: at least {least_classes} are needed")
    number = {name: c for c, name in enumerate(names)}
    labels = np.array([number[cell] for cell in cells], np.int64)
    counts = np.bincount(labels)
    if counts.min() < least_rows:
        rows, small = int(counts.min()), shown(names[int(counts.argmin())])
        file.refuse(
            f"has {count(rows, 'row')} of class {small!r}: each class needs {least_rows} or more"
        )
    folded = {}
    for name in names:
        folded.setdefault(name.casefold(), []).append(name)
    for alike in folded.values():
        if len(alike) > 1:
            file.notes.append(f"note: classes that differ in capitals alone: {listed(alike)}")
    return labels, tuple(names)


def _numbers(file):
    """The remaining columns as float64 arrays, or a refusal that names the true cause."""
    arrays = []
    points = any("." in cell and _is_number(cell) for column in file.cells for cell in column)
    commas, words = False, []
    for name, column in zip(file.names, file.cells):
        try:
            arrays.append(np.array(column, dtype=np.float64))
            continue
        except ValueError:
            pass
        cells = [cell.strip() for cell in column]
        lower = [cell.casefold() for cell in cells]
        filled = [cell for cell, low in zip(cells, lower) if low not in MISSING]
        if set(lower) <= {"true", "false"}:
            arrays.append(np.array([low == "true" for low in lower], dtype=np.float64))
        elif all(_is_number(cell) for cell in filled):
            _refuse_missing(file, name, lower)
        elif all(_COMMA.fullmatch(cell) for cell in filled):
            first = next(cell for cell in filled if "," in cell)
            grouped = all(_GROUPS.fullmatch(cell) for cell in filled if "," in cell)
            if points or (file.delimiter == "," and grouped):
                _refuse_groups(file, name, first)
            if len(filled) < len(cells):
                _refuse_missing(file, name, lower)
            commas = True
            arrays.append(np.array([cell.replace(",", ".") for cell in cells], dtype=np.float64))
        elif all(_COMMA.fullmatch(c) or _GROUPS.fullmatch(c) or _is_number(c) for c in filled):
            _refuse_groups(file, name, next(cell for cell in filled if not _is_number(cell)))
        else:
            example = next(cell for cell in filled if not _is_number(cell))
            words.append(f"{shown(name)} with {shown(example)!r}")
    if words:
        file.refuse(
            f"has columns that are not numeric ({'; '.join(words[:3])}): encode or drop them"
        )
    if commas:
        file.notes.append("note: numbers have decimal commas")
    for name, values in zip(file.names, arrays):
        if np.isnan(values).any():
            _refuse_missing(file, name, ["" if bad else "1" for bad in np.isnan(values)])
        if not (np.abs(values) < 1e30).all():
            line = file.at[int(np.argmin(np.abs(values) < 1e30))]
            file.refuse(
                f"has an infinite or far too large number in column {shown(name)!r}, line {line}: "
                "correct it or drop the row"
            )
    return arrays


def _refuse_missing(file, name, lower):
    gaps = [i for i, cell in enumerate(lower) if cell in MISSING]
    file.refuse(
        f"has missing values in column {shown(name)!r} ({len(gaps):,} of {len(lower):,}, the first "
        f"in line {file.at[gaps[0]]}): fill them in or drop these rows"
    )


def _refuse_groups(file, name, example):
    file.refuse(
        f"has numbers like {shown(example)!r} in column {shown(name)!r}, which can be read in two "
        "ways: write all numbers with a decimal point and nothing between thousands"
    )


def _refuse_index(file, name, values):
    """Refuse a column that numbers the rows: in rows sorted by class it gives the class away."""
    n, steps = len(values), np.diff(values)
    in_order = n >= 3 and steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-6, atol=0)
    whole = bool((values == np.round(values)).all())
    distinct = len(np.unique(values)) == n
    permuted = n >= 10 and whole and distinct and np.ptp(values) == n - 1
    by_ones = n >= 20 and whole and (steps == 1).mean() > 0.9  # also: anew in each class
    if in_order or permuted or by_ones:
        file.refuse(f"has a column {shown(name)!r} that counts the rows, as an index does: drop it")
    if n >= 20 and ((steps > 0).all() or (steps < 0).all()):
        file.refuse(
            f"has a column {shown(name)!r} that changes in one direction from row to row, as an "
            "index or a time does: drop it, or shuffle the rows if it is a measurement"
        )
    if n >= 20 and ((steps >= 0).all() or (steps <= 0).all()) and len(np.unique(values)) >= 5:
        file.notes.append(f"note: the rows are sorted by {shown(name)}")
    if n >= 10 and whole and distinct:
        if name.casefold() in INDEX_NAMES or name.casefold().startswith("unnamed"):
            file.refuse(
                f"has a column {shown(name)!r} with another whole number in every row, as an index "
                "has: drop it, or rename it if it is a measurement"
            )
        file.notes.append(
            f"note: {shown(name)} has another whole number in every row; drop it if it is an "
            "identifier"
        )


def _is_label(values, labels, classes):
    found, codes = np.unique(values, return_inverse=True)
    return len(found) == classes == len(np.unique(codes * classes + labels))


def _repeated(keys, labels, thing):
    """Notes on what occurs more than once, with the same class or with another."""
    first, again, other = {}, 0, 0
    for key, label in zip(keys, labels):
        if key in first:
            again += 1
            other += first[key] != label
        first.setdefault(key, label)
    if not again:
        return []
    copies = "is a copy of an earlier one" if again == 1 else "are copies of earlier ones"
    text = f"note: {count(again, thing)} {copies}"
    return [text + (f", {other:,} of them with another class" if other else "")]


# Texts


def read_texts(path: Path, least_classes: int, least_rows: int) -> Texts:
    """Read the reader's own texts; see `unlabeled.data.texts`."""
    file = read_file(path, "text")
    labels, classes = _labels(file, file.column("label"), least_classes, least_rows)
    texts = file.column("text")
    if "" in texts:
        file.refuse(f"has no text in line {file.at[texts.index('')]}: fill it in or drop the row")
    if file.names:
        file.notes.append(f"left out: {listed(file.names)}")
    broken = sum("\ufffd" in text for text in texts)
    if broken:
        file.notes.append(f"note: {count(broken, 'text')} with characters that could not be read")
    file.notes += _repeated(texts, labels, "text")
    return Texts(
        path.stem, tuple(texts), labels, classes, np.zeros(len(texts), bool), tuple(file.notes)
    )
