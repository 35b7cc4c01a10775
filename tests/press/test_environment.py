"""Setting up never removes what it did not make, works in any folder, and says in one sentence what
is wrong.
"""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT


class Project:
    """A copy of what set-up needs, in a folder with a space, an umlaut and a brace, whose
    requirements are none.
    """

    def __init__(self, root):
        self.root = root
        (root / "src/press").mkdir(parents=True)
        for name in ("requirements.txt", "pyproject.toml", "Makefile"):
            shutil.copy(ROOT / name, root / name)
        shutil.copy(ROOT / "src/press/environment.py", root / "src/press/environment.py")

    def set_up(self, *command, **more):
        """Run the set-up script (or a command) with an index that nobody answers at."""
        hidden = ("PIP_", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS")
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(hidden)
        }
        environment |= {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
            "PIP_RETRIES": "0",
            "PIP_NO_CACHE_DIR": "1",
        } | more
        command = command or (sys.executable, "src/press/environment.py")
        return subprocess.run(
            [str(word) for word in command],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
        )

    def installed(self, folder):
        """An environment at `folder` whose Python runs and whose stamp says that all is
        installed.
        """
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        code = (
            "import sys; sys.path.insert(0, 'src/press'); import environment;"
            " print(environment.stamp())"
        )
        stamp = self.set_up(sys.executable, "-c", code).stdout.strip()
        (folder / ".unlabeled-requirements").write_text(stamp)
        return folder


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "My Bücher {x}")


def tree(folder):
    """Everything in a folder: names, and what files hold."""
    return {
        str(path.relative_to(folder)): (
            os.readlink(path)
            if path.is_symlink()
            else path.read_bytes()
            if path.is_file()
            else None
        )
        for path in sorted(folder.rglob("*"))
    }


def own_folder(place):
    place.mkdir()
    (place / "thesis.tex").write_text("years of work")


def dangling(place):
    own_folder(place)
    (place / "bin").mkdir()
    (place / "bin/python").symlink_to("/nowhere/python3")
    (place / "pyvenv.cfg").write_text("home = /nowhere\n")


def not_executable(place):
    own_folder(place)
    (place / "bin").mkdir()
    (place / "bin/python").write_text("no program")


def file(place):
    place.write_text("a file")


def dangling_link(place):
    place.symlink_to(place.parent / "unplugged disk")


def link_to_folder(place):
    own_folder(place.parent / "elsewhere")
    place.symlink_to(place.parent / "elsewhere")


def marked_with_own_files(place):
    """Made by this set-up, broken since, and used by somebody as a place for own files."""
    dangling(place)
    (place / ".made-by-make-setup").write_text("")


FOREIGN = [
    own_folder,
    dangling,
    not_executable,
    file,
    dangling_link,
    link_to_folder,
    marked_with_own_files,
]


