"""Find what a class has handed in, whatever its shape, and read notebooks however they were
saved.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import re
import stat
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from course.names import Named, Person, who
from press.errors import PressError

LARGEST = 200_000_000  # bytes of one file
LARGEST_ZIP = 600_000_000  # bytes of all that one zip unpacks to
MOST_FILES = 2_000  # of one student
DAY = 86_400.0
OLDEST = 20 * 365.25 * DAY  # seconds from 1970 to 1990: no notebook is older
JUNK = re.compile(
    r"(^|/)(__MACOSX|\.ipynb_checkpoints|\.git|__pycache__)(/|$)|(^|/)(\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*)$"
)
OFFICE = (".docx", ".xlsx", ".pptx", ".odt", ".jar")
UNUSED = ("outputs", "attachments", "widgets")
MARK = re.compile(
    r"^[ \t]*#+[ \t]*task[ \t]*:[ \t]*([a-z0-9-]+)[ \t]*$", re.MULTILINE | re.IGNORECASE
)


@dataclass
class Cell:
    """One cell of a student's notebook."""

    kind: str
    source: str
    grade_id: str


@dataclass
class Notebook:
    """A student's notebook, as far as grading needs it: no outputs."""

    cells: list[Cell]
    assignment: str  # what its metadata says, "" if they were lost

    @property
    def digest(self) -> str:
        """What is the same for the same cells."""
        told = json.dumps([[cell.kind, cell.source, cell.grade_id] for cell in self.cells])
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass
class File:
    """One file that a student handed in.

    Attributes
    ----------
    name : its path below the student's entry
    time : seconds since 1970, None if it carries no date that can be
    notebook : None if it is none, and `reason` says why
    """

    name: str
    time: float | None = None
    notebook: Notebook | None = None
    reason: str = ""


@dataclass
class Student:
    """All that one person handed in."""

    person: Person
    files: list[File] = field(default_factory=list)
    platform: str = ""
    late: bool = False
    doubts: list[str] = field(default_factory=list)


class Unreadable(Exception):
    """A file that is no notebook; its text says why, in a sentence."""


def students(place: Path) -> list[Student]:
    """What `place` (a folder or a zip) holds, by person.

    Folders may be named as a learning platform names them, hold folders and zips, and several
    attempts; flat files carry the student's name. `names` has the rules.

    Raises
    ------
    PressError : if there is no such place or nothing in it
    """
    if place.is_dir():
        entries = {
            entry.name: entry for entry in sorted(os.scandir(place), key=lambda entry: entry.name)
        }
        entries = {name: entry for name, entry in entries.items() if not JUNK.search(name)}
        named = who({name: entry.is_dir() for name, entry in entries.items()})
        found = _people((named[name], _in_entry(entry)) for name, entry in entries.items())
    elif place.is_file():
        found = _in_class_zip(place)
    else:
        raise PressError(
            f"There is no folder or zip {place}: give SUBMISSIONS=… the place that holds what was"
            " handed in."
        )
    if not found:
        raise PressError(
            f"{place} is empty: give SUBMISSIONS=… the place that holds what was handed in."
        )
    return found


def _people(pairs: Iterator[tuple[Named, Iterator[File]]]) -> list[Student]:
    found: dict[Person, Student] = {}
    for named, files in pairs:
        student = found.setdefault(named.person, Student(named.person))
        student.platform, student.late = named.platform, student.late or named.late
        student.doubts += named.doubts
        for file in files:
            if len(student.files) >= MOST_FILES:
                student.files.append(
                    File("the rest", reason=f"there are more than {MOST_FILES} files")
                )
                break
            student.files.append(file)
    return sorted(found.values(), key=lambda student: (student.person.name, student.person.number))


def _in_entry(entry) -> Iterator[File]:
    if entry.is_symlink():
        yield File(entry.name, reason="it is a link, and links are not followed")
    elif entry.is_dir():
        for folder, folders, names in os.walk(entry.path):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                shown = os.path.relpath(path, entry.path)
                if not JUNK.search(shown):
                    yield from _on_disk(shown, path)
    else:
        yield from _on_disk(entry.name, entry.path)


def _on_disk(shown, path):
    try:
        about = os.lstat(path)
        if not stat.S_ISREG(about.st_mode):
            yield File(shown, reason="it is no plain file, and links are not followed")
        elif about.st_size > LARGEST:
            yield File(
                shown,
                _believed(about.st_mtime),
                reason=(
                    f"it has {about.st_size // 10**6} MB, more than the {LARGEST // 10**6} that are"
                    " read"
                ),
            )
        else:
            yield from _files(shown, Path(path).read_bytes(), _believed(about.st_mtime))
    except OSError:
        yield File(shown, reason="it cannot be read")


def _in_class_zip(place):
    data = place.read_bytes()
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise PressError(
            f"SUBMISSIONS={place} is neither a folder nor a zip: name the folder that holds what"
            " was handed in."
        )
    entries: dict[str, list[File]] = {}
    folders: dict[str, bool] = {}
    files = list(_members("", data))
    if bad := next((file for file in files if not file.name), None):
        raise PressError(f"{place.name} was not taken: {bad.reason}.")
    paths = [PurePosixPath(file.name).parts for file in files]
    around = (
        len({path[0] for path in paths}) == 1
        and all(len(path) > 1 for path in paths)
        and (len(paths) > 1 or len(paths[0]) > 2)
    )
    for file, path in zip(files, paths):  # one folder around everything is seen through
        first, *rest = path[1:] if around else path
        file.name = "/".join(rest) or first
        entries.setdefault(first, []).append(file)
        folders[first] = folders.get(first, False) or (
            bool(rest) and not first.lower().endswith(".zip")
        )
    named = who(folders)
    return _people((named[entry], iter(found)) for entry, found in entries.items())


