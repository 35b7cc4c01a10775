"""From an assignment's source to the notebooks that are handed out: the student's and the
instructor's.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from pathlib import Path

import nbformat

from course.assignment import SOLUTION, Assignment, Task, inside, outside
from press import pair, source
from press.errors import PressError

MARK = "# Task: {}"  # first line of a solution cell: it outlives tools that drop a cell's metadata
WRITTEN_MARK = "<!-- Task: {} -->"
STUB = "# YOUR CODE HERE\nraise NotImplementedError()"


def instructor(assignment: Assignment, wrong: str = "") -> nbformat.NotebookNode:
    """The full notebook: solutions, hidden tests and rubrics, with nbgrader's metadata.

    With `wrong` the answers of that group of listed wrong answers stand in place of the solutions.
    """
    links = pair.Links(assignment.root)
    answers = {answer.task: answer.source for answer in assignment.groups[wrong]} if wrong else {}
    tasks = {task.id: task for task in assignment.tasks}
    cells = [_markdown(opening(assignment, links))]
    cells.append(
        _code(
            pair.BOOTSTRAP.format(repository=links.repository, ref=links.ref),
            "bootstrap",
            locked=True,
        )
    )
    given, present = 0, _Names()
    for number, cell in enumerate(assignment.cells):
        kind, name = assignment.kind(cell), cell.metadata.get("id", "")
        if kind in ("rubric", "right", "wrong"):
            continue
        if kind == "" and cell.cell_type == "markdown":
            text = _without_title(cell.source) if number == 0 else cell.source
            if text := pair.plain(text, assignment.chapter, links):
                cells.append(_markdown(text))
        elif kind == "written":
            cells.append(_written(tasks[name]))
        elif kind == "task":
            cells.append(
                _code(f"{MARK.format(name)}\n{answers.get(name, cell.source)}", name, solution=True)
            )
        elif kind == "test":
            cells.append(
                _code(cell.source, name, grade=True, locked=True, points=cell.metadata["points"])
            )
        else:
            given += 1
            text = from_chapter(assignment, cell, present) if kind == "chapter" else cell.source
            present.add(text)
            cells.append(_code(text, f"given-{given:02d}", locked=True))
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "coursework": {"assignment": assignment.name},
        },
    )
    notebook.nbformat_minor = 5
    for number, cell in enumerate(notebook.cells):
        cell.id = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell-{number:03d}")
    return _process(notebook, "CheckCellMetadata", "ComputeChecksums")


def release(assignment: Assignment) -> nbformat.NotebookNode:
    """The student's notebook: nbgrader's own steps take out solutions and hidden tests and lock
    what is given.

    Raises
    ------
    PressError : if text of a solution or of a hidden test survives somewhere
    """
    notebook = _process(
        instructor(assignment),
        "LockCells",
        "ClearSolutions",
        "ClearOutput",
        "CheckCellMetadata",
        "ComputeChecksums",
        "ClearHiddenTests",
        "ComputeChecksums",
        "CheckCellMetadata",
    )
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and "nbgrader" in cell.metadata:
            cell.source = cell.source.replace("YOUR ANSWER HERE", "*Your answer here.*")
    if found := leaks(assignment, notebook):
        raise PressError(
            f"{assignment.text}: the student's notebook would show {found[0]!r}, which stands in a"
            " solution or a hidden test."
        )
    return _process(notebook, "ComputeChecksums")


def _process(notebook, *names):
    """Apply nbgrader's preprocessors, by name."""
    from nbgrader import preprocessors

    for name in names:
        notebook, _ = getattr(preprocessors, name)().preprocess(notebook, {})
    return notebook


def leaks(assignment: Assignment, notebook: nbformat.NotebookNode, shortest: int = 20) -> list[str]:
    """Lines of solutions, hidden tests, rubrics and wrong answers that `notebook` shows and the
    open part of the source does not.
    """
    secret, free = [], []
    for cell in assignment.cells:
        kind = assignment.kind(cell)
        if kind in ("written", "rubric"):
            secret.append(cell.source)
        elif kind in ("right", "wrong"):
            continue  # it may repeat what is open
        elif kind == "test":
            test = next(test for test in assignment.tests if test.id == cell.metadata["id"])
            secret.append(test.hidden)
            free.append(test.visible)
        else:
            secret.append(inside(cell.source, SOLUTION))
            free.append(outside(cell.source, SOLUTION))
    free_lines = {line.strip() for text in free for line in text.split("\n")}
    shown = "\n".join(cell.source for cell in notebook.cells)
    lines = (line.strip() for text in secret for line in text.split("\n"))
    return [
        line for line in lines if len(line) >= shortest and line not in free_lines and line in shown
    ]


