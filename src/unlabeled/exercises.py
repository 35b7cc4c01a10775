"""Exercises that check themselves: `check` tells a reader how far an answer is, and never breaks
the notebook.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager

_strict = False


class NotYet(AssertionError):
    """Raised by `check` in its strict form when an answer does not pass."""


def check(name: str, answer: object, test: Callable[[object], None]) -> None:
    """Run `test(answer)` and print ``passed``, ``not yet`` with the reason, or ``not tried``.

    Parameters
    ----------
    name : what the exercise is called on the page
    answer : the reader's object; ``None`` or a function that raises NotImplementedError counts as
    not tried
    test : function of `answer` that asserts what must be true of it, with a helpful message

    Raises
    ------
    NotYet : only within `strict`, when the answer does not pass
    """
    outcome = _outcome(answer, test)
    if _strict and outcome != "passed":
        raise NotYet(f"{name}: {outcome}")
    print(f"{name}: {outcome}")


def _outcome(answer, test):
    if answer is None or answer is Ellipsis:
        return "not tried"
    try:
        test(answer)
    except NotImplementedError:
        return "not tried"
    except AssertionError as error:
        return f"not yet: {error}" if str(error) else "not yet"
    # a reader's code may fail in any way; the notebook goes on
    except (Exception, SystemExit) as error:
        return f"not yet: {type(error).__name__}: {error}"
    return "passed"


@contextmanager
def strict():
    """Within this context `check` raises `NotYet` instead of printing; the book's own tests use
    it.
    """
    global _strict
    before, _strict = _strict, True
    try:
        yield
    finally:
        _strict = before