@pytest.mark.parametrize("spoil", FOREIGN, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("named", [True, False], ids=["VIRTUAL_ENV", ".venv"])
def test_what_set_up_did_not_make_is_left_as_it_is(project, spoil, named):
    place = project.root / ("p" if named else ".venv")
    spoil(place)
    before = tree(project.root)
    done = project.set_up(**{"VIRTUAL_ENV": str(place)} if named else {})
    assert done.returncode == 1
    assert str(place) in done.stderr and "left as it is" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and done.stderr.strip().endswith(".")
    assert ("VIRTUAL_ENV" in done.stderr) == named
    assert tree(project.root) == before


def test_a_place_where_nothing_can_be_written_is_told_in_one_sentence(project):
    (project.root / "file").write_text("")
    for place in ("/proc/nowhere/env", project.root / "file/env"):
        done = project.set_up(VIRTUAL_ENV=str(place))
        assert (
            done.returncode == 1 and "cannot be made" in done.stderr and str(place) in done.stderr
        )
        assert len(done.stderr.strip().splitlines()) == 1


def test_the_python_of_all_is_not_installed_into(project):
    whole = project.root / "usr"
    (whole / "bin").mkdir(parents=True)
    (whole / "bin/python").write_text(
        f'#!/bin/sh\nexec "{os.path.realpath(sys.executable)}" "$@"\n'
    )
    (whole / "bin/python").chmod(0o755)
    done = project.set_up(VIRTUAL_ENV=str(whole))
    assert (
        done.returncode == 1
        and "no virtual environment" in done.stderr
        and len(done.stderr.strip().splitlines()) == 1
    )


def test_its_own_broken_environment_is_made_anew(project):
    """An environment of this set-up whose Python has gone, as after an upgrade of the system."""
    place = project.root / ".venv"
    (place / "bin").mkdir(parents=True)
    (place / "bin/python").symlink_to("/usr/bin/python3.4")
    (place / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (place / ".made-by-make-setup").write_text("")
    done = project.set_up()
    assert "Making the virtual environment" in done.stdout
    assert (
        done.stderr.strip()
        == "Set-up failed, the package index cannot be reached: connect to the network and run the"
        " same command again."
    )
    assert not place.exists()


def test_a_missing_build_names_the_versions_of_python_that_work(project):
    (project.root / "none").mkdir()
    done = project.set_up(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(project.root / "none"))
    assert (
        done.returncode == 1
        and "Python 3.11 to 3.13" in done.stderr
        and "cannot be reached" not in done.stderr
    )
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (project.root / ".venv").exists()


@pytest.mark.parametrize(
    "words, expected",
    [
        (
            (
                "ERROR: Could not find a version (from versions: none)\nERROR: No matching"
                " distribution found for torch==2"
            ),
            "3.11 to 3.13",
        ),
        (
            "ERROR: Package 'numpy' requires a different Python: 3.15.0 not in '<3.15'",
            "3.11 to 3.13",
        ),
        (
            (
                "WARNING: Retrying after connection broken by 'NewConnectionError'\nERROR: No"
                " matching distribution found"
            ),
            "cannot be reached",
        ),
        (
            (
                "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on"
                " device"
            ),
            "the disk is full",
        ),
        ("ERROR: something else", ""),
    ],
)
def test_pips_words_are_told_apart(words, expected, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "src/press"))
    import environment

    found = environment.reason(words, sys.executable)
    assert expected in found and (found == "") == (expected == "")


@pytest.mark.parametrize(
    "hostile",
    [{}, {"PYTHONHOME": "/nowhere"}, {"PYTHONOPTIMIZE": "2", "PYTHONPATH": "/nowhere"}],
    ids=str,
)
def test_make_works_in_a_folder_with_space_umlaut_and_brace(project, hostile):
    """With the environment inside, without and with VIRTUAL_ENV; the press is stood for by a module
    that says how it was called.
    """
    (project.root / "src/press/__main__.py").write_text(
        "import sys\nprint(sys.prefix, sys.flags.optimize, sys.argv[1:], sep='\\n')\n"
    )
    inside = project.installed(project.root / ".venv")
    other = project.installed(project.root / "an other")
    # An absolute program: what the tests' own PATH holds is not in question. A hostile variable is
    # for make's children alone.
    python = os.path.realpath(sys.executable)
    for prefix, more in ((inside, {}), (other, {"VIRTUAL_ENV": str(other)})):
        done = project.set_up(
            "make",
            "--silent",
            f"PYTHON={python}",
            "chapter",
            "NAME=a 'b' \"c\"",
            "DATASET=my data/{1}.npz",
            **more,
            **hostile,
        )
        assert done.returncode == 0, done.stderr
        told = done.stdout.splitlines()
        assert told[:2] == [str(prefix), "0"]
        words = eval(told[2])
        assert (
            words[words.index("--name") + 1] == "a 'b' \"c\""
            and words[words.index("--dataset") + 1] == "my data/{1}.npz"
        )


def test_make_clean_leaves_the_environment_grades_and_all_that_is_not_made(project):
    for name in (
        "build/course/grades/em/grades.csv",
        "build/course/secret",
        ".venv/bin/python",
        "notebooks/a.ipynb",
    ):
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        (project.root / name).write_text("kept")
    before = tree(project.root)
    for name in ("build/site/index.html", "build/.lock", ".snakemake/log/x"):
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        (project.root / name).write_text("made")
    done = project.set_up("make", "--silent", "clean")
    assert done.returncode == 0 and done.stdout + done.stderr == ""
    assert tree(project.root) == before
    assert project.set_up("make", "--silent", "clean").returncode == 0, "twice as well"
