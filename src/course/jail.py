"""The jail in which students' code runs: bubblewrap where it works, a plain process with limits
elsewhere.

bubblewrap (`bwrap`, Debian's package bubblewrap) gives a process namespaces and a file tree of its
own. In it are the system, Python and the helper package, read-only, and an empty home; no network;
no process but its own. What it may use is bounded by `resource.setrlimit`, and by `inside`, which
runs as its process 1.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import secrets
import shutil
import site
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from course.wire import Garbled, receive, send
from press.errors import PressError

SOURCE = Path(__file__).resolve().parents[1]
HOME = "/home/student"
OWN = (HOME, "/tmp", "/dev/shm")  # where a submission may write, in its own file tree
MODES = ("bwrap", "plain")
FIRST_UID, UIDS = 60_000, 5_000
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "fonts",
    "alternatives",
    "passwd",
    "group",
    "nsswitch.conf",
    "mime.types",
)
# What some machines do not allow (a fresh /proc in many containers) or older versions do not know
# is left out, the last first.
OPTIONAL = (("--disable-userns",), ("--proc", "/proc"))


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Attributes
    ----------
    seconds, cell_seconds : wall-clock time of the whole notebook, and of one cell or test
    memory : bytes of memory, all processes of the submission together
    disk : bytes in each place that it may write to, and of one file
    processes : processes and threads
    keep : characters of output kept of each cell
    """

    seconds: int = 180
    cell_seconds: int = 60
    memory: int = 3 << 30
    disk: int = 256 << 20
    processes: int = 64
    keep: int = 20_000


class Jail:
    """A jail that runs one submission after the other; imports are made once. Use it as a context.

    Parameters
    ----------
    limits : what a submission may use
    modules : what notebooks import
    mode : "bwrap" or "plain"; "" takes the better one that works here (COURSE_SANDBOX sets it, too)
    """

    def __init__(self, limits: Limits | None = None, modules: tuple[str, ...] = (), mode: str = ""):
        self.limits, self.modules = limits or Limits(), modules
        self.mode = mode or os.environ.get("COURSE_SANDBOX", "")
        if self.mode and self.mode not in MODES:
            raise PressError(
                f"COURSE_SANDBOX is {self.mode!r}: use one of {', '.join(MODES)}, or leave it"
                " empty."
            )
        self.process = self.control = self.scratch = None

    def __enter__(self):
        if sys.platform != "linux":
            raise PressError(
                "Students' code is run on Linux only: use a container or a virtual machine."
            )
        self.mode = self.mode or ("bwrap" if options() is not None else "plain")
        if self.mode == "bwrap" and options() is None:
            raise PressError(
                "bwrap does not work on this machine: install the package bubblewrap, or allow"
                " users to make namespaces."
            )
        self.ready()
        return self

    def __exit__(self, *_):
        self.stop()

    def ready(self) -> None:
        """Start the jail if it does not run.

        Raises
        ------
        PressError : if it does not start
        """
        if self.process is not None and self.process.poll() is None:
            return
        self.stop()
        self.scratch = tempfile.mkdtemp(prefix="course-")
        self.control, theirs = socket.socketpair()
        plain = self.mode == "plain"
        uid = FIRST_UID + secrets.randbelow(UIDS) if plain and os.getuid() == 0 else 0
        home = f"{self.scratch}/home" if plain else HOME
        if plain:
            os.mkdir(home, 0o700)
            os.chown(home, uid or -1, -1)
            os.chmod(self.scratch, 0o711)  # others pass through to their home and cannot list it
        command = [sys.executable, "-s", "-m", "course.inside"]
        with theirs, open(f"{self.scratch}/log", "wb") as log:
            self.process = subprocess.Popen(
                command if plain else [*bwrap(self.limits.disk), *options(), *command],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment(home),
                cwd=home if plain else "/",
                start_new_session=True,
            )
        task = {name: getattr(self.limits, name) for name in ("seconds", "memory", "disk", "keep")}
        task["processes"] = self.limits.processes + (0 if uid else _threads_of_this_user())
        try:
            send(
                self.control,
                task
                | {
                    "modules": list(self.modules),
                    "uid": uid,
                    "places": [home] if plain else list(OWN),
                },
            )
            answer = receive(self.control, time.monotonic() + 180)
        except (OSError, TimeoutError, Garbled):
            answer = None
        if answer != {"ready": True}:
            log = Path(self.scratch, "log").read_text(errors="replace").strip()
            self.stop()
            raise PressError(
                "The jail does not start:"
                f" {log.splitlines()[-1][:300] if log else 'it gave no answer'}."
            )
        if uid and not _readable_by_others(sys.executable, os.__file__):
            self.stop()
            raise PressError(
                "Python lies where other users cannot read it (its folder is private, or it was"
                " installed under a umask of 077): install bubblewrap, or install Python elsewhere."
            )

    def add(self, modules: tuple[str, ...]) -> None:
        """Have `modules` imported as well; a jail that runs without them is started anew."""
        if set(modules) - set(self.modules):
            self.modules = tuple(dict.fromkeys((*self.modules, *modules)))
            self.stop()

    def stop(self) -> None:
        """End the jail and all that is in it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.control.close()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
        self.process = self.control = self.scratch = None

    def open(self) -> socket.socket:
        """Begin a submission; what is returned is the channel to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.control, [b"s"], [theirs.fileno()])
        return ours

    def close(self) -> dict:
        """End the submission: its CPU-seconds, and whether the jail may serve another ("clean")."""
        try:
            self.control.sendall(b"e")
            return receive(self.control, time.monotonic() + 30) or {"cpu": 0.0, "clean": False}
        except (OSError, TimeoutError, Garbled):
            return {"cpu": 0.0, "clean": False}

    def use(self) -> tuple[int, int]:
        """Processes and threads of the submission, and the bytes of memory that they hold (shared
        ones counted for each).
        """
        first = _children(self.process.pid) if self.mode == "bwrap" else [self.process.pid]
        found = level = [child for parent in first for child in _children(parent)]
        while level := [child for parent in level for child in _children(parent)]:
            found = found + level
        threads = pages = 0
        for pid in found:
            with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/statm") as file:
                pages += int(file.read().split()[1])
                threads += len(os.listdir(f"/proc/{pid}/task"))
        return threads, pages * resource.getpagesize()


