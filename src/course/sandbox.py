"""The grader's side of the sandbox: starts the server, hands it jobs, and says which protections are in force."""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from course import jail
from press.errors import PressError

FIRST_UID = 60_000
UIDS = 5_000


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Attributes
    ----------
    seconds, cell_seconds : wall-clock time of the whole notebook and of one cell
    memory : bytes of memory, all processes of the submission together
    disk : bytes in each of its scratch folders, and of one file
    processes : processes and threads
    keep : characters of output kept of each cell
    """

    seconds: int = 180
    cell_seconds: int = 60
    memory: int = 3 << 30
    disk: int = 256 << 20
    processes: int = 64
    keep: int = 20_000


class Sandbox:
    """A running server. Use it as a context; `run` one job at a time.

    Parameters
    ----------
    mode : "full", "user" or "plain"; "" takes the best that this machine allows (COURSE_SANDBOX sets it, too)
    limits : what a submission may use
    """

    def __init__(self, mode: str = "", limits: Limits | None = None):
        self.limits = limits or Limits()
        self.asked = mode or os.environ.get("COURSE_SANDBOX", "")
        if self.asked and self.asked not in jail.MODES:
            raise PressError(f"COURSE_SANDBOX is {self.asked!r}: use one of {', '.join(jail.MODES)}, or leave it empty.")
        self.server = None
        self.count = 0
        self.first = secrets.randbelow(UIDS)  # so that several sandboxes side by side use different ids
        self.mode = ""
        self.closing = False

    def __enter__(self):
        if sys.platform != "linux":
            raise PressError("Students' code is run on Linux only: use a container or a virtual machine.")
        self.folder = Path(tempfile.mkdtemp(prefix="course-"))
        # Others may pass through, so that a submission without a file tree of its own reaches its scratch folder; they cannot list it.
        self.folder.chmod(0o711)
        try:
            self.mode = self._best()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def interrupt(self) -> None:
        """End the job in progress; its `run` raises PressError instead of telling an outcome."""
        self.closing = True
        if self.server is not None:
            try:
                os.killpg(self.server.pid, signal.SIGKILL)
            except OSError:
                return

    def _best(self):
        refused = ""
        for mode in [self.asked] if self.asked else jail.MODES:
            if mode == "full" and os.getuid() != 0 or mode == "user" and os.getuid() == 0 and not self.asked:
                continue
            self.mode = mode
            facts = self.run({"cells": [], "seeds": {}})["facts"]
            if facts.get("mode") == mode:
                return mode
            refused = facts.get("refused", "it gave no answer")
        raise PressError(f"No sandbox can be made on this machine ({refused}).")

    def run(self, job: dict) -> dict:
        """Run one notebook (`cells`, `seeds`); the reply has ``ended``, ``outcomes`` by number of cell, ``facts``, ``odd``, ``cpu``, ``seconds``.

        ``ended`` is "done", or why not: "time", "cell time", "memory", "flood", "died", "lost" (it broke the supervisor).
        """
        if self.server is None:
            self._start()
        self.count += 1
        uid = FIRST_UID + (self.first + self.count) % UIDS
        scratch = self.folder / f"{self.count:05d}"
        scratch.mkdir(mode=0o700)
        path = self.folder / f"{self.count:05d}.json"
        path.write_text("")
        path.chmod(0o600)
        path.write_text(json.dumps(job | {"cell_seconds": self.limits.cell_seconds, "keep": self.limits.keep}), encoding="utf-8")
        limits = {name: getattr(self.limits, name) for name in ("seconds", "cell_seconds", "memory", "disk", "processes")}
        order = {"path": str(path), "scratch": str(scratch), "uid": uid, "mode": self.mode, "grader": os.getpid()} | limits
        try:
            self.server.stdin.write((json.dumps(order) + "\n").encode())
            self.server.stdin.flush()
            reply = self._answer(self.limits.seconds + 60)
        except BrokenPipeError:
            reply = None
        if self.closing:
            self._stop()
            raise PressError("Interrupted; what was finished is kept, and the same command goes on from there.")
        if reply is None:
            self._stop()
            if os.getuid() == 0 and self.mode != "user":
                jail.kill_user(uid)
            reply = {"ended": "lost", "outcomes": {}, "facts": {}}
        path.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
        return {"odd": [], "cpu": 0.0, "seconds": 0.0, "open": None} | reply

    def _start(self):
        source = Path(__file__).resolve().parents[1]
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment = {name: value for name, value in os.environ.items() if name != "COURSE_SECRET"} | one | {
            "PYTHONPATH": os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])]), "PYTHONHASHSEED": "0", "MPLBACKEND": "agg",
        }
        self.server = subprocess.Popen(
            [sys.executable, "-m", "course.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
            cwd=self.folder, start_new_session=True,
        )
        self.rest = b""
        if self._answer(180) != {"ready": True}:
            self._stop()
            raise PressError("The sandbox's server does not start: run python -m course.server with PYTHONPATH=src and read what it says.")

    def _answer(self, seconds):
        """The server's next line, or None if it is silent for too long, gone, or talks nonsense."""
        end = time.monotonic() + seconds
        stream = self.server.stdout.fileno()
        while b"\n" not in self.rest:
            ready, _, _ = select.select([stream], [], [], max(0, end - time.monotonic()))
            data = os.read(stream, 1 << 16) if ready else b""
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        try:
            answer = json.loads(line)
        except ValueError:
            return None
        return answer if isinstance(answer, dict) else None

    def _stop(self):
        if self.server is None:
            return
        try:
            os.killpg(self.server.pid, signal.SIGKILL)
        except OSError:
            pass
        self.server.kill()
        self.server.wait()
        for stream in (self.server.stdin, self.server.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                continue
        self.server = None


def protections(sandbox: Sandbox) -> list[tuple[str, bool, str]]:
    """What is in force here: (protection, whether, what it means), for the instructor's page and the summary."""
    inside, root, limits = sandbox.mode in ("full", "user"), os.getuid() == 0, sandbox.limits
    return [
        ("limits", True, f"{limits.seconds} seconds a submission, {limits.cell_seconds} a cell, {limits.memory >> 20} MB of memory, {limits.disk >> 20} MB in a file, "
                         f"{limits.processes} processes, {limits.keep} characters of output a cell"),
        ("no network", inside, "a submission reaches nothing outside itself" if inside else "a submission can reach the network and send out what it reads"),
        ("a file tree of its own", inside, "it sees the system, Python and the helper package, read-only, and an empty home that vanishes" if inside
         else "it sees the files of this machine" + ("" if root else ", and can change all that you can change")),
        ("processes of its own", inside, "it sees no other process, and all it starts ends with it" if inside else "it sees the other processes of this machine"),
        ("a user id of its own", root and sandbox.mode != "user", "grade book, secret and other submissions belong to someone else" if root and sandbox.mode != "user"
         else "grade book and secret belong to the user it runs as" + ("; they are not in its file tree" if inside else ": it can read and change them")),
    ]


CANNOT = (
    "No sandbox can stop this: a student's code shares its process with the tests, so it can read them while they run, and it can pretend that they passed. "
    "Look at the code of submissions that the table marks as odd, and at a few others; a secret for each term makes what was read worthless for the next.",
    "A shared kernel is not a wall of its own: for a course in which you expect attacks on the machine, grade in a container or on a machine that holds nothing else.",
)