def _files(name, data, moment, depth=0) -> Iterator[File]:
    """The file, read; or those in it, if it is a zip."""
    if name.lower().endswith(".zip") or (
        data[:4] == b"PK\x03\x04" and not name.lower().endswith(OFFICE)
    ):
        if depth > 2:
            yield File(name, moment, reason="it holds zips in zips in zips")
        else:
            yield from _members(name, data, depth)
        return
    try:
        yield File(name, moment, read(data))
    except Unreadable as error:
        yield File(name, moment, reason=str(error))


def _members(name, data, depth=0) -> Iterator[File]:
    """The files in a zip, unpacked in memory: nothing is written anywhere. Of the zip itself
    (`name`) it tells what is wrong.
    """
    total = 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for number, info in enumerate(archive.infolist()):
                path = "/".join(
                    part
                    for part in PurePosixPath(info.filename.replace("\\", "/")).parts
                    if part not in ("..", "/")
                )
                if info.is_dir() or not path or JUNK.search(path):
                    continue
                with archive.open(info) as file:
                    content = file.read(LARGEST + 1)
                total += len(content)
                if total > LARGEST_ZIP or number > 10 * MOST_FILES:
                    yield File(
                        name,
                        reason=(
                            f"it unpacks to more than {LARGEST_ZIP // 10**6} MB or"
                            f" {10 * MOST_FILES} files"
                        ),
                    )
                    return
                shown = f"{name}/{path}" if name else path
                if len(content) > LARGEST:
                    yield File(
                        shown, reason=f"it has more than the {LARGEST // 10**6} MB that are read"
                    )
                else:
                    yield from _files(shown, content, _zip_time(info.date_time), depth + 1)
    except Exception as error:  # the decompressors raise errors of their own
        yield File(
            name,
            reason=(
                "it cannot be unpacked"
                f" ({' '.join(str(error).split())[:100] or type(error).__name__})"
            ),
        )


def _zip_time(moment):
    """A zip's date; some cannot be (month 0, second 60), and they only order attempts."""
    try:
        return _believed(datetime.datetime(*moment).timestamp())
    except (ValueError, OverflowError, OSError):
        return None


def _believed(moment):
    return moment if OLDEST < moment < time.time() + DAY else None


def read(data: bytes) -> Notebook:
    """The notebook in `data`: any encoding, any line ends, also of format 3, whatever else is wrong
    with it.

    Raises
    ------
    Unreadable : if it is none
    """
    if not data.strip(b"\0 \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise Unreadable("the file is empty")
    text = _decode(data)
    try:
        content = json.loads(text, object_pairs_hook=_without_outputs)
    except (ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(_what_else(data, text, error)) from None
    if not isinstance(content, dict):
        raise Unreadable("it is no notebook but something else in JSON")
    cells = content.get("cells")
    if not isinstance(cells, list):
        sheets = content.get("worksheets")  # format 3
        cells = (
            [
                cell
                for sheet in sheets
                if isinstance(sheet, dict)
                for cell in _listed(sheet.get("cells"))
            ]
            if isinstance(sheets, list)
            else None
        )
    if cells is None:
        raise Unreadable("it is no notebook but something else in JSON")
    about = content.get("metadata")
    about = about.get("coursework") if isinstance(about, dict) else None
    name = about.get("assignment") if isinstance(about, dict) else ""
    found = [part for cell in cells if isinstance(cell, dict) for part in _parts(_cell(cell))]
    return Notebook(found, name if isinstance(name, str) else "")


def _without_outputs(pairs):
    return {name: value for name, value in pairs if name not in UNUSED}


def _what_else(data, text, error):
    start = data.lstrip()[:200].lower()
    if start.startswith((b"<!doctype", b"<html")):
        return "it is no notebook but an HTML page"
    if start.startswith(b"%pdf"):
        return "it is no notebook but a PDF"
    if (
        text.lstrip()[:1] == "{"
        and isinstance(error, json.JSONDecodeError)
        and error.pos >= len(text.rstrip()) - 1
    ):
        return "the file is cut off, as after a broken upload"
    if (
        text.lstrip()[:1] == "{"
        and isinstance(error, json.JSONDecodeError)
        and "Unterminated" in error.msg
    ):
        return "the file is cut off, as after a broken upload"
    return "it is no notebook but something else"


def _listed(value):
    return value if isinstance(value, list) else []


def _decode(data):
    for codec in ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",):
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue
    return data.decode("cp1252", "replace")


def _cell(cell):
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    source = source if isinstance(source, str) else ""
    source = (
        source.replace("\r\n", "\n")
        .replace("\r", "\n")
        .replace("\ufeff", "")
        .encode("utf-8", "replace")
        .decode()
    )
    about = cell.get("metadata")
    about = about.get("nbgrader") if isinstance(about, dict) else None
    grade_id = about.get("grade_id") if isinstance(about, dict) else ""
    kind = cell.get("cell_type")
    return Cell(
        kind if kind in ("code", "markdown") else "raw",
        source,
        grade_id if isinstance(grade_id, str) else "",
    )


def _parts(cell):
    """The cell; or, where answers to several tasks were put into one cell, one for each."""
    marks = list(MARK.finditer(cell.source)) if cell.kind == "code" else []
    if len({mark[1] for mark in marks}) < 2:
        return [cell]
    ends = [mark.start() for mark in marks[1:]] + [len(cell.source)]
    starts = [0, *ends[:-1]]
    return [
        Cell("code", cell.source[start:end].strip("\n"), "") for start, end in zip(starts, ends)
    ]
