"""The surroundings of every process that the press starts: the book's own, whatever the user has
set for other work.

What a run computes and shows must not depend on PYTHON* variables, a locale, a matplotlibrc, an
IPython profile, Jupyter's paths, Snakemake's profiles, or a home folder that cannot be written. So
a child gets the few variables that it needs from outside, and for all else the book's: its caches
live in build/home.

``python -m press.surroundings -m pytest`` runs a module of this Python in them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from press.errors import PressError

# What a process must know of the machine and of the user; nothing of it steers Python, Jupyter,
# Matplotlib or Snakemake.
NEEDED = {
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "VIRTUAL_ENV",
    "CI",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_CONFIG_GLOBAL",
}
NEEDED_PREFIXES = ("UNLABELED_", "PRESS_", "COURSE_", "GITHUB_", "NVIDIA_")
FUTURE = 60  # seconds by which a made file may be ahead of this clock, as on a network's disk


def variables(root: Path, profile: str = "") -> dict[str, str]:
    """The environment of a child process of the book at `root`, with the folders that it names
    made.

    Parameters
    ----------
    root : the project's folder
    profile : "quick" or "full" for a process that runs a chapter; "" for others

    Raises
    ------
    PressError : if build/home cannot be written
    """
    home = root / "build/home"
    outside = dict(os.environ)
    try:
        _make(home, outside)
    except OSError as error:
        raise PressError(
            f"{home} cannot be written ({error.strerror}): put the book where you may write."
        ) from None
    kept = {
        name: value
        for name, value in outside.items()
        if name.upper() in NEEDED or name.startswith(NEEDED_PREFIXES)
    }
    jupyter = home / "jupyter"
    ours = {
        "HOME": home,
        "XDG_CACHE_HOME": home / ".cache",
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_DATA_HOME": home / ".local/share",
        "TMPDIR": _temporary(home),
        "MPLCONFIGDIR": home / "matplotlib",
        "IPYTHONDIR": home / "ipython",
        "JUPYTER_PATH": jupyter,
        "JUPYTER_DATA_DIR": jupyter / "data",
        "JUPYTER_CONFIG_DIR": jupyter / "config",
        "JUPYTER_RUNTIME_DIR": jupyter / "runtime",
        "PYTHONPATH": root / "src",
        "PYTHONNOUSERSITE": 1,
        "PYTHONUTF8": 1,
        "PYTHONSAFEPATH": 1,
        "PYTHONHASHSEED": 0,
        "LC_ALL": "C.UTF-8",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }
    run = {"quick": one_thread(), "full": {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}}.get(profile, {})
    return _git(outside) | kept | {name: str(value) for name, value in ours.items()} | run


@contextmanager
def entered(root: Path, profile: str = "") -> Iterator[None]:
    """This process's own environment, as `variables` has it, for what is started from within by a
    library.
    """
    before, inside = dict(os.environ), variables(root, profile)
    try:
        os.environ.clear()
        os.environ.update(inside)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def one_thread() -> dict[str, str]:
    """Of a quick run: figures then do not depend on the number of cores, and chapters run side by
    side.
    """
    return dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
    ) | {
        "PYTHONHASHSEED": "0",
        # glibc gives freed memory back at once; small conv nets then spend their time on page
        # faults.
        "MALLOC_MMAP_THRESHOLD_": "1073741824",
        "MALLOC_TRIM_THRESHOLD_": "2147483648",
        "MALLOC_TOP_PAD_": "67108864",
        # Without it, a debugger's notice about frozen modules lands in the first output.
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def settle_process() -> None:
    """Of the press itself: a terminal that lacks a character shows another in its place, and what
    is written can be read.

    A umask that keeps files from others is left as it is; one that keeps them from their owner is
    not.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    os.umask(os.umask(0) & 0o077)


def settle_dates(root: Path) -> None:
    """Date to now what is dated in the future, for Snakemake would take it for newer than all that
    is made from it.

    A made file from the future is no evidence that it is newer than its sources, so it is dated to
    the beginning of time: whatever still depends on dates then makes it anew.
    """
    now = time.time()
    for folder in ("book", "notebooks", "src", "tests"):
        for path in (root / folder).rglob("*"):
            _date(path, now, now)
    for path in root.iterdir():
        if path.is_file():
            _date(path, now, now)
    for folder in ("executed", "results", "runs", "site"):
        for path in (root / "build" / folder).rglob("*"):
            _date(path, now + FUTURE, 0)


def _date(path, latest, date):
    try:
        if path.is_file() and path.stat().st_mtime > latest:
            os.utime(path, (date, date))
    except OSError:  # somebody else's file: it stays as it is
        pass


def _make(home, outside):
    """What a home must hold: our kernel first in line, Matplotlib's list of fonts, and the way to
    the data sets' cache.
    """
    for name in (
        "work",
        ".cache",
        ".config",
        ".local/share",
        "matplotlib",
        "ipython",
        "jupyter/kernels/python3",
        "jupyter/runtime",
    ):
        (home / name).mkdir(parents=True, exist_ok=True)
    # Without the working folder on the path, for a file of the user's called random.py is not the
    # library's.
    argv = [
        sys.executable,
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
        "--InteractiveShellApp.ignore_cwd=True",
    ]
    kernel = json.dumps(
        {
            "argv": argv,
            "display_name": "Python 3",
            "language": "python",
            "metadata": {"debugger": True},
        }
    )
    spec = home / "jupyter/kernels/python3/kernel.json"
    if not spec.is_file() or spec.read_text(encoding="utf-8") != kernel:
        handle, temporary = tempfile.mkstemp(dir=spec.parent)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(kernel)
        os.replace(temporary, spec)
    if not list((home / "matplotlib").glob("fontlist-*")):
        # Made here, or a slow machine's first figure would say on the page that it takes a while.
        clean = {
            "PATH": outside.get("PATH", ""),
            "HOME": str(home),
            "MPLCONFIGDIR": str(home / "matplotlib"),
        }
        subprocess.run(
            [sys.executable, "-I", "-c", "import matplotlib.font_manager"],
            env=clean,
            capture_output=True,
        )
    caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
    link = home / caches / "unlabeled"
    there = Path(outside.get("HOME") or "/nonexistent")
    theirs = Path(outside.get("XDG_CACHE_HOME") or there / caches) / "unlabeled"
    if home not in (theirs, *theirs.parents) and not os.path.lexists(link):
        # Data sets are fetched once for all books of a user; without a home that can be written,
        # for this one.
        try:
            theirs.mkdir(parents=True, exist_ok=True)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(theirs.resolve(), target_is_directory=True)
        except OSError:
            pass


def _temporary(home):
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:
        folder = os.getcwd()
    if folder != os.getcwd():
        return folder
    (home / "tmp").mkdir(exist_ok=True)
    return home / "tmp"


def _git(outside):
    """Git's settings of the user, which say which folders it may trust."""
    theirs = Path(outside.get("HOME") or "/nonexistent") / ".gitconfig"
    return {"GIT_CONFIG_GLOBAL": str(theirs)} if theirs.is_file() else {}


if __name__ == "__main__":
    from press.source import ROOT

    # Tests install packages and ask git: for that, the user's settings of these hold.
    theirs = {
        name: value
        for name, value in os.environ.items()
        if name == "HOME" or name.startswith(("XDG_", "PIP_", "GIT_"))
    }
    os.execve(sys.executable, [sys.executable, *sys.argv[1:]], variables(ROOT) | theirs)
