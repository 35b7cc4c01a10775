"""What runs in the jail: the first process, which imports what notebooks import, once, and forks a
child for each submission.

It holds no test and no secret. The child runs cells and calls functions as it is asked to; the
first process ends it and sweeps away all that it has left behind. In the jail (see `jail`) it is
process 1: nothing there can end it or look into it, and what it kills with one call is all that
there is.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import functools
import importlib
import io
import os
import random
import resource
import shutil
import signal
import socket
import sys
import warnings

from course.wire import Untravelled, pack, receive, send, unpack

ALWAYS = ("numpy", "IPython.core.interactiveshell", "IPython.display")
PR_SET_DUMPABLE = 4


class TooLong(BaseException):
    """Raised in a cell or a call that has run for longer than it may."""


def main() -> None:
    """Serve submissions until the grader is gone: b"s" comes with the channel of a new one, b"e"
    asks for its end.
    """
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open("/dev/null", os.O_RDWR), 0)
    task = receive(control)
    warm(task["modules"])
    shell()
    _let_others_look(False)
    send(control, {"ready": True})
    while True:
        order, channels, _, _ = socket.recv_fds(control, 1, 1)
        if not order:
            return
        send(control, _one(control, socket.socket(fileno=channels[0]), task))


def warm(modules: list[str]) -> None:
    """Import what is there of `modules`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in (*ALWAYS, *modules):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _let_others_look(may: bool) -> None:
    """Whether processes of the same user may trace this one and read its memory."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, int(may), 0, 0, 0)


def _one(control, channel, task):
    """Run one submission until the grader asks for its end; told are its CPU-seconds, and whether
    nothing of it is left.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = os.fork()
    if child == 0:
        try:
            control.close()
            _confine(task)
            Session(channel, task["keep"]).serve()
        finally:
            os._exit(0)
    channel.close()
    order = control.recv(1)
    _end(child, task)
    if not order:
        sys.exit()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "clean": _swept(task["places"]) and _nothing_shared()}


def _confine(task):
    """Give up what this process could do to others; the limits hold for all that it starts."""
    os.setsid()
    _let_others_look(True)
    with (
        open("/proc/self/statm") if os.path.exists("/proc/self/statm") else io.StringIO("0")
    ) as file:
        present = int(file.read().split()[0]) * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_CPU, task["seconds"]),
        (resource.RLIMIT_AS, present + task["memory"]),
        (resource.RLIMIT_FSIZE, task["disk"]),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, task["processes"]),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
    if task["uid"]:
        os.setgroups([])
        os.setgid(task["uid"])
        os.setuid(task["uid"])
    os.chdir(os.environ["HOME"])
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(child, task):
    """Kill the submission's processes: in the jail all but this one, elsewhere those of its session
    and of its user.
    """
    with contextlib.suppress(OSError):
        os.kill(-1, signal.SIGKILL) if os.getpid() == 1 else os.killpg(child, signal.SIGKILL)
    if task["uid"]:
        killer = os.fork()
        if killer == 0:
            try:
                os.setuid(task["uid"])
                os.kill(-1, signal.SIGKILL)
            finally:
                os._exit(0)
        os.waitpid(killer, 0)
    with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1 if os.getpid() == 1 else child, 0)


def _swept(places):
    """Empty the places that a submission may write to; whether that worked."""
    for place in places:
        for name in os.listdir(place):
            path = os.path.join(place, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, onerror=_open_and_again)
            else:
                os.unlink(path)
    return not any(os.listdir(place) for place in places)


def _open_and_again(function, path, _):
    with contextlib.suppress(OSError):
        os.chmod(os.path.dirname(path), 0o700)
        os.chmod(path, 0o700)
        (
            shutil.rmtree(path, ignore_errors=True)
            if os.path.isdir(path) and not os.path.islink(path)
            else os.unlink(path)
        )


def _nothing_shared():
    """Whether no memory, queue or semaphore outlives its process."""
    for name in ("shm", "msg", "sem"):
        with contextlib.suppress(OSError), open(f"/proc/sysvipc/{name}") as file:
            if len(file.read().splitlines()) > 1:
                return False
    return True


class Kept(io.TextIOBase):
    """A stream that keeps its first `most` characters and forgets the rest."""

    def __init__(self, most: int):
        self.most, self.text, self.length = most, [], 0

    def writable(self):
        return True

    def write(self, text):
        room = self.most - self.length
        if room > 0:
            self.text.append(text[:room])
            self.length += min(room, len(text))
            if len(text) > room:
                self.text.append("\n[… cut]")
        return len(text)

    def value(self):
        return "".join(self.text)


