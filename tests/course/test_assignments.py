"""Every assignment in the book, and the tiny one: solutions, stubs, wrong answers, secrets, and
what students get to see.
"""

import os
import re

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator
from tinycourse import TinyCourse

from course import build, make, secret
from course.assignment import HIDDEN, SOLUTION, assignment, assignments, inside, outside
from course.grade import Pool, blank
from course.handed_in import read as read_file
from course.inside import bound

NAMES = ["tiny", *(found.name for found in assignments())]
ONE, OTHER = b"one secret", b"another secret"
MORE = int(os.environ.get("COURSE_SECRETS", "1"))  # further secrets that everything is tried under


@pytest.fixture(scope="module")
def pool():
    with Pool(2) as running:
        yield running


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds an assignment when it is first asked for, so that one that is broken spoils its own
    tests alone.
    """
    made = {}

    def build_once(name):
        if name not in made:
            made[name] = blank(
                TinyCourse(tmp_path_factory.mktemp("course") / "project").assignment
                if name == "tiny"
                else assignment(name)
            )
        return made[name]

    return build_once


@pytest.fixture(params=NAMES)
def both(request, built):
    return built(request.param)


def grade(both, content, pool, key=ONE):
    return make.graded(both, {"one": content}, secret.seeds(both.assignment, key), pool)["one"]


def test_solutions_stubs_and_wrong_answers_get_what_they_should(both, pool):
    records = make.try_out(both, secret.seeds(both.assignment, ONE), pool)
    solved = records["solution"]
    assert sum(solved["points"].values()) == both.assignment.automatic
    assert solved["cpu"] < 15
    assert solved["status"] == "graded" and solved["reasons"] == []
    assert (
        records["untouched"]["status"] == "untouched"
        and sum(records["untouched"]["points"].values()) == 0
    )
    for group, answers in both.assignment.groups.items():
        points = records[f"wrong {group}"]["points"]
        for answer in answers:
            assert points[answer.task] == answer.expects, (group, answer.task)
        listed = {answer.task for answer in answers}
        for task in both.assignment.tasks:
            assert task.written or task.id in listed or points[task.id] == task.points, (
                group,
                task.id,
            )


@pytest.mark.parametrize("number", range(MORE))
def test_so_they_do_under_another_secret(both, pool, number):
    make.try_out(both, secret.seeds(both.assignment, f"secret {number}".encode()), pool)


def test_every_test_is_failed_by_a_wrong_answer(both):
    assert {name for wrong in both.assignment.wrong for name in wrong.fails} == {
        test.id for test in both.assignment.tests
    }


# An answer that has learnt by heart what the tests of one course ask, the hidden ones included


MEMORY = """
import functools as _functools, json as _json, hashlib as _hashlib
from course.wire import pack as _pack
def _digest(*given, **named):
    return _hashlib.sha256(_json.dumps(_pack((given, named))).encode()).hexdigest()
def _by_heart(function, known):
    @_functools.wraps(function)
    def answer(*given, **named):
        return function(*given, **named) if _digest(*given, **named) in known else None
    return answer
