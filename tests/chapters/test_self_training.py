"""Method cells of the chapter self-training against scikit-learn, linear programming, the authors' formula as loops, and limiting cases."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from press import method_cells

m = method_cells("self-training")


@pytest.fixture(scope="module")
def digits():
    """Digits with three labels per class and 300 unlabeled pictures."""
    X, y = load_digits(return_X_y=True)
    return m.take(X / 16, y, m.split(y, np.random.default_rng(5), 3, 300, 400))


@pytest.fixture(scope="module")
def votes():
    return np.random.default_rng(6).dirichlet([0.6] * 5, 250)


def loop(task, policy, fit=None, **options):
    return m.self_train([fit or m.logistic()], task.X, task.y, task.U, policy, **options)


# The loop and its policies


def test_split_is_disjoint_and_balanced():
    classes = np.repeat([0, 1, 2], 50)
    rows = m.split(classes, np.random.default_rng(0), 4, 60, 70)
    assert np.bincount(classes[rows.labeled]).tolist() == [4, 4, 4]
    assert [len(part) for part in rows] == [12, 60, 70]
    assert len(np.unique(np.concatenate(rows))) == 142


def test_threshold_above_one_returns_the_supervised_classifier(digits):
    history = loop(digits, m.fixed(1.01))
    plain = LogisticRegression(C=1.0, tol=1e-3, max_iter=500).fit(digits.X, digits.y)
    assert len(history) == 1 and (history[0].labels == -1).all()
    np.testing.assert_array_equal(m.vote(history[-1].models, digits.T), plain.predict_proba(digits.T))


@pytest.mark.parametrize("policy, restart", [(m.fixed(0.0), False), (m.everything(), False), (m.curriculum(1.0), True), (m.top_k(10**6), False)])
def test_limits_that_accept_everything_once(digits, policy, restart):
    history = loop(digits, policy, restart=restart)
    reference = loop(digits, m.everything())
    assert len(history) == 2 and (history[1].labels >= 0).all()
    np.testing.assert_array_equal(history[1].labels, reference[1].labels)
    np.testing.assert_allclose(m.vote(history[1].models, digits.T), m.vote(reference[1].models, digits.T))


@pytest.mark.parametrize(
    "policy, options",
    [(m.fixed(0.7), dict(threshold=0.7)), (m.fixed(0.45), dict(threshold=0.45)), (m.top_k(40), dict(criterion="k_best", k_best=40))],
)
def test_unweighted_loop_is_scikit_learns_self_training(digits, policy, options):
    base = LogisticRegression(C=1.0, tol=1e-3, max_iter=500)
    theirs = SelfTrainingClassifier(base, max_iter=8, **options)
    theirs.fit(np.concatenate([digits.X, digits.U]), np.concatenate([digits.y, np.full(len(digits.U), -1)]))
    history = loop(digits, policy, set_weights=False, rounds=8)
    accepted = theirs.labeled_iter_[len(digits.y):] > 0
    np.testing.assert_array_equal(history[-1].labels[0] >= 0, accepted)
    np.testing.assert_array_equal(history[-1].labels[0][accepted], theirs.transduction_[len(digits.y):][accepted])
    # the order of the rows differs, so the two optimisers end within their tolerance of each other
    assert np.mean(m.vote(history[-1].models, digits.T).argmax(1) == theirs.predict(digits.T)) > 0.99


def test_pseudo_labels_are_never_revised_without_restart(digits):
    states = [state.labels[0] for state in loop(digits, m.top_k(30))]
    for before, after in zip(states, states[1:]):
        kept = before >= 0
        np.testing.assert_array_equal(before[kept], after[kept])
        assert (after >= 0).sum() == kept.sum() + 30


def test_set_weights_make_both_sets_weigh_the_same(digits):
    seen = {}

    def spy(X, y, weight):
        seen["weight"] = weight
        return None

    labels = np.full(len(digits.U), -1)
    labels[:75] = 1
    m.retrain(spy, digits.X, digits.y, digits.U, labels)
    assert len(seen["weight"]) == 105
    assert seen["weight"][:30].tolist() == [1.0] * 30 and seen["weight"][30:].sum() == pytest.approx(30)
    m.retrain(spy, digits.X, digits.y, digits.U, labels, set_weights=False)
    assert seen["weight"].tolist() == [1.0] * 105


def test_the_control_permutes_accepted_labels_only(digits):
    plain, cut = loop(digits, m.fixed(0.5), rounds=1), loop(digits, m.fixed(0.5), rounds=1, shuffle=np.random.default_rng(0))
    a, b = plain[1].labels[0], cut[1].labels[0]
    np.testing.assert_array_equal(a >= 0, b >= 0)
    np.testing.assert_array_equal(np.sort(a), np.sort(b))
    assert (a != b).any()


def test_policies_on_a_case_by_hand():
    v = np.array([[[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7], [0.8, 0.2], [0.45, 0.55]]])
    still_open = np.array([[True, True, True, True, True, True]])
    assert m.fixed(0.7)(v, still_open, 1).tolist() == [[0, -1, 0, 1, 0, -1]]
    assert m.top_k(2)(v, still_open, 1).tolist() == [[0, -1, 0, -1, -1, -1]]  # the tie goes to the first
    assert m.class_balanced(1)(v, still_open, 1).tolist() == [[0, -1, -1, 1, -1, -1]]
    assert m.curriculum(0.5)(v, still_open, 1).tolist() == [[0, -1, 0, -1, 0, -1]]  # confidence >= the median .75
    # above .7: three guesses for 0, one for 1; so class 1 needs only .7 / 3
    assert m.class_wise(0.7)(v, still_open, 1).tolist() == [[0, -1, 0, 1, 0, 1]]
    still_open[0, 0] = False
    assert m.top_k(2)(v, still_open, 1).tolist() == [[-1, -1, 0, -1, 0, -1]]


def test_co_training_teaches_the_other(votes):
    pair = np.stack([votes[:40], votes[40:80]])
    labels = m.co_training(2)(pair, np.ones((2, 40), bool), 1)
    for student, teacher in ((0, 1), (1, 0)):
        taken = labels[student] >= 0
        np.testing.assert_array_equal(labels[student][taken], pair[teacher].argmax(1)[taken])
        assert np.bincount(labels[student][taken]).max() <= 2
        for c in range(5):
            mine = pair[teacher].argmax(1) == c
            if mine.sum() > 2:
                assert pair[teacher].max(1)[mine & taken].min() >= pair[teacher].max(1)[mine & ~taken].max()


def test_tri_training_of_three_equal_members_accepts_everything_once(digits):
    fits = [m.logistic()] * 3
    history = m.self_train(fits, digits.X, digits.y, digits.U, m.tri_training, restart=True)
    reference = loop(digits, m.everything())
    assert len(history) == 2
    np.testing.assert_array_equal(history[1].labels, np.repeat(reference[1].labels, 3, axis=0))
    np.testing.assert_allclose(m.vote(history[1].models, digits.T), m.vote(reference[1].models, digits.T))


def test_tri_training_needs_the_other_two_to_agree():
    guess = np.array([[0, 1, 2, 0], [0, 1, 1, 1], [0, 2, 1, 2]])
    labels = m.tri_training(np.eye(3)[guess], np.ones((3, 4), bool), 1)
    assert labels.tolist() == [[0, -1, 1, -1], [0, -1, -1, -1], [0, 1, -1, -1]]


def test_bootstrap_keeps_every_class_and_counts_repeats():
    y = np.repeat([0, 1], 4)
    seen = {}

    def spy(X, labels, weight):
        seen.update(X=X, labels=labels, weight=weight)

    fit = m.bootstrapped(spy, y, np.random.default_rng(1))
    fit(np.arange(10.0)[:, None], np.concatenate([y, [1, 0]]), np.ones(10))
    weight = np.zeros(10)
    weight[seen["X"][:, 0].astype(int)] = seen["weight"]
    assert weight[:4].sum() == weight[4:8].sum() == 4 and weight[8:].tolist() == [1, 1]
    assert set(seen["labels"]) == {0, 1}


# The bounds


def test_binary_bound_is_the_optimum_of_the_adversarys_linear_program():
    rng = np.random.default_rng(3)
    u = 60
    margin = np.sort(rng.uniform(0.02, 1, u))
    for budget in (0.02, 0.1, 0.25):
        for theta in (0.0, 0.3, 0.6):
            # errors e in [0, 1]: as many as possible above theta, at a cost of at most the budget
            optimum = linprog(-1.0 * (margin > theta) / u, A_ub=[margin / u], b_ub=[budget], bounds=(0, 1))
            bound = m.binary_bound(margin, budget, np.array([theta]), grid=4000)[0]
            assert -optimum.fun - 1e-9 <= bound <= -optimum.fun + 3e-3  # a grid of gammas can only be larger


def test_binary_bound_holds_for_any_labels_and_is_met_by_the_cheapest_errors():
    rng = np.random.default_rng(4)
    margin, theta = rng.beta(2, 1, 500), np.linspace(0, 0.95, 20)
    for share in (0.05, 0.3, 0.6):
        wrong = rng.uniform(size=500) < share
        bound = m.binary_bound(margin, np.mean(margin * wrong), theta)
        true = np.array([np.mean(wrong & (margin > t)) for t in theta])
        assert (true <= bound + 1e-12).all()
    cheap = margin < 0.4  # exactly the cheapest errors: the bound at 0 is tight
    assert m.binary_bound(margin, np.mean(margin * cheap), np.array([0.0]), grid=2000)[0] == pytest.approx(cheap.mean(), abs=2e-3)
    assert m.binary_bound(margin, 0.0, np.array([0.0]), grid=10**5)[0] < 0.01


def slow(votes, prob, pred, i, j, theta, grid, early_stop):
    """The authors' formula as nested loops."""
    size = prob[:, i].sum()
    values = []
    for n in range(grid):
        gamma = theta + (1 - theta) * (n + 1) / grid
        inside = sum(prob[x, i] for x in range(len(votes)) if theta <= votes[x, j] < gamma) / size
        budget = sum(prob[x, i] * votes[x, j] for x in range(len(votes)) if pred[x] == j) / size
        below = [sum(prob[x, i] * votes[x, j] for x in range(len(votes)) if votes[x, j] < t) / size for t in (theta, gamma)]
        values.append(inside + max(budget + below[0] - below[1], 0) / gamma)
        if early_stop and n > 3 and values[-1] > values[-2] >= values[-3]:
            break
    return min(values)


