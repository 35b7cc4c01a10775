"""grades.csv: the class's table, which people edit with spreadsheets, and the points in it that
were given by hand.

It is read whole before anything is written, and refused where it cannot be: what stands in it by
hand exists nowhere else. A new version takes the place of the old one in a single step, and the old
one is kept in former/.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from course.assignment import Assignment
from course.names import Person
from press.errors import PressError

BY_HAND = " (by hand)"


def text_of(path: Path) -> str:
    """The text of a table as spreadsheets save it: UTF-8, UTF-16, or the code page 1252.

    Raises
    ------
    PressError : if it is none of these
    """
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        codecs = ("utf-16",)
    elif b"\0" in data[:200]:
        codecs = ("utf-16-le", "utf-16-be") if data[1:2] == b"\0" else ("utf-16-be", "utf-16-le")
    else:
        codecs = ("utf-8-sig", "cp1252")
    for codec in codecs:
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue
    raise PressError(
        f"{path} cannot be read as text: save it as CSV in UTF-8, and nothing is lost; it was left"
        " as it is."
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a table, whatever separates its cells.

    Raises
    ------
    PressError : if it is no table
    """
    text = text_of(path)
    if text[:4].lower() == "sep=":  # what Excel puts above the header
        text = text.partition("\n")[2]
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise PressError(
            f"{path} is no table any more ({error}): mend it or put back a version from former/; it"
            " was left as it is."
        ) from None
    for number, row in enumerate(rows, start=2):
        if None in row:
            raise PressError(
                f"{path}: line {number} has more cells than the header: mend it or put back a"
                " version from former/."
            )
    return [{name.strip(): value or "" for name, value in row.items()} for row in rows]


def by_hand(
    assignment: Assignment, path: Path, people: list[Person]
) -> dict[str, dict[str, float]]:
    """Points that were entered by hand in the table at `path`: key of a person → task → points.

    A person whose row is there has an entry for every row read, also an empty one.

    Raises
    ------
    PressError : if a row with points belongs to none of `people`, or what stands there is no number
    that the task can give
    """
    written = {task.id: task.points for task in assignment.tasks if task.written}
    if not path.is_file() or not path.stat().st_size:
        return {}
    rows = rows_of(path)
    columns = set(rows[0]) if rows else set()
    needed = ["student", *(name + BY_HAND for name in written)]
    if rows and (missing := [name for name in needed if name not in columns]):
        raise PressError(
            f"{path} has no column {missing[0]!r} any more: put it back, or a version from former/;"
            " the table was left as it is."
        )
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        given = {
            name: points
            for name, most in written.items()
            if (points := _points(path, row, name, most)) is not None
        }
        person = _whose(row, people)
        if person is None:
            if given:
                raise PressError(
                    f"{path}: the row of {row['student']!r} has points by hand and is none of this"
                    " class: put its name back; the table was left as it is."
                )
            continue
        if found.get(person.key, given) != given:
            raise PressError(
                f"{path}: {person.shown} has two rows with different points by hand: delete one of"
                " them."
            )
        found[person.key] = given
    return found


def _points(path, row, name, most):
    entry = row[name + BY_HAND].strip().lstrip("'").replace(",", ".")
    if not entry:
        return None
    try:
        points = float(entry)
    except ValueError:
        points = -1.0
    if not 0 <= points <= most:
        raise PressError(
            f"{path}: {row['student']} has {entry!r} points for {name}, which must be a number from"
            f" 0 to {most}."
        )
    return points


def _whose(row, people):
    """By the key; by name and number in a table without it; by a name that only one has."""
    if key := row.get("key", "").strip():
        return next((person for person in people if person.key == key), None)
    same = [person for person in people if safe(person.name) == row["student"]]
    exact = [person for person in same if person.number == row.get("number", "").strip()]
    return exact[0] if exact else same[0] if len(same) == 1 else None


def short(number):
    """A number without needless digits; "" stays."""
    return int(number) if number != "" and number == int(number) else number


def safe(text) -> str:
    """Text that a spreadsheet does not take for a formula, on one line."""
    text = " ".join(str(text).split())
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text


def as_csv(rows: list[dict]) -> bytes:
    """Rows as a file that spreadsheets open with names in any alphabet."""
    stream = io.StringIO()
    table = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return ("\ufeff" + stream.getvalue()).encode("utf-8", "replace")


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of `path` in one step, readable by its owner alone."""
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def replace_and_keep(path: Path, content: bytes) -> None:
    """As `replace`; a former version with other content is kept in former/, under the next free
    number.
    """
    if path.is_file():
        former = path.read_bytes()
        if former == content:
            return
        folder = path.parent / "former"
        folder.mkdir(exist_ok=True)
        numbers = [
            int(number)
            for old in folder.glob(f"{path.stem}-*{path.suffix}")
            if (number := old.stem.rpartition("-")[2]).isdecimal()
        ]
        replace(folder / f"{path.stem}-{max(numbers, default=0) + 1}{path.suffix}", former)
    replace(path, content)