def _threads_of_this_user():
    """The limit on processes counts what its user runs already, on older kernels in a jail, too."""
    threads = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            threads += (
                len(os.listdir(f"/proc/{name}/task"))
                if os.stat(f"/proc/{name}").st_uid == os.getuid()
                else 0
            )
    return threads


def _children(pid):
    found = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    return found


def environment(home: str) -> dict[str, str]:
    """All that a process in the jail finds in its environment: nothing of the user's."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": home,
        "USER": "student",
        "TMPDIR": "/tmp" if home == HOME else home,
        "PYTHONPATH": str(SOURCE),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def bwrap(disk: int) -> list[str]:
    """The command that makes the jail, without what may be missing (see `options`)."""
    command = [
        "bwrap",
        "--unshare-all",
        "--unshare-user",
        "--die-with-parent",
        "--as-pid-1",
        "--new-session",
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--cap-drop",
        "ALL",
    ]
    for path in SYSTEM:
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            command += ["--ro-bind", path, path]
    for name in SETTINGS:
        command += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    command += ["--dev", "/dev"]
    for place in OWN:
        command += ["--size", str(disk), "--tmpfs", place]
    folders = python_folders()
    # after /tmp, for Python may lie in it; the folders on the way there must not be writable
    on_the_way = sorted({top for path in folders if (top := _top(path)) not in (None, path)})
    for top in on_the_way:
        command += ["--tmpfs", top]
    for path in folders:
        command += ["--ro-bind", path, path]
    for place in ("/dev", "/", *on_the_way):
        command += ["--remount-ro", place]
    return [*command, "--chdir", HOME]


def _top(path):
    """The folder right below one of OWN in which `path` lies, or None."""
    for place in OWN:
        if path.startswith(place + "/"):
            return f"{place}/{path.removeprefix(place + '/').split('/')[0]}"
    return None


@functools.cache
def options() -> tuple[str, ...] | None:
    """Those of OPTIONAL that work here; None if bwrap does not."""
    if not shutil.which("bwrap"):
        return None
    for number in range(len(OPTIONAL), -1, -1):
        for chosen in (OPTIONAL[len(OPTIONAL) - number :], OPTIONAL[:number]):
            words = [word for option in OPTIONAL if option in chosen for word in option]
            command = [*bwrap(1 << 20), *words, sys.executable, "-S", "-c", "pass"]
            if (
                subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, env=environment(HOME)
                ).returncode
                == 0
            ):
                return tuple(words)
    return None


def python_folders() -> list[str]:
    """The folders that this interpreter, the helper package and `inside` need, outermost first."""
    places = {
        sys.prefix,
        sys.base_prefix,
        sys.exec_prefix,
        *site.getsitepackages(),
        os.path.dirname(os.path.realpath(sys.executable)),
        str(SOURCE / "unlabeled"),
        str(SOURCE / "course"),
    }
    if site.ENABLE_USER_SITE and os.path.isdir(site.getusersitepackages()):
        places.add(site.getusersitepackages())
    found = sorted(
        (place for place in map(os.path.abspath, places) if os.path.isdir(place)),
        key=lambda place: place.count("/"),
    )
    covered = [*SYSTEM]
    for place in found:
        if not any(place == other or place.startswith(other + "/") for other in covered):
            covered.append(place)
    return covered[len(SYSTEM) :]


def _readable_by_others(*paths):
    for path in map(Path, map(os.path.realpath, paths)):
        if not path.stat().st_mode & 0o004 or not all(
            folder.stat().st_mode & 0o001 for folder in path.parents
        ):
            return False
    return True


def protections(mode: str, limits: Limits) -> list[tuple[str, bool, str]]:
    """What is in force: (protection, whether, what it means), for the instructor's page and the
    summary.
    """
    inside, root = mode == "bwrap", os.getuid() == 0
    return [
        (
            "limits",
            True,
            (
                f"{limits.seconds} seconds a submission, {limits.cell_seconds} a cell or test,"
                f" {limits.memory >> 20} MB of memory{'' if inside else ' in a process'},"
                f" {limits.disk >> 20} MB in a file, {limits.processes} processes, {limits.keep}"
                " characters of output a cell"
            ),
        ),
        (
            "tests out of reach",
            True,
            (
                "hidden tests run in the grader's process; a submission sees the arguments of its"
                " functions, and what it returns is compared there"
            ),
        ),
        (
            "no network",
            inside,
            (
                "a submission reaches nothing outside itself"
                if inside
                else "a submission can reach the network and send out what it reads"
            ),
        ),
        (
            "a file tree of its own",
            inside,
            (
                "it sees the system, Python and the helper package, read-only, and an empty home"
                " that vanishes"
                if inside
                else "it sees the files of this machine"
                + ("" if root else ", and can change all that you can change")
            ),
        ),
        (
            "processes of its own",
            inside,
            (
                "it sees no other process, and all it starts ends with it"
                if inside
                else "it sees the other processes of this machine"
                + ("" if root else ", can end them, and may leave some behind")
            ),
        ),
        (
            "grades out of reach",
            inside or root,
            (
                "grade book, secret and other submissions are not in its file tree"
                if inside
                else (
                    "grade book, secret and other submissions belong to another user"
                    if root
                    else (
                        "grade book and secret belong to the user it runs as: it can read and"
                        " change them"
                    )
                )
            ),
        ),
    ]


CANNOT = (
    (
        "A shared kernel is not a wall of its own: for a course in which you expect attacks on the"
        " machine, grade in a virtual machine that holds nothing else."
    ),
    (
        "No sandbox can tell who wrote an answer: let written answers and a short talk count, and"
        " take a new secret each term."
    ),
)