def opening(assignment: Assignment, links: pair.Links) -> str:
    """The first cell: what there is to gain, how long it takes, what to hand in."""
    rows = [
        f"| {task.title} | {task.points}{' (by hand)' if task.written else ''} | {task.minutes} |"
        for task in assignment.tasks
    ]
    rest = assignment.front["minutes"] - sum(task.minutes for task in assignment.tasks)
    rows += [f"| reading, running, checking | | {rest} |"] if rest else []
    chapter = f"[{assignment.chapter.title}]({links.page(assignment.chapter.document)})"
    return "\n".join(
        [
            f"# {assignment.title}",
            "",
            f"An assignment to the chapter {chapter}.",
            "",
            f"**{assignment.points} points, about {assignment.front['minutes']} minutes.**",
            "",
            "| task | points | minutes |",
            "|---|---|---|",
            *rows,
            "",
            f"**Hand in:** {assignment.front['hand_in']}",
            "",
            (
                "- Write only in the cells that say `YOUR CODE HERE` or *Your answer here*, and"
                " leave their first line as it is. You may add cells of your own."
            ),
            (
                "- The tests under a task show what is asked. Others that you do not see are run"
                " too, with other numbers: an answer that only repeats the numbers shown fails"
                " them."
            ),
            (
                "- Before you hand in, restart the kernel and run all cells from the top: that is"
                " how your notebook is graded, on one thread, without a network."
            ),
        ]
    )


def from_chapter(assignment: Assignment, cell, present: _Names) -> str:
    """Code of the chapter's method cells: the definitions that `cell` lists by name, all that they
    need, and their imports.

    What stands in the assignment already (`present`) is not repeated.
    """
    wanted = [name for name in re.split(r"[\s,]+", cell.source.strip()) if name]
    methods, imports = _definitions(assignment)
    if missing := [name for name in wanted if name not in methods]:
        raise assignment.bad(
            cell, f"no method cell of the chapter {assignment.chapter.name} defines {missing[0]}"
        )
    needed: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in needed and name not in present.names:
            needed.add(name)
            wanted += sorted(methods[name].uses & methods.keys())
    chosen = [definition for name, definition in methods.items() if name in needed]
    uses = set().union(*(definition.uses for definition in chosen)) if chosen else set()
    lines = [line for names, line in imports if names & uses and not names & present.names]
    head = f'# From the chapter "{assignment.chapter.title}".'
    return "\n\n\n".join(
        ["\n".join([head, *dict.fromkeys(lines)]), *(definition.text for definition in chosen)]
    )


class _Names:
    """Names that code handed out so far has bound at top level."""

    def __init__(self):
        self.names: set[str] = set()

    def add(self, text):
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                self.names.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self.names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            elif isinstance(node, ast.Assign):
                self.names |= {
                    name.id
                    for target in node.targets
                    for name in ast.walk(target)
                    if isinstance(name, ast.Name)
                }


class _Definition:
    """One function or class of a chapter's method cell."""

    def __init__(self, node, lines):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        while first > 1 and lines[first - 2].startswith("#"):  # the remark above it goes with it
            first -= 1
        self.text = "\n".join(lines[first - 1 : node.end_lineno])
        self.uses = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


def _definitions(assignment):
    methods, imports = {}, []
    for cell in assignment.chapter.source.cells:
        if cell.cell_type != "code" or source.tag(cell) not in ("imports", "method"):
            continue
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and source.tag(cell) == "method":
                methods[node.name] = _Definition(node, cell.source.split("\n"))
            elif isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    one = (
                        ast.Import([alias])
                        if isinstance(node, ast.Import)
                        else ast.ImportFrom(node.module, [alias], node.level)
                    )
                    imports.append(({(alias.asname or alias.name).split(".")[0]}, ast.unparse(one)))
    return methods, imports


def _markdown(text):
    return nbformat.v4.new_markdown_cell(text)


def _code(text, name, *, grade=False, solution=False, locked=False, points=None):
    cell = nbformat.v4.new_code_cell(text)
    cell.metadata["nbgrader"] = _grading(name, grade, solution, locked, points)
    if name == "bootstrap":
        cell.metadata["tags"] = ["bootstrap"]
    return cell


def _written(task: Task):
    mark = WRITTEN_MARK.format(task.id)
    text = f"{mark}\n{SOLUTION[0]}\n\n{task.source}\n\n**Rubric**\n\n{task.rubric}\n\n{SOLUTION[1]}"
    cell = nbformat.v4.new_markdown_cell(text)
    cell.metadata["nbgrader"] = _grading(task.id, True, True, False, task.points)
    return cell


def _grading(name, grade, solution, locked, points):
    about = {
        "schema_version": 3,
        "grade_id": name,
        "grade": grade,
        "solution": solution,
        "locked": locked,
        "task": False,
    }
    return about | ({"points": points} if grade else {})


def _without_title(text):
    return (
        text.split("\n", 1)[1].strip()
        if text.startswith("# ") and "\n" in text
        else ""
        if text.startswith("# ")
        else text
    )


def as_text(notebook: nbformat.NotebookNode) -> str:
    """A notebook as it is written to a file: byte-stable."""
    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write_release(assignment: Assignment, folder: Path) -> Path:
    """Write the student's notebook and its zip into `folder`; return the notebook's path."""
    text = as_text(release(assignment))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{assignment.name}.ipynb"
    path.write_text(text, encoding="utf-8")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            zipfile.ZipInfo(f"{assignment.name}/{assignment.name}.ipynb", (2020, 1, 1, 0, 0, 0)),
            text,
        )
    path.with_suffix(".zip").write_bytes(packed.getvalue())
    return path
