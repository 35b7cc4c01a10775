"""What runs a student's notebook, inside the sandbox: cells one after the other, and a line about each to the supervisor."""

from __future__ import annotations

import ast
import io
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable


class TooLong(BaseException):
    """Raised in a cell that has run for longer than it may."""


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


def run(job: dict, tell: Callable[[dict], None]) -> None:
    """Run the cells of `job` and `tell` the outcome of each; a cell that fails does not stop the next."""
    import numpy as np
    import torch
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    shell = InteractiveShell.instance(config=config)
    shell._showtraceback = lambda *_: None
    shell.system = _system  # IPython's own asks for a terminal, which there is none of
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    names = shell.user_ns
    seeds = {name: int(seed) for name, seed in job["seeds"].items()}
    given: dict = {}
    answers = {name for cell in job["cells"] if cell["kind"] == "task" for name in cell["binds"]}

    def secret_rng(name):
        """A generator that depends on the course's secret and on `name`."""
        return np.random.default_rng(seeds[name])

    def one(source):
        kept = Kept(job["keep"])
        out, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), kept, kept
        begun = time.monotonic()
        try:
            signal.setitimer(signal.ITIMER_REAL, job["cell_seconds"], 0.5)
            result = shell.run_cell(source, store_history=False)
            error = result.error_before_exec or result.error_in_exec
        except BaseException as raised:  # the alarm may ring outside the cell, and a student may raise anything
            error = raised
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            sys.stdout, sys.stderr = out
        return _say(error, job["cell_seconds"]), kept.value(), time.monotonic() - begun

    signal.signal(signal.SIGALRM, _ring)
    for number, cell in enumerate(job["cells"]):
        tell({"begin": number})
        if cell["kind"] == "test":
            names.update(given)  # a student may use these names, but the tests get what they were given
            error, output, seconds = one(cell["visible"])
            failed = "visible" if error else ""
            if not error and cell["hidden"].strip():
                names["secret_rng"] = secret_rng
                error, output, seconds = one(cell["hidden"])
                names.pop("secret_rng", None)
                failed = "hidden" if error else ""
            tell({"end": number, "error": error, "failed": failed, "output": output, "seconds": seconds})
            continue
        before = dict(names) if cell["kind"] == "given" else {}
        error, output, seconds = one(cell["source"])
        if cell["kind"] == "given":
            given.update({name: names[name] for name in bound(cell["source"]) - answers if name in names and before.get(name, given) is not names[name]})
        tell({"end": number, "error": error, "output": output, "seconds": seconds})
        if "matplotlib.pyplot" in sys.modules:
            try:
                sys.modules["matplotlib.pyplot"].close("all")
            except Exception:  # a student may have broken it; that is the student's affair
                continue
    usage = os.times()
    tell({"done": True, "cpu": usage.user + usage.system + usage.children_user + usage.children_system})


def _system(command):
    """Run a line that begins with `!`, and print what it prints."""
    import subprocess

    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    print(done.stdout)


def _ring(*_):
    raise TooLong


def _say(error, seconds) -> str:
    """One line about an exception ("" if there is none)."""
    if error is None:
        return ""
    try:
        if isinstance(error, TooLong):
            return f"it ran for more than {seconds} seconds and was stopped"
        if isinstance(error, NotImplementedError) and not str(error):
            return "not answered yet"
        if isinstance(error, AssertionError):
            return str(error)[:1000] or "an assertion does not hold"
        return f"{type(error).__name__}: {error}"[:1000]
    except BaseException:  # a student's exception may fail to say what it is
        return "an exception that cannot be shown"


def bound(source: str) -> set[str]:
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
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return found


def speaker(descriptor: int, token: str) -> Callable[[dict], None]:
    """A function that writes a message to the supervisor, marked by `token`."""

    def tell(message):
        data = (token + json.dumps(message) + "\n").encode()
        while data:
            data = data[os.write(descriptor, data) :]

    return tell
