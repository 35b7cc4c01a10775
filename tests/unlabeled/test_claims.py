"""Tests over seeds, the rule of verdicts, and the ledger."""

import itertools
import json
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from runs import run_of
from scipy import stats
from sentences import refused

from unlabeled import claims, ledger_view
from unlabeled.claims import (
    InputError,
    Ledger,
    decide,
    difference,
    evaluate,
    fisher_z,
    interval,
    log_ratio,
    number,
    verdict,
)

UP, DOWN, BOTH = (
    [0.9, 1.0, 1.1, 1.0, 1.05],
    [-0.9, -1.0, -1.1, -1.0, -1.05],
    [1.0, -1.0, 2.0, -2.0, 0.1],
)


def ledger_of(n=5, **changes):
    ledger = Ledger(run_of(n, **changes))
    ledger.gain = ledger.claim("gain", "A beats B.", central=True)
    return ledger


# The interval


def coverage(samples, mean):
    """Share of the rows of `samples` whose 95 % interval holds `mean`; worked out for all rows at
    once.
    """
    n = samples.shape[1]
    half = stats.t.ppf(0.975, n - 1) * samples.std(1, ddof=1) / np.sqrt(n)
    # The vectorised formula must be the one under test.
    for row in range(3):
        assert interval(samples[row])[1:] == pytest.approx(
            (samples[row].mean() - half[row], samples[row].mean() + half[row]), rel=1e-12
        )
    return np.mean(np.abs(samples.mean(1) - mean) <= half)


TRIALS = 40_000


def four_errors(rate):
    return 4 * np.sqrt(rate * (1 - rate) / TRIALS)


@pytest.mark.parametrize("n", [2, 5, 20])
def test_the_interval_covers_the_mean_of_normal_data_95_times_in_100(n):
    samples = 3 + 0.5 * np.random.default_rng(n).standard_normal((TRIALS, n))
    assert abs(coverage(samples, 3.0) - 0.95) < four_errors(0.95)


@pytest.mark.parametrize("n, expected", [(5, 0.8827), (20, 0.9187)])
def test_the_interval_covers_less_often_on_skewed_data(n, expected):
    """Measured once with five million exponential samples of each size; the page on the statistics
    warns of it.
    """
    covered = coverage(np.random.default_rng(n).exponential(size=(TRIALS, n)), 1.0)
    assert abs(covered - expected) < four_errors(expected) + 0.0005
    assert covered < 0.95 - four_errors(0.95)


def test_the_rule_rarely_calls_nothing_something():
    """Under the null a single test holds in 2.5 % of all cases, and fails in as many."""
    samples = np.random.default_rng(7).standard_normal((2000, 5))
    outcomes = [evaluate("t", "greater", 0.0, row)["outcome"] for row in samples]
    for outcome in ("holds", "fails"):
        assert abs(outcomes.count(outcome) / 2000 - 0.025) < 4 * np.sqrt(0.025 * 0.975 / 2000)


def samples(count=30):
    rng = np.random.default_rng(11)
    for _ in range(count):
        yield rng.normal(rng.normal(), rng.uniform(0.1, 3), size=rng.integers(2, 12)), rng.normal()


@pytest.mark.parametrize("direction", ["greater", "less"])
def test_t_agrees_with_scipys_one_sample_test(direction):
    for values, margin in samples():
        ours = evaluate("t", direction, margin, values)
        one_sided = stats.ttest_1samp(values, margin, alternative=direction)
        other_side = stats.ttest_1samp(
            values, margin, alternative={"greater": "less", "less": "greater"}[direction]
        )
        low, high = stats.ttest_1samp(values, margin).confidence_interval(0.95)
        assert (ours["low"], ours["high"], ours["p"]) == pytest.approx(
            (low, high, one_sided.pvalue), rel=1e-9
        )
        assert ours["estimate"] == pytest.approx(values.mean())
        assert ours["outcome"] == (
            "holds"
            if one_sided.pvalue < 0.025
            else "fails"
            if other_side.pvalue < 0.025
            else "undecided"
        )