@pytest.mark.parametrize("early_stop", [False, True])
def test_vectorised_bound_is_the_loop(early_stop):
    rng = np.random.default_rng(8)
    votes = rng.dirichlet([0.7] * 3, 40)
    votes[5] = votes[9]  # ties
    for prob in (votes, np.eye(3)[rng.integers(0, 3, 40)]):
        for j in range(3):
            theta, bound = m.joint_bound(votes, prob, j, grid=12, early_stop=early_stop)
            for i in range(3):
                loops = [slow(votes, prob, votes.argmax(1), i, j, t, 12, early_stop) for t in theta]
                np.testing.assert_allclose(bound[:, i], loops, atol=1e-10, rtol=0)


def slow_thresholds(votes, grid, early_stop):
    """The authors' search for all thresholds, with array masks instead of sorted sums."""
    u, K = votes.shape
    pred, out = votes.argmax(1), []
    for j in range(K):
        v = votes[:, j]
        thetas = v.min() + np.arange(grid) * (v.max() - v.min()) / grid
        ratios = []
        for theta in thetas:
            total = 0.0
            for i in range(K):
                if i == j:
                    continue
                p, values = votes[:, i], []
                for n in range(grid):
                    gamma = theta + (1 - theta) * (n + 1) / grid
                    A = p @ ((pred == j) * v) + p @ ((v < theta) * v) - p @ ((v < gamma) * v)
                    values.append((p[(v >= theta) & (v < gamma)].sum() + max(A, 0) / gamma) / p.sum())
                    if early_stop and n > 3 and values[-1] > values[-2] >= values[-3]:
                        break
                total += p.sum() * min(values)
            accepted = np.mean((v >= theta) & (pred == j)) or 1e-15
            ratios.append(total / u / accepted)
            if early_stop and len(ratios) > 4 and ratios[-1] > ratios[-2] >= ratios[-3]:
                break
        out.append(thetas[np.argmin(ratios)])
    return np.array(out)