@functools.cache
def shell():
    """IPython's shell, which knows what a notebook's cells may say; made before the first fork."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    made = InteractiveShell.instance(config=config)
    made._showtraceback = lambda *_: None
    made.system = _system  # IPython's own asks for a terminal, which there is none of
    return made


class Session:
    """Does what the grader asks for, in one notebook's namespace: runs a cell, tells what names
    hold, calls a function.
    """

    def __init__(self, channel: socket.socket, keep: int):
        import numpy as np

        self.shell = shell()
        self.names, self.channel, self.keep = self.shell.user_ns, channel, keep
        self.given: dict = {}
        random.seed(0)
        np.random.seed(0)
        if "torch" in sys.modules:
            sys.modules["torch"].manual_seed(0)
        signal.signal(signal.SIGALRM, _ring)

    def serve(self) -> None:
        while (asked := receive(self.channel)) is not None:
            send(self.channel, getattr(self, asked.pop("do"))(**asked))

    def run(self, source: str, seconds: float, given: list[str]) -> dict:
        """Run a cell; the names `given` that it binds are the assignment's own."""
        before = {name: self.names.get(name, self) for name in given}
        error, output, _ = self._limited(lambda: self._cell(source), seconds)
        self.given |= {
            name: self.names[name]
            for name in given
            if name in self.names and self.names[name] is not before[name]
        }
        if "matplotlib.pyplot" in sys.modules:
            # a student may have broken it; that is the student's affair
            with contextlib.suppress(Exception):
                sys.modules["matplotlib.pyplot"].close("all")
        return {"error": error, "output": output}

    def _cell(self, source):
        result = self.shell.run_cell(source, store_history=False)
        if error := result.error_before_exec or result.error_in_exec:
            raise error

    def look(self, names: list[str]) -> dict:
        """What each of `names` holds: a value, or that it can be called, or why it cannot be
        told.
        """
        # a student may use these names, but functions find what they were given
        self.names.update(self.given)
        told = {}
        for name in names:
            if name in self.names:
                try:
                    told[name] = (
                        {"call": True}
                        if callable(self.names[name])
                        else {"value": pack(self.names[name])}
                    )
                except Untravelled as error:
                    told[name] = {"odd": str(error)}
        return told

    def call(self, name: str, given: dict, named: dict, seconds: float) -> dict:
        """Call a function; told is what it returned or raised, what it printed, and what it has
        made of its arguments.
        """
        arguments, words = unpack(given, self.names), unpack(named, self.names)
        error, output, value = self._limited(
            lambda: pack(self.names[name](*arguments, **words)), seconds
        )
        told = {"error": error, "output": output, "value": value}
        with contextlib.suppress(Untravelled):
            made = pack(arguments)
            told |= {"made": made} if made != given else {}
        return told

    def _limited(self, action, seconds):
        kept = Kept(self.keep)
        out, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), kept, kept
        error = value = None
        try:
            signal.setitimer(signal.ITIMER_REAL, max(0.01, seconds), 0.5)
            value = action()
        # the alarm may ring anywhere, and a student may raise anything
        except BaseException as raised:
            error = raised
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            sys.stdout, sys.stderr = out
        return told_of(error), kept.value(), value


def _system(command):
    """Run a line that begins with `!`, and print what it prints."""
    import subprocess

    done = subprocess.run(
        command,
        shell=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    print(done.stdout)


def _ring(*_):
    raise TooLong


def told_of(error: BaseException | None) -> list | None:
    """What is told of an exception: the names of its class and of those above it, and its text."""
    if error is None:
        return None
    try:
        return [[kind.__name__ for kind in type(error).__mro__][:20], str(error)[:1000]]
    except BaseException:  # a student's exception may fail to say what it is
        return [["Exception"], "an exception that cannot be shown"]


def bound(source: str, imports: bool = True) -> set[str]:
    """Names that `source` binds at top level ({} if it is no Python)."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= (
                {(alias.asname or alias.name).split(".")[0] for alias in node.names}
                if imports
                else set()
            )
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {
                name.id
                for target in targets
                for name in ast.walk(target)
                if isinstance(name, ast.Name)
            }
    return found


if __name__ == "__main__":
    main()
