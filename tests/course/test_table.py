"""grades.csv: what people do to it with spreadsheets, and that no point given by hand is ever
lost.
"""

import json
import os

import pytest
from tinycourse import ASSIGNMENT, TinyCourse

from course import make, table
from course.grade import Course, blank
from course.jail import Limits
from press.errors import PressError

NAMES = ("ann", "Jörg", "王小明")


class Pool:
    """Gives everybody full points, without running anything."""

    limits, protections = Limits(), []

    def __init__(self, fails=()):
        self.fails = fails

    def run(self, blank, items, seeds):
        tests = {
            test.id: {"passed": test.id not in self.fails, "failed": "", "error": "", "output": ""}
            for test in blank.assignment.tests
        }
        tasks = [task for task in blank.assignment.tasks if not task.written]
        for item in items:
            yield (
                item,
                {
                    "status": "graded",
                    "reasons": [],
                    "remarks": [],
                    "untouched": [],
                    "answers": {"report": "Words."},
                    "code": {},
                    "cpu": 0.0,
                    "seconds": 0.0,
                    "tests": tests,
                    "points": {
                        task.id: sum(test.points for test in task.tests if tests[test.id]["passed"])
                        for task in tasks
                    },
                    "asked": {
                        test.id: [test.source, test.points] for test in blank.assignment.tests
                    },
                },
            )


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

    def grade(folder="in", class_name="", fails=()):
        rows = Course(project.root, tmp_path / "grades", class_name).grade(
            tmp_path / folder, Pool(fails)
        )["tiny"]
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
    text = (
        "\r\n".join(
            delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in line)
            for line in lines
        )
        + "\r\n"
    )
    path.write_bytes(text.encode(encoding, "replace"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_spreadsheets_write_is_read(graded, path, encoding, delimiter):
    give(path, "Jörg", "3,5" if delimiter != "," else "3.5", encoding, delimiter)
    found = graded()
    assert (
        found["Jörg"]["report (by hand)"] == 3.5
        and found["Jörg"]["total"] == 8.5
        and len(found) == 3
    )
    # cp1252 has no such letters: the row's key tells whose it is
    give(path, "王小明", "2", encoding, delimiter)
    found = graded()
    assert found["王小明"]["report (by hand)"] == 2 and found["Jörg"]["report (by hand)"] == 3.5


@pytest.mark.parametrize(
    "spoil, sentence",
    [
        (lambda data: b"\xff\xfe" + data[:101], "cannot be read as text"),
        (lambda data: data.replace(b"ann,", b'"ann,', 1), "no table any more"),
        (
            lambda data: data.replace(b"report (by hand)", b"essay", 1),
            "no column 'report \\(by hand\\)'",
        ),
        (lambda data: data.replace(b"student", b"name", 1), "no column 'student'"),
        (
            lambda data: data.replace(b"5,9,graded", b"5,9,graded,,,,,", 1),
            "more cells than the header",
        ),
        (
            lambda data: data.replace(b",0,0,5,9,", b"four,0,0,5,9,", 1),
            "has 'four' points for report",
        ),
        (lambda data: data.replace(b",0,0,5,9,", b"40,0,0,5,9,", 1), "a number from 0 to 4"),
        (lambda data: data.replace(b",0,0,5,9,", b"nan,0,0,5,9,", 1), "a number from 0 to 4"),
        (
            lambda data: data.replace(b",0,0,5,9,", b"2,0,0,5,9,", 1).replace(b",s-", b",x-", 1),
            "none of this class",
        ),
        (
            lambda data: data + data.splitlines()[1].replace(b",0,0,5,9,", b"3,0,0,5,9,") + b"\n",
            "two rows with different points",
        ),
    ],
)
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
    assert (
        found["ann"]["total"] == 8
        and "ann.ipynb was not graded: it is no notebook but a PDF." in found["ann"]["reason"]
    )


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
    path.write_bytes(
        b"\n".join(line for line in path.read_bytes().split(b"\n") if not line.startswith(b"ann"))
    )
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
    for fatal in range(1, 200):  # noqa: B007  (read by `counted`)
        steps = 0
        try:
            found = graded("late")
            break
        except Killed:
            rows = {row["number"] + row["student"]: row for row in table.rows_of(path)}
            assert rows["ann"]["report (by hand)"] == "3" and any(
                row["report (by hand)"] in ("1.5", "1,5") for row in rows.values()
            )
    assert (
        fatal > 10
        and found["ann"]["report (by hand)"] == 3
        and found["Jörg"]["report (by hand)"] == 1.5
        and "dee" in found
    )


def test_two_runs_do_not_write_the_same_table(graded, tmp_path):
    import fcntl

    with open(tmp_path / "grades/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PressError, match="being graded already"):
            graded()


# What platforms take, what lateness costs, and whose points a mended test has changed


@pytest.fixture
def handed(tmp_path, content):
    """Writes a folder of hand-ins under the names given."""

    def write(folder, *names):
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    return write


def test_canvas_gets_its_table(graded, handed, tmp_path):
    handed(
        "canvas",
        "leeann_12345_901_a.ipynb",
        "leeann_54321_902_a.ipynb",
        "doejohn_LATE_777_903_a.ipynb",
    )
    found = graded("canvas", "canvas")
    assert len(found) == 2 and found["doejohn"]["days late"] == 1
    rows = table.rows_of(tmp_path / "grades/canvas/tiny/canvas.csv")
    assert list(rows[0]) == [
        "Student",
        "ID",
        "SIS User ID",
        "SIS Login ID",
        "Section",
        "Assignment: means",
    ]
    assert rows[0]["Student"] == "Points Possible" and rows[0]["Assignment: means"] == "9"
    assert {row["ID"]: row["Assignment: means"] for row in rows[1:]} == {
        "12345": "5",
        "54321": "5",
        "777": "5",
    }
    assert not (tmp_path / "grades/canvas/tiny/moodle.csv").exists()


def test_moodle_gets_its_worksheet_and_its_feedback(graded, handed, tmp_path):
    import zipfile

    handed(
        "moodle",
        "Ann Lee_11_assignsubmission_file_/a.ipynb",
        "Ann Lee_12_assignsubmission_file_/a.ipynb",
    )
    graded("moodle", "moodle")
    rows = table.rows_of(tmp_path / "grades/moodle/tiny/moodle.csv")
    assert [
        (row["Identifier"], row["Full name"], row["Grade"], row["Maximum Grade"]) for row in rows
    ] == [
        ("Participant 11", "Ann Lee", "5", "9"),
        ("Participant 12", "Ann Lee", "5", "9"),
    ]
    with zipfile.ZipFile(tmp_path / "grades/moodle/tiny/feedback-moodle.zip") as archive:
        assert archive.namelist() == [
            f"Ann Lee_{number}_assignsubmission_file_/feedback.html" for number in (11, 12)
        ]
        assert b"5 of 9 points" in archive.read(archive.namelist()[0])


def test_lateness_costs_what_the_policy_says(graded, tmp_path, path):
    give(path, "ann", "3")
    (tmp_path / "grades/policy.yml").write_text(
        "off_per_day: 10\nat_most: 25\ndays_late:\n  tiny: {ann: 1.5, Jörg: 9, 王小明:"
        " 2}\nextra_days: {王小明: 2, nobody: 1}\n",
        encoding="utf-8",
    )
    found = graded()
    assert (found["ann"]["taken off"], found["ann"]["total"], found["ann"]["report (by hand)"]) == (
        1.6,
        6.4,
        3,
    )
    assert (found["Jörg"]["taken off"], found["Jörg"]["total"]) == (1.25, 3.75)
    assert (found["王小明"]["days late"], found["王小明"]["total"]) == (0, 5)
    assert "1.5 days late: 1.6 points are taken off." in found["ann"]["reason"]


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("off_per_day: much", "off_per_day must be a number from 0 to 100"),
        ("off: 10", "and nothing else"),
        ("[1", "no valid YAML"),
        ("days_late: {ann: 2}", "give days as name: number"),
        ("extra_days: {ann: -1}", "give days as name: number"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(graded, tmp_path, text, sentence):
    (tmp_path / "grades/policy.yml").write_text(text)
    with pytest.raises(PressError, match=sentence):
        graded()


def test_a_policy_that_may_mean_two_people_is_refused(graded, handed, tmp_path):
    handed("canvas", "leeann_12345_901_a.ipynb", "leeann_54321_902_a.ipynb")
    graded("canvas", "two")
    (tmp_path / "grades/two/policy.yml").write_text("extra_days: {leeann: 1}")
    with pytest.raises(PressError, match="leeann may be leeann \\(12345\\) or leeann \\(54321\\)"):
        graded("canvas", "two")
    (tmp_path / "grades/two/policy.yml").write_text("extra_days: {leeann (54321): 1}")
    graded("canvas", "two")


def test_a_mended_test_tells_whose_points_changed_and_why(graded, project, tmp_path, path):
    give(path, "ann", "3")
    project.assign(ASSIGNMENT.replace("numbers.mean()) < 1e-6", "numbers.mean()) < 1e-5"))
    try:
        found = graded(fails=("mean-basic",))
    finally:
        project.assign(ASSIGNMENT)
    rows = table.rows_of(path.parent / "regraded.csv")
    assert [
        (row["student"], row["test"], row["before"], row["after"], row["why"]) for row in rows
    ] == [(name, "mean-basic", "2", "0", "the test was changed") for name in sorted(NAMES)]
    assert found["ann"]["report (by hand)"] == 3 and found["ann"]["total"] == 6


def test_a_class_is_not_called_like_an_assignment(project):
    with pytest.raises(PressError, match="name of an assignment"):
        Course(project.root, class_name="tiny")
