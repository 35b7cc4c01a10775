"""Method cells of the chapter self-training against scikit-learn, linear programming, the authors'
formula as loops, and limiting cases."""

import numpy as np
import pytest
from scipy.optimize import linprog
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.semi_supervised import SelfTrainingClassifier

from press import method_cells
from unlabeled.runtime import InputError

m = method_cells("self-training")


@pytest.fixture(scope="module")
def digits():
    """Digits with three labels per class and 300 unlabeled pictures."""
    X, y = load_digits(return_X_y=True)
    return m.draw_task(X / 16, y, np.random.default_rng(5), 3, 300, 400)


@pytest.fixture(scope="module")
def votes():
    return np.random.default_rng(6).dirichlet([0.6] * 5, 250)


def loop(task, policy, learner=None, **options):
    return m.self_train(learner or m.logistic(), task.X, task.y, task.U, policy, **options)


def one(policy, votes):
    """Positions that the policy accepts in its first round."""
    return np.flatnonzero(policy(np.array(votes), 1)).tolist()


# The loop and its policies


def test_tasks_are_disjoint_and_balanced():
    classes = np.repeat([0, 1, 2], 50)
    rows = m.draw_task(np.arange(150), classes, np.random.default_rng(0), 4, 60, 70)
    assert np.bincount(rows.y).tolist() == [4, 4, 4]
    assert [len(part) for part in (rows.X, rows.U, rows.T)] == [12, 60, 70]
    assert len(np.unique(np.concatenate([rows.X, rows.U, rows.T]))) == 142
    for inputs, labels in ((rows.X, rows.y), (rows.U, rows.hidden), (rows.T, rows.answers)):
        np.testing.assert_array_equal(classes[inputs], labels)


def test_threshold_above_one_returns_the_supervised_classifier(digits):
    history = loop(digits, m.fixed(1.01))
    plain = LogisticRegression(solver="newton-cg", max_iter=500).fit(digits.X, digits.y)
    assert len(history) == 1 and (history[0].labels == -1).all() and len(history[0].order) == 0
    np.testing.assert_array_equal(
        history[0].model.predict_proba(digits.T), plain.predict_proba(digits.T)
    )


@pytest.mark.parametrize(
    "policy, restart",
    [
        (m.fixed(0.0), False),
        (m.curriculum(1.0), True),
        (m.top_k(10**6), False),
        (m.class_balanced(10**6), False),
        (m.proportional(10**6), False),
    ],
)
def test_limits_that_accept_everything_once(digits, policy, restart):
    history, reference = loop(digits, policy, restart=restart), loop(digits, m.everything())
    assert len(history) == len(reference) == 2 and (history[1].labels >= 0).all()
    np.testing.assert_array_equal(history[1].labels, reference[1].labels)
    np.testing.assert_allclose(
        history[1].model.predict_proba(digits.T), reference[1].model.predict_proba(digits.T)
    )


@pytest.mark.parametrize(
    "policy, options",
    [
        (m.fixed(0.7), dict(threshold=0.7)),
        (m.fixed(0.45), dict(threshold=0.45)),
        (m.top_k(60), dict(criterion="k_best", k_best=60)),
    ],
)
def test_unweighted_loop_is_scikit_learns_self_training(digits, policy, options):
    theirs = SelfTrainingClassifier(m.logistic(), max_iter=4, **options)
    theirs.fit(
        np.concatenate([digits.X, digits.U]), np.append(digits.y, np.full(len(digits.U), -1))
    )
    last = loop(digits, policy, set_weights=False, rounds=4)[-1]
    accepted = theirs.labeled_iter_[len(digits.y) :] > 0
    np.testing.assert_array_equal(last.labels >= 0, accepted)
    np.testing.assert_array_equal(
        last.labels[accepted], theirs.transduction_[len(digits.y) :][accepted]
    )
    # the order of the rows differs, so the two optimisers end within their tolerance of each other
    assert np.mean(last.model.predict(digits.T) == theirs.predict(digits.T)) > 0.99