def test_equivalence_agrees_with_two_one_sided_tests():
    seen = set()
    for values, _ in samples(60):
        margin = 1.0
        above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
        below = stats.ttest_1samp(values, margin, alternative="less").pvalue
        ours = evaluate("equivalence", "within", margin, values)
        assert ours["p"] == pytest.approx(max(above, below), rel=1e-9)
        # one-sided tests that the mean lies below -margin, above margin
        beyond = min(1 - above, 1 - below)
        assert ours["outcome"] == (
            "holds" if max(above, below) < 0.025 else "fails" if beyond < 0.025 else "undecided"
        )
        seen.add(ours["outcome"])
    assert seen == {"holds", "fails", "undecided"}


@pytest.mark.parametrize(
    "kind, direction, margin, values, outcome",
    [
        ("t", "greater", 0.5, UP, "holds"),
        ("t", "greater", 2.0, UP, "fails"),
        ("t", "greater", 1.0, UP, "undecided"),
        ("t", "less", -0.5, DOWN, "holds"),
        ("t", "less", -2.0, DOWN, "fails"),
        ("t", "less", 0.0, BOTH, "undecided"),
        ("equivalence", "within", 2.0, UP, "holds"),
        ("equivalence", "within", 0.5, UP, "fails"),
        ("equivalence", "within", 0.5, DOWN, "fails"),
        ("equivalence", "within", 1.0, UP, "undecided"),
        ("exact", "within", 1e-9, [0.0, 1e-10, 1e-9], "holds"),
        ("exact", "within", 1e-9, [0.0, 0.0, 2e-9], "fails"),
        ("exact", "within", 0.0, [-1.0, -0.5], "holds"),
    ],
)
def test_each_outcome(kind, direction, margin, values, outcome):
    assert evaluate(kind, direction, margin, values)["outcome"] == outcome


def test_an_exact_test_gives_the_largest_error_and_no_interval():
    assert evaluate("exact", "within", 1.0, [0.5, 0.25]) == dict(
        estimate=0.5, low=None, high=None, p=None, outcome="holds"
    )


def test_a_wider_level_gives_a_wider_interval():
    mean, low, high = interval(BOTH, 0.99)
    _, lower, higher = interval(BOTH, 0.95)
    assert low < lower < mean < higher < high


# The rule


def by_the_book(outcomes):
    """The rule of the page "How we decide", line by line, with sets and shares instead of
    counts.
    """
    kinds, share = set(outcomes), sum(outcome == "holds" for outcome in outcomes) / len(outcomes)
    if kinds == {"holds"}:
        return "reproduced"
    if "fails" not in kinds and share >= 0.5:
        return "partly"
    if {"holds", "fails"} <= kinds:
        return "mixed"
    if "fails" in kinds:
        return "not reproduced"
    return "undecided"


CASES = [
    outcomes
    for n in range(1, 5)
    for outcomes in itertools.product(("holds", "fails", "undecided"), repeat=n)
]


def test_the_rule_over_all_combinations_of_outcomes():
    assert len(CASES) == 3 + 9 + 27 + 81
    assert {outcomes: verdict(outcomes) for outcomes in CASES} == {
        outcomes: by_the_book(outcomes) for outcomes in CASES
    }
    assert {verdict(outcomes) for outcomes in CASES} == set(claims.VERDICTS) - {"out of reach"}


@pytest.mark.parametrize(
    "outcomes, expected",
    [
        (["holds", "holds"], "reproduced"),
        (["holds", "undecided"], "partly"),
        (["holds", "undecided", "undecided"], "undecided"),
        (["holds", "holds", "holds", "fails"], "mixed"),
        (["holds", "fails", "undecided"], "mixed"),
        (["fails", "undecided", "undecided"], "not reproduced"),
        (["undecided"], "undecided"),
    ],
)
def test_the_rule_on_cases_worked_out_by_hand(outcomes, expected):
    assert verdict(outcomes) == expected
    assert verdict(reversed(outcomes)) == expected