@pytest.mark.parametrize("early_stop", [False, True])
def test_thresholds_are_those_of_the_nested_search(votes, early_stop):
    ours = m.thresholds(votes[:120], grid=20, early_stop=early_stop)
    np.testing.assert_allclose(ours, slow_thresholds(votes[:120], 20, early_stop), atol=1e-12)


def test_multiclass_bound_holds_for_any_labels(votes):
    rng = np.random.default_rng(9)
    for _ in range(5):
        truth = rng.integers(0, 5, len(votes))
        for j in range(5):
            theta, wrong, accepted = m.threshold_curve(votes, np.eye(5)[truth], j)
            true = [np.mean((votes.argmax(1) == j) & (votes[:, j] >= t) & (truth != j)) for t in theta]
            np.testing.assert_allclose(m.worst_wrong(votes, truth, j, theta), true, atol=1e-15)
            np.testing.assert_allclose(accepted, [np.mean((votes.argmax(1) == j) & (votes[:, j] >= t)) for t in theta], atol=1e-15)
            assert (np.array(true) <= wrong + 1e-12).all()


def test_thresholds_survive_an_extinct_class():
    votes = np.random.default_rng(1).dirichlet(np.ones(3), 30)
    votes = np.concatenate([votes, np.zeros((30, 1))], axis=1)
    with np.errstate(all="raise"):
        theta = m.thresholds(votes)
    assert np.isfinite(theta).all() and theta[3] == 0