def test_pseudo_labels_are_never_revised_and_keep_their_order(digits):
    history = loop(digits, m.top_k(60))
    for before, after in zip(history, history[1:]):
        kept = before.labels >= 0
        np.testing.assert_array_equal(before.labels[kept], after.labels[kept])
        np.testing.assert_array_equal(after.order[: len(before.order)], before.order)
        assert len(after.order) == len(set(after.order)) == kept.sum() + 60
    confidence = history[0].model.predict_proba(digits.U).max(1)
    assert (np.diff(confidence[history[1].order]) <= 0).all()


def test_restart_forgets(digits):
    history = loop(digits, m.curriculum(0.25), restart=True)
    assert [len(state.order) for state in history] == [0, 75, 150, 225, 300]
    guess = history[-2].model.predict(digits.U)
    np.testing.assert_array_equal(history[-1].labels, guess)


def test_set_weights_make_both_sets_weigh_the_same(digits):
    labels = np.full(len(digits.U), -1)
    labels[:75] = digits.hidden[:75]
    inputs, targets = np.concatenate([digits.X, digits.U[:75]]), np.append(digits.y, labels[:75])
    weight = np.append(np.ones(30), np.full(75, 30 / 75))
    for set_weights, weights in ((True, weight), (False, None)):
        ours = m.retrain(m.logistic(), digits.X, digits.y, digits.U, labels, set_weights)
        plain = m.logistic().fit(inputs, targets, sample_weight=weights)
        np.testing.assert_allclose(ours.coef_, plain.coef_)


def test_cuts_keep_all_but_what_they_cut(digits):
    v, rng = loop(digits, m.fixed(2))[0].model.predict_proba(digits.U), np.random.default_rng(0)
    guess, policy = v.argmax(1), m.class_balanced(9)
    points, labels = m.accept(v, policy, 1)
    by_lot, drawn = m.accept(v, policy, 1, ("confidence",), rng)
    same, mixed = m.accept(v, policy, 1, ("labels",), rng)
    np.testing.assert_array_equal(labels, guess[points])
    # own guesses, as many of each, other points
    np.testing.assert_array_equal(drawn, guess[by_lot])
    np.testing.assert_array_equal(np.bincount(drawn), np.bincount(labels))
    assert set(by_lot) != set(points)
    np.testing.assert_array_equal(same, points)
    assert (np.sort(mixed) == np.sort(labels)).all() and (mixed != labels).any()


def test_the_lot_prefers_no_point():
    v = np.column_stack([np.linspace(0.6, 0.99, 20), 1 - np.linspace(0.6, 0.99, 20)])
    draws = [
        m.accept(v, m.class_balanced(5), 1, ("confidence",), np.random.default_rng(s))[0]
        for s in range(400)
    ]
    often = np.bincount(np.concatenate(draws), minlength=20) / 400
    assert all(len(drawn) == 5 for drawn in draws)
    assert np.abs(often - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 400)


def test_policies_on_a_case_by_hand():
    v = [[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7], [0.8, 0.2], [0.45, 0.55]]
    assert one(m.everything(), v) == [0, 1, 2, 3, 4, 5]
    assert one(m.fixed(0.7), v) == [0, 2, 3, 4]
    assert one(m.top_k(2), v) == [0, 2]  # the tie goes to the first
    assert one(m.class_balanced(1), v) == [0, 3]
    assert one(m.class_balanced(3), v) == [0, 2, 3, 4, 5]  # all, where there are fewer
    assert one(m.curriculum(0.5), v) == [0, 2, 4]  # confidence >= the median .75
    assert one(m.proportional(1), v) == [0, 2, 3]  # a third of four, rounded up, and of two
    # the chapter's cats
    assert one(m.proportional(1), [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]]) == [0, 1, 3]
    assert m.surest(np.array([0.2, 0.9, 0.9]), 1).tolist() == [False, True, False]


def test_empty_ends(digits):
    nothing = m.self_train(m.logistic(), digits.X, digits.y, digits.U[:0], m.class_balanced(3))
    assert len(nothing) == 1 and len(nothing[0].labels) == 0
    few = m.self_train(m.logistic(), digits.X, digits.y, digits.U[:3], m.class_balanced(1))
    assert (few[-1].labels >= 0).all()
    with pytest.raises(InputError, match="two classes or more"):
        m.self_train(m.logistic(), digits.X, np.zeros(30, int), digits.U, m.everything())
    dead = np.column_stack([np.random.default_rng(1).dirichlet(np.ones(3), 30), np.zeros(30)])
    with np.errstate(all="raise"):  # a class without a single guess
        for policy in (m.class_balanced(4), m.proportional(4), m.transductive(20)):
            assert policy(dead, 1).any()
        theta = m.thresholds(dead)
    assert np.isfinite(theta).all() and theta[3] == 0


