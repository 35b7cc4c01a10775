"""Method cells of function-interpretation against library fits, brute force and replayed boxes."""

import ast
import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression

from press import method_cells, source
from unlabeled.runtime import InputError

m = method_cells("function-interpretation")
X = np.arange(-128.0, 129.0)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def language():
    return m.Language()


def replay(record, asked):
    """A box without a function: it has only the answers that another gave, and refuses all else."""
    answers = dict(record)

    def ask(x):
        asked.extend(x)
        return np.array([answers[value] for value in x])  # KeyError for anything not recorded

    return ask


def interpreters(language):
    """Every way to ask, as a function of a box and a seed."""
    return {
        "even": lambda ask, seed: m.even(ask, 40),
        "loop": lambda ask, seed: m.loop(ask, language, rng(seed)),
        "blind": lambda ask, seed: m.loop(ask, language, rng(seed), blind=True),
        "suspicion": lambda ask, seed: m.suspicion(ask, language),
    }


@pytest.mark.parametrize("way", ["even", "loop", "blind", "suspicion"])
def test_recorded_answers_are_all_that_an_interpreter_uses(language, way):
    """With only recorded answers left, the same questions and description come out."""
    f = m.corrupted(m.member(rng(3), "wave"), 20, 44, rng(4))
    x, y = interpreters(language)[way](m.black_box(f), 5)
    assert len(x) == 40
    asked = []
    again = interpreters(language)[way](replay(zip(x, y), asked), 5)
    np.testing.assert_array_equal(again, (x, y))
    assert asked == x.tolist()
    first, second = (m.describe(language, *pair) for pair in ((x, y), again))
    assert first.word == second.word
    np.testing.assert_array_equal(first(X), second(X))


def test_no_interpreter_names_a_function_or_looks_into_its_box():
    """Who gets `ask` gets no f, and nothing reads closures, source or attributes of the box."""
    text = "\n".join(
        cell.source
        for cell in source.chapter("function-interpretation").source.cells
        if cell.cell_type == "code" and "method" in cell.metadata.get("tags", [])
    )
    functions = {
        node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)
    }
    for name in ("even", "loop", "suspicion", "describe", "rank", "odd", "exception"):
        names = {node.id for node in ast.walk(functions[name]) if isinstance(node, ast.Name)}
        attributes = {
            node.attr for node in ast.walk(functions[name]) if isinstance(node, ast.Attribute)
        }
        assert not names & {
            "f",
            "truth",
            "member",
            "stranger",
            "draw",
            "corrupted",
            "inspect",
            "globals",
            "getattr",
        }
        assert not any(attribute.startswith("__") for attribute in attributes)
        for node in ast.walk(functions[name]):  # the box is called or handed on, never opened
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.value.id != "ask"


def test_the_box_counts_its_answers_and_takes_whole_numbers():
    ask = m.black_box(np.sin, 5)
    np.testing.assert_allclose(ask([1, 2, 3]), np.sin([1, 2, 3]))
    with pytest.raises(InputError, match="5 questions and no more"):
        ask([1, 2, 3])
    for bad in ([0.5], [129]):
        with pytest.raises(InputError, match="whole numbers"):
            m.black_box(np.sin)(bad)


def test_a_function_with_gaps_is_refused():
    with pytest.raises(InputError, match="has gaps"), np.errstate(all="ignore"):
        m.black_box(np.log)([-1, 1])


@pytest.mark.parametrize("family", m.known())
def test_shapes_are_the_textbooks_functions(family):
    c, w = 12.0, 30.0
    u, v = m.shape(family, X, c, w)
    theirs = {
        "line": X / 128,
        "parabola": (X / 128) ** 2,
        "corner": np.abs(X - c) / 128,
        "wave": np.sin(2 * np.pi * (X - c) / w),
        "s-curve": 2 / (1 + np.exp(-2 * (X - c) / w)) - 1,
        "bump": stats.norm.pdf(X, c, w) * w * np.sqrt(2 * np.pi),
        "step": np.heaviside(X - c, 0),
    }[family]
    np.testing.assert_allclose(v if family in ("parabola", "corner") else u, theirs, atol=1e-12)
    assert 1 <= m.numbers(family) <= 4


