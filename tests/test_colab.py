"""Far from this repository: the wheel alone, a notebook alone as on Colab, and the oldest versions
that the wheel admits.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
import tomllib
from conftest import DATA, ROOT
from nbclient import NotebookClient

from press import pair, source
from press.surroundings import one_thread
from unlabeled import claims


def alone(**more):
    """An environment without this repository's path, and with nothing of the virtual environment
    that runs the tests.
    """
    hidden = {
        "PYTHONPATH",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        "UNLABELED_INSTALL",
        "JUPYTER_PATH",
        "PIP_TARGET",
        "PIP_USER",
    }
    return (
        {name: value for name, value in os.environ.items() if name not in hidden}
        | {"PYTHONNOUSERSITE": "1"}
        | more
    )


def call(*words, **more):
    """Run a command and return what it printed; a failure shows all of it."""
    done = subprocess.run(
        [str(word) for word in words],
        env=alone(**more.pop("env", {})),
        capture_output=True,
        text=True,
        **more,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def pinned(name):
    """The line of requirements.txt that pins a package."""
    (line,) = [
        line
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if re.match(rf"{name}==", line)
    ]
    return line


def fresh_environment(folder, *requirements):
    """A new virtual environment with these packages; returns its Python."""
    call(sys.executable, "-m", "venv", folder)
    python = folder / "bin/python"
    call(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--disable-pip-version-check",
        *requirements,
    )
    return python


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of `unlabeled`, built from a copy so that nothing is left in the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(
        ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    call(
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        folder / "dist",
        folder,
    )
    (built,) = (folder / "dist").iterdir()
    return built


@pytest.fixture(scope="session")
def like_colab(tmp_path_factory):
    """Python of an environment that holds torch and a kernel, and neither this repository nor its
    other requirements.
    """
    return fresh_environment(
        tmp_path_factory.mktemp("colab") / "venv", pinned("torch"), "ipykernel"
    )


@pytest.fixture(scope="session")
def first_notebook(wheel, like_colab, tmp_path_factory):
    """The book's first notebook, run alone in an empty folder through its own bootstrap cell; with
    the folder it ran in.
    """
    folder = tmp_path_factory.mktemp("alone")
    kernel = folder / "jupyter/kernels/python3"
    kernel.mkdir(parents=True)
    argv = [str(like_colab), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(
        json.dumps(dict(argv=argv, display_name="Python 3", language="python"))
    )
    (folder / "work").mkdir()
    notebook = nbformat.reads(pair.pair(source.chapters(ROOT)[0]), as_version=4)
    question = (
        "import importlib.util, json, os, sys, unlabeled\nfound = {name:"
        " importlib.util.find_spec(name) is not None for name in ('press', 'sphinx',"
        " 'jupyter_book', 'papermill')}\nprint(json.dumps(dict(unlabeled=unlabeled.__file__,"
        " executable=sys.executable, path=sys.path, found=found, folder=os.getcwd())))"
    )
    notebook.cells.append(nbformat.v4.new_code_cell(question))
    before = dict(os.environ)
    os.environ.clear()
    # The kernel's own pip must install into the kernel's environment, whose programs therefore come
    # first.
    os.environ |= (
        alone(
            JUPYTER_PATH=str(folder / "jupyter"),
            UNLABELED_INSTALL=str(wheel),
            PATH=f"{like_colab.parent}:{before['PATH']}",
        )
        | one_thread()
    )
    try:
        client = NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder / "work")}},
        )
        client.execute()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return notebook, folder / "work"


def test_the_wheel_holds_the_helpers_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    code = {name for name in names if ".dist-info/" not in name}
    assert code == {f"unlabeled/{path.name}" for path in (ROOT / "src/unlabeled").glob("*.py")}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    declared = re.findall(r"^Requires-Dist: ([\w-]+)", metadata, re.M)
    assert "torch" in declared and not {
        "sphinx",
        "jupyter-book",
        "papermill",
        "snakemake",
        "pytest",
    } & set(declared)
    assert not re.search(r"^Requires-Dist: .*(==|<)", metadata, re.M), (
        "no upper bounds: Colab keeps what it has"
    )


def test_the_first_notebook_runs_alone_and_ends_in_verdicts(first_notebook):
    notebook, folder = first_notebook
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0].metadata.tags == ["bootstrap"] and code[0].execution_count == 1
    assert all(cell.execution_count for cell in code if cell.source.strip())
    (ledger,) = [
        output.data
        for cell in code
        if "ledger" in cell.metadata.get("tags", [])
        for output in cell.outputs
        if claims.MIME in output.get("data", {})
    ]
    record = ledger[claims.MIME]
    assert (
        record["chapter"] == source.chapters(ROOT)[0].name
        and record["profile"] == "quick"
        and len(record["seeds"]) >= 5
    )
    assert all(claim["verdict"] in claims.VERDICTS for claim in record["claims"])
    assert "<table>" in ledger["text/html"], "Colab shows this"
    assert list(folder.iterdir()) == [], "a notebook leaves nothing behind"


def test_it_ran_on_the_installed_wheel_without_the_press(first_notebook, like_colab):
    notebook, folder = first_notebook
    answer = json.loads(
        "".join(
            output.text for output in notebook.cells[-1].outputs if output.get("name") == "stdout"
        )
    )
    site_packages = str(
        like_colab.parents[1]
        / "lib"
        / f"python{sys.version_info.major}.{sys.version_info.minor}"
        / "site-packages"
    )
    assert answer["unlabeled"].startswith(site_packages + os.sep)
    assert answer["executable"] == str(like_colab) and answer["folder"] == str(folder)
    assert not any(answer["found"].values()), answer["found"]
    assert not any(str(ROOT) in entry for entry in answer["path"])


def test_running_the_bootstrap_again_does_nothing(first_notebook, like_colab):
    notebook, folder = first_notebook
    bootstrap = next(
        cell.source for cell in notebook.cells if cell.metadata.get("tags") == ["bootstrap"]
    )
    call(
        like_colab,
        "-c",
        bootstrap,
        cwd=folder,
        env=dict(UNLABELED_INSTALL="no-such-package-at-all"),
    )


def lowest():
    """The lowest versions that pyproject.toml declares, as exact requirements; torch as pinned,
    since older builds for the CPU are not always to be had.
    """
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bounds = dict(re.fullmatch(r"([\w-]+)>=([\d.]+)", line).groups() for line in declared)
    assert bounds.pop("torch")
    return [f"{name}=={version}" for name, version in bounds.items()]


@pytest.fixture(scope="session")
def oldest(wheel, tmp_path_factory):
    """Python of an environment with the wheel and the lowest versions it admits."""
    folder = tmp_path_factory.mktemp("oldest") / "venv"
    return fresh_environment(folder, pinned("torch"), *lowest(), wheel, "pytest", "ipython")


def test_the_helpers_pass_their_tests_on_the_lowest_versions_they_declare(oldest, tmp_path):
    installed = dict(
        line.split("==")
        for line in call(oldest, "-m", "pip", "freeze").splitlines()
        if "==" in line
    )
    for requirement in lowest():
        name, version = requirement.split("==")
        assert f"{installed[name]}.0".startswith(f"{version}."), (
            f"{name} {installed[name]} is not the lowest"
        )
    shutil.copytree(
        ROOT / "tests/unlabeled", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "tests/conftest.py").write_text(
        f"from pathlib import Path\n\nDATA = Path({str(DATA)!r})\n"
    )
    printed = call(
        oldest,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::DeprecationWarning",
        "tests",
        cwd=tmp_path,
        env=one_thread(),
    )
    assert re.search(r"\b\d{3,} passed", printed) and "failed" not in printed
    place = call(oldest, "-c", "import unlabeled; print(unlabeled.__file__)", cwd=tmp_path)
    assert place.startswith(str(oldest.parents[1])), "the wheel was tested, not this repository"


def imported():
    """Every module that a chapter imports, with the chapters that do."""
    wanted = {}
    for chapter in source.chapters(ROOT):
        for cell in chapter.source.cells:
            for node in ast.walk(ast.parse(cell.source)) if cell.cell_type == "code" else ():
                names = (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
                for name in names:
                    wanted.setdefault(name, set()).add(chapter.name)
    return wanted


@pytest.mark.parametrize("environment", ["like_colab", "oldest"])
def test_every_chapter_imports_only_what_the_wheel_brings(environment, first_notebook, request):
    """What a notebook imports must be there once the wheel is installed, whatever else Colab
    happens to hold.
    """
    python, wanted = request.getfixturevalue(environment), imported()
    assert "unlabeled.claims" in wanted
    question = (
        "import importlib, json, sys\n"
        "missing = {}\n"
        "for name in json.loads(sys.argv[1]):\n"
        "    try: importlib.import_module(name)\n"
        "    except ImportError as error: missing[name] = str(error)\n"
        "print(json.dumps(missing))"
    )
    missing = json.loads(call(python, "-c", question, json.dumps(sorted(wanted))).splitlines()[-1])
    assert {name: (sorted(wanted[name]), error) for name, error in missing.items()} == {}
