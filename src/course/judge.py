"""The grader's side of a run: the student's cells run in the jail, the tests run here, and call the
student's functions there.

What decides a grade is never where the student's code is. A test sees a student's function as a
`Remote`: its arguments travel to the jail and what it returns travels back (see `wire`), so no
object of the student's, no replaced module and no frame meets a test, and what a test holds is
changed by nobody.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import os
import select
import sys
import time

import numpy as np

from course.inside import Kept, bound
from course.jail import Jail
from course.wire import Garbled, Untravelled, go_on, pack, receive, send, unpack

GRACE = 4  # seconds between the polite end of a cell and the other one


class TooLong(BaseException):
    """A test's time is over."""


class Ended(BaseException):
    """The submission's process is gone or has been stopped; the text is the reason's name."""


class Visit:
    """One submission in the jail."""

    def __init__(self, jail: Jail):
        self.jail, self.limits = jail, jail.limits
        self.channel = jail.open()
        self.channel.settimeout(self.limits.cell_seconds + GRACE)
        self.until = time.monotonic() + self.limits.seconds
        self.parent, self.watched = os.getppid(), 0.0
        self.output = Kept(self.limits.keep)

    def ask(self, order: dict, seconds: float) -> dict:
        """The answer to an order that may take `seconds`.

        Raises
        ------
        Ended : if there is none
        """
        until = time.monotonic() + seconds + GRACE
        try:
            send(self.channel, order)
            while (
                not select.select([self.channel], [], [], 0.1)[0]
                or time.monotonic() - self.watched > 0.1
            ):
                self._watch(until)
            answer = receive(self.channel, max(until, time.monotonic() + GRACE))
        except TimeoutError:
            raise Ended("cell time") from None
        except OSError:
            raise Ended("died") from None
        except Garbled:
            raise Ended("garbled") from None
        if not isinstance(answer, dict):
            raise Ended("died" if answer is None else "garbled")
        return answer

    def _watch(self, until):
        threads, memory = self.jail.use()
        self.watched = now = time.monotonic()
        if memory > self.limits.memory:
            raise Ended("memory")
        if threads > self.limits.processes:
            raise Ended("processes")
        if now > self.until:
            raise Ended("time")
        if now > until:
            raise Ended("cell time")
        if os.getppid() != self.parent:
            os._exit(1)  # whoever asked is gone, so nothing may go on


class Remote:
    """A student's function, as a test sees it."""

    def __init__(self, visit: Visit, name: str, until: list[float], secret: set[int]):
        self._visit, self.__name__, self._until, self._secret = visit, name, until, secret
        self.left: tuple = ()

    def __call__(self, *given, **named):
        seconds = self._until[0] - time.monotonic()
        if seconds <= 0:
            raise TooLong
        if any(id(value) in self._secret for value in (*given, *named.values())):
            raise Untravelled(
                f"the generator of secret_rng is given to {self.__name__}, which would tell what it"
                " draws: draw a seed from it"
            )
        try:
            sent, words = pack(given), pack(named)
        except Untravelled as error:
            raise Untravelled(
                f"an argument of {self.__name__} cannot travel to it: {error}"
            ) from None
        answer = self._visit.ask(
            {
                "do": "call",
                "name": self.__name__,
                "given": sent,
                "named": words,
                "seconds": seconds,
            },
            seconds,
        )
        self._visit.output.write(str(answer.get("output", "")))
        if answer.get("error"):
            raise exception(answer["error"])
        try:
            value, made = unpack(answer.get("value")), unpack(answer.get("made", sent))
        except Garbled:
            raise Ended("garbled") from None
        self.left = made if isinstance(made, tuple) and len(made) == len(given) else given
        for one, other in zip(given, self.left):
            with contextlib.suppress(TypeError, ValueError):
                go_on(one, other)
        return value


def left_by(function: Remote) -> tuple:
    """The arguments of the last call as a student's function has left them; what the test gave it
    stays as it is.
    """
    return function.left