def test_no_outcome_no_verdict():
    with pytest.raises(ValueError, match="at least one test"):
        verdict([])


# The ledger


def test_each_of_the_six_verdicts_comes_out_of_a_ledger():
    ledger = Ledger(run_of())
    plan = {
        "all": ("reproduced", [UP, UP]),
        "half": ("partly", [UP, BOTH]),
        "split": ("mixed", [UP, DOWN]),
        "none": ("not reproduced", [DOWN, BOTH]),
        "open": ("undecided", [BOTH]),
        "far": ("out of reach", []),
    }
    for name, (_, values) in plan.items():
        claim = ledger.claim(name, "A statement.")
        for place, value in enumerate(values):
            claim.greater(f"test-{place}", "a gain", value)
    claim.out_of_reach("It needs a larger model.")
    assert ledger.verdicts() == {name: expected for name, (expected, _) in plan.items()}
    assert set(ledger.verdicts().values()) == set(claims.VERDICTS)


def test_each_way_to_file_a_test_is_the_test_it_says():
    ledger = ledger_of()
    ledger.gain.greater("up", "a gain", UP, margin=0.5)
    ledger.gain.less("down", "a loss", DOWN, margin=0.5, deterministic=False)
    ledger.gain.equivalent("same", "a difference", UP, margin=2)
    ledger.gain.exact("equal", "an error", [0, 0, 0, 0, 0], tolerance=0)
    tests = ledger.to_dict()["claims"][0]["tests"]
    assert [
        (
            test["kind"],
            test["direction"],
            test["margin"],
            test["deterministic"],
            test["outcome"],
            test["n"],
        )
        for test in tests
    ] == [
        ("t", "greater", 0.5, True, "holds", 5),
        ("t", "less", 0.5, False, "holds", 5),
        ("equivalence", "within", 2.0, True, "holds", 5),
        ("exact", "within", 0.0, True, "holds", 5),
    ]
    for test in tests:
        again = evaluate(
            test["kind"], test["direction"], test["margin"], test["values"], test["level"]
        )
        assert {name: test[name] for name in again} == again


@pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple])
def test_values_may_be_arrays_tensors_or_tuples(kind):
    ledger = ledger_of()
    ledger.gain.greater("up", "a gain", kind(UP))
    assert ledger.to_dict()["claims"][0]["tests"][0]["values"] == pytest.approx(UP)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf"), 1e200])
@pytest.mark.parametrize("way", ["greater", "less", "equivalent", "exact"])
def test_nan_and_infinity_are_refused(way, broken):
    limit = {"equivalent": dict(margin=1.0), "exact": dict(tolerance=1.0)}.get(way, {})
    ledger = ledger_of()
    with refused("gain/up got NaN or infinity"):
        getattr(ledger.gain, way)("up", "a gain", [1, 2, 3, 4, broken], **limit)
    with refused("has no test"):  # nothing was filed
        ledger.to_dict()


@pytest.mark.parametrize("margin", [float("nan"), float("inf")])
def test_a_margin_that_is_no_finite_number_is_refused(margin):
    with refused("must be a finite number"):
        ledger_of().gain.greater("up", "a gain", UP, margin=margin)
    with refused("must be a finite number"):
        ledger_of().gain.exact("up", "an error", UP, tolerance=margin)


@pytest.mark.parametrize("margin", [0, -0.1, float("nan")])
def test_equivalence_without_a_positive_margin_is_refused(margin):
    with refused("needs a margin above 0"):
        ledger_of().gain.equivalent("same", "a difference", UP, margin=margin)


def test_one_seed_is_too_few_for_an_interval():
    ledger = ledger_of(1)
    with refused("too few seeds"):
        ledger.gain.greater("up", "a gain", [1.0])
    ledger.gain.exact("equal", "an error", [0.0], tolerance=0)
    assert ledger.verdicts() == {"gain": "reproduced"}


