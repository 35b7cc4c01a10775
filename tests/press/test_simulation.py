"""The rule itself: what it says by mistake, and how many claims pass by luck."""

import itertools

import numpy as np
import pytest

from press import simulation
from unlabeled.claims import Ledger
from unlabeled.runtime import start


def test_reproduced_under_the_null_is_at_most_two_and_a_half_percent():
    error = np.sqrt(0.025 * 0.975 / simulation.TRIALS)
    for row in simulation.rates().values():
        assert row["holds"][0] <= 0.025 + 3 * error
        assert abs(row["coverage"] - 0.95) <= 3 * np.sqrt(0.95 * 0.05 / simulation.TRIALS)


def test_power_grows_with_seeds_and_effect_and_skew_costs_coverage():
    rates = simulation.rates()
    for row in rates.values():
        assert row["holds"][0] < row["holds"][1] < row["holds"][2]
        assert row["coverage_skewed"] < row["coverage"]
    assert rates[5]["holds"][1] < rates[8]["holds"][1] < rates[20]["holds"][1]


def test_the_simulation_applies_the_rule_that_the_ledger_applies():
    rng = np.random.default_rng(1)
    samples = rng.standard_normal((200, 5))
    low, _ = simulation._intervals(samples)
    for sample, bound in zip(samples, low):
        ledger = Ledger(
            start("any", profile="quick", seeds=5, first_seed=0, dataset="", control=False)
        )
        null = ledger.claim("null", "The mean is above zero.")
        null.greater("mean", "value", sample)
        assert (ledger.verdicts()["null"] == "reproduced") == (bound > 0)


@pytest.mark.parametrize(
    "ps", [[0.001, 0.02, 0.5], [0.02, 0.02], [0.01, 0.012, 0.03], [0.3], [], [0.0124, 0.0126]]
)
def test_holm_agrees_with_the_closed_testing_procedure(ps):
    """A hypothesis is rejected if Bonferroni rejects every intersection that contains it (Marcus et
    al., 1976).
    """

    def rejected(place):
        others = [other for other in range(len(ps)) if other != place]
        sets = [
            (place, *some)
            for size in range(len(others) + 1)
            for some in itertools.combinations(others, size)
        ]
        return all(min(ps[other] for other in chosen) <= 0.025 / len(chosen) for chosen in sets)

    assert simulation.holm(ps) == [rejected(place) for place in range(len(ps))]
