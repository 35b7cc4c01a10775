"""`make course`: the student's and the instructor's folder of each assignment, tried out in the
jail before anything is handed out.
"""

from __future__ import annotations

import copy
import json
from contextlib import ExitStack
from pathlib import Path

from course import build, handed_in, secret
from course.assignment import SOLUTION, Assignment, assignment, assignments
from course.grade import Pool, Submission, blank
from course.handed_in import Notebook
from course.jail import CANNOT
from course.merge import Blank
from course.names import Person
from press import source
from press.errors import PressError


def answered(
    blank: Blank, wrong: str | None = None, only: set[str] | None = None, right: int | None = None
) -> dict:
    """A student's notebook with the solutions filled in, or a group of wrong answers, or each
    task's right answer number `right`.
    """
    notebook = copy.deepcopy(blank.student)
    answers = (
        {answer.task: answer.source for answer in blank.assignment.groups[wrong]} if wrong else {}
    )
    if right is not None:
        answers = {
            task.id: task.right[right].source
            for task in blank.assignment.tasks
            if right < len(task.right)
        }
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        task = next((task for task in blank.assignment.tasks if task.id == name), None)
        if task is None or (only is not None and name not in only):
            continue
        mark = (build.WRITTEN_MARK if task.written else build.MARK).format(name)
        lines = answers.get(name, task.source).split("\n")
        cell.source = (
            mark
            + "\n"
            + "\n".join(line for line in lines if not any(word in line for word in SOLUTION))
        )
    return json.loads(json.dumps(notebook))


def as_handed_in(content: dict) -> Notebook:
    """A notebook as the grader reads it from a student's file."""
    return handed_in.read(json.dumps(content).encode())


def make(
    root: Path = source.ROOT,
    asked: str = "",
    place: Path | None = None,
    pool: Pool | None = None,
    more: int = 0,
) -> list[Path]:
    """Build every assignment (or the one asked for) and run it: solutions, the untouched notebook,
    the listed right and wrong answers.

    All of it is tried under the course's secret and under `more` others, for a test that depends on
    luck shows only there. A `pool` that runs already is used; otherwise one is started.

    Raises
    ------
    PressError : if a source breaks the format, or an answer does not get the points that it should
    """
    chosen = [assignment(asked, root)] if asked else assignments(root)
    if not chosen:
        raise PressError("There is no assignment in book/coursework.")
    place = place or root / "build/course"
    key = secret.course_secret(root)
    written = []
    built = [blank(found) for found in chosen]
    with ExitStack() as until_the_end:
        pool = pool or until_the_end.enter_context(Pool())
        for both in built:
            found = both.assignment
            print(f"{found.name}: trying it out …", flush=True)
            measured = try_out(both, secret.seeds(found, key), pool)["solution"]
            for number in range(more):
                try:
                    try_out(both, secret.seeds(found, f"secret {number}".encode()), pool)
                except PressError as error:
                    raise PressError(f"Under another secret (number {number}): {error}") from None
            written.append(build.write_release(found, place / "release" / found.name))
            _instructor(both, measured, place / "instructor" / found.name, pool.protections)
            print(
                f"{found.name}: {found.points} points in {len(found.tasks)} tasks; one submission"
                f" is graded in {measured['cpu']:.1f} CPU-seconds",
                flush=True,
            )
    return written


def graded(
    both: Blank, contents: dict[str, dict], seeds: dict[str, str], pool: Pool
) -> dict[str, dict]:
    """The records of several notebooks, by the names that they have in `contents`."""
    items = [
        (Submission(Person(name), notebook=as_handed_in(content)),)
        for name, content in contents.items()
    ]
    return {item[0].person.name: record for item, record in pool.run(both, items, seeds)}


def with_calls(content: dict, found: Assignment) -> dict:
    """The notebook with a cell at its end for each call that the texts name, so that it is
    tried.
    """
    given = "\n".join(f"{name} = {value}" for name, value in found.front["examples"].items())
    cells = [
        {"cell_type": "code", "metadata": {}, "source": f"{given}\n{call}"} for call in found.calls
    ]
    return content | {"cells": content["cells"] + cells}