@pytest.mark.parametrize("family", m.known())
def test_members_lie_in_the_span_of_their_own_word(language, family):
    f = m.member(rng(7), family)
    d = m.describe(language, X, f(X))
    assert d.word[0] == family and m.error(f(m.points()), d(m.points())) < 0.03


def test_one_round_is_least_squares_and_more_are_hubers(language):
    y = rng(1).standard_normal(30)
    A = m.columns(
        [("wave", 0.0, 50.0), ("corner", 10.0, 1.0), ("bump", -20.0, 30.0)],
        np.linspace(-120, 120, 30),
    )
    for row, beta in zip(A[:2], m.robust(A[:2], y, 1)[0]):
        fit = LinearRegression().fit(row[:, 1:], y)
        np.testing.assert_allclose(beta, [fit.intercept_, *fit.coef_], atol=1e-5)
    # many rounds: the fixed point solves the weighted normal equations with weights min(1, s / |r|)
    y[[3, 17]] += 30
    beta, r = m.robust(A[1:2], y, 200)
    s = 2.2 * np.sort(np.abs(r[0]))[15] + 1e-3
    weights = np.minimum(1, s / np.abs(r[0]))
    np.testing.assert_allclose((A[1] * weights[:, None]).T @ r[0], 0, atol=1e-4)
    assert np.abs(m.robust(A[1:2], y)[0]).max() < np.abs(m.robust(A[1:2], y, 1)[0]).max()


def test_a_score_leaves_out_the_largest_residuals_and_charges_numbers():
    r = np.ones((1, 40))
    r[0, :6] = 100.0
    assert m.score(r, 0)[0] == pytest.approx(40 * np.log(1.001))
    r[0, 6] = 100.0
    assert m.score(r, 0)[0] > 40 * np.log(100)
    assert m.score(r, 4)[0] - m.score(r, 1)[0] == pytest.approx(3 * np.log(40))


def test_too_few_answers_are_refused(language):
    with pytest.raises(InputError, match="cannot tell words"):
        m.rank(language, X[:3], X[:3])


def test_a_shuffle_takes_the_word_from_the_scores(language):
    y = m.member(rng(2), "wave")(X[::6])
    y = (y - y.mean()) / y.std()
    firsts = {language.words[m.rank(language, X[::6], y, rng(seed))[0][0]][0] for seed in range(12)}
    assert len(firsts) > 2 and language.words[m.rank(language, X[::6], y)[0][0]][0] == "wave"
    order, beta = m.rank(language, X[::6], y, rng(0))
    for word, weights in zip(order, beta):  # weights are fitted as ever
        np.testing.assert_allclose(
            m.robust(language.at[[word]][:, ::6], y)[0][0], weights, atol=1e-8
        )


def test_error_is_variance_normalised_and_the_papers_on_request():
    truth = 3 + rng(1).standard_normal(256)
    assert m.error(truth, truth) == 0 and m.error(truth, truth.mean()) == pytest.approx(1)
    assert m.error(truth, 0, energy=True) == pytest.approx(1)
    assert m.error(truth, truth.mean(), energy=True) == pytest.approx(
        truth.var() / np.mean(truth**2)
    )
    inside = np.arange(256) < 20
    assert m.error(truth, 0, inside) == pytest.approx(np.mean(truth[:20] ** 2) / truth.var())
    with pytest.raises(InputError, match="no variance"):
        m.error(np.ones(256), np.ones(256))