def exception(told) -> BaseException:
    """An exception that stands for one of the student's: of the same built-in class, if there is
    one, and of the same name.
    """
    try:
        names, text = [str(name) for name in told[0]], str(told[1])
    except (TypeError, LookupError):
        return Ended("garbled")
    if "TooLong" in names[:1]:
        return TooLong()
    if "Untravelled" in names[:1]:
        return Untravelled(f"what it returns cannot be compared: {text}")
    known = [getattr(builtins, name, None) for name in names]
    base = next(
        (kind for kind in known if isinstance(kind, type) and issubclass(kind, Exception)),
        Exception,
    )
    name = names[0] if names and names[0].isidentifier() else "Exception"
    for kind in (base, Exception):  # some of the built-in ones want other arguments
        with contextlib.suppress(TypeError):
            return type(name, (kind,), {"__str__": lambda self: text})(text)
    return Exception(text)


def judge(cells: list[dict], seeds: dict[str, str], jail: Jail) -> dict:
    """Run a submission's `cells` (see `merge`).

    Returns
    -------
    ``ended`` ("done", or why not), ``outcomes`` by number of cell, ``cpu``, ``seconds``, ``clean``
    (whether the jail may be used again)
    """
    begun, used = time.monotonic(), time.process_time()
    visit = Visit(jail)
    outcomes: dict[str, dict] = {}
    ended = "done"
    try:
        Run(visit, cells, seeds, outcomes).all()
    except Ended as reason:
        ended = str(reason)
    visit.channel.close()
    left = jail.close()
    return {
        "ended": ended,
        "outcomes": outcomes,
        "cpu": left["cpu"] + time.process_time() - used,
        "seconds": time.monotonic() - begun,
        "clean": left["clean"] and ended == "done",
    }


