"""The fork server: imports what notebooks import, once, and forks one supervisor and one sandboxed child for each submission.

It reads paths of jobs from its standard input and writes a line of JSON about each. It never holds a submission or a grade itself:
the child reads its own job after the fork, so nothing of one student is in another's memory.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import sys
import time

from course import child, jail

GRACE = 4  # seconds between the polite end of a cell and the other one
MOST = 16_000_000  # bytes that a child may write about its cells
WARM = (
    "numpy", "scipy.stats", "scipy.optimize", "scipy.spatial", "pandas", "matplotlib.pyplot", "seaborn", "torch", "torch.nn.functional", "sklearn.cluster", "sklearn.datasets",
    "sklearn.decomposition", "sklearn.linear_model", "sklearn.neighbors", "IPython.core.interactiveshell", "IPython.display",
    "unlabeled.claims", "unlabeled.data", "unlabeled.evaluation", "unlabeled.exercises", "unlabeled.figures", "unlabeled.runtime",
)


def main() -> None:
    """Serve until the standard input ends."""
    reply = os.dup(1)
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)
    _warm()
    os.write(reply, b'{"ready": true}\n')
    for line in sys.stdin:
        supervisor = os.fork()
        if supervisor == 0:
            _supervise(line, reply)
        _, status = os.waitpid(supervisor, 0)
        if status:
            os.write(reply, (json.dumps({"ended": "lost", "outcomes": {}, "facts": {}}) + "\n").encode())


def _warm():
    import importlib
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in WARM:
            try:
                importlib.import_module(name)
            except ImportError:
                continue
    import torch

    torch.set_num_threads(1)


def _supervise(line, reply):
    """Run one job and never return to the server's loop."""
    code = 1
    try:
        os.setsid()
        job = json.loads(line)
        answer = json.dumps(watch(job)) + "\n"
        with os.fdopen(os.dup(reply), "w") as file:
            file.write(answer)
        code = 0
    finally:
        os._exit(code)


