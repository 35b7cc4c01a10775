"""The pipeline as a whole: what is rerun after which edit, what a broken chapter leaves, and the
commands' bad input.
"""

import json
import os
import socket
import subprocess
import sys

import pytest
from conftest import CHAPTER, ROOT

from press import records, source


def press(root, *words, **environment):
    environment = (
        {key: value for key, value in os.environ.items() if key != "CI"}
        | {"PYTHONPATH": str(ROOT / "src"), "PRESS_ROOT": str(root)}
        | environment
    )
    return subprocess.run(
        [sys.executable, "-m", "press", *words],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A project with two chapters, built once by Snakemake; its helper package is a copy that a
    test may edit.
    """
    import shutil

    from conftest import TinyBook

    tiny = TinyBook(tmp_path_factory.mktemp("flow") / "book-project")
    tiny.other = tiny.root / "book/foundations/other.md"
    tiny.other.write_text(
        CHAPTER.replace('start("tiny"', 'start("other"')
        .replace("# A tiny chapter", "# Another")
        .replace("  terms: {shift: 'A number that is added to all others.'}\n", "")
    )
    listing = tiny.root / "book/plan.yml"
    listing.write_text(listing.read_text().replace("name: later", "name: other"))
    (tiny.root / "src").unlink()
    shutil.copytree(
        ROOT / "src", tiny.root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    (tiny.root / "Snakefile").symlink_to(ROOT / "Snakefile")
    (tiny.root / "requirements.txt").write_text("numpy==2.0.0\n")
    assert press(tiny.root, "pair").returncode == 0
    done = press(tiny.root, "flow")
    assert done.returncode == 0, done.stdout + done.stderr
    tiny.first = done
    return tiny


def ran(done):
    """Names of the notebooks that a build executed, sorted."""
    return sorted(line.split(":")[0] for line in done.stdout.splitlines() if ": done in" in line)


def test_the_first_build_runs_every_chapter_and_its_control_and_says_so(book):
    assert ran(book.first) == ["other", "other (control)", "tiny", "tiny (control)"]
    assert (book.root / "build/site/index.html").is_file()


def test_a_second_build_does_nothing(book):
    before = (book.root / "build/site/index.html").stat().st_mtime_ns
    done = press(book.root, "flow")
    assert done.returncode == 0 and ran(done) == [] and "site: rendering" not in done.stdout
    assert (book.root / "build/site/index.html").stat().st_mtime_ns == before


def test_a_changed_word_reruns_nothing_and_stands_on_the_page(book):
    book.write(CHAPTER.replace("Everything.", "Nearly everything."))
    assert press(book.root, "pair").stdout.split() == ["paired", "notebooks/foundations/tiny.ipynb"]
    done = press(book.root, "flow")
    assert done.returncode == 0 and ran(done) == [] and "site: rendering" in done.stdout, (
        done.stderr
    )
    assert (
        "Nearly everything."
        in (book.root / "build/site/notebooks/foundations/tiny.html").read_text()
    )


def planned(book):
    """What Snakemake itself would make anew, asked as anybody would ask it."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--nolock",
        "-n",
        "--quiet",
        "all",
        "--rerun-triggers",
        "mtime",
        "params",
        "--cores",
        "1",
        "--summary",
    ]
    done = subprocess.run(
        command,
        cwd=book.root,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PRESS_ROOT": str(book.root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()[1:]]
    return sorted(
        line[0].removeprefix("build/")
        for line in lines
        if line[0].endswith(".json") and line[-1] != "no update"
    )


def outdated(book):
    """The same, as the press sees it."""
    there = [
        (source.chapter(name, book.root), asked)
        for name in ("other", "tiny")
        for asked in ({}, {"control": True})
    ]
    return sorted(
        str(chapter.kept(**asked).relative_to(book.root / "build"))
        for chapter, asked in there
        if not records.is_current(chapter, asked)
    )


def test_a_changed_helper_or_pin_reruns_what_depends_on_it(book):
    runs = sorted(
        f"{folder}/{name}.json"
        for folder in ("results/quick", "runs/quick/control")
        for name in ("other", "tiny")
    )
    helper, unused, pins = (
        book.root / "src/unlabeled/runtime.py",
        book.root / "src/unlabeled/training.py",
        book.root / "requirements.txt",
    )
    assert outdated(book) == planned(book) == []
    for path, more in ((unused, "UNUSED = 1"), (helper, "# a comment"), (pins, "# a comment")):
        path.write_text(path.read_text() + f"\n{more}\n")
    assert outdated(book) == planned(book) == []
    for path, more in ((helper, "USED = 1"), (pins, "numpy==1.0.0")):
        text = path.read_text()
        path.write_text(text + f"\n{more}\n")
        assert outdated(book) == planned(book) == runs
        path.write_text(text)


def test_editing_one_chapters_code_reruns_that_chapter_alone(book):
    book.write(CHAPTER.replace("shift + noise", "noise + shift"))
    press(book.root, "pair")
    done = press(book.root, "flow")
    assert done.returncode == 0 and ran(done) == ["tiny", "tiny (control)"]


def test_a_changed_figure_is_drawn_again_and_the_control_is_not_run(book):
    book.write(CHAPTER.replace("shift + noise", "noise + shift").replace('"o")', '"x")'))
    done = press(book.root, "chapter", "--name", "tiny")
    assert done.returncode == 0 and ran(done) == ["tiny"], done.stderr
    assert (
        "Negative control" in done.stdout
        and "shift/mean: " in done.stdout
        and "reference seconds" in done.stdout
    )


def test_the_negative_control_is_one_run_whoever_asks_for_it(book):
    done = press(book.root, "chapter", "--name", "tiny", "--control", "1")
    assert (
        done.returncode == 0 and ran(done) == [] and "has changed since it was made" in done.stdout
    ), done.stderr
    assert "build/runs/quick/control/tiny.ipynb" in done.stdout
    assert "side.less" not in (book.root / "build/runs/quick/control/tiny.ipynb").read_text(), (
        "asides are left out of the control"
    )


def test_a_control_that_cuts_nothing_stops_make_chapter(book):
    text = book.other.read_text()
    try:
        book.other.write_text(
            text.replace("0.0 if run.control else settings.shift", "settings.shift")
        )
        done = press(book.root, "chapter", "--name", "other")
        assert (
            done.returncode == 1 and "is reproduced even under the negative control" in done.stderr
        )
    finally:
        book.other.write_text(text)
        press(book.root, "chapter", "--name", "other")


def test_a_broken_chapter_is_told_in_one_sentence_and_the_rest_is_kept(book):
    site = book.root / "build/site/index.html"
    before, text = site.read_bytes(), book.other.read_text()
    try:
        broken = text.replace("results = run.each(", "1 / 0\nresults = run.each(")
        assert broken != text
        book.other.write_text(broken)
        press(book.root, "pair")
        done = press(book.root, "flow")
        assert done.returncode == 1
        told = [
            line
            for line in done.stderr.splitlines()
            if line.startswith("press: other stopped: ZeroDivisionError")
        ]
        assert len(told) == 1
        assert "Traceback" not in done.stderr + done.stdout
        assert site.read_bytes() == before
        assert not (book.root / "build/executed/quick/foundations/other.ipynb").exists(), (
            "an outdated run must not pass for a current one"
        )
    finally:
        book.other.write_text(text)


def test_two_builds_at_once_are_refused(book):
    import fcntl

    with open(book.root / "build/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = press(book.root, "flow")
    assert done.returncode == 1 and "Another build of this book is running" in done.stderr


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--name", "tinny"], "did you mean 'tiny'?"),
        (["--name", ""], "Name a chapter"),
        (["--name", "tiny", "--profile", "slow"], "Unknown profile 'slow'"),
        (["--name", "tiny", "--seeds", "1"], "at least 2 seeds"),
        (["--name", "tiny", "--seeds", "five"], "SEEDS=five is not a whole number"),
        (["--name", "tiny", "--first-seed", "-3"], "0 or larger"),
        (["--name", "tiny", "--control", "yes"], "CONTROL=yes is neither 0 nor 1"),
        (["--name", "tiny", "--dataset", "my.npz"], "takes no dataset"),
    ],
)
def test_bad_input_to_make_chapter_is_told_in_one_sentence(book, words, sentence):
    before = sorted(path for path in (book.root / "build").rglob("*"))
    done = press(book.root, "chapter", *words)
    assert done.returncode == 1
    assert sentence in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert sorted(path for path in (book.root / "build").rglob("*")) == before


