"""Running chapters again: the checks can fail, and the switch picks what it says."""

import copy
import subprocess

import nbformat
import pytest

from press import again, pair, records
from press.errors import PressError
from press.execute import run
from unlabeled.claims import MIME


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    from conftest import TinyBook

    tiny = TinyBook(tmp_path_factory.mktemp("again") / "book-project")
    pair.write(tiny.root)
    run(tiny.chapter, {}, tiny.chapter.executed())
    tiny.record = records.collect(tiny.chapter, tiny.chapter.executed(), tiny.chapter.record())
    return tiny


def test_a_seeded_notebook_gives_the_same_outputs_again(executed, capsys):
    again.require_same_outputs([executed.chapter.executed()], executed.root, 1)
    assert "cells gave the same outputs again" in capsys.readouterr().out


def test_an_unseeded_notebook_is_caught(tiny):
    tiny.spoil("draw(seed_all(seed)", "draw(__import__('numpy').random.default_rng()")
    pair.write(tiny.root)
    run(tiny.chapter, {}, tiny.chapter.executed())
    with pytest.raises(PressError, match="A second run differs"):
        again.require_same_outputs([tiny.chapter.executed()], tiny.root, 1)


def test_a_ledger_that_differs_in_its_last_digit_is_caught(executed, tmp_path):
    notebook = nbformat.read(executed.chapter.executed(), as_version=4)
    (output,) = [output for cell in notebook.cells for output in cell.get("outputs", []) if MIME in output.get("data", {})]
    output.data[MIME]["claims"][0]["tests"][0]["values"][0] += 1e-12
    nbformat.write(notebook, tmp_path / "changed.ipynb")
    with pytest.raises(PressError, match="A second run differs"):
        again.require_same_outputs([tmp_path / "changed.ipynb"], executed.root, 1)


def test_flips_are_from_holds_to_fails_in_central_tests_alone(executed):
    record = executed.record
    for outcome, flipped in (("fails", ["shift/mean"]), ("undecided", []), ("holds", [])):
        other = copy.deepcopy(record)
        other["claims"][0]["tests"][0]["outcome"] = outcome
        assert again.flips(record, other) == flipped
    other["claims"][0]["tests"][0]["outcome"] = "fails"
    aside = copy.deepcopy(record)
    aside["claims"][0]["central"] = False
    assert again.flips(aside, other) == []


def test_touched_takes_the_chapters_that_a_commit_changes(executed, monkeypatch):
    root = executed.root

    def git(*words):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words], cwd=root, check=True, capture_output=True)

    git("init", "-q")
    git("add", "book", "notebooks", "_config.yml", "_toc.yml")
    git("commit", "-qm", "one")
    monkeypatch.setenv("PRESS_BASE", "HEAD")
    assert again.chosen("touched", root) == []
    (root / "book/welcome.md").write_text("# Welcome again\n\n<!-- tiles -->\n")
    assert again.chosen("touched", root) == []
    executed.write(executed.chapter.text.read_text() + "\nMore.\n")
    assert [chapter.name for chapter in again.chosen("touched", root)] == ["tiny"]
    assert [chapter.name for chapter in again.chosen("all", root)] == ["tiny"]
    monkeypatch.setenv("PRESS_BASE", "no-such-commit")
    assert [chapter.name for chapter in again.chosen("touched", root)] == ["tiny"], "without a base, all are taken"
    with pytest.raises(PressError, match="set it to 'all' or 'touched'"):
        again.chosen("some", root)