@pytest.mark.parametrize("values", [[1.0] * 4, [1.0] * 6, 1.0, [UP, UP, UP, UP, UP], []])
def test_other_than_one_value_per_seed_is_refused(values):
    with refused("needs one value per seed, 5 in all"):
        ledger_of().gain.greater("up", "a gain", values)


@pytest.mark.parametrize("values", [[[1], [1, 2], 3, 4, 5], ["a", 1, 2, 3, 4], None, [None] * 5])
def test_values_that_are_no_numbers_are_refused(values):
    """None alone becomes NaN, of no shape; all of them are refused before anything is filed."""
    with pytest.raises(InputError) as caught:
        ledger_of().gain.greater("up", "a gain", values)
    assert str(caught.value).count(".") == 1 and str(caught.value).endswith(".")


@pytest.mark.parametrize(
    "values", [[0.1] * 5, [1e-170, 2e-170, 3e-170, 1e-170, 2e-170], [0.1 + 0.2, 0.3, 0.3, 0.3, 0.3]]
)
def test_zero_spread_is_refused_where_an_interval_is_asked_for(values):
    """Rounding is no spread, nor is what vanishes when squared."""
    for way, limit in (("greater", {}), ("less", {}), ("equivalent", dict(margin=1.0))):
        with refused("same value for every seed"):
            getattr(ledger_of().gain, way)("up", "a gain", values, **limit)
    ledger = ledger_of()
    ledger.gain.exact("equal", "an error", values, tolerance=1.0)
    assert ledger.verdicts() == {"gain": "reproduced"}


def test_differences_that_are_all_zero_are_evidence_of_no_effect():
    ledger = ledger_of()
    zeros = [0.0] * 5
    same = ledger.gain.equivalent("same", "a difference", zeros, margin=0.1)
    open_ = ledger.gain.greater("up", "a gain", zeros)
    short = ledger.gain.greater("far", "a gain", zeros, margin=0.1)
    assert [test.outcome for test in (same, open_, short)] == ["holds", "undecided", "fails"]
    assert [test.p for test in (same, open_, short)] == [0.0, 0.5, 1.0]


def test_a_filed_test_gives_its_words_and_numbers():
    ledger = ledger_of()
    test = ledger.gain.greater("up", "a gain", UP, margin=0.5)
    assert test.word() == "beats" and test.say() == "+1.010 [+0.918, +1.102]"
    assert test.say(2, sign=False) == "1.01 [0.92, 1.10]"
    assert (
        ledger.gain.less("down", "a gain", UP).word(fails="is no smaller than")
        == "is no smaller than"
    )
    assert ledger.gain.greater("both", "a gain", BOTH).word() == "cannot be told apart from"
    assert ledger.gain.exact("equal", "an error", 1e-9, tolerance=0).say() == "1e−9".replace(
        "1e−9", number(1e-9)
    )


def test_sentences_have_true_minus_signs_and_no_minus_before_zero():
    assert claims.say([-0.2, -0.1, -0.3]) == "−0.20 [−0.45, 0.05]"
    assert claims.say([-1e-9, 1e-9, -2e-9]) == "0.00 [0.00, 0.00]"
    assert claims.say(UP, digits=1, sign=True) == "+1.0 [+0.9, +1.1]"
    assert (claims.word(UP), claims.word(DOWN), claims.word(BOTH)) == (
        "beats",
        "loses to",
        "cannot be told apart from",
    )
    assert claims.word(UP, 2.0) == "loses to" and claims.word(UP, holds="is above") == "is above"


def test_toy_tests_do_not_count_on_own_data():
    for dataset, verdict_, counted in (
        ("", "mixed", True),
        ("folder/mine.npz", "reproduced", False),
    ):
        ledger = ledger_of(dataset=dataset)
        ledger.gain.greater("up", "a gain", UP)
        toy = ledger.gain.greater("toy", "a gain on moons", DOWN, toy=True)
        assert ledger.verdicts() == {"gain": verdict_} and toy.counted is counted
    only = ledger_of(dataset="mine.csv")
    only.gain.greater("toy", "a gain on moons", UP, toy=True)
    (claim,) = only.to_dict()["claims"]
    assert (claim["verdict"], claim["reason"]) == ("out of reach", claims.UNSEEN)
    assert "not counted" in ledger_view.as_text(only.to_dict())


