"""Find what a class has handed in, whatever its shape, and read notebooks however they were saved."""

from __future__ import annotations

import datetime
import io
import json
import os
import re
import stat
import unicodedata
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from press.errors import PressError

LARGEST = 30_000_000  # bytes of one file
LARGEST_ZIP = 300_000_000  # bytes of all that one zip unpacks to
MOST_FILES = 2_000  # of one student
LMS_FOLDER = re.compile(r"(?P<name>.+?)_\d+_assignsubmission_\w+?_?")
LMS_FILE = re.compile(r"(?P<name>.+?)(_LATE|_late)?_\d+_\d+_.+")
JUNK = re.compile(r"(^|/)(__MACOSX|\.ipynb_checkpoints|\.git|__pycache__)(/|$)|(^|/)(\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*)$")


@dataclass
class File:
    """One file that a student handed in."""

    name: str
    data: bytes
    time: float
    problem: str = ""


@dataclass
class Student:
    """All that stands under one student's name."""

    name: str
    files: list[File] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Unreadable(Exception):
    """A file that is no notebook; its text says why, in a sentence."""


def students(place: Path) -> list[Student]:
    """What `place` (a folder or a zip) holds, by student.

    Folders may be named as a learning platform names them, hold folders and zips, and several attempts; flat files carry the student's name.

    Raises
    ------
    PressError : if there is no such place or nothing in it
    """
    found: dict[str, Student] = {}
    if place.is_dir():
        for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
            if not JUNK.search(entry.name):
                _entry(found, entry)
    elif place.is_file():
        data = place.read_bytes()
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise PressError(f"SUBMISSIONS={place} is neither a folder nor a zip: name the folder that holds what was handed in.")
        outer = Student("")
        members = _unpack(outer, data, place.name, depth=0)
        if outer.problems:
            raise PressError(f"{place.name}: {outer.problems[0]}")
        _class_zip(found, members)
    else:
        raise PressError(f"There is no folder or zip {place}: give SUBMISSIONS=… the place that holds what was handed in.")
    if not found:
        raise PressError(f"{place} is empty: give SUBMISSIONS=… the place that holds what was handed in.")
    return sorted(found.values(), key=lambda student: student.name)


def _entry(found, entry):
    if entry.is_symlink():
        _student(found, entry.name, flat=not entry.is_dir()).problems.append("It is a link instead of a file or folder, and links are not followed.")
    elif entry.is_dir():
        student = _student(found, entry.name)
        for folder, folders, names in os.walk(entry.path):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                if not JUNK.search(os.path.relpath(path, entry.path)):
                    _take_path(student, path, os.path.relpath(path, entry.path))
    else:
        _take_path(_student(found, entry.name, flat=True), entry.path, entry.name)


def _class_zip(found, members):
    """Members of a zip that holds a whole class; one folder around everything is seen through."""
    parts = [PurePosixPath(file.name).parts for file in members]
    tops = {part[0] for part in parts if part}
    if len(tops) == 1 and all(len(part) > 1 for part in parts) and (any(len(part) > 2 for part in parts) or len(parts) > 1):
        members = [File("/".join(part[1:]), file.data, file.time, file.problem) for part, file in zip(parts, members)]
    for file in members:
        first, *rest = PurePosixPath(file.name).parts
        student = _student(found, first, flat=not rest)
        _take(student, File("/".join(rest) or first, file.data, file.time, file.problem))


def _student(found, name, flat=False):
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8", "replace"))
    if match := (LMS_FILE if flat else LMS_FOLDER).fullmatch(name):
        name = match["name"]
    elif flat:
        name = re.sub(r"(\.ipynb|\.zip)?\.\w{1,6}$", "", name) or name
    name = re.sub(r"[\x00-\x1f\x7f]", "?", name).strip() or "(no name)"
    return found.setdefault(name, Student(name))


def _take_path(student, path, shown):
    try:
        about = os.lstat(path)
    except OSError:
        return
    if not stat.S_ISREG(about.st_mode):
        student.problems.append(f"{shown} is no plain file, and links are not followed.")
    elif len(student.files) >= MOST_FILES:
        student.problems.append(f"There are more than {MOST_FILES} files.")
    elif about.st_size > LARGEST:
        student.files.append(File(shown, b"", about.st_mtime, f"it has {about.st_size >> 20} MB, more than the {LARGEST >> 20} that are read"))
    else:
        try:
            _take(student, File(shown, Path(path).read_bytes(), about.st_mtime))
        except OSError:
            student.files.append(File(shown, b"", about.st_mtime, "it cannot be read"))


