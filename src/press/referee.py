"""What a hostile reader would look for in a record: numbers filed twice, margins wider than
effects, rivals without a test.
"""

from __future__ import annotations

import itertools

import numpy as np

from press.errors import PressError

CORRELATED = 0.999
EXACT = 1e-8  # relative error below which a test is a combination of others


def require(record: dict) -> None:
    """Refuse the published run of a chapter if `problems` finds something.

    Raises
    ------
    PressError : with a sentence for each finding
    """
    if found := problems(record):
        raise PressError(f"A referee would stop at {record['chapter']}:\n  " + "\n  ".join(found))


def problems(record: dict) -> list[str]:
    """Findings in the record of a published run, a sentence each."""
    return [*dependent(record), *wide_margins(record), *rivals(record)]


def tests_by_name(record: dict) -> dict[str, dict]:
    """claim/test -> test."""
    return {
        f"{claim['id']}/{test['id']}": test for claim in record["claims"] for test in claim["tests"]
    }


def dependent(record: dict):
    """Tests that say the same: equal, linear in one or two others, or correlated over .999 across
    the seeds.

    One test of such a pair or triple may say with `repeats` why it stands there. Fewer than 5 seeds
    prove nothing.
    """
    n = len(record["seeds"])
    drawn = {
        name: np.array(test["values"])
        for name, test in tests_by_name(record).items()
        if test["kind"] != "exact" and len(test["values"]) == n and np.ptp(test["values"]) > 0
    }
    if n < 5 or len(drawn) < 2:
        return
    declared = {name for name, test in tests_by_name(record).items() if test["repeats"]}
    names = list(drawn)
    unit = np.array([values - values.mean() for values in drawn.values()])
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    close = np.abs(unit @ unit.T)
    for i, j in itertools.combinations(range(len(names)), 2):
        if close[i, j] > CORRELATED and not {names[i], names[j]} & declared:
            same = np.allclose(drawn[names[i]], drawn[names[j]], rtol=EXACT, atol=0)
            how = (
                "hold the same values"
                if same
                else f"are correlated by {close[i, j]:.4f} over the seeds"
            )
            yield (
                f"{names[i]} and {names[j]} {how}: drop one, or say with repeats='…' why both"
                " stand."
            )
    found: set[frozenset] = set()
    for i, j in itertools.combinations(range(len(names)), 2):
        if close[i, j] > CORRELATED:
            continue
        base = np.linalg.qr(unit[[i, j]].T)[0]
        left = np.linalg.norm(unit - unit @ base @ base.T, axis=1)
        for k in np.flatnonzero(left < EXACT):
            trio = frozenset((i, j, int(k)))
            if k in (i, j) or trio in found or max(close[k, i], close[k, j]) > CORRELATED:
                continue
            found.add(trio)
            if not {names[place] for place in trio} & declared:
                yield (
                    f"{names[k]} is a combination of {names[i]} and {names[j]}: drop one of the"
                    " three, or say with repeats='…' why all stand."
                )


def wide_margins(record: dict):
    """Equivalence tests whose margin is over a third of the effect beside which they stand."""
    tests = tests_by_name(record)
    for name, test in tests.items():
        if test["kind"] != "equivalence" or test["wide"]:
            continue
        effect = tests.get(test["beside"])
        if effect is None:
            lack = (
                f"stands beside {test['beside']!r}, which is no test"
                if test["beside"]
                else "stands beside no effect"
            )
            yield (
                f"{name} {lack}: name the test whose effect counts as success with"
                " beside='claim/test', or say why not with wide='…'."
            )
        elif test["margin"] > abs(effect["estimate"]) / 3:
            yield (
                f"{name} allows ±{test['margin']:.3g}, more than a third of the effect"
                f" {effect['estimate']:.3g} of {test['beside']}: take a smaller margin, or say why"
                " not with wide='…'."
            )


def rivals(record: dict):
    """Central claims whose rival explanation meets no test."""
    tests = tests_by_name(record)
    for claim in record["claims"]:
        if claim["central"] and claim["tests"]:
            if not claim["rival"]:
                yield (
                    f"{claim['id']} is central and names no rival explanation: say with rival='…'"
                    " what else could explain it."
                )
            elif claim["rival_test"] not in tests:
                yield (
                    f"{claim['id']} names {claim['rival_test']!r} as the test against its rival,"
                    " and there is none: file it, or name another with rival_test='claim/test'."
                )