def test_bound_policies_accept_at_the_threshold(votes):
    theta = m.thresholds(votes)
    accepted = m.bound_multiclass()(votes[None], np.ones((1, len(votes)), bool), 1)[0]
    np.testing.assert_array_equal(accepted >= 0, votes.max(1) >= theta[votes.argmax(1)])
    two = np.random.default_rng(2).dirichlet([0.5, 0.5], 200)
    margin = np.abs(two[:, 0] - two[:, 1])
    kept = m.bound_binary()(two[None], np.ones((1, 200), bool), 1)[0] >= 0
    assert 0 < kept.sum() and margin[kept].min() > margin[~kept].max(initial=-1)


def test_first_rise_masks_after_the_first_rise_only():
    f = np.array([5, 4, 3, 2, 1.0, 2, 1, 0])
    assert np.isinf(m.first_rise(f)).tolist() == [False] * 8  # 2 > 1 but 1 < 2 before it
    g = np.array([5, 4, 3, 3, 3.0, 4, 1, 0])
    assert np.isinf(m.first_rise(g)).tolist() == [False] * 6 + [True] * 2
    np.testing.assert_array_equal(m.first_rise(np.stack([f, g]), axis=1)[1], m.first_rise(g))


def test_wrong_at_share_interpolates():
    truth = np.zeros(4, int)
    states = [np.full(4, -1), np.array([0, 1, -1, -1]), np.array([0, 1, 1, 0])]
    assert m.wrong_at_share(states, truth, 0.5) == 0.25
    assert m.wrong_at_share(states, truth, 1.0) == 0.5
    assert m.wrong_at_share(states, truth, 0.25) == pytest.approx(0.125)


