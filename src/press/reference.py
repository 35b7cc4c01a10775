"""Reference seconds: what a run costs, told so that it means the same on every machine.

Machines differ: the same notebook has cost 16 CPU-seconds on one and 44 on another. So each run
also times a fixed piece of work, half of it before and half after, on one thread. A reference
second is a CPU-second of the machine on which that work takes `ON_REFERENCE` seconds.
"""

from __future__ import annotations

import time

from press.errors import PressError

# CPU-seconds of the whole piece on the reference, one core of a cloud machine (AMD EPYC) where a
# chapter's start-up takes five: the least of 40 measurements, so that its neighbours count as
# little as they can.
ON_REFERENCE = 0.57
BUDGET, WITH_REASON = 20, 40  # reference seconds of a quick run; with a reason on the page
NOISE = 1.5  # what a busy machine may add beyond what the fixed work tells of it


def work() -> float:
    """Half of the fixed piece of work; return its CPU-seconds.

    Half of that is the interpreter's work and half the arithmetic of small and middle-sized arrays,
    as in a chapter.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        begun = time.thread_time()
        table = {}
        for number in range(650_000):
            table[number % 997] = table.get(number % 991, 0) + number * number % 7
        matrix = np.linspace(-1.0, 1.0, 384 * 384).reshape(384, 384)
        for _ in range(16):
            product = matrix @ matrix.T
            matrix = np.tanh(product / np.abs(product).max())
            np.sort(product, axis=None)
        return time.thread_time() - begun


def seconds(cpu_seconds: float, measured: float) -> float:
    """CPU-seconds as reference seconds, where the whole piece of work took `measured` seconds."""
    return cpu_seconds * ON_REFERENCE / measured


def over(record: dict, reason: str | None) -> str:
    """One sentence if a published quick run costs more than its budget, else nothing.

    Parameters
    ----------
    record : of the run; those of other profiles have no budget
    reason : why the chapter costs more than `BUDGET`, from its front matter
    """
    budget, cost = _budget(reason), record["reference_seconds"]
    if record["profile"] != "quick" or cost <= budget:
        return ""
    more = "" if reason else f", or say under cost why, for up to {WITH_REASON}"
    return (
        f"{record['chapter']} costs {cost:.0f} reference seconds, {budget} at most: drop arms,"
        f" steps or side claims{more}."
    )


def require(record: dict, reason: str | None) -> None:
    """Refuse a run that costs more than its budget and all that a busy machine may add to it.

    Raises
    ------
    PressError : with what it costs
    """
    said = over(record, reason)
    if said and record["reference_seconds"] > NOISE * _budget(reason):
        raise PressError(said)


def _budget(reason):
    return WITH_REASON if reason else BUDGET
