"""What a referee finds in a record: each kind in a bad one, and nothing in a good one."""

import numpy as np
import pytest
from runs import run_of

from press import referee
from press.errors import PressError
from unlabeled.claims import Ledger

RNG = np.random.default_rng(0)
A, B, C, D = RNG.standard_normal((4, 8)) + 3


def record(*tests, n=8, **claim):
    """A record of one central claim with the tests that functions of its handle file."""
    ledger = Ledger(run_of(n))
    ours = ledger.claim(
        "ours", "It is above.", central=True, **dict(rival="noise", rival_test="a") | claim
    )
    ours.greater("a", "a", A[:n])
    for file in tests:
        file(ours)
    return ledger.to_dict()


def greater(id, values, **options):
    return lambda claim: claim.greater(id, id, values, **options)


def equivalent(margin, **options):
    return lambda claim: claim.equivalent("same", "same", D - 3, margin=margin, **options)


@pytest.mark.parametrize(
    "tests",
    [
        [greater("b", B), greater("c", C), greater("d", D)],
        [greater("b", A, repeats="the same, seen from the other side")],
        [greater("b", B), greater("c", A - 2 * B + 1, repeats="the gap")],
        [greater("b", A + 0.1 * B)],
        [greater("b", np.zeros(8)), greater("c", np.zeros(8))],
        [lambda claim: claim.exact("b", "b", A, tolerance=9)],
        [equivalent(0.9, beside="a")],
        [equivalent(5.0, wide="the paper's own margin")],
    ],
    ids=[
        "independent",
        "declared",
        "declared combination",
        "correlated, not too much",
        "no difference twice",
        "exact",
        "narrow",
        "wide, declared",
    ],
)
def test_a_good_record_passes(tests):
    assert referee.problems(record(*tests)) == []
    referee.require(record(*tests))


@pytest.mark.parametrize(
    "tests, claim, sentence",
    [
        ([greater("b", A)], {}, "ours/a and ours/b hold the same values"),
        ([greater("b", 5 - 2 * A)], {}, "ours/a and ours/b are correlated by 1.0000"),
        ([greater("b", A + 0.001 * B)], {}, "ours/a and ours/b are correlated by"),
        (
            [greater("b", B), greater("c", A - B)],
            {},
            "ours/c is a combination of ours/a and ours/b",
        ),
        ([greater("b", B), greater("c", 2 * A + 0.3 * B - 7)], {}, "is a combination of"),
        ([equivalent(1.5, beside="a")], {}, "allows ±1.5, more than a third of the effect"),
        ([equivalent(0.1)], {}, "ours/same stands beside no effect"),
        ([equivalent(0.1, beside="other/test")], {}, "beside 'other/test', which is no test"),
        ([], {"rival": "", "rival_test": ""}, "ours is central and names no rival"),
        (
            [],
            {"rival_test": "gone"},
            "names 'ours/gone' as the test against its rival, and there is none",
        ),
    ],
)
def test_each_kind_is_found_once_and_told_in_one_sentence(tests, claim, sentence):
    found = referee.problems(record(*tests, **claim))
    assert len(found) == 1 and sentence in found[0] and found[0].endswith("."), found
    with pytest.raises(PressError, match="A referee would stop at tiny"):
        referee.require(record(*tests, **claim))


def test_independent_draws_are_rarely_taken_for_dependent():
    """Ten tests of five seeds each, two hundred times."""
    rng = np.random.default_rng(1)
    alarms = sum(
        bool(
            referee.problems(
                record(*(greater(str(place), rng.standard_normal(5)) for place in range(9)), n=5)
            )
        )
        for _ in range(200)
    )
    assert alarms <= 4  # 45 pairs, each by chance beyond .999 once in some twenty thousand times


def test_few_seeds_prove_no_dependence():
    assert (
        list(referee.dependent(record(greater("b", B[:4]), greater("c", (A + B)[:4]), n=4))) == []
    )