# Worlds and measures


def test_crossing_and_aligned_clouds_are_the_same_points():
    a, b = (m.two_clouds(kind, np.random.default_rng(2)) for kind in ("aligned", "crossing"))
    both = [np.sort(np.concatenate([t.X, t.U, t.T])[:, 2]) for t in (a, b)]
    assert np.intersect1d(*both).size > 1500
    assert np.mean((a.U[:, 0] > 0) == a.hidden) > 0.99 and ((b.U[:, 1] > 0) == b.hidden).all()


def test_flip_rate_of_a_known_boundary():
    X = np.random.default_rng(0).uniform(-1, 1, (20_000, 1))
    half = [lambda Z: np.concatenate([Z < 0, Z >= 0], axis=1).astype(float)]
    # a uniform density of 1/2 and normal nudges: P(flip) = size * E|N| / 2
    assert m.flip_rate(half, X, 0.1) == pytest.approx(0.1 * np.sqrt(2 / np.pi) / 2, rel=0.05)
    assert m.flip_rate([lambda Z: np.tile([1.0, 0.0], (len(Z), 1))], X, 0.1) == 0


def test_channel_share_of_known_normals():
    def linear(w):
        def votes(Z):
            p = 1 / (1 + np.exp(-(Z @ w - 0.3)))
            return np.stack([1 - p, p], axis=1)
        return [votes]

    assert m.channel_share(linear(np.array([2.0, 0, 0])), 3) == pytest.approx(1)
    assert m.channel_share(linear(np.array([0, -1.0, 0])), 3) == pytest.approx(0)
    assert m.channel_share(linear(np.array([-3.0, 4.0, 0])), 3) == pytest.approx(9 / 25)


def test_bumps_and_feature_maps(digits):
    features = m.bumps(digits.U[:7], 0.3)
    np.testing.assert_allclose(features(digits.T), rbf_kernel(digits.T, digits.U[:7], gamma=0.3))
    view = m.on_features(m.logistic(), lambda X: X[:, :20])(digits.X, digits.y, np.ones(len(digits.y)))
    plain = m.logistic()(digits.X[:, :20], digits.y, np.ones(len(digits.y)))
    np.testing.assert_array_equal(view(digits.T), plain(digits.T[:, :20]))


def test_moons_are_solved_by_the_loop():
    task = m.two_moons(3, np.random.default_rng(3))
    fit = m.on_features(m.logistic(C=10), m.bumps(task.U[:80], gamma=12))
    history = m.self_train([fit], task.X, task.y, task.U, m.class_balanced(10), rounds=20)
    assert m.accuracy(history[-1].models, task.T, task.answers) > 0.95 > m.accuracy(history[0].models, task.T, task.answers)


def test_halves_are_left_and_right():
    images = np.random.default_rng(0).uniform(size=(30, 6, 6))
    views = m.halves(images, parts=3)
    only_left = images.copy()
    only_left[:, :, 3:] = np.random.default_rng(1).uniform(size=(30, 6, 3))
    changed = m.halves(only_left, parts=3)
    np.testing.assert_allclose(views[:, :3], changed[:, :3])
    assert not np.allclose(views[:, 3:], changed[:, 3:])


# Relatives


def test_label_spreading_is_scikit_learns(digits):
    X = np.concatenate([digits.X, digits.U[:150]])
    y = np.concatenate([digits.y, np.full(150, -1)])
    theirs = LabelSpreading(kernel="rbf", gamma=2.0, alpha=0.5, max_iter=500, tol=1e-12).fit(X, y)
    W = rbf_kernel(X, gamma=2.0)
    np.fill_diagonal(W, 0)
    Y = np.concatenate([np.eye(10)[digits.y], np.zeros((150, 10))])
    ours = m.label_spreading(W, Y, alpha=0.5, sweeps=60)
    np.testing.assert_allclose(ours / ours.sum(1, keepdims=True), theirs.label_distributions_, atol=1e-8)