def test_corruption_stays_in_its_interval_and_is_drawn_anew():
    f = lambda x: np.cos(x / 11) + x / 50
    bad, inside = m.corrupted(f, -10, 15, rng(0)), np.linspace(-9.9, 14.9, 4000)
    out = np.r_[np.linspace(-128, -10, 50), np.linspace(15, 128, 50)]
    np.testing.assert_array_equal(bad(out), f(out))
    draws = bad(inside)
    assert draws.mean() == pytest.approx(
        f(m.points()).mean(), abs=0.01
    ) and draws.std() == pytest.approx(0.1, abs=0.005)
    assert not np.array_equal(draws, bad(inside))


def test_intervals_show_and_constants_have_none():
    f = m.member(rng(5), "parabola")
    for seed in range(20):
        a, b = m.interval_of(rng(seed), f)
        part = f(m.points()[(m.points() > a) & (m.points() < b)])
        assert (
            5 <= b - a <= 25
            and np.mean((part - f(m.points()).mean()) ** 2) > 0.25 * f(m.points()).var()
        )
    with pytest.raises(InputError, match="No interval would show"):
        m.interval_of(rng(0), lambda x: np.ones_like(x))


def test_intervals_that_hold_no_point_are_refused():
    with pytest.raises(InputError, match="make them wider"):
        m.draw(rng(0), 1, 0, widths=(0, 0))


def test_a_suite_has_the_shares_that_it_promises():
    suite = m.draw(rng(1), 2, 5)
    names = [family for family, _, _ in suite]
    assert names.count("") == 5 and all(names.count(family) == 2 for family in m.known())
    again = m.draw(rng(1), 2, 5)
    for (_, f, ends), (_, g, others) in zip(suite, again):
        np.testing.assert_array_equal(f(X), g(X))
        assert ends == others


@pytest.mark.parametrize("knots", [2, 3, 4])
def test_the_broken_lines_knots_are_those_of_a_full_search(knots):
    x, y = np.sort(rng(2).choice(X, 9, replace=False)), rng(3).standard_normal(9)
    ends = lambda inner: x[[0, *inner, 8]]
    cost = lambda inner: np.sum((y - np.interp(x, ends(inner), y[[0, *inner, 8]])) ** 2)
    best = min(itertools.combinations(range(1, 8), knots - 2), key=cost)
    place, values = m.broken_lines(x, y, 4)[knots]
    np.testing.assert_array_equal(place, ends(best))
    fitted = np.sum((y - np.interp(x, place, values)) ** 2)
    assert fitted <= cost(best) + 1e-12


def test_broken_lines_end_in_the_table_and_refuse_what_cannot_be():
    x, y = np.linspace(-128, 128, 12), rng(4).standard_normal(12)
    place, values = m.broken_lines(x, y, 12)[12]
    np.testing.assert_allclose(np.interp(x, place, values), y, atol=1e-9)
    for most in (1, 13):
        with pytest.raises(InputError, match="knots"):
            m.broken_lines(x, y, most)


def test_a_sum_of_waves_finds_its_waves_and_never_fits_worse_with_more():
    x = np.linspace(-128, 128, 40)
    turns = lambda z, k: 2 * np.pi * k * (z + 128) / 256
    f = lambda z: 1 + 3 * np.cos(turns(z, 2.25)) - 2 * np.sin(turns(z, 7))
    told = m.wave_sums(x, f(x), m.points(), 2)
    np.testing.assert_allclose(told[2], f(m.points()), atol=1e-8)
    y = rng(6).standard_normal(40)
    losses = [np.sum((y - told) ** 2) for told in m.wave_sums(x, y, x, 6).values()]
    assert losses[0] < np.sum((y - y.mean()) ** 2) and np.all(np.diff(losses) < 0)


def test_of_two_fits_the_better_pays_for_its_numbers():
    x, new = np.linspace(-128, 128, 40), m.points()
    at = np.r_[x, new]
    bent, wave = np.abs(at - 9) / 40, np.sin(at / 15)
    for truth in (bent, wave):
        told = {2: at / 128, 4: bent, 5: wave}
        np.testing.assert_array_equal(m.best_scored(truth[:40], told), truth[40:])
    told = {3: bent, 6: bent + 1e-4}  # as good, but longer
    np.testing.assert_array_equal(m.best_scored(bent[:40], told), bent[40:])