def test_a_control_run_may_leave_claims_out():
    (claim,) = ledger_of(control=True).to_dict()["claims"]
    assert (claim["verdict"], claim["reason"]) == ("out of reach", claims.LEFT_OUT)
    assert decide(claim) == (claim["verdict"], claim["reason"])


def test_what_stands_beside_is_named_in_full():
    ledger = ledger_of()
    claim = ledger.claim("same", "No difference.", rival="chance", rival_test="gain/up")
    assert (
        claim.equivalent("a", "x", UP, margin=2, beside="gain/up", wide="why").beside == "gain/up"
    )
    assert claim.equivalent("b", "x", DOWN, margin=2, beside="a").beside == "same/a"
    assert ledger.claim("own", "Its own.", rival="r", rival_test="t").id == "own"
    assert (
        ledger._claims["own"]["rival_test"] == "own/t"
        and ledger._claims["same"]["rival_test"] == "gain/up"
    )


def test_the_table_of_claims_names_the_papers_figures_once():
    ledger = Ledger(run_of())
    ledger.claim("a", "A beats <b>.", name="A wins", where="Table 1")
    page = Elements(ledger.table._repr_html_())
    assert (
        "not at hand" in page.text
        and page.text.count("not at hand") == 1
        and "A beats <b>. (Table 1)" in page.text
    )
    ledger.claim("c", "C too.", paper="+3", where="Table 2", central=True)
    page = Elements(ledger.table._repr_html_())
    assert (
        "+3; Table 2" in page.text
        and "In the paper" in page.text
        and "not at hand" not in page.text
    )
    assert repr(ledger.table).startswith("A wins: A beats <b>.")


def test_a_small_spread_is_spread():
    ledger = ledger_of()
    ledger.gain.greater("up", "a gain", [1.0, 1.0, 1.0, 1.0, 1.0 + 1e-9])
    assert ledger.verdicts() == {"gain": "reproduced"}


def test_duplicate_ids_are_refused():
    ledger = ledger_of()
    with refused("'gain' is declared twice"):
        ledger.claim("gain", "Again.")
    ledger.gain.greater("up", "a gain", UP)
    with refused("two tests called 'up'"):
        ledger.gain.exact("up", "an error", UP, tolerance=1)
    other = ledger.claim("other", "Another claim may use the test's id again.")
    other.greater("up", "a gain", UP)
    assert len(ledger.verdicts()) == 2


@pytest.mark.parametrize("id", ["", "Gain", "a b", "a--b", "-a", 'a"b', "gain\n"])
def test_a_claim_id_that_no_link_can_hold_is_refused(id):
    with refused("cannot be linked to"):
        ledger_of().claim(id, "A statement.")


def test_what_says_nothing_is_refused():
    ledger = ledger_of()
    with refused("says nothing"):
        ledger.claim("other", " ")
    with refused("lacks an id"):
        ledger.gain.greater("", "a gain", UP)
    with refused("lacks a description"):
        ledger.gain.greater("up", "  ", UP)
    with refused("say why"):
        ledger.gain.out_of_reach(" ")


def test_a_claim_without_test_is_refused():
    with refused("'gain' has no test"):
        ledger_of().to_dict()
    with refused("'gain' has no test"):
        ledger_of()._repr_mimebundle_()


def test_a_ledger_without_claim_is_refused():
    with refused("holds no claim"):
        Ledger(run_of()).to_dict()


def test_out_of_reach_and_tests_exclude_each_other():
    ledger = ledger_of()
    ledger.gain.greater("up", "a gain", UP)
    with refused("has tests, so it cannot be out of reach"):
        ledger.gain.out_of_reach("Too small.")
    far = ledger.claim("far", "It scales.")
    far.out_of_reach("Too small.")
    with refused("is out of reach, so it takes no tests"):
        far.greater("up", "a gain", UP)
    assert ledger.verdicts() == {"gain": "reproduced", "far": "out of reach"}


