"""The pipeline as a whole: what is rerun after which edit, what a broken chapter leaves, and the commands' bad input."""

import os
import socket
import subprocess
import sys

import pytest

from conftest import CHAPTER, ROOT


def press(root, *words, **environment):
    environment = {key: value for key, value in os.environ.items() if key != "CI"} | {"PYTHONPATH": str(ROOT / "src"), "PRESS_ROOT": str(root)} | environment
    return subprocess.run([sys.executable, "-m", "press", *words], cwd=root, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A project with two chapters, built once by Snakemake; its helper package is a copy that a test may edit."""
    import shutil

    from conftest import TinyBook

    tiny = TinyBook(tmp_path_factory.mktemp("flow") / "book-project")
    tiny.other = tiny.root / "book/foundations/other.md"
    tiny.other.write_text(CHAPTER.replace('start("tiny"', 'start("other"').replace("# A tiny chapter", "# Another").replace("  terms: {shift: 'A number that is added to all others.'}\n", ""))
    listing = tiny.root / "book/plan.yml"
    listing.write_text(listing.read_text().replace("name: later", "name: other"))
    (tiny.root / "src").unlink()
    shutil.copytree(ROOT / "src", tiny.root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (tiny.root / "Snakefile").symlink_to(ROOT / "Snakefile")
    assert press(tiny.root, "pair").returncode == 0
    done = press(tiny.root, "flow", "site")
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
    done = press(book.root, "flow", "site")
    assert done.returncode == 0 and ran(done) == [] and "site: rendering" not in done.stdout
    assert (book.root / "build/site/index.html").stat().st_mtime_ns == before


def test_editing_one_chapter_reruns_that_chapter_alone(book):
    book.write(CHAPTER.replace("Everything.", "Nearly everything."))
    assert press(book.root, "pair").stdout.split() == ["paired", "notebooks/foundations/tiny.ipynb"]
    done = press(book.root, "flow", "site")
    assert done.returncode == 0 and ran(done) == ["tiny", "tiny (control)"]
    assert "Nearly everything." in (book.root / "build/site/notebooks/foundations/tiny.html").read_text()


def test_editing_a_helper_reruns_the_chapters_that_import_it(book):
    def planned():
        command = [sys.executable, "-m", "snakemake", "--nolock", "-n", "--quiet", "all", "--rerun-triggers", "mtime", "input", "--cores", "1", "--summary", "site"]
        done = subprocess.run(command, cwd=book.root, env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PRESS_ROOT": str(book.root)}, capture_output=True, text=True)
        return [line.split("\t")[0] for line in done.stdout.splitlines() if line.startswith("build/executed") and "update pending" in line]

    helper, unused = book.root / "src/unlabeled/exercises.py", book.root / "src/unlabeled/data.py"
    assert planned() == []
    unused.write_text(unused.read_text() + "\nUNUSED = 1\n")
    assert planned() == [], "data is imported by neither chapter"
    helper.write_text(helper.read_text() + "\nUSED = 1\n")
    assert sorted(planned()) == ["build/executed/quick/foundations/other.ipynb", "build/executed/quick/foundations/tiny.ipynb"]


def test_a_broken_chapter_is_told_in_one_sentence_and_the_rest_is_kept(book):
    site = book.root / "build/site/index.html"
    before, text = site.read_bytes(), book.other.read_text()
    try:
        broken = text.replace("results = run.each(", "1 / 0\nresults = run.each(")
        assert broken != text
        book.other.write_text(broken)
        press(book.root, "pair")
        done = press(book.root, "flow", "site")
        assert done.returncode == 1
        told = [line for line in done.stderr.splitlines() if line.startswith("press: other stopped: ZeroDivisionError")]
        assert len(told) == 1
        assert "Traceback" not in done.stderr + done.stdout
        assert site.read_bytes() == before
        assert not (book.root / "build/executed/quick/foundations/other.ipynb").exists(), "an outdated run must not pass for a current one"
    finally:
        book.other.write_text(text)


def test_two_builds_at_once_are_refused(book):
    import fcntl

    with open(book.root / "build/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = press(book.root, "flow", "site")
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
    assert done.returncode == 1 and "is in use" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_serving_before_building_is_told_in_one_sentence(tiny):
    done = press(tiny.root, "serve")
    assert done.returncode == 1 and "run make book first" in done.stderr
