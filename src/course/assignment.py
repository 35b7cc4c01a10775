"""The source of an assignment: `book/coursework/<chapter>.md`, read and checked."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import jupytext
import nbformat
from jupytext.myst import MystMetadataParsingError

from press import source
from press.errors import PressError
from press.source import Chapter

KINDS = ("task", "test", "written", "rubric", "right", "wrong", "chapter")
RIGHTS = 3  # right answers that a task lists beside its solution, at least
FRONT = {"chapter": str, "title": str, "minutes": int, "hand_in": str}
SOLUTION = ("### BEGIN SOLUTION", "### END SOLUTION")
HIDDEN = ("### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS")
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Test:
    """One autograded cell: all of its points or none."""

    id: str
    task: str
    points: int
    hint: str
    source: str

    @property
    def visible(self) -> str:
        """What the student sees."""
        return outside(self.source, HIDDEN)

    @property
    def hidden(self) -> str:
        """What only the instructor's notebook holds."""
        return inside(self.source, HIDDEN)

    @property
    def draws(self) -> set[str]:
        """The names that the test gives to `secret_rng`."""
        return set(re.findall(r"secret_rng\(\s*[\"']([^\"']+)[\"']\s*\)", self.source))


@dataclass
class Task:
    """What a student hands in: a solution cell with its tests, or (written) a text with its
    rubric.
    """

    id: str
    title: str
    minutes: int
    written: bool
    source: str
    points: int = 0
    rubric: str = ""
    tests: list[Test] = field(default_factory=list)
    right: list[Right] = field(default_factory=list)


@dataclass(frozen=True)
class Right:
    """A right answer in other clothes, which must get all points of its task."""

    why: str
    source: str


@dataclass(frozen=True)
class Wrong:
    """A listed wrong answer to one task; those of the same `group` make one submission."""

    task: str
    group: str
    fails: tuple[str, ...]
    expects: int
    why: str
    source: str


