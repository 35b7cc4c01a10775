"""Running chapters again: the checks can fail, and the switch picks what it says."""

import copy
import json
import subprocess

import nbformat
import pytest

from press import again, pair
from press.errors import PressError
from press.execute import run
from unlabeled.claims import MIME


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    from conftest import TinyBook

    tiny = TinyBook(tmp_path_factory.mktemp("again") / "book-project")
    pair.write(tiny.root)
    tiny.record = run(tiny.chapter, {})
    return tiny


def test_a_seeded_notebook_gives_the_same_outputs_again(executed, capsys):
    again.require_same_outputs([executed.chapter.executed()], executed.root, 1)
    assert "cells gave the same outputs again" in capsys.readouterr().out


def test_an_unseeded_notebook_is_caught(tiny):
    tiny.spoil(
        "noise = rng.standard_normal()",
        "noise = __import__('numpy').random.default_rng().standard_normal()",
    )
    pair.write(tiny.root)
    run(tiny.chapter, {})
    with pytest.raises(PressError, match="A second run differs"):
        again.require_same_outputs([tiny.chapter.executed()], tiny.root, 1)


def test_a_ledger_that_differs_in_its_last_digit_is_caught(executed, tmp_path):
    notebook = nbformat.read(executed.chapter.executed(), as_version=4)
    (output,) = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if MIME in output.get("data", {})
    ]
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


def test_shared_seeds_must_give_the_same_values(executed):
    chapter, record = executed.chapter, executed.record
    assert chapter.overlap == {"first_seed": 3}
    other = run(chapter, chapter.overlap)
    assert other["seeds"] == [3, 4, 5, 6, 7] and record["seeds"] == [0, 1, 2, 3, 4]
    assert again.differences(record, other) == []
    again.require_same_start([(chapter, chapter.overlap)])
    again.require_no_flips([(chapter, chapter.overlap)])
    test = other["claims"][0]["tests"][0]
    test["values"][0] *= 1 + 1e-8
    assert again.differences(record, other) == [], "the last digits may differ"
    test["values"][4] += 1
    assert again.differences(record, other) == [], "seed 7 is not shared"
    test["values"][1] += 1
    (told,) = again.differences(record, other)
    assert told.startswith("shift/mean is ") and "for seed 4" in told
    chapter.kept(**chapter.overlap).write_text(json.dumps(other))
    with pytest.raises(PressError, match="was edited by hand"):
        again.require_same_start([(chapter, chapter.overlap)])


def test_a_seed_that_depends_on_the_other_seeds_is_caught(tiny):
    """One generator for all seeds: two runs on the same seeds agree, and one on overlapping seeds
    does not.
    """
    tiny.spoil(
        "results = run.each(draw, 0.0 if run.control else settings.shift)",
        "import numpy\nrng = numpy.random.default_rng(run.seeds[0])\nrows = [draw(rng,"
        " settings.shift) for _ in run.seeds]\nresults = {key: numpy.array([row[key] for row in"
        " rows]) for key in rows[0]}",
    )
    pair.write(tiny.root)
    chapter = tiny.chapter
    run(chapter, {})
    run(chapter, chapter.overlap)
    with pytest.raises(
        PressError, match="A seed's values depend on more than the seed:\n  tiny: shift/mean is"
    ):
        again.require_same_start([(chapter, chapter.overlap)])


def test_touched_takes_the_chapters_that_a_commit_changes(executed, monkeypatch):
    root = executed.root

    def git(*words):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words],
            cwd=root,
            check=True,
            capture_output=True,
        )

    git("init", "-q")
    git("add", "book", "notebooks", "_config.yml", "_toc.yml")
    git("commit", "-qm", "one")
    monkeypatch.setenv("PRESS_BASE", "HEAD")
    assert again.chosen("touched", root) == []
    (root / "book/welcome.md").write_text("# Welcome again\n\n<!-- tiles -->\n")
    assert again.chosen("touched", root) == []
    executed.write(executed.chapter.text.read_text().replace("Everything.", "# Nearly everything."))
    pair.write(root)
    assert again.chosen("touched", root) == [], "words need no run"
    executed.write(executed.chapter.text.read_text().replace("shift + noise", "noise + shift"))
    pair.write(root)
    assert [chapter.name for chapter in again.chosen("touched", root)] == ["tiny"]
    assert [chapter.name for chapter in again.chosen("all", root)] == ["tiny"]
    monkeypatch.setenv("PRESS_BASE", "no-such-commit")
    assert [chapter.name for chapter in again.chosen("touched", root)] == ["tiny"], (
        "without a base, all are taken"
    )
    with pytest.raises(PressError, match="set it to 'all' or 'touched'"):
        again.chosen("some", root)