def test_an_exception_is_the_longest_run_and_ends_halfway():
    x = np.arange(0.0, 100, 10)[::-1]
    marks = np.isin(x, [10, 40, 50, 60, 80, 90])
    assert m.exception(x, x / 10, marks) == (35, 65, 5)
    assert m.exception(x, x, np.isin(x, [10, 40, 80])) is None  # no two in a row
    assert m.exception(x, x, np.zeros(10, bool)) is None
    a, b, _ = m.exception(x, x, np.ones(10, bool))
    assert a < 0 and b > 90


def test_odd_answers_are_found_and_a_shuffle_keeps_their_number():
    d = m.Description(("line", 0.0, 1.0), np.array([1.0, 2.0, 0.0]))
    x = np.linspace(-128, 128, 33)
    y = d(x)
    assert not m.odd(d, x, y).any()
    y[[10, 11, 12]] += 3
    assert np.flatnonzero(m.odd(d, x, y)).tolist() == [10, 11, 12]
    mixed = m.odd(d, x, y, rng(0))
    assert mixed.sum() == 3 and not mixed[10:13].all()


def test_a_description_says_its_exception_and_no_more():
    d = m.Description(("line", 0.0, 1.0), np.array([1.0, 2.0, 0.0]), (-10.0, 20.0, 7.0))
    x = np.array([-128.0, -10, 0, 19, 20, 128])
    np.testing.assert_allclose(d(x), [-1, 1 - 20 / 128, 7, 7, 1 + 40 / 128, 3])


def test_suspicion_closes_in_on_the_borders(language):
    f = m.corrupted(lambda x: 4 * np.tanh(x / 30), 60, 81, rng(1))
    x, y = m.suspicion(m.black_box(f), language)
    late = x[36:]
    assert all(min(abs(value - 60), abs(value - 81)) < 5 for value in late)
    a, b, level = m.exception(x, y, m.odd(m.describe(language, x, y), x, y))
    assert abs(a - 60) < 2 and abs(b - 81) < 2 and abs(level) < 0.15


def test_the_loop_asks_where_its_words_disagree(language):
    """More of its questions than of blind ones fall where the six best words differ most."""
    f = m.member(rng(8), "bump")
    x, y = m.even(m.black_box(f), 16)
    best, beta = m.rank(language, x, m.standard(y)[2])
    doubt = np.clip((language.at[best[:6]] @ beta[:6, :, None])[..., 0], -5, 5).var(0)
    hot = X[doubt >= np.quantile(doubt, 0.75)]
    share = lambda blind: np.mean(
        [
            np.isin(m.loop(m.black_box(f), language, rng(s), 28, blind=blind)[0][16:], hot).mean()
            for s in range(6)
        ]
    )
    assert share(False) > share(True) + 0.2
    assert len(np.unique(m.loop(m.black_box(f), language, rng(0))[0])) == 40


def test_exemplars_are_the_largest_of_what_was_seen():
    f = m.member(rng(9), "line")
    x, y = m.exemplars(f, rng(1), 15)
    seen = rng(1).permutation(257)[:200] - 128.0
    assert np.abs(y).min() >= np.sort(np.abs(f(seen)))[-15] - 1e-12
    assert len(np.unique(x)) == 15


def test_the_nearest_name_knows_a_function_upside_down():
    names = ["bump", "step"]
    f, g = m.member(rng(1), "bump"), m.member(rng(2), "step")
    bank = np.array([m.look(f), m.look(g)])
    assert m.nearest_name(lambda x: 3 - 2 * f(x), bank, names) == "bump"
    assert m.nearest_name(lambda x: 1 + g(x), bank, names) == "step"