"""


def learn(both, key, hidden):
    """What each function is asked by the visible tests and, if `hidden`, by the hidden ones under
    the secret `key`: digests by name.
    """
    import numpy as np

    seeds = {name: int(seed) for name, seed in secret.seeds(both.assignment, key).items()}
    names = {
        "secret_rng": lambda name: np.random.default_rng(seeds[name]),
        "left_by": lambda function: function.left,
    }
    exec(MEMORY, names)
    asked = {}

    def listen(name, function):
        def heard(*given, **named):
            asked.setdefault(name, set()).add(names["_digest"](*given, **named))
            heard.left = given
            return function(*given, **named)

        return heard

    for cell in both.full.cells:
        about = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code" or about.get("grade_id") == "bootstrap":
            continue
        if about.get("grade") and not hidden:
            exec(outside(cell.source, HIDDEN), names)
            continue
        exec(cell.source, names)
        if about.get("solution"):
            for name in bound(cell.source):
                if callable(names[name]):
                    names[name] = listen(name, names[name])
    return asked


def by_heart(both, asked):
    """A submission that answers what was asked and nothing else."""
    content = make.answered(both)
    for cell in content["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] == "code" and about.get("solution"):
            for name in sorted(bound(cell["source"])):
                if name in asked:
                    cell["source"] += f"\n{MEMORY}\n{name} = _by_heart({name}, {asked[name]!r})"
    return content


def test_answers_learnt_by_heart_fail_under_another_secret(both, pool):
    drawn = [test for test in both.assignment.tests if test.draws]
    assert drawn
    learnt = by_heart(both, learn(both, ONE, hidden=True))
    here = grade(both, learnt, pool, ONE)
    assert all(here["tests"][test.id]["passed"] for test in drawn), (
        "the test of this test: at home it passes"
    )
    there = grade(both, learnt, pool, OTHER)
    assert not [test.id for test in drawn if there["tests"][test.id]["passed"]]
    visible = grade(both, by_heart(both, learn(both, ONE, hidden=False)), pool, ONE)
    for test in drawn:
        assert visible["tests"][test.id]["failed"] == "hidden", test.id


# What students see


def test_no_line_of_a_solution_survives(both):
    assert build.leaks(both.assignment, both.student) == []
    text = build.as_text(both.student)
    for word in (
        "BEGIN SOLUTION",
        "END SOLUTION",
        "HIDDEN TESTS",
        "secret_rng",
        "Rubric",
        "jupytext",
        '"points_expected"',
    ):
        assert word not in text
    assert all(not cell.get("outputs") for cell in both.student.cells)


def test_stubs_are_the_solutions_with_lines_replaced(both):
    full = {cell.id: cell for cell in both.full.cells}
    for cell in both.student.cells:
        about = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and about.get("solution"):
            lines = full[cell.id].source.split("\n")
            while any(SOLUTION[0] in line for line in lines):
                start = next(number for number, line in enumerate(lines) if SOLUTION[0] in line)
                end = next(number for number, line in enumerate(lines) if SOLUTION[1] in line)
                indent = re.match(r"\s*", lines[start])[0]
                lines[start : end + 1] = [indent + line for line in build.STUB.split("\n")]
            assert cell.source == "\n".join(lines)
        elif about.get("grade") and cell.cell_type == "code":
            assert cell.source == outside(full[cell.id].source, HIDDEN)
        elif not about.get("solution"):
            assert cell.source == full[cell.id].source


def test_nbgrader_accepts_both_notebooks(both):
    for notebook in (both.full, both.student):
        MetadataValidator().validate_nb(notebook)
        nbformat.validate(notebook)
        assert {
            cell.metadata.nbgrader.schema_version
            for cell in notebook.cells
            if "nbgrader" in cell.metadata
        } == {3}
        assert not {"jupytext"} & set(notebook.metadata) and not [
            cell for cell in notebook.cells if "jupytext" in cell.metadata
        ]
    locked = [
        cell for cell in both.student.cells if cell.metadata.get("nbgrader", {}).get("locked")
    ]
    assert locked and all(
        cell.metadata.deletable is False and cell.metadata.editable is False for cell in locked
    )


def test_the_opening_says_points_minutes_and_what_to_hand_in(both):
    first = both.student.cells[0].source
    assert (
        f"{both.assignment.points} points, about {both.assignment.front['minutes']} minutes"
        in first
    )
    assert both.assignment.front["hand_in"] in first
    for task in both.assignment.tasks:
        assert f"| {task.title} | {task.points}" in first
    bootstrap = both.student.cells[1].source
    assert (
        "import unlabeled" in bootstrap and "UNLABELED_INSTALL" in bootstrap and "ORG" in bootstrap
    )


def test_the_released_notebook_runs_alone_up_to_the_first_stub(both, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for cell in both.student.cells:
        if cell.cell_type != "code":
            continue
        if build.STUB.split("\n")[0] in cell.source:
            break
        exec(cell.source, names)
        exec(cell.source if "bootstrap" in cell.metadata.get("tags", []) else "", names)
    else:
        pytest.fail("there is no stub")


def test_building_twice_gives_the_same_bytes(both, tmp_path):
    first = build.write_release(both.assignment, tmp_path / "one")
    second = build.write_release(both.assignment, tmp_path / "two")
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".zip").read_bytes() == second.with_suffix(".zip").read_bytes()
    assert read_file(first.read_bytes()).assignment == both.assignment.name


def test_the_assignments_of_the_book_are_as_large_as_promised():
    for found in assignments():
        assert 6 <= len(found.tasks) <= 8, found.name
        assert 120 <= found.front["minutes"] <= 240, found.name
        assert any(task.written for task in found.tasks), found.name
        assert inside(
            next(task for task in found.tasks if not task.written).source, SOLUTION
        ).strip()
