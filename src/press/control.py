"""Negative controls: with the mechanism cut, the effect must go, and with it the verdict."""

from __future__ import annotations

import numpy as np

from press.errors import PressError
from unlabeled.claims import interval, number


def compare(real: dict, control: dict) -> list[dict]:
    """Effect of the mechanism on each test of a central claim: a list of dicts with claim, test,
    real and control estimate, effect, low, high, verdict and control_verdict.

    The effect is real minus control in the claimed direction, paired by seed (their intervals are
    Student's t).
    """
    rows = []
    others = {claim["id"]: claim for claim in control["claims"]}
    for claim in real["claims"]:
        if not claim["central"]:
            continue
        cut = others[claim["id"]]
        tests = {test["id"]: test for test in cut["tests"]}
        for test in claim["tests"]:
            if test["id"] not in tests:  # it stands in an aside, which the control leaves out
                continue
            effect = _effect(test, tests[test["id"]])
            estimate, low, high = interval(effect) if np.ptp(effect) > 0 else (effect[0],) * 3
            rows.append(
                dict(
                    claim=claim["id"],
                    test=test["id"],
                    what=test["what"],
                    real=test["estimate"],
                    control=tests[test["id"]]["estimate"],
                    effect=float(estimate),
                    low=float(low),
                    high=float(high),
                    verdict=claim["verdict"],
                    control_verdict=cut["verdict"],
                )
            )
    return rows


def _effect(test, cut):
    real, control = np.array(test["values"]), np.array(cut["values"])
    if test["kind"] == "t":
        return real - control if test["direction"] == "greater" else control - real
    return np.abs(control) - np.abs(real)  # errors and deviations: the control's must be larger


def require(real: dict, control: dict) -> list[dict]:
    """`compare`, refusing a chapter without central claims and one whose control changes nothing.

    A central claim that is not reproduced is exempt: there is no effect to take away.

    Raises
    ------
    PressError : with the claim that keeps its verdict, or the test whose effect is not clearly
    above 0
    """
    name = real["chapter"]
    if not any(claim["central"] for claim in real["claims"]):
        raise PressError(
            f"{name} names no central claim, so its negative control proves nothing: mark one as"
            " central."
        )
    if not control["control"] or real["control"] or real["seeds"] != control["seeds"]:
        raise PressError(
            f"{name}: a run and its negative control must have the same seeds, and control=True in"
            " the second alone."
        )
    rows = compare(real, control)
    for claim in real["claims"]:
        if (
            claim["central"]
            and claim["verdict"] == "reproduced"
            and claim["id"] not in {row["claim"] for row in rows}
        ):
            raise PressError(
                f"{name}: all tests of the central claim {claim['id']} stand in asides, so its"
                " control proves nothing: file one outside of them."
            )
    for row in rows:
        if row["verdict"] != "reproduced":
            continue
        if row["control_verdict"] == "reproduced":
            raise PressError(
                f"{name}: the central claim {row['claim']} is reproduced even under the negative"
                " control: its tests do not see the mechanism, so test what it changes."
            )
        if not row["low"] > 0:
            raise PressError(
                f"{name}: the negative control leaves {row['claim']}/{row['test']} as it is (effect"
                f" {row['effect']:.3g}, interval from {row['low']:.3g}): cut the mechanism itself."
            )
    return rows


def as_text(rows: list[dict]) -> str:
    """What `compare` finds, for terminals."""
    lines = [
        "Negative control (effect of the mechanism = real - control, in the claimed direction):"
    ]
    lines += [
        f"    {row['claim']}/{row['test']}: {number(row['real'])} really, {number(row['control'])}"
        f" with the mechanism cut; effect {number(row['effect'])} [{number(row['low'])},"
        f" {number(row['high'])}]; {row['verdict']}, then {row['control_verdict']}"
        for row in rows
    ]
    return "\n".join(lines)
