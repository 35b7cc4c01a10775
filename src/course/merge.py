"""Put a student's answers into the instructor's notebook: what is graded is built anew, only
answers and own cells are the student's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import nbformat

from course.assignment import SOLUTION, Assignment, outside
from course.handed_in import MARK, Notebook
from course.inside import bound

WRITTEN_MARK = re.compile(r"^\s*<!--\s*Task:\s*([a-z0-9-]+)\s*-->[ \t]*(\n|$)", re.MULTILINE)


@dataclass
class Merged:
    """What is run, and what was found on the way.

    Attributes
    ----------
    cells : for the sandbox, in the instructor's order
    untouched : tasks that were left as they were handed out
    missing : tasks whose cell is not there
    answers : the text of each written task
    code : the source of each other task, as the student left it
    notes : remarks for the table, a sentence each
    """

    cells: list[dict] = field(default_factory=list)
    untouched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Blank:
    """What the press made of an assignment: its instructor's and its student's notebook."""

    assignment: Assignment
    full: nbformat.NotebookNode
    student: nbformat.NotebookNode

    def stub(self, name: str) -> str:
        """The cell `name` as it is handed out."""
        return next(cell.source for cell in self.student.cells if _grade_id(cell) == name)


def _grade_id(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def _same(one, other):
    return re.sub(r"\s+", "", one) == re.sub(r"\s+", "", other)


def names(notebook: Notebook, blank: Blank) -> list[str]:
    """Which of the assignment's cells each cell of the student is ("" for own ones): by its mark,
    its metadata, or its text.
    """
    texts = {
        re.sub(r"\s+", "", cell.source): _grade_id(cell)
        for cell in blank.student.cells
        if _grade_id(cell)
    }
    known = {_grade_id(cell) for cell in blank.student.cells} - {""}
    marked, found = set(), []
    for cell in notebook.cells:
        mark = (MARK if cell.kind == "code" else WRITTEN_MARK).search(cell.source)
        if mark and mark[1].lower() in known:
            found.append(mark[1].lower())
            marked.add(found[-1])
        elif cell.grade_id in known:
            found.append(cell.grade_id)
        else:
            found.append(texts.get(re.sub(r"\s+", "", cell.source), ""))
    # A cell that was split has its metadata twice: the part without the mark is the student's own,
    # and runs where it stands.
    return [
        "" if name in marked and not _has_mark(cell) else name
        for cell, name in zip(notebook.cells, found)
    ]


def _has_mark(cell):
    return bool((MARK if cell.kind == "code" else WRITTEN_MARK).search(cell.source))


def belongs(notebook: Notebook, blank: Blank) -> int:
    """How many of the assignment's answers stand in `notebook`."""
    tasks = {task.id for task in blank.assignment.tasks}
    return len(tasks & set(names(notebook, blank)))


def merge(notebook: Notebook, blank: Blank) -> Merged:
    """Build what is run: the instructor's cells, with the student's answers and the student's own
    cells where they stood.

    An own cell runs after the cell of the assignment that it followed, or before the first answer
    if it followed none: so what a student saw run is what runs here, also a helper that stands
    between an answer and its test.
    """
    merged = Merged()
    found = names(notebook, blank)
    own: dict[str, list[dict]] = {}
    answers: dict[str, list[str]] = {}
    tasks = {task.id: task for task in blank.assignment.tasks}
    after = ""
    for cell, name in zip(notebook.cells, found):
        if name in tasks:
            kind = "markdown" if tasks[name].written else "code"
            if cell.kind == kind:
                answers.setdefault(name, []).append(cell.source)
            elif cell.kind != "raw":
                merged.notes.append(
                    f"The answer to {name} stands in a cell of another kind and was not taken."
                )
        if name:
            after = name
        elif cell.kind == "code" and cell.source.strip():
            own.setdefault(after, []).append({"kind": "extra", "id": "", "source": cell.source})
    order = [_grade_id(cell) for cell in blank.student.cells if _grade_id(cell)]
    if found_order := [name for name in found if name]:
        firsts = list(dict.fromkeys(found_order))
        if firsts != sorted(firsts, key=order.index):
            merged.notes.append(
                "Cells were out of order; they were run in the order in which they were handed out."
            )
    chosen = {name: _choose(name, answers.get(name, []), blank, merged) for name in tasks}
    first = True
    for cell in blank.full.cells:
        name = _grade_id(cell)
        if cell.cell_type != "code":
            if name in tasks:
                merged.answers[name] = (
                    ""
                    if name in merged.untouched
                    else WRITTEN_MARK.sub("", chosen[name], count=1).strip()
                )
                merged.cells += own.get(name, [])
            continue
        if name in tasks:
            if first:
                merged.cells += own.get("", [])
                first = False
            merged.code[name] = chosen[name]
            stub = outside(cell.source, SOLUTION)
            merged.cells.append(
                {
                    "kind": "task",
                    "id": name,
                    "source": chosen[name],
                    "binds": sorted(bound(cell.source, imports=False) | bound(stub, imports=False)),
                }
            )
        elif cell.metadata["nbgrader"]["grade"]:
            test = next(test for test in blank.assignment.tests if test.id == name)
            merged.cells.append(
                {
                    "kind": "test",
                    "id": name,
                    "task": test.task,
                    "visible": test.visible,
                    "hidden": test.hidden,
                }
            )
        elif name != "bootstrap":
            merged.cells.append({"kind": "given", "id": name, "source": cell.source})
        merged.cells += own.get(name, [])
    restored = _changed(notebook, found, blank)
    if restored:
        one, some = "A cell that was given has", f"{restored} cells that were given have"
        merged.notes.append(
            f"{one if restored == 1 else some} been changed or deleted; the original was run."
        )  # noqa: E501
    return merged


def _choose(name, sources, blank, merged):
    stub = blank.stub(name)
    written = [source for source in sources if source.strip() and not _same(source, stub)]
    if len(written) > 1:
        merged.notes.append(
            f"The answer to {name} is there {len(written)} times; the last one counts."
        )
    if not sources:
        merged.missing.append(name)
    if not written:
        merged.untouched.append(name)
        return stub
    return written[-1]


def _changed(notebook, found, blank):
    """How many given cells and tests the student has changed or deleted."""
    texts: dict[str, list[str]] = {}
    for cell, name in zip(notebook.cells, found):
        texts.setdefault(name, []).append(cell.source)
    fixed = [
        cell
        for cell in blank.student.cells
        if _grade_id(cell)
        and cell.metadata["nbgrader"]["locked"]
        and _grade_id(cell) != "bootstrap"
    ]
    return sum(
        not any(_same(text, cell.source) for text in texts.get(_grade_id(cell), []))
        for cell in fixed
    )
