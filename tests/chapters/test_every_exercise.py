"""Every exercise of every chapter: its check, in the strict form, refuses the stub and accepts the solution."""

import matplotlib
import pytest

from press import source
from unlabeled.exercises import NotYet, strict

matplotlib.use("Agg")
ROLES = ("exercise", "check", "solution")


def run(cell, names):
    exec(compile(cell.source, "cell", "exec", dont_inherit=True), names)


def state(chapter, whole):
    """What stands in the notebook before its exercises: imports, settings and methods, or all of it on two seeds."""
    names = {"__name__": "chapter"}
    for cell in chapter.source.cells:
        if cell.cell_type != "code" or source.tag(cell) in ROLES:
            continue
        if whole or source.tag(cell) in ("imports", "parameters", "settings", "method"):
            run(cell, names)
        if source.tag(cell) == "parameters":
            names["seeds"] = 2
    return names


def outcome(check, names):
    """The reason why the check refuses, or "" if it passes."""
    with strict():
        try:
            run(check, names)
        except NotYet as refusal:
            return str(refusal)
    return ""


def attempt(exercise, check, solution, names):
    """What the check says of the stub and of the solution."""
    try:
        run(exercise, names)
        stub = outcome(check, names)
        run(solution, names)
        return stub, outcome(check, names)
    except NameError as error:
        return "", f"NameError: {error}"


@pytest.mark.parametrize("chapter", source.chapters(), ids=lambda chapter: chapter.name)
def test_checks_refuse_the_stub_and_accept_the_solution(chapter, capsys):
    cells = [cell for cell in chapter.source.cells if cell.cell_type == "code" and source.tag(cell) in ROLES]
    light, whole = state(chapter, whole=False), None
    assert len(cells) >= 3 * 4, "four exercises or more"
    for triple in zip(cells[::3], cells[1::3], cells[2::3]):
        stub, solved = attempt(*triple, light)
        if "NameError" in stub + solved:  # this exercise works with what the experiment has left
            whole = whole or state(chapter, whole=True)
            stub, solved = attempt(*triple, whole)
        assert "not tried" in stub or "not yet" in stub, stub
        assert solved == ""
