"""What a run costs: reference seconds, and the budget that a chapter must keep."""

import pytest

from press import reference
from press.errors import PressError


def record(cost, profile="quick"):
    return {"chapter": "tiny", "profile": profile, "reference_seconds": cost}


def test_reference_seconds_follow_the_fixed_work():
    """The same run on a machine half as fast costs twice the CPU-seconds and as many of these."""
    assert reference.seconds(30.0, reference.ON_REFERENCE) == pytest.approx(30)
    assert reference.seconds(60.0, 2 * reference.ON_REFERENCE) == pytest.approx(30)


def test_the_fixed_work_takes_time_of_its_own():
    assert 0.05 < reference.work() < 30


@pytest.mark.parametrize(
    "cost, reason, profile",
    [(20.0, "", "quick"), (40.0, "five networks", "quick"), (900.0, "", "full")],
)
def test_a_run_within_its_budget_is_told_nothing(cost, reason, profile):
    assert reference.over(record(cost, profile), reason) == ""
    reference.require(record(cost, profile), reason)


def test_a_dear_run_is_told_and_a_very_dear_one_refused():
    told = reference.over(record(26.0), "")
    assert told == (
        "tiny costs 26 reference seconds, 20 at most: drop arms, steps or side claims, or say under"
        " cost why, for up to 40."
    )
    reference.require(record(26.0), "")
    with pytest.raises(PressError, match="tiny costs 31 reference seconds, 20 at most"):
        reference.require(record(31.0), "")
    reference.require(record(59.0), "five networks")
    with pytest.raises(PressError, match="costs 61 reference seconds, 40 at most.*side claims\\.$"):
        reference.require(record(61.0), "five networks")