@dataclass(frozen=True)
class Assignment:
    """One assignment, known by the chapter that it belongs to."""

    root: Path
    name: str

    @property
    def text(self) -> Path:
        return self.root / "book/coursework" / f"{self.name}.md"

    @cached_property
    def front(self) -> dict:
        """The front matter's ``coursework:`` block, checked."""
        front = source.front_matter(self.text).get("coursework")
        if not isinstance(front, dict):
            raise PressError(f"{self.text} has no coursework: block in its front matter.")
        for key, kind in FRONT.items():
            if not isinstance(front.get(key), kind):
                raise PressError(
                    f"{self.text}: the front matter's coursework.{key} must be a {kind.__name__}."
                )
        if not isinstance(front.setdefault("examples", {}), dict):
            raise PressError(
                f"{self.text}: the front matter's coursework.examples must give a Python expression"
                " to each name."
            )
        if front["chapter"] != self.name:
            raise PressError(
                f"{self.text}: coursework.chapter is {front['chapter']!r}, but the file is called"
                f" {self.name}.md."
            )
        return front

    @property
    def title(self) -> str:
        return self.front["title"]

    @cached_property
    def chapter(self) -> Chapter:
        """The chapter that the assignment goes with."""
        return source.chapter(self.front["chapter"], self.root)

    @cached_property
    def cells(self) -> list[nbformat.NotebookNode]:
        try:
            return jupytext.reads(self.text.read_text(encoding="utf-8"), fmt="md:myst").cells
        except MystMetadataParsingError as error:
            raise PressError(
                f"{self.text}: {str(error).splitlines()[0].rstrip('.:; ')}: put an option's text"
                " with a colon in it in quotes."
            ) from None

    @cached_property
    def tasks(self) -> list[Task]:
        return self._read[0]

    @cached_property
    def wrong(self) -> list[Wrong]:
        return self._read[1]

    @property
    def tests(self) -> list[Test]:
        return [test for task in self.tasks for test in task.tests]

    @property
    def automatic(self) -> int:
        """Points given by tests."""
        return sum(test.points for test in self.tests)

    @property
    def points(self) -> int:
        """All points, those given by hand included."""
        return sum(task.points for task in self.tasks)

    @property
    def rights(self) -> int:
        """How many right answers the task has that lists most."""
        return max((len(task.right) for task in self.tasks), default=0)

    @property
    def groups(self) -> dict[str, list[Wrong]]:
        """The listed wrong answers by the submission that they stand in."""
        found: dict[str, list[Wrong]] = {}
        for wrong in self.wrong:
            found.setdefault(wrong.group, []).append(wrong)
        return found

    @cached_property
    def calls(self) -> list[str]:
        """The calls that the texts name in code spans, as in `fixed(theta)`."""
        found = {}
        for cell in self.cells:
            for span in (
                re.findall(r"(?<!`)`([^`\n]+)`(?!`)", cell.source)
                if cell.cell_type == "markdown" and self.kind(cell) == ""
                else ()
            ):
                try:
                    tree = ast.parse(span, mode="eval")
                except SyntaxError:
                    continue
                if any(isinstance(node, ast.Call) for node in ast.walk(tree)):
                    found[span] = None
        return list(found)

    @cached_property
    def _read(self) -> tuple[list[Task], list[Wrong]]:
        tasks: list[Task] = []
        wrong: list[Wrong] = []
        heading = ""
        for cell in self.cells:
            kind = self.kind(cell)
            if kind == "" and cell.cell_type == "markdown":
                heading = (
                    re.findall(r"^#{2,}\s+(.+?)\s*$", cell.source, re.MULTILINE) or [heading]
                )[-1]
            elif kind in ("task", "written"):
                tasks.append(self._task(cell, kind, heading))
            elif kind in ("test", "rubric", "right", "wrong"):
                if not tasks:
                    raise self.bad(cell, f"a {kind} cell stands before the first task")
                if kind == "wrong":
                    wrong.append(self._wrong(cell, tasks[-1]))
                else:
                    {"test": self._add_test, "rubric": self._add_rubric, "right": self._add_right}[
                        kind
                    ](cell, tasks[-1])
        self._check(tasks, wrong)
        return tasks, wrong

    def kind(self, cell) -> str:
        """The one tag of the format that a cell carries ("" if none)."""
        tags = cell.metadata.get("tags", [])
        if len(tags) > 1 or set(tags) - set(KINDS):
            raise self.bad(
                cell,
                f"it has the tags {', '.join(tags)}, and at most one of {', '.join(KINDS)} is"
                " allowed",
            )
        kind = tags[0] if tags else ""
        if kind and (cell.cell_type == "markdown") != (kind in ("written", "rubric")):
            raise self.bad(
                cell,
                f"a {kind} cell must be a {'Markdown' if kind in ('written', 'rubric') else 'code'}"
                " cell",
            )
        return kind

    def bad(self, cell, what: str) -> PressError:
        """The error that says what is wrong with one cell."""
        first = next((line for line in cell.source.splitlines() if line.strip()), "")
        return PressError(f"{self.text}, the cell that begins {first[:50]!r}: {what}.")

    def _take(self, cell, name, kind, default=None):
        value = cell.metadata.get(name, default)
        if not isinstance(value, kind) or isinstance(value, bool) or (kind is int and value < 0):
            raise self.bad(cell, f"its {name} must be given as a {kind.__name__}")
        return value

    def _id(self, cell):
        name = self._take(cell, "id", str)
        if not ID.fullmatch(name) or len(name) > 50:
            raise self.bad(cell, f"the id {name!r} must be words in lower case, joined by hyphens")
        return name

    def _task(self, cell, kind, heading):
        written = kind == "written"
        minutes = self._take(cell, "minutes", int)
        if not written and (SOLUTION[0] not in cell.source or SOLUTION[1] not in cell.source):
            raise self.bad(
                cell, f"a task holds its solution between {SOLUTION[0]!r} and {SOLUTION[1]!r}"
            )
        return Task(
            self._id(cell),
            heading,
            minutes,
            written,
            cell.source,
            points=self._take(cell, "points", int) if written else 0,
        )

    def _add_test(self, cell, task):
        if task.written:
            raise self.bad(cell, "a test follows a written task, which is graded by hand")
        test = Test(
            self._id(cell),
            task.id,
            self._take(cell, "points", int),
            self._take(cell, "hint", str, ""),
            cell.source,
        )
        if "secret_rng" in test.visible:
            raise self.bad(cell, "secret_rng is there in hidden tests only")
        if not re.search(r"^\s*assert\b", test.visible, re.MULTILINE):
            raise self.bad(cell, "it has no visible assert, so a student cannot tell what is asked")
        if not test.hint and test.hidden:
            raise self.bad(cell, "it has hidden tests and no hint for those who fail them")
        for part in (test.visible, test.hidden):
            try:
                ast.parse(part)
            except SyntaxError as error:
                raise self.bad(
                    cell, f"visible and hidden part must each be Python of their own ({error.msg})"
                ) from None
        if test.id in [other.id for other in task.tests]:
            raise self.bad(cell, f"the id {test.id!r} is given twice")
        task.tests.append(test)
        task.points += test.points

    def _add_rubric(self, cell, task):
        if not task.written:
            raise self.bad(cell, "a rubric follows a task that is graded by tests")
        task.rubric = cell.source

    def _add_right(self, cell, task):
        if task.written:
            raise self.bad(
                cell, "a right answer follows a written task, which has its model answer"
            )
        task.right.append(Right(self._take(cell, "why", str), cell.source))

    def _wrong(self, cell, task):
        fails = self._take(cell, "fails", list)
        known = {test.id: test.points for test in task.tests}
        if missing := [name for name in fails if name not in known]:
            raise self.bad(cell, f"{missing[0]!r} is no test of the task {task.id}")
        expects = self._take(cell, "expects", int)
        if expects != task.points - sum(known[name] for name in fails):
            raise self.bad(
                cell,
                f"it expects {expects} points, but the tests that it fails leave"
                f" {task.points - sum(known[name] for name in fails)}",
            )
        return Wrong(
            task.id,
            str(cell.metadata.get("group", "a")),
            tuple(fails),
            expects,
            self._take(cell, "why", str),
            cell.source,
        )

    def _check(self, tasks, wrong):
        ids = [task.id for task in tasks] + [test.id for task in tasks for test in task.tests]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise PressError(f"{self.text}: the id {twice[0]!r} is given twice.")
        for task in tasks:
            if not task.points:
                raise PressError(f"{self.text}: the task {task.id} gives no points.")
            if task.written and not task.rubric:
                raise PressError(
                    f"{self.text}: the written task {task.id} has no rubric cell after it."
                )
            if not task.written and len(task.right) < RIGHTS:
                raise PressError(
                    f"{self.text}: the task {task.id} lists {len(task.right)} right answers in"
                    f" other clothes and needs {RIGHTS}."
                )
            if not task.title:
                raise PressError(f"{self.text}: the task {task.id} stands under no heading.")
        failed = {name for answer in wrong for name in answer.fails}
        if missing := [test.id for task in tasks for test in task.tests if test.id not in failed]:
            raise PressError(f"{self.text}: no listed wrong answer fails the test {missing[0]}.")
        pairs = [(answer.group, answer.task) for answer in wrong]
        if twice := [pair for pair in pairs if pairs.count(pair) > 1]:
            raise PressError(
                f"{self.text}: the group {twice[0][0]!r} holds two wrong answers to {twice[0][1]};"
                " give one of them another group."
            )
        if (needed := sum(task.minutes for task in tasks)) > self.front["minutes"]:
            raise PressError(
                f"{self.text}: the tasks take {needed} minutes and the front matter promises"
                f" {self.front['minutes']}."
            )


def outside(text: str, marks: tuple[str, str]) -> str:
    """The lines of `text` that stand in no region between `marks`."""
    return _split(text, marks)[0]


def inside(text: str, marks: tuple[str, str]) -> str:
    """The lines of `text` that stand in a region between `marks`, its indentation taken off."""
    return _split(text, marks)[1]


def _split(text, marks):
    out, held, within = [], [], False
    for line in text.split("\n"):
        if marks[0] in line or marks[1] in line:
            within = marks[0] in line
        else:
            (held if within else out).append(line)
    return "\n".join(out), "\n".join(held)


def assignments(root: Path = source.ROOT) -> list[Assignment]:
    """All assignments, by name."""
    return [
        Assignment(root, path.stem)
        for path in sorted((root / "book/coursework").glob("*.md"))
        if "coursework" in source.front_matter(path)
    ]


def assignment(name: str, root: Path = source.ROOT) -> Assignment:
    """The assignment called `name`.

    Raises
    ------
    PressError : if there is none, naming the nearest
    """
    return source.named("assignment", name, assignments(root))
