"""grades.csv: what people do to it with spreadsheets, and that no point given by hand is ever lost."""

import json
import os

import pytest
from tinycourse import TinyCourse

from course import make, table
from course.grade import Course, blank
from course.sandbox import Limits
from press.errors import PressError

NAMES = ("ann", "Jörg", "王小明")


class Pool:
    """Gives everybody full points, without running anything."""

    limits, protections = Limits(), []

    def run(self, blank, notebook, seeds):
        tasks = [task for task in blank.assignment.tasks if not task.written]
        return {
            "status": "graded", "reasons": [], "points": {task.id: task.points for task in tasks}, "remarks": [], "untouched": [], "answers": {"report": "Words."},
            "tests": {test.id: {"passed": True, "failed": "", "error": "", "output": ""} for test in blank.assignment.tests}, "code": {}, "cpu": 0.0, "seconds": 0.0,
        }

    def each(self, function, items):
        for item in items:
            function(item)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return TinyCourse(tmp_path_factory.mktemp("course") / "project")


@pytest.fixture(scope="module")
def content(project):
    return json.dumps(make.answered(blank(project.assignment)))


@pytest.fixture
def graded(project, content, tmp_path):
    """A class of three, graded once; grades a folder of others, or the same again."""
    for name in NAMES:
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.ipynb").write_text(content)

    def grade(folder="in", class_name=""):
        rows = Course(project.root, tmp_path / "grades", class_name).grade(tmp_path / folder, Pool())["tiny"]
        return {row["student"]: row for row in rows}

    grade()
    return grade


@pytest.fixture
def path(tmp_path):
    return tmp_path / "grades/tiny/grades.csv"


def give(path, student, points, encoding="utf-8", delimiter=","):
    """Enter points by hand and save as a spreadsheet would."""
    rows = table.rows_of(path)
    for row in rows:
        row["report (by hand)"] = points if row["student"] == student else row["report (by hand)"]
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    text = "\r\n".join(delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in line) for line in lines) + "\r\n"
    path.write_bytes(text.encode(encoding, "replace"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_spreadsheets_write_is_read(graded, path, encoding, delimiter):
    give(path, "Jörg", "3,5" if delimiter != "," else "3.5", encoding, delimiter)
    found = graded()
    assert found["Jörg"]["report (by hand)"] == 3.5 and found["Jörg"]["total"] == 8.5 and len(found) == 3
    give(path, "王小明", "2", encoding, delimiter)  # cp1252 has no such letters: the row's key tells whose it is
    found = graded()
    assert found["王小明"]["report (by hand)"] == 2 and found["Jörg"]["report (by hand)"] == 3.5


@pytest.mark.parametrize("spoil, sentence", [
    (lambda data: b"\xff\xfe" + data[:101], "cannot be read as text"),
    (lambda data: data.replace(b"ann,", b'"ann,', 1), "no table any more"),
    (lambda data: data.replace(b"report (by hand)", b"essay", 1), "no column 'report \\(by hand\\)'"),
    (lambda data: data.replace(b"student", b"name", 1), "no column 'student'"),
    (lambda data: data.replace(b"5,9,graded", b"5,9,graded,,,,,", 1), "more cells than the header"),
    (lambda data: data.replace(b",5,9,", b"four,5,9,", 1), "has 'four' points for report"),
    (lambda data: data.replace(b",5,9,", b"40,5,9,", 1), "a number from 0 to 4"),
    (lambda data: data.replace(b",5,9,", b"nan,5,9,", 1), "a number from 0 to 4"),
    (lambda data: data.replace(b",5,9,", b"2,5,9,", 1).replace(b",s-", b",x-", 1), "none of this class"),
    (lambda data: data + data.splitlines()[1].replace(b",5,9,", b"3,5,9,") + b"\n", "two rows with different points"),
])
def test_what_cannot_be_read_stops_before_anything_is_written(graded, path, spoil, sentence):
    spoilt = spoil(path.read_bytes())
    assert spoilt != path.read_bytes()
    path.write_bytes(spoilt)
    before = {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}
    with pytest.raises(PressError, match=sentence):
        graded()
    assert {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()} == before


def test_late_work_is_added_and_another_class_is_another_table(graded, path, tmp_path, content):
    give(path, "ann", "3")
    (tmp_path / "late").mkdir()
    (tmp_path / "late/dee.ipynb").write_text(content)
    found = graded("late")
    assert sorted(found) == sorted([*NAMES, "dee"]) and found["ann"]["report (by hand)"] == 3
    assert {page.stem for page in (path.parent / "feedback").iterdir()} == {*NAMES, "dee"}
    assert list(graded("late", "evening class")) == ["dee"]
    assert path.is_file() and (tmp_path / "grades/evening class/tiny/grades.csv").is_file()


def test_a_broken_late_hand_in_does_not_take_a_grade_away(graded, path, tmp_path):
    give(path, "ann", "3")
    (tmp_path / "late").mkdir()
    (tmp_path / "late/ann.ipynb").write_bytes(b"%PDF")
    found = graded("late")
    assert found["ann"]["total"] == 8 and "ann.ipynb was not graded: it is no notebook but a PDF." in found["ann"]["reason"]


def test_a_former_version_is_kept_and_an_unchanged_table_is_not_written(graded, path):
    graded()
    assert not (path.parent / "former").exists()
    give(path, "ann", "3")
    edited = path.read_bytes()
    graded()
    assert (path.parent / "former/grades-1.csv").read_bytes() == edited


def test_a_row_that_was_deleted_comes_back_with_its_points(graded, path):
    give(path, "ann", "3")
    graded()
    path.write_bytes(b"\n".join(line for line in path.read_bytes().split(b"\n") if not line.startswith(b"ann")))
    assert graded()["ann"]["report (by hand)"] == 3


def test_a_damaged_grade_book_stops_unless_its_submission_is_there(graded, path, tmp_path, content):
    (path.parent / "gradebook/ann.json").write_text('{"na')
    assert graded()["ann"]["total"] == 5
    (path.parent / "gradebook/ann.json").write_text('{"na')
    (tmp_path / "late").mkdir()
    (tmp_path / "late/dee.ipynb").write_text(content)
    with pytest.raises(PressError, match="ann.json is damaged"):
        graded("late")


class Killed(BaseException):
    """What stands for a kill: nothing of the grader catches it."""


def test_a_kill_at_any_step_loses_no_point(graded, path, tmp_path, content, monkeypatch):
    give(path, "ann", "3")
    graded()
    give(path, "Jörg", "1.5", "cp1252", ";")
    (tmp_path / "late").mkdir()
    (tmp_path / "late/dee.ipynb").write_text(content)
    steps = 0

    def counted(function):
        def step(*given, **named):
            nonlocal steps
            steps += 1
            if steps == fatal:
                raise Killed
            return function(*given, **named)

        return step

    for name in ("replace", "fsync", "fchmod"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    fatal = 0
    for fatal in range(1, 200):
        steps = 0
        try:
            found = graded("late")
            break
        except Killed:
            rows = {row["number"] + row["student"]: row for row in table.rows_of(path)}
            assert rows["ann"]["report (by hand)"] == "3" and any(row["report (by hand)"] in ("1.5", "1,5") for row in rows.values())
    assert fatal > 10 and found["ann"]["report (by hand)"] == 3 and found["Jörg"]["report (by hand)"] == 1.5 and "dee" in found


def test_two_runs_do_not_write_the_same_table(graded, tmp_path):
    import fcntl

    with open(tmp_path / "grades/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PressError, match="being graded already"):
            graded()