# Two views


def test_co_training_without_new_guesses_is_supervised_and_teaches_the_other(digits):
    views, unlabeled = (digits.X[:, :32], digits.X[:, 32:]), (digits.U[:, :32], digits.U[:, 32:])
    first, last = m.co_train(m.logistic(), views, digits.y, unlabeled, 0)
    for model, X in zip(last, views):
        np.testing.assert_allclose(model.coef_, m.logistic().fit(X, digits.y).coef_)
    first, last = m.co_train(m.logistic(), views, digits.y, unlabeled, 10**6, rounds=1)
    for student, teacher in ((0, 1), (1, 0)):  # all guesses of the other, at once
        labels = first[teacher].predict(unlabeled[teacher])
        expected = m.retrain(m.logistic(), views[student], digits.y, unlabeled[student], labels)
        np.testing.assert_allclose(last[student].coef_, expected.coef_)


# The bounds


def test_binary_bound_is_the_optimum_of_the_adversarys_linear_program():
    rng = np.random.default_rng(3)
    u = 60
    margin = np.sort(rng.uniform(0.02, 1, u))
    for budget in (0.02, 0.1, 0.25):
        for theta in (0.0, 0.3, margin[30], 0.6):
            # errors e in [0, 1]: as many as possible from theta up, at a cost of at most the budget
            optimum = linprog(
                -1.0 * (margin >= theta) / u, A_ub=[margin / u], b_ub=[budget], bounds=(0, 1)
            )
            bound = m.binary_bound(margin, budget, np.array([theta]), grid=4000)[0]
            # a grid of gammas can only be larger
            assert -optimum.fun - 1e-9 <= bound <= -optimum.fun + 3e-3
    five = m.binary_bound(np.array([0.1, 0.2, 0.4, 0.5, 0.9]), 0.2, np.array([0.15]), grid=20_000)[
        0
    ]
    assert five == pytest.approx(14 / 25, abs=1e-3)  # the chapter's five points


def test_binary_bound_holds_for_any_labels_and_is_met_by_the_cheapest_errors():
    rng = np.random.default_rng(4)
    margin, theta = rng.beta(2, 1, 500), np.linspace(0, 0.95, 20)
    for share in (0.05, 0.3, 0.6):
        wrong = rng.uniform(size=500) < share
        bound = m.binary_bound(margin, np.mean(margin * wrong), theta)
        assert (np.array([np.mean(wrong & (margin >= t)) for t in theta]) <= bound + 1e-12).all()
    cheap = margin < 0.4  # exactly the cheapest errors: the bound at 0 is tight
    assert m.binary_bound(margin, np.mean(margin * cheap), np.array([0.0]), grid=2000)[
        0
    ] == pytest.approx(cheap.mean(), abs=2e-3)
    assert m.binary_bound(margin, 0.0, np.array([0.0]), grid=10**5)[0] < 0.01


def slow(votes, prob, i, j, theta, grid):
    """The authors' formula as nested loops."""
    size, pred, values = prob[:, i].sum(), votes.argmax(1), []
    for n in range(grid):
        gamma = theta + (1 - theta) * (n + 1) / grid
        inside = sum(prob[x, i] for x in range(len(votes)) if theta <= votes[x, j] < gamma) / size
        budget = sum(prob[x, i] * votes[x, j] for x in range(len(votes)) if pred[x] == j) / size
        below = [
            sum(prob[x, i] * votes[x, j] for x in range(len(votes)) if votes[x, j] < t) / size
            for t in (theta, gamma)
        ]
        values.append(inside + max(budget + below[0] - below[1], 0) / gamma)
    return min(values)


def test_joint_bound_is_the_loop():
    rng = np.random.default_rng(8)
    votes = rng.dirichlet([0.7] * 3, 40)
    votes[5] = votes[9]  # ties
    for prob in (votes, np.eye(3)[rng.integers(0, 3, 40)]):
        for j in range(3):
            theta, bound = m.joint_bound(votes, prob, j, grid=12)
            loops = [[slow(votes, prob, i, j, t, 12) for i in range(3)] for t in theta]
            np.testing.assert_allclose(bound, loops, atol=1e-10, rtol=0)


