"""What stands at the top of the repository is true."""

import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

from press import pair, plan, source
from press.contract import problems

TEXTS = [
    path
    for path in subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split("\0")
    if path
]


def test_notebooks_are_in_step_with_their_texts():
    assert pair.stale(ROOT, stamped=False) == []


@pytest.mark.parametrize("chapter", source.chapters(), ids=lambda chapter: chapter.name)
def test_chapter_keeps_its_contract(chapter):
    assert problems(chapter) == []


def test_readme_lists_every_chapter_and_links_to_files_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for chapter in source.chapters():
        assert f"{chapter.document}.ipynb" in text
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_make_targets_named_in_the_texts_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        *[f"book/{path.name}" for path in (ROOT / "book").glob("*.md")],
    ):
        named = set(
            re.findall(
                r"`make ([a-z-]+)|^make ([a-z-]+)",
                (ROOT / name).read_text(encoding="utf-8"),
                re.MULTILINE,
            )
        )
        assert {first or second for first, second in named} <= targets, name


def test_make_help_lists_every_command():
    done = subprocess.run(["make", "--silent", "help"], cwd=ROOT, capture_output=True, text=True)
    assert {"book", "test", "chapter", "pair", "check-pairs", "serve", "clean", "help"} <= set(
        re.findall(r"^make ([a-z-]+)", done.stdout, re.MULTILINE)
    )


def test_requirements_are_exact_agree_and_have_no_local_version():
    lines = [
        line
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9A-Za-z.]+", line) for line in lines), lines
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_plan_holds_thirty_four_chapters_and_the_lists_made_from_it_are_in_step():
    assert sum(map(len, plan.read(ROOT).values())) == 34
    assert plan.stale(ROOT) == []


def test_nothing_is_committed_that_is_made_or_is_data():
    allowed = re.compile(
        r"notebooks/.*\.ipynb|book/results/full/.*\.json|book/_static/screenshot\.png"
    )
    made = [
        path
        for path in TEXTS
        if re.search(r"\.(ipynb|npz|png|jpg|gz|csv|whl)$|^build/|^dist/", path)
        and not allowed.fullmatch(path)
    ]
    assert made == []


def test_old_python_is_told_in_one_sentence(tmp_path):
    """The set-up script under a Python that says it is old."""
    code = (
        "import runpy, sys\nclass Old(tuple):\n    pass\nsys.version_info = Old((3, 8,"
        " 0))\nsys.argv ="
        f" ['environment.py']\nrunpy.run_path({str(ROOT / 'src/press/environment.py')!r},"
        " run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "Python 3.8 is too old for this book: install one of Python 3.11 to 3.13 and run make"
        " with PYTHON=python3.11."
    )


def test_no_network_during_set_up_is_told_in_one_sentence_and_leaves_nothing_half_made(tmp_path):
    """The set-up script in a copy of the project, with an index that nobody answers at."""
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "src/press").mkdir(parents=True)
    (tmp_path / "src/press/environment.py").write_bytes(
        (ROOT / "src/press/environment.py").read_bytes()
    )
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("PIP_") and key != "VIRTUAL_ENV"
    }
    environment |= {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
    }
    done = subprocess.run(
        [sys.executable, "src/press/environment.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "Set-up failed, the package index cannot be reached: connect to the network and run the"
        " same command again."
    )
    assert not (tmp_path / ".venv").exists()