def test_another_run_goes_to_its_own_place_and_prints_its_verdicts(book):
    record = book.root / "build/results/quick/tiny.json"
    before = record.read_bytes()
    done = press(book.root, "chapter", "--name", "tiny", "--seeds", "6", "--first-seed", "1000")
    assert done.returncode == 0, done.stderr
    assert "reproduced" in done.stdout and "seeds 1000 to 1005" in done.stdout
    assert (book.root / "build/runs/quick/seeds=6-first_seed=1000/tiny.json").is_file()
    assert record.read_bytes() == before


def test_a_port_in_use_is_told_in_one_sentence(book):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = press(book.root, "serve", "--port", str(other.getsockname()[1]))
    assert (
        done.returncode == 1
        and "is in use" in done.stderr
        and len(done.stderr.strip().splitlines()) == 1
    )


def test_serving_before_building_is_told_in_one_sentence(tiny):
    done = press(tiny.root, "serve")
    assert done.returncode == 1 and "run make book first" in done.stderr


def test_three_blocks_of_seeds_are_run_and_their_verdicts_kept(book):
    done = press(book.root, "blocks", "--name", "tiny")
    assert done.returncode == 0, done.stderr
    kept = json.loads((book.root / "book/results/blocks/tiny.json").read_text())
    assert list(kept["blocks"]) == ["1000", "2000", "3000"]