class Run:
    """The cells of one submission, one after the other."""

    def __init__(self, visit, cells, seeds, outcomes):
        self.visit, self.cells, self.outcomes = visit, cells, outcomes
        self.seeds = {name: int(seed) for name, seed in seeds.items()}
        self.names: dict = {"__name__": "__main__"}
        self.secret: set[int] = set()
        self.kept: list = []  # the secret generators, so that no other gets the id of one
        self.last = max(
            (number for number, cell in enumerate(cells) if cell["kind"] == "test"), default=-1
        )
        self.binds = {cell["id"]: cell["binds"] for cell in cells if cell["kind"] == "task"}
        self.answers = set().union(*self.binds.values()) if self.binds else set()

    def all(self):
        np.random.seed(0)
        for number, cell in enumerate(self.cells):
            if cell["kind"] == "test":
                self._test(number, cell)
            else:
                self._cell(number, cell)

    def _cell(self, number, cell):
        given = sorted(bound(cell["source"]) - self.answers) if cell["kind"] == "given" else []
        seconds = self.visit.limits.cell_seconds
        self.outcomes[str(number)] = {"error": "", "output": "", "stopped": True}
        answer = self.visit.ask(
            {"do": "run", "source": cell["source"], "seconds": seconds, "given": given}, seconds
        )
        if cell["kind"] == "given" and number < self.last:
            with (
                contextlib.suppress(Exception),
                contextlib.redirect_stdout(Kept(0)),
                contextlib.redirect_stderr(Kept(0)),
            ):
                # one that needs an answer which is not there stops, and a test says so
                self._here(cell["source"])
        self.outcomes[str(number)] = {
            "error": self._said(answer.get("error")),
            "output": str(answer.get("output", "")),
        }

    def _said(self, error):
        return say(exception(error), self.visit.limits.cell_seconds) if error else ""

    def _here(self, source):
        """Run a cell of the assignment's own in the tests' namespace; asserts count whatever
        PYTHONOPTIMIZE says.
        """
        exec(compile(source, "<assignment>", "exec", optimize=0, dont_inherit=True), self.names)

    def _test(self, number, cell):
        seconds = self.visit.limits.cell_seconds
        self.outcomes[str(number)] = {
            "error": "the notebook ended while it ran",
            "failed": "visible",
            "output": "",
        }
        if self._later_needs(number, bound(cell["visible"])):
            self.visit.ask(
                {"do": "run", "source": cell["visible"], "seconds": seconds, "given": []}, seconds
            )
        error, output = self._try(cell["visible"], self.binds.get(cell["task"], []))
        failed = "visible" if error else ""
        if not error and cell["hidden"].strip():
            self.names |= {"secret_rng": self._secret_rng, "left_by": left_by}
            error, output = self._try(cell["hidden"], [])
            del self.names["secret_rng"], self.names["left_by"]
            failed = "hidden" if error else ""
        self.outcomes[str(number)] = {"error": error, "failed": failed, "output": output}

    def _later_needs(self, number, names):
        """Whether a later cell of the student's reads a name that a visible test has bound, and
        does not bind it itself.
        """
        for cell in self.cells[number + 1 :]:
            if cell["kind"] != "test":
                with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                    nodes = list(ast.walk(ast.parse(cell["source"])))
                    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
                    own |= {
                        node.id
                        for node in nodes
                        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                    }
                    if names & {node.id for node in nodes if isinstance(node, ast.Name)} - own:
                        return True
        return False

    def _secret_rng(self, name):
        """A generator that depends on the course's secret and on `name`."""
        rng = np.random.default_rng(self.seeds[name])
        self.secret.add(id(rng))
        self.kept.append(rng)
        return rng

    def _try(self, source, binds):
        """Run one part of a test; what is said of its failure ("" if it passes), and what it and
        the student's functions printed.
        """
        limit = self.visit.limits.cell_seconds
        until = [time.monotonic() + limit]
        self.visit.output = kept = Kept(self.visit.limits.keep)
        try:
            self._bring(binds, until)
            with contextlib.redirect_stdout(kept), contextlib.redirect_stderr(kept):
                self._here(source)
        except Ended:
            raise
        except BaseException as error:
            return say(error, limit), kept.value()
        return "", kept.value()

    def _bring(self, binds, until):
        """Put what the student's answer has bound into the tests' namespace: values as they are,
        functions as `Remote`.
        """
        told = (
            self.visit.ask({"do": "look", "names": list(binds)}, self.visit.limits.cell_seconds)
            if binds
            else {}
        )
        for name in binds:
            about = told.get(name)
            if not isinstance(about, dict):
                self.names.pop(name, None)
            elif "value" in about:
                try:
                    self.names[name] = unpack(about["value"])
                except Garbled:
                    raise Ended("garbled") from None
            elif about.get("call"):
                self.names[name] = Remote(self.visit, name, until, self.secret)
            else:
                raise Untravelled(
                    f"{name} is {about.get('odd')}, which cannot be compared: make it of numbers,"
                    " arrays, lists or dicts"
                )
        for value in self.names.values():
            if isinstance(value, Remote):
                value._until[:] = until


def say(error: BaseException, seconds: int) -> str:
    """One line about an exception."""
    if isinstance(error, TooLong):
        return f"it ran for more than {seconds} seconds and was stopped"
    if isinstance(error, NotImplementedError) and not str(error):
        return "not answered yet"
    if isinstance(error, AssertionError):
        return str(error)[:1000] or "an assertion does not hold"
    return f"{type(error).__name__}: {error}"[:1000]


def warm(names: tuple[str, ...]) -> None:
    """Import what the tests need before the processes that run them are forked."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def modules(sources: list[str]) -> tuple[str, ...]:
    """What cells import, for the jail and the grader to import once."""
    found = {}
    for source in sources:
        with contextlib.suppress(SyntaxError):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Import):
                    found |= dict.fromkeys(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found[node.module] = None
    return tuple(name for name in found if name not in sys.builtin_module_names)
