"""The skeleton of a new chapter runs as it is, decides its dummy claim, and fails its checks until
it is filled.
"""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

from press import control, new_chapter, pair, plan, source
from press.contract import problems
from press.errors import PressError
from press.execute import run


def test_the_skeleton_runs_and_breaks_the_contract_only_by_what_is_to_be_filled(tiny):
    text, notebook, test = new_chapter.create("new-thing", "discovery", root=tiny.root)
    assert pair.stale(tiny.root) == []
    chapter = source.chapter("new-thing", tiny.root)
    found = problems(chapter)
    assert len(found) == 1 and "lines are still to be filled" in found[0], found

    real, cut = run(chapter, {}), run(chapter, {"control": True})
    assert [claim["verdict"] for claim in real["claims"]] == ["reproduced"]
    control.require(real, cut)

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(tiny.root),
            str(test),
        ],
        cwd=tiny.root,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PRESS_ROOT": str(tiny.root)},
        capture_output=True,
        text=True,
    )
    assert "1 passed" in done.stdout, done.stdout


def test_a_filled_skeleton_passes(tiny):
    text, _, _ = new_chapter.create("new-thing", "foundations", "doe2020tiny", root=tiny.root)
    text.write_text(text.read_text().replace("TODO", "Done").replace("todo-claim", "claim"))
    assert problems(source.chapter("new-thing", tiny.root)) == []


def test_plan_and_contents_list_it_in_its_part(tiny):
    new_chapter.create("second", "foundations", "doe2020tiny", root=tiny.root)
    assert [entry["name"] for entry in plan.read(tiny.root)["foundations"]] == [
        "tiny",
        "later",
        "second",
    ]
    listed = source.toc(tiny.root)
    assert (
        listed.index("notebooks/foundations/second")
        == listed.index("notebooks/foundations/tiny") + 1
    )
    assert "second" in (tiny.root / "README.md").read_text() and plan.stale(tiny.root) == []


def test_a_planned_chapter_needs_no_more_than_its_name(tiny):
    before = (tiny.root / "book/plan.yml").read_bytes()
    text, _, _ = new_chapter.create("later", "", root=tiny.root)
    assert (
        text == tiny.root / "book/foundations/later.md" and "paper: doe2020tiny" in text.read_text()
    )
    assert (tiny.root / "book/plan.yml").read_bytes() == before
    with pytest.raises(PressError, match="already"):
        new_chapter.create("later", "", root=tiny.root)


@pytest.mark.parametrize(
    "name, part, paper, sentence",
    [
        ("New Thing", "discovery", "", "words in lower case, joined by hyphens"),
        ("new-thing", "magic", "", "There is no part 'magic'"),
        ("later", "discovery", "", "has later in foundations, not in discovery"),
        ("tiny", "foundations", "", "There is a chapter 'tiny' already"),
        ("new-thing", "discovery", "nobody1900", "has no entry 'nobody1900'"),
    ],
)
def test_bad_input_writes_nothing(tiny, name, part, paper, sentence):
    before = {path: path.read_bytes() for path in tiny.root.rglob("*") if path.is_file()}
    with pytest.raises(PressError, match=sentence):
        new_chapter.create(name, part, paper, root=tiny.root)
    assert {path: path.read_bytes() for path in tiny.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "there",
    [
        "book/discovery/new-thing.md",
        "notebooks/discovery/new-thing.ipynb",
        "tests/chapters/test_new_thing.py",
    ],
)
def test_a_file_that_is_there_is_never_overwritten(tiny, there):
    path = tiny.root / there
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    before = {
        path: path.read_bytes()
        for path in tiny.root.rglob("*")
        if path.is_file() and "src" not in path.parts
    }
    with pytest.raises(
        PressError, match="is there already: choose another NAME, or move that file"
    ):
        new_chapter.create("new-thing", "discovery", root=tiny.root)
    assert {
        path: path.read_bytes()
        for path in tiny.root.rglob("*")
        if path.is_file() and "src" not in path.parts
    } == before