def try_out(both: Blank, seeds: dict[str, str], pool: Pool) -> dict[str, dict]:
    """Grade the solutions, the untouched notebook, the right answers, and each group of wrong ones.

    Returns
    -------
    the records, under "solution", "untouched", "right <number>" and "wrong <group>"

    Raises
    ------
    PressError : if one of them does not get what it should
    """
    found = both.assignment
    contents = {
        "solution": with_calls(answered(both), found),
        "untouched": json.loads(build.as_text(both.student)),
    }
    contents |= {
        f"right {number + 1}": answered(both, right=number) for number in range(found.rights)
    }
    contents |= {f"wrong {group}": answered(both, group) for group in found.groups}
    records = graded(both, contents, seeds, pool)
    if remarks := [
        remark
        for remark in records["solution"]["remarks"]
        if remark["where"] == "a cell of the student's own"
    ]:
        call = remarks[0]["source"].splitlines()[-1]
        raise PressError(
            f"{found.text}: the text names the call {call}, and it stops ({remarks[0]['error']}):"
            " mend it, or give its names under coursework.examples."
        )
    for name in contents:
        failed = {
            test: outcome
            for test, outcome in records[name]["tests"].items()
            if not outcome["passed"]
        }
        said = {test: outcome["error"] for test, outcome in failed.items()}
        if name == "untouched":
            if passed := [test for test in records[name]["tests"] if test not in failed]:
                raise PressError(
                    f"{found.text}: the untouched notebook passes the test {passed[0]}."
                )
        elif name.startswith("wrong "):
            expected = {
                test
                for answer in found.groups[name.removeprefix("wrong ")]
                for test in answer.fails
            }
            if odd := sorted(set(failed) ^ expected):
                verb = "fail" if odd[0] in failed else "pass"
                raise PressError(
                    f"{found.text}: the wrong answers of group {name.removeprefix('wrong ')!r}"
                    f" {verb} the test {odd[0]}, and should not."
                )
        elif failed:
            test = next(iter(failed))
            who = (
                "the solution fails"
                if name == "solution"
                else f"the right answer number {name.removeprefix('right ')} fails"
            )
            raise PressError(f"{found.text}: {who} the test {test} ({said[test]}).")
    return records


def _instructor(both, measured, folder, in_force):
    found: Assignment = both.assignment
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / f"{found.name}-solution.ipynb").write_text(build.as_text(both.full), encoding="utf-8")
    for group in found.groups:
        (folder / f"{found.name}-wrong-{group}.ipynb").write_text(
            json.dumps(answered(both, group), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    (folder / "README.md").write_text(_about(found, measured, in_force), encoding="utf-8")


def _about(found, measured, in_force):
    lines = [
        f"# {found.title}: for the instructor",
        "",
        (
            f"{found.points} points, {found.automatic} of them by tests; about"
            f" {found.front['minutes']} minutes of a student's time."
        ),
        (
            f"One submission was graded in {measured['cpu']:.1f} CPU-seconds and"
            f" {measured['seconds']:.1f} seconds of wall-clock time on this machine."
        ),
        "",
        (
            f"`{found.name}-solution.ipynb` holds solutions, hidden tests and rubrics; keep this"
            " folder away from students."
        ),
        "",
        "## Points",
        "",
        "| task | test | points | what it asks of those who fail it |",
        "|---|---|---|---|",
    ]
    for task in found.tasks:
        lines += (
            [f"| {_in_table(task.title)} | by hand | {task.points} | |"]
            if task.written
            else [
                f"| {_in_table(task.title)} | {test.id} | {test.points} | {_in_table(test.hint)} |"
                for test in task.tests
            ]
        )
    lines += [
        "",
        "To change points, change `points` in the source and build again.",
        "",
        "## Rubrics",
        "",
    ]
    for task in found.tasks:
        if task.written:
            lines += [
                f"### {task.title} ({task.points} points)",
                "",
                task.rubric,
                "",
                "A model answer:",
                "",
                task.source,
                "",
            ]
    lines += [
        "## Wrong answers and what they get",
        "",
        "| task | group | points | fails | what is wrong |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {answer.task} | {answer.group} | {answer.expects} | {', '.join(answer.fails)} |"
        f" {_in_table(answer.why)} |"
        for answer in found.wrong
    ]
    lines += [
        "",
        "## Right answers in other clothes",
        "",
        "| task | what is different |",
        "|---|---|",
    ]
    lines += [
        f"| {task.id} | {_in_table(right.why)} |" for task in found.tasks for right in task.right
    ]
    lines += ["", "## Protection on this machine", "", "| protection | | |", "|---|---|---|"]
    lines += [
        f"| {name} | {'in force' if there else '**not in force**'} | {text} |"
        for name, there, text in in_force
    ]
    return "\n".join([*lines, "", *CANNOT, ""])


def _in_table(text):
    return text.replace("|", "\\|")
