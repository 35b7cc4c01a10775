"""Whatever a user has set for other work, the book runs, and the same bytes come out."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import nbformat
import pytest
from conftest import ROOT, TinyBook
from hostile import hostile

from press import surroundings
from press.errors import PressError

COSTS = ("seconds", "cpu_seconds", "reference_seconds", "peak_mb", "date", "device")


def make(root, *words, mask=-1, **environment):
    """Make, with the environment of these tests; bytes, for what comes may be in any encoding."""
    return subprocess.run(
        ["make", "--silent", *words],
        cwd=root,
        capture_output=True,
        timeout=600,
        umask=mask,
        env={"VIRTUAL_ENV": sys.prefix, "PATH": os.environ["PATH"]} | environment,
    )


def book(root):
    tiny = TinyBook(root)
    (root / "src").unlink()
    shutil.copytree(
        ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    for name in ("Snakefile", "requirements.txt", "Makefile"):
        shutil.copy(ROOT / name, root / name)
    rules, setup = (root / "Makefile").read_text(), '@"$(PYTHON)" src/press/environment.py'
    assert setup in rules
    (root / "Makefile").write_text(rules.replace(setup, "@true"))  # what is needed is installed
    return tiny


def made(root):
    """What must not depend on the surroundings: outputs and records less what they cost, and the
    pages less the same.
    """
    notebooks = {}
    for path in sorted((root / "build/executed").rglob("*.ipynb")) + sorted(
        (root / "build/runs").rglob("*.ipynb")
    ):
        notebook = nbformat.read(path, as_version=4)
        notebook.metadata.pop("run")
        notebooks[path.relative_to(root)] = nbformat.writes(notebook).encode()
    records = {}
    for path in sorted((root / "build").rglob("*.json")):
        if path.is_relative_to(root / "build/results") or path.is_relative_to(root / "build/runs"):
            record = json.loads(path.read_text(encoding="utf-8"))
            records[path.relative_to(root)] = {
                key: value for key, value in record.items() if key not in COSTS
            }
    pages = {
        path.relative_to(root): re.sub(
            r"(?s)<dt>Runs in</dt><dd>.*?</dd>|\d+(\.\d+)? ?(s|CPU-seconds|MB|seconds?)\b",
            "",
            path.read_text(encoding="utf-8"),
        )
        for path in sorted((root / "build/site/notebooks").rglob("*.html"))
    }
    return notebooks, records, pages


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The tiny book, built plainly, and under all hostile settings at once in a folder with space,
    umlaut, brace and bracket, its sources dated in the future."""
    plain = book(tmp_path_factory.mktemp("plain") / "book-project")
    done = make(plain.root, "book")
    assert done.returncode == 0, done.stderr.decode()
    folder = tmp_path_factory.mktemp("hostile")
    odd = book(folder / "My Bücher {x} [1]")
    settings = hostile(folder / "user")
    (odd.root / "matplotlibrc").write_text("axes.facecolor: red\n")
    (odd.root / "random.py").write_text("raise ImportError('not the library')\n")
    later = time.time() + 8 * 3600
    for path in odd.root.rglob("*"):
        os.utime(path, (later, later))
    odd.said = []
    for _ in range(2):
        done = make(odd.root, "book", mask=0o777, **settings)
        odd.said.append((done.stdout + done.stderr).decode("ascii"))
        assert done.returncode == 0, odd.said[-1]
    odd.settings = settings
    return plain, odd


def test_notebooks_records_and_pages_are_the_same_bytes(both):
    plain, odd = both
    expected, found = made(plain.root), made(odd.root)
    assert all(expected), "something is compared"
    assert found[0] == expected[0]
    assert found[1] == expected[1]
    assert found[2] == expected[2]


def test_dates_in_the_future_stop_nothing_and_make_no_second_run(both):
    _, odd = both
    assert (
        "done in" in odd.said[0]
        and "done in" not in odd.said[1]
        and "site: rendering" not in odd.said[1]
    )


def test_what_is_said_is_said_in_the_terminals_characters(both):
    _, odd = both
    assert "running" in odd.said[0] and "?" in odd.said[0]