def slow_thresholds(votes, grid):
    """The authors' search for all thresholds, with array masks instead of sorted sums."""
    u, K = votes.shape
    pred, out = votes.argmax(1), []
    for j in range(K):
        v = votes[:, j]
        thetas = v.min() + np.arange(grid) * (v.max() - v.min()) / grid
        ratios = []
        for theta in thetas:
            total = 0.0
            for i in set(range(K)) - {j}:
                p, values = votes[:, i], []
                for n in range(grid):
                    gamma = theta + (1 - theta) * (n + 1) / grid
                    A = p @ ((pred == j) * v) + p @ ((v < theta) * v) - p @ ((v < gamma) * v)
                    values.append(p[(v >= theta) & (v < gamma)].sum() + max(A, 0) / gamma)
                total += min(values)
            ratios.append(total / u / (np.mean((v >= theta) & (pred == j)) or 1e-15))
        out.append(thetas[np.argmin(ratios)])
    return np.array(out)


def test_thresholds_are_those_of_the_nested_search(votes):
    np.testing.assert_allclose(
        m.thresholds(votes[:120], grid=20), slow_thresholds(votes[:120], 20), atol=1e-12
    )


def test_joint_bound_holds_for_any_labels(votes):
    rng = np.random.default_rng(9)
    for _ in range(5):
        truth = rng.integers(0, 5, len(votes))
        for j in range(5):
            theta, bound = m.joint_bound(votes, np.eye(5)[truth], j)
            for i in set(range(5)) - {j}:
                taken = [
                    np.mean((votes.argmax(1) == j)[truth == i] & (votes[truth == i, j] >= t))
                    for t in theta
                ]
                assert (np.array(taken) <= bound[:, i] + 1e-12).all()


def test_transductive_policy_accepts_at_the_threshold(votes):
    accepted = m.transductive()(votes, 1)
    np.testing.assert_array_equal(accepted, votes.max(1) >= m.thresholds(votes)[votes.argmax(1)])
    assert 0 < accepted.sum() < len(votes)


# Worlds and measures


def test_worlds_are_what_they_are_called():
    even, crossing, lopsided, cube = (
        m.two_clouds(kind, np.random.default_rng(2))
        for kind in ("even", "crossing", "lopsided", "no gap")
    )
    pools = [np.sort(np.concatenate([t.X, t.U, t.T])[:, 2]) for t in (even, crossing)]
    np.testing.assert_array_equal(*pools)  # the same points, all 1606
    assert np.mean((even.U[:, 0] > 0) == even.hidden) > 0.99
    assert ((crossing.U[:, 1] > 0) == crossing.hidden).all() and (
        (cube.U[:, 1] > 0) == cube.hidden
    ).all()
    assert 0.05 < lopsided.hidden.mean() < 0.15 and 0.4 < even.hidden.mean() < 0.6
    assert np.abs(cube.U).max() <= 1.7
    moons = m.two_moons(np.random.default_rng(1))
    assert [len(part) for part in (moons.X, moons.U, moons.T)] == [6, 400, 1000]


def test_bumps_are_an_rbf_kernel():
    X = np.random.default_rng(0).standard_normal((9, 2))
    np.testing.assert_allclose(m.bumps(X[:4])(X), rbf_kernel(X, X[:4], gamma=12), atol=1e-12)
    task = m.described(m.two_moons(np.random.default_rng(1)), lambda x: x[:, :1])
    assert task.X.shape == (6, 1) and task.T.shape == (1000, 1)


def test_gap_share_of_known_normals():
    model = m.logistic().fit(np.eye(3), [0, 1, 1])
    for normal, share in (([2.0, 0, 0], 1), ([0, -1.0, 0], 0), ([-3.0, 4.0, 0], 9 / 25)):
        model.coef_ = np.array([normal])
        assert m.gap_share(model) == pytest.approx(share)


def test_accuracy_counts():
    model = m.logistic().fit([[-1.0], [1.0]], [0, 1])
    assert m.accuracy(model, np.array([[-2.0], [-1], [3], [4]]), np.array([0, 1, 1, 1])) == 0.75