def _take(student, file, depth=0):
    if file.name.lower().endswith(".zip") or (file.data[:4] == b"PK\x03\x04" and not file.name.lower().endswith((".docx", ".xlsx", ".pptx", ".odt"))):
        for member in _unpack(student, file.data, file.name, depth):
            _take(student, member, depth + 1)
    else:
        student.files.append(file)


def _unpack(student, data, shown, depth):
    """The files of a zip, in memory: nothing is written anywhere."""
    if depth > 2:
        student.problems.append(f"{shown} holds zips in zips in zips.")
        return []
    members, total = [], 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                name = "/".join(part for part in PurePosixPath(info.filename.replace("\\", "/")).parts if part not in ("..", "/"))
                if info.is_dir() or not name or JUNK.search(name):
                    continue
                if len(members) >= 10 * MOST_FILES:
                    student.problems.append(f"{shown} holds too many files.")
                    break
                moment = datetime.datetime(*info.date_time).timestamp() if info.date_time[1:3] != (0, 0) else 0.0
                with archive.open(info) as file:
                    content = file.read(LARGEST + 1)
                total += len(content)
                if total > LARGEST_ZIP:
                    student.problems.append(f"{shown} unpacks to more than {LARGEST_ZIP >> 20} MB.")
                    break
                problem = f"it has more than the {LARGEST >> 20} MB that are read" if len(content) > LARGEST else ""
                members.append(File(name, b"" if problem else content, moment, problem))
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, ValueError, EOFError) as error:
        student.problems.append(f"{shown} cannot be unpacked ({' '.join(str(error).split())[:100] or type(error).__name__}).")
    except Exception as error:  # the decompressors raise errors of their own
        student.problems.append(f"{shown} cannot be unpacked ({type(error).__name__}).")
    return members


@dataclass
class Cell:
    """One cell of a student's notebook."""

    kind: str
    source: str
    grade_id: str


@dataclass
class Notebook:
    """A student's notebook, as far as grading needs it."""

    cells: list[Cell]
    assignment: str  # what its metadata says, "" if they were lost


def read(file: File) -> Notebook:
    """The notebook in `file`: any encoding, any line ends, also of format 3, whatever else is wrong with it.

    Raises
    ------
    Unreadable : if it is none
    """
    if file.problem:
        raise Unreadable(file.problem)
    if not file.data.strip(b"\0 \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise Unreadable("the file is empty")
    try:
        content = json.loads(_decode(file.data))
    except (ValueError, RecursionError, MemoryError):
        kind = "an HTML page" if file.data.lstrip()[:200].lower().startswith((b"<!doctype", b"<html")) else "a PDF" if file.data[:4] == b"%PDF" else "something else"
        raise Unreadable(f"it is no notebook but {kind}") from None
    if not isinstance(content, dict):
        raise Unreadable("it is no notebook but something else in JSON")
    cells = content.get("cells")
    if not isinstance(cells, list):
        sheets = content.get("worksheets")
        cells = [cell for sheet in sheets if isinstance(sheet, dict) for cell in _listed(sheet.get("cells"))] if isinstance(sheets, list) else None
    if cells is None:
        raise Unreadable("it is no notebook but something else in JSON")
    about = content.get("metadata")
    about = about.get("coursework") if isinstance(about, dict) else None
    name = about.get("assignment") if isinstance(about, dict) else ""
    return Notebook([_cell(cell) for cell in cells if isinstance(cell, dict)], name if isinstance(name, str) else "")


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
    source = source.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "").encode("utf-8", "replace").decode()
    about = cell.get("metadata")
    about = about.get("nbgrader") if isinstance(about, dict) else None
    grade_id = about.get("grade_id") if isinstance(about, dict) else ""
    kind = cell.get("cell_type")
    return Cell(kind if kind in ("code", "markdown") else "raw", source, grade_id if isinstance(grade_id, str) else "")