def watch(job: dict) -> dict:
    """Fork the child that runs `job`, read what it tells, and end it when it has had its share of time or memory."""
    jail.adopt()
    server = os.getppid()
    token = secrets.token_hex(16)
    read, write = os.pipe()
    gate, opener = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(read)
        os.close(opener)
        _outer(job, token, write, gate)
    os.close(write)
    os.close(gate)
    state = _State(token)
    end = ""
    os.set_blocking(read, False)
    begun = checked = time.monotonic()
    finished = False
    try:
        os.write(opener, b"go")
        while not end:
            ready, _, _ = select.select([read], [], [], 0.05)
            if ready and not state.read(read):
                finished = True
            now = time.monotonic()
            if state.size > MOST:
                end = "flood"
            elif now - begun > job["seconds"]:
                end = "time"
            elif state.open is not None and now - state.since > job["cell_seconds"] + GRACE:
                end = "cell time"
            elif now - checked > 0.1:
                checked = now
                if sum(jail.family().values()) > job["memory"]:
                    end = "memory"
                if os.getppid() != server or not os.path.exists(f"/proc/{job['grader']}"):
                    end = "abandoned"  # whoever asked is gone, so nothing may go on
            if os.waitid(os.P_PID, first, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                state.read(read)
                end = end or ("done" if state.done else "died")
            elif finished and not end:
                time.sleep(0.02)  # it has closed its end: it ends by itself, or time is up
    finally:
        _end(first, state.inner, job)
        os.close(read)
        os.close(opener)
    return {"ended": end, "outcomes": state.outcomes, "facts": state.facts, "odd": state.odd, "cpu": state.cpu, "seconds": time.monotonic() - begun, "open": state.open}


class _State:
    """What a child has told so far."""

    def __init__(self, token):
        self.token, self.rest, self.size = token.encode(), b"", 0
        self.outcomes, self.facts, self.odd = {}, {}, []
        self.open = self.inner = None
        self.since, self.cpu, self.done = 0.0, 0.0, False

    def read(self, descriptor) -> bool:
        """Take in what there is to read; whether the other end is still open."""
        while self.size <= MOST:
            try:
                data = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.size += len(data)
            *lines, self.rest = (self.rest + data).split(b"\n")
            for line in lines:
                self._take(line)
        return True

    def _take(self, line):
        if not line.startswith(self.token):
            self._remark("something else than the grader wrote about the cells")
            return
        try:
            message = json.loads(line[len(self.token) :])
        except ValueError:
            self._remark("a message about a cell is garbled")
            return
        if "inner" in message:
            self.inner = message["inner"]
        elif "facts" in message:
            self.facts = message["facts"]
        elif "begin" in message:
            self.open, self.since = message["begin"], time.monotonic()
        elif "end" in message:
            number = str(message.pop("end"))
            if number != str(self.open) or number in self.outcomes:
                self._remark("the outcome of a cell was told out of turn")
            else:
                self.outcomes[number] = message
            self.open = None
        elif "done" in message:
            self.done, self.cpu = True, message["cpu"]

    def _remark(self, text):
        if text not in self.odd:
            self.odd.append(text)


def _outer(job, token, write, gate):
    """The first child: leaves the namespaces, forks the inner one and waits for it."""
    code = 1
    tell = child.speaker(write, token)
    try:
        os.setsid()
        jail.separate(job["mode"])
        if job["mode"] == "plain":
            _inner(job, tell, write, gate)
        inner = os.fork()
        if inner == 0:
            _inner(job, tell, write, gate)
        tell({"inner": inner})
        os.close(write)
        os.close(gate)
        os.waitpid(inner, 0)
        code = 0
    except OSError as error:
        tell({"facts": {"refused": str(error)}})
    finally:
        os._exit(code)


def _inner(job, tell, write, gate):
    """The process that runs the student's code; does not return."""
    try:
        os.read(gate, 2)
        uid = job["uid"] if os.getuid() == 0 and job["mode"] != "user" else None
        owner = os.getuid() if uid is None else uid
        with open(job["path"], encoding="utf-8") as file:
            content = json.load(file)
        os.unlink(job["path"])
        if job["mode"] == "plain":
            home = job["scratch"]
            os.chown(home, owner, -1)
            os.chdir(home)
        else:
            jail.raise_loopback()
            jail.enclose(job["scratch"], owner, job["disk"] >> 20)
            home = jail.HOME
        if job["mode"] == "plain":
            jail.close_all_but(write)
        else:
            _close_in_tree(write)
        _environment(home)
        jail.limit(job["seconds"], job["memory"], job["disk"])
        jail.drop(uid, job["processes"])
        if not os.access(os.__file__, os.R_OK):
            raise PermissionError("Python lies in a folder that other users cannot enter: install it elsewhere, or grade where namespaces are allowed")
        tell({"facts": {"mode": job["mode"], "own user": uid is not None}})
        signal.signal(signal.SIGINT, signal.default_int_handler)
        child.run(content, tell)
    except Exception as error:
        tell({"facts": {"refused": f"{type(error).__name__}: {error}"}})
    finally:
        os._exit(0)


def _close_in_tree(write):
    """As `jail.close_all_but`, where /proc may be missing."""
    if os.path.isdir("/proc/self/fd"):
        jail.close_all_but(write)
        return
    os.closerange(0, write)
    os.closerange(write + 1, 4096)
    for _ in range(3):
        os.open("/dev/null", os.O_RDWR)


def _environment(home):
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "PYTHONHASHSEED", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ}
    os.environ.clear()
    os.environ.update(kept | {"HOME": home, "MPLBACKEND": "agg", "TMPDIR": "/tmp" if home == jail.HOME else home, "IPYTHONDIR": f"{home}/.ipython", "MPLCONFIGDIR": f"{home}/.matplotlib"})


def _end(first, inner, job):
    """Kill the child and all that it has started, and wait until it is gone."""
    alive = os.waitid(os.P_PID, first, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    if inner is not None and alive:
        _kill(os.kill, inner)
    _kill(os.killpg, first)
    _kill(os.kill, first)
    os.waitpid(first, 0)
    jail.kill_family()
    if os.getuid() == 0 and job["mode"] == "plain":
        jail.kill_user(job["uid"])


def _kill(how, pid):
    try:
        how(pid, signal.SIGKILL)
    except OSError:
        return


if __name__ == "__main__":
    main()