@pytest.mark.parametrize("n", [2, 4, 5])
def test_fewer_than_five_seeds_give_no_verdict(n):
    ledger = ledger_of(n)
    ledger.gain.greater("up", "a gain", UP[:n])
    ledger.gain.exact("equal", "an error", [0.0] * n, tolerance=0)
    claim = ledger.to_dict()["claims"][0]
    assert claim["tests"][0]["low"] is not None, "the figures are shown all the same"
    if n < claims.SEEDS_FOR_A_VERDICT:
        assert (claim["verdict"], claim["reason"]) == (
            "undecided",
            f"{n} seeds; a verdict needs at least 5",
        )
        assert claim["reason"] in ledger_view.as_html(ledger.to_dict()) and claim[
            "reason"
        ] in ledger_view.as_text(ledger.to_dict())
    else:
        assert claim["verdict"] == "reproduced" and claim["reason"] == ""


def test_a_verdict_follows_from_the_values_not_from_what_is_written_beside_them():
    ledger = ledger_of()
    ledger.gain.greater("up", "a gain", DOWN)
    claim = json.loads(claims.dumps(ledger.to_dict()))["claims"][0]
    claim["tests"][0] |= dict(outcome="holds", estimate=9.0, low=8.0, high=10.0, p=0.0)
    claim["verdict"] = "reproduced"
    assert decide(claim) == ("not reproduced", "")


def test_the_same_run_gives_the_same_bytes():
    def text():
        ledger = ledger_of(6, dataset="digits")
        ledger.gain.greater("up", "a gain", np.random.default_rng(0).standard_normal(6))
        return claims.dumps(ledger.to_dict())

    assert text() == text() and text().endswith("}\n")
    with pytest.raises(ValueError):
        claims.dumps({"value": float("nan")})


# Paired values


def test_difference_and_log_ratio():
    assert difference([3, 5], [1, 6]).tolist() == [2, -1]
    assert log_ratio([1, np.e], [1, 1]) == pytest.approx([0, 1])
    assert np.allclose(log_ratio([2, 3], [5, 7]), -log_ratio([5, 7], [2, 3]))


@pytest.mark.parametrize("pair", [difference, log_ratio])
@pytest.mark.parametrize(
    "ours, theirs", [([1, 2], [1, 2, 3]), (np.ones((2, 2)), np.ones((2, 3))), (1.0, [1.0, 2.0])]
)
def test_unequal_lengths_are_refused(pair, ours, theirs):
    with refused("of equal length"):
        pair(ours, theirs)


@pytest.mark.parametrize("pair", [difference, log_ratio])
def test_ragged_lists_are_refused(pair):
    with refused("Paired values must be numbers"):
        pair([[1], [1, 2]], [1, 2])


@pytest.mark.parametrize("ours, theirs", [([0, 1], [1, 1]), ([1, 1], [1, -1])])
def test_a_log_ratio_of_what_is_not_positive_is_refused(ours, theirs):
    with refused("needs positive values"):
        log_ratio(ours, theirs)


def test_fisher_z():
    r = np.array([-0.9, 0.0, 0.3])
    assert np.allclose(fisher_z(r), 0.5 * np.log((1 + r) / (1 - r)))
    assert np.isfinite(fisher_z([1.0, -1.0, 1 + 1e-12])).all()
    assert np.isnan(fisher_z([np.nan])).all(), "NaN stays NaN, and is refused when it is filed"
    with refused("outside [-1, 1]"):
        fisher_z([0.5, 1.2])


# How it looks


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0"),
        (-0.0, "0"),
        (1, "1"),
        (0.5, "0.5"),
        (0.12345, "0.123"),
        (-0.12345, "−0.123"),
        (12.345, "12.3"),
        (999.4, "999"),
        (999.6, "1000"),
        (1234.5, "1234"),
        (-9999, "−9999"),
        (9999.7, "1e+04"),
        (123456, "1.23e+05"),
        (0.001, "0.001"),
        (0.00056789, "5.68e−04"),
    ],
)
def test_numbers_have_three_digits_and_a_true_minus(value, text):
    assert number(value) == text


