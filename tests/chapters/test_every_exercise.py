"""Every exercise of every chapter stands without the experiment; its check, in the strict form,
refuses the stub and accepts the solution.
"""

import matplotlib
import pytest

from press import source
from unlabeled.exercises import NotYet, strict

matplotlib.use("Agg")
ROLES = ("exercise", "check", "solution")


def run(cell, names):
    exec(compile(cell.source, "cell", "exec", dont_inherit=True), names)


def state(chapter):
    """What exercises stand on: imports, settings and methods, asides' left out; no experiment is
    run.
    """
    names = {"__name__": "chapter"}
    for cell in chapter.source.cells:
        if (
            cell.cell_type == "code"
            and source.tag(cell) in ("imports", "parameters", "settings", "method")
            and not source.is_aside(cell)
        ):
            run(cell, names)
    return names


def outcome(check, names):
    """The reason why the check refuses, or "" if it passes."""
    with strict():
        try:
            run(check, names)
        except NotYet as refusal:
            return str(refusal)
    return ""


@pytest.mark.parametrize("chapter", source.chapters(), ids=lambda chapter: chapter.name)
def test_checks_refuse_the_stub_and_accept_the_solution(chapter, capsys):
    cells = [
        cell
        for cell in chapter.source.cells
        if cell.cell_type == "code" and source.tag(cell) in ROLES
    ]
    names = state(chapter)
    assert len(cells) >= 3 * 4, "four exercises or more"
    for exercise, check, solution in zip(cells[::3], cells[1::3], cells[2::3]):
        run(exercise, names)
        stub = outcome(check, names)
        run(solution, names)
        assert "NameError" not in stub and ("not tried" in stub or "not yet" in stub), stub
        assert outcome(check, names) == ""
