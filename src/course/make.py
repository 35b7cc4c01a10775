"""`make course`: the student's and the instructor's folder of each assignment, tried out in the sandbox before anything is handed out."""

from __future__ import annotations

import copy
import json
from contextlib import ExitStack
from pathlib import Path

from press import source
from course import build, handed_in, secret
from course.assignment import SOLUTION, Assignment, assignment, assignments
from course.grade import blank, run
from course.handed_in import Notebook
from course.merge import Blank
from course.sandbox import CANNOT, Sandbox, protections
from press.errors import PressError


def answered(blank: Blank, wrong: str | None = None, only: set[str] | None = None) -> dict:
    """A student's notebook with the solutions filled in, or with a group of wrong answers; `only` these tasks if given."""
    notebook = copy.deepcopy(blank.student)
    answers = {answer.task: answer.source for answer in blank.assignment.groups[wrong]} if wrong else {}
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        task = next((task for task in blank.assignment.tasks if task.id == name), None)
        if task is None or (only is not None and name not in only):
            continue
        mark = (build.WRITTEN_MARK if task.written else build.MARK).format(name)
        lines = answers.get(name, task.source).split("\n")
        cell.source = mark + "\n" + "\n".join(line for line in lines if not any(word in line for word in SOLUTION))
    return json.loads(json.dumps(notebook))


def as_handed_in(content: dict) -> Notebook:
    """A notebook as the grader reads it from a student's file."""
    return handed_in.read(json.dumps(content).encode())


def make(root: Path = source.ROOT, asked: str = "", place: Path | None = None, sandbox: Sandbox | None = None, more: int = 0) -> list[Path]:
    """Build every assignment (or the one asked for) and run it: solutions, the untouched notebook and every listed wrong answer.

    All of it is tried under the course's secret and under `more` others, for a test that depends on luck shows only there.
    A `sandbox` that runs already is used; otherwise one is started.

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
        sandbox = sandbox or until_the_end.enter_context(Sandbox())
        in_force = protections(sandbox)
        for both in built:
            found = both.assignment
            print(f"{found.name}: trying it out …", flush=True)
            measured = try_out(both, secret.seeds(found, key), sandbox)["solution"]
            for number in range(more):
                try:
                    try_out(both, secret.seeds(found, f"secret {number}".encode()), sandbox)
                except PressError as error:
                    raise PressError(f"Under another secret (number {number}): {error}") from None
            written.append(build.write_release(found, place / "release" / found.name))
            _instructor(both, measured, place / "instructor" / found.name, in_force)
            print(f"{found.name}: {found.points} points in {len(found.tasks)} tasks; one submission is graded in {measured['cpu']:.1f} CPU-seconds", flush=True)
    return written


def try_out(both: Blank, seeds: dict[str, str], sandbox: Sandbox) -> dict[str, dict]:
    """Grade the solutions, the untouched notebook and each group of wrong answers.

    Returns
    -------
    the records, under "solution", "untouched" and "wrong <group>"

    Raises
    ------
    PressError : if one of them does not get what it should
    """
    found = both.assignment
    records = {"solution": run(both, as_handed_in(answered(both)), seeds, sandbox)}
    for name, outcome in records["solution"]["tests"].items():
        if not outcome["passed"]:
            raise PressError(f"{found.text}: the solution fails the test {name} ({outcome['error']}).")
    records["untouched"] = run(both, as_handed_in(json.loads(build.as_text(both.student))), seeds, sandbox)
    if passed := [name for name, outcome in records["untouched"]["tests"].items() if outcome["passed"]]:
        raise PressError(f"{found.text}: the untouched notebook passes the test {passed[0]}.")
    for group, answers in found.groups.items():
        record = records[f"wrong {group}"] = run(both, as_handed_in(answered(both, group)), seeds, sandbox)
        failed = {name for name, outcome in record["tests"].items() if not outcome["passed"]}
        expected = {name for answer in answers for name in answer.fails}
        if failed != expected:
            odd = sorted(failed ^ expected)[0]
            raise PressError(f"{found.text}: the wrong answers of group {group!r} {'fail' if odd in failed else 'pass'} the test {odd}, and should not.")
    return records


def _instructor(both, measured, folder, in_force):
    found: Assignment = both.assignment
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / f"{found.name}-solution.ipynb").write_text(build.as_text(both.full), encoding="utf-8")
    for group in found.groups:
        (folder / f"{found.name}-wrong-{group}.ipynb").write_text(json.dumps(answered(both, group), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_about(found, measured, in_force), encoding="utf-8")


def _about(found, measured, in_force):
    lines = [
        f"# {found.title}: for the instructor", "",
        f"{found.points} points, {found.automatic} of them by tests; about {found.front['minutes']} minutes of a student's time.",
        f"One submission was graded in {measured['cpu']:.1f} CPU-seconds and {measured['seconds']:.1f} seconds of wall-clock time on this machine.", "",
        f"`{found.name}-solution.ipynb` holds solutions, hidden tests and rubrics; keep this folder away from students.", "",
        "## Points", "", "| task | test | points | what it asks of those who fail it |", "|---|---|---|---|",
    ]
    for task in found.tasks:
        lines += [f"| {_in_table(task.title)} | by hand | {task.points} | |"] if task.written else [f"| {_in_table(task.title)} | {test.id} | {test.points} | {_in_table(test.hint)} |" for test in task.tests]
    lines += ["", "To change points, change `points` in the source and build again.", "", "## Rubrics", ""]
    for task in found.tasks:
        if task.written:
            lines += [f"### {task.title} ({task.points} points)", "", task.rubric, "", "A model answer:", "", task.source, ""]
    lines += ["## Wrong answers and what they get", "", "| task | group | points | fails | what is wrong |", "|---|---|---|---|---|"]
    lines += [f"| {answer.task} | {answer.group} | {answer.expects} | {', '.join(answer.fails)} | {_in_table(answer.why)} |" for answer in found.wrong]
    lines += ["", "## Protection on this machine", "", "| protection | | |", "|---|---|---|"]
    lines += [f"| {name} | {'in force' if there else '**not in force**'} | {text} |" for name, there, text in in_force]
    return "\n".join([*lines, "", *CANNOT, ""])


def _in_table(text):
    return text.replace("|", "\\|")