def test_label_spreading_is_the_closed_form_on_the_nearest_graph(digits):
    X = np.concatenate([digits.X, digits.U[:100]])
    W = m.nearest_graph(X, 5)
    dense = W.toarray()
    assert (dense == dense.T).all() and (np.diag(dense) == 0).all() and dense.sum(1).min() >= 5
    Y = np.concatenate([np.eye(10)[digits.y], np.zeros((100, 10))])
    scale = 1 / np.sqrt(dense.sum(1))
    S = scale[:, None] * dense * scale
    exact = 0.8 * np.linalg.solve(np.eye(len(X)) - 0.2 * S, Y)
    np.testing.assert_allclose(m.label_spreading(W, Y), exact, atol=1e-12)


def test_jitter_shifts_by_at_most_a_pixel():
    images = torch.zeros(2, 50, 5, 5, 1)
    images[:, :, 2, 2] = 1
    moved = m.jitter(images, 0.0, [torch.Generator().manual_seed(s) for s in (0, 1)]).reshape(2, 50, 5, 5)
    assert torch.equal(moved.sum((2, 3)), torch.ones(2, 50))
    assert moved[:, :, 1:4, 1:4].sum() == 100 and moved.sum((0, 1)).count_nonzero() == 9


def mean_teacher_alone(X, y, U, seed, K, lam, steps, batch=64, hidden=64, decay=0.97, lr=3e-3, noise=0.1):
    """One mean teacher with torch's own modules, drawing in the same order."""
    g = torch.Generator().manual_seed(seed)
    d = X[0].numel()
    net = torch.nn.Sequential(torch.nn.Linear(d, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, K))
    with torch.no_grad():
        net[0].weight.copy_((torch.randn(d, hidden, generator=g) * (2 / d) ** 0.5).T)
        net[2].weight.copy_((torch.randn(hidden, K, generator=g) * hidden**-0.5).T)
        net[0].bias.zero_(), net[2].bias.zero_()
    teacher = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = torch.optim.Adam(net.parameters(), lr)

    def look(images):
        return m.jitter(images[None], noise, [g])[0]

    for step in range(steps):
        loss = torch.nn.functional.cross_entropy(net(look(X)), y)
        if lam:
            seen = U[torch.randint(0, len(U), (batch,), generator=g)]
            target = torch.func.functional_call(net, teacher, look(seen)).softmax(1).detach()
            loss = loss + lam * min(1, 3 * step / steps) * ((net(look(seen)).softmax(1) - target) ** 2).sum(1).mean()
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        keep = min(decay, (step + 1) / (step + 10))
        for name, p in net.named_parameters():
            teacher[name] = keep * teacher[name] + (1 - keep) * p.detach()
    return lambda x: torch.func.functional_call(net, teacher, x)


@pytest.mark.parametrize("lam", [0.0, 2.0])
def test_stacked_mean_teachers_equal_single_ones(digits, lam):
    pictures = [torch.from_numpy(part.reshape(-1, 8, 8, 1)).float() for part in (digits.X, digits.U, digits.T)]
    X, U, T = (torch.stack([part, part.flip(0)]) for part in pictures)
    y = torch.from_numpy(np.stack([digits.y, digits.y[::-1]]))
    weights = m.consistency(X, y, U, (7, 8), 10, lam, steps=25)
    ours = m.network(weights, T.flatten(2))
    for place, seed in enumerate((7, 8)):
        alone = mean_teacher_alone(X[place], y[place], U[place], seed, 10, lam, 25)
        torch.testing.assert_close(ours[place], alone(T[place].flatten(1)), atol=2e-3, rtol=1e-3)