def test_nothing_is_written_outside_build(both):
    _, odd = both
    outside = {path.name for path in odd.root.iterdir()} - {
        "build",
        ".snakemake",
        "book",
        "notebooks",
        "src",
        "Snakefile",
        "Makefile",
        "matplotlibrc",
        "random.py",
    }
    assert outside == {"README.md", "_config.yml", "_toc.yml", "requirements.txt"}


def test_another_pass_gives_the_same_outputs_in_these_surroundings(both):
    _, odd = both
    code = (
        "from press import again, source\nchapter ="
        " source.chapters()[0]\nagain.require_same_outputs([chapter.executed()], source.ROOT, 1)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=odd.root,
        capture_output=True,
        env=odd.settings
        | {
            "PYTHONPATH": str(odd.root / "src"),
            "PYTHONHOME": "",
            "PYTHONOPTIMIZE": "",
            "PRESS_ROOT": str(odd.root),
            "PATH": os.environ["PATH"],
        },
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    assert b"cells gave the same outputs again" in done.stdout


def test_a_child_gets_what_it_needs_and_nothing_that_steers_it(tmp_path, monkeypatch):
    for name, value in hostile(tmp_path / "user").items():
        monkeypatch.setenv(name, value)
    for name, value in {
        "CUDA_VISIBLE_DEVICES": "1",
        "https_proxy": "http://proxy",
        "UNLABELED_X": "x",
        "LD_LIBRARY_PATH": "/opt/cuda",
    }.items():
        monkeypatch.setenv(name, value)
    found = surroundings.variables(tmp_path / "book", "quick")
    assert (
        found["CUDA_VISIBLE_DEVICES"] == "1"
        and found["https_proxy"] == "http://proxy"
        and found["UNLABELED_X"] == "x"
    )
    assert found["LD_LIBRARY_PATH"] == "/opt/cuda" and found["OMP_NUM_THREADS"] == "1"
    assert not [
        name
        for name, value in found.items()
        if str(tmp_path / "user") in value or value.startswith("/proc")
    ]
    assert not {
        "PYTHONOPTIMIZE",
        "SNAKEMAKE_PROFILE",
        "MPLBACKEND",
        "MATPLOTLIBRC",
        "LANGUAGE",
        "COLUMNS",
        "BASH_ENV",
        "PYTEST_ADDOPTS",
    } & set(found)


def test_this_processs_environment_comes_back(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    before = dict(os.environ)
    with pytest.raises(RuntimeError), surroundings.entered(tmp_path, "quick"):
        assert "MPLBACKEND" not in os.environ and os.environ["HOME"] == str(tmp_path / "build/home")
        raise RuntimeError
    assert dict(os.environ) == before


def test_data_sets_are_fetched_once_for_all_books_of_a_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    home = surroundings.variables(tmp_path / "book")["XDG_CACHE_HOME"]
    cached = (
        tmp_path / "me" / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "unlabeled"
    )
    assert (
        cached.is_dir()
        and (tmp_path / "book/build/home" / cached.relative_to(tmp_path / "me")).resolve()
        == cached.resolve()
    )
    with surroundings.entered(tmp_path / "book"):  # a child's child
        assert surroundings.variables(tmp_path / "book")["XDG_CACHE_HOME"] == home
    shutil.rmtree(tmp_path / "book/build")
    assert cached.is_dir(), "what is removed with build/ is the way there, not the data"


def test_a_book_that_cannot_be_written_is_told_in_one_sentence(tmp_path):
    (tmp_path / "build").write_text("a file")
    with pytest.raises(PressError, match="cannot be written .*: put the book where you may write"):
        surroundings.variables(tmp_path)


def test_dates_of_the_future_are_settled_and_others_left(tmp_path):
    now = time.time()
    dates = {
        "book/a.md": now + 9e4,
        "book/b.md": now - 9e4,
        "_toc.yml": now + 9e4,
        "build/site/index.html": now + 9e4,
        "build/results/x.json": now + 5,
    }
    for name, date in dates.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (date, date))
    surroundings.settle_dates(tmp_path)
    found = {name: (tmp_path / name).stat().st_mtime for name in dates}
    assert abs(found["book/a.md"] - now) < 60 and abs(found["_toc.yml"] - now) < 60
    assert found["build/site/index.html"] == 0
    for name in ("book/b.md", "build/results/x.json"):
        assert found[name] == pytest.approx(dates[name])