def test_what_a_test_requires_in_symbols():
    def words(**test):
        return ledger_view.describe(test)

    assert words(kind="t", direction="greater", margin=0.0) == "> 0"
    assert words(kind="t", direction="less", margin=-0.5) == "< −0.5"
    assert words(kind="equivalence", direction="within", margin=0.02) == "within ±0.02"
    assert words(kind="exact", direction="within", margin=1e-9) == "largest ≤ 1e−09"
    assert ledger_view.measured(dict(estimate=1.0, low=None, high=None)) == "1"
    assert ledger_view.measured(dict(estimate=1.0, low=-0.5, high=2.5)) == "1 [−0.5, 2.5]"


class Elements(HTMLParser):
    """All tags with their attributes, and all text; complains of tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def shown():
    ledger = Ledger(run_of(dataset="some/folder/<i>mine.npz", control=True))
    bad = '<script>alert("x")</script> & more'
    gain = ledger.claim("gain", bad, paper="<b>5</b>", where="<u>Table 1</u>", central=True)
    gain.greater("up", f"{bad} p < q", UP, margin=0.5, late="<i>why</i>")
    gain.less("down", "loss", UP, margin=0.5)
    far = ledger.claim("far", "It scales.", name="<u>far</u> & wide")
    far.out_of_reach("<s>Too small</s> & slow")
    return ledger


def test_html_escapes_what_authors_write():
    page = Elements(ledger_view.as_html(shown().to_dict()))
    assert {tag for tag, _ in page.tags} == {
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "span",
        "strong",
        "em",
        "br",
        "p",
        "small",
    }
    for words in (
        '<script>alert("x")</script> & more',
        "<u>far</u> & wide",
        "<s>Too small</s> & slow",
        "<i>mine",
        "p < q",
        "<i>why</i>",
    ):
        assert words in page.text


def test_html_shows_claims_tests_verdicts_and_places_to_link_to():
    page = Elements(ledger_view.as_html(shown().to_dict()))
    assert [attributes["id"] for tag, attributes in page.tags if tag == "span"] == [
        "claim-gain",
        "claim-far",
    ]
    spans = [int(attributes["rowspan"]) for _, attributes in page.tags if "rowspan" in attributes]
    assert spans == [2, 2], "a claim's cell spans its tests"
    for words in (
        "± mixed",
        "– out of reach",
        "holds",
        "fails",
        "n = 5",
        "(central)",
        "NEGATIVE CONTROL",
        "1.01 [0.918, 1.1]",
        "above 0.5",
        "below 0.5",
    ):
        assert words in page.text


def test_text_form():
    lines = ledger_view.as_text(shown().to_dict()).split("\n")
    assert lines[0].startswith("tiny: quick profile, seeds 0 to 4, ") and lines[0].endswith(
        "NEGATIVE CONTROL (mechanism cut)"
    )
    assert lines[1] == "± mixed          gain (central)"
    assert lines[2].startswith("    holds      ") and lines[2].endswith(
        "p < q: 1.01 [0.918, 1.1], claimed > 0.5, n = 5 (set after a look: <i>why</i>)"
    )
    assert lines[3].startswith("    fails      loss: ")
    assert lines[4] == "– out of reach   far: <s>Too small</s> & slow"
    assert len(lines) == 5


def test_a_notebook_gets_text_html_and_json():
    ledger = shown()
    bundle = ledger._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", claims.MIME}
    assert bundle[claims.MIME] == ledger.to_dict() == json.loads(claims.dumps(bundle[claims.MIME]))
    assert bundle["text/html"] == ledger_view.as_html(ledger.to_dict()) and bundle[
        "text/plain"
    ] == ledger_view.as_text(ledger.to_dict())
