"""Method cells of the chapter transductive-few-shot against loops, libraries and limiting cases."""

import numpy as np
import pytest
from scipy import optimize, sparse
from scipy.special import softmax
from sklearn.cluster import KMeans
from sklearn.neighbors import kneighbors_graph
from sklearn.semi_supervised import LabelSpreading

from press import method_cells
from unlabeled.runtime import InputError

m = method_cells("transductive-few-shot")
Y = np.eye(3)[[0, 1, 2]]


def clouds(seed=0, tasks=4, queries=30, spread=0.6):
    """Support (tasks, 3, d), queries and their classes: three clouds in each task."""
    rng = np.random.default_rng(seed)
    corner = rng.standard_normal((tasks, 3, 6))
    truth = rng.integers(0, 3, (tasks, queries))
    noise = rng.standard_normal((tasks, queries, 6))
    Q = np.take_along_axis(corner, truth[..., None], 1) + spread * noise
    return corner + spread * rng.standard_normal(corner.shape), Q, truth


def dense(W, task, n):
    return W[task * n : (task + 1) * n, task * n : (task + 1) * n].toarray()


@pytest.mark.parametrize("alpha", [None, 0.5])
def test_tasks_hold_the_classes_that_they_name(alpha):
    labels = np.repeat(np.arange(12), 40)
    for seed in range(20):
        support, query, truth, others = m.task(np.random.default_rng(seed), labels, 2, alpha)
        named = labels[support].reshape(5, 2)
        assert (named[:, 0] == named[:, 1]).all() and len(set(named[:, 0])) == 5
        assert (labels[query] == named[truth, 0]).all() and len(query) == 75
        assert not set(support) & set(query) and len(set(query)) == 75
        assert not set(labels[others]) & set(named[:, 0])
        assert alpha or (np.bincount(truth) == 15).all()


def test_impossible_tasks_say_what_to_change():
    labels, rng = np.repeat(np.arange(12), 40), np.random.default_rng(0)
    for shots, queries, ways in ((0, 15, 5), (1, 0, 5), (30, 15, 5), (1, 15, 7)):
        with pytest.raises(InputError, match="A task needs"):
            m.task(rng, labels, shots, queries=queries, ways=ways)


def test_distances_and_means_agree_with_loops():
    S, Q, truth = clouds()
    D, Z = m.distances(Q, S), np.eye(3)[truth]
    M = m.means(Q, Z)
    for t in range(len(Q)):
        for k in range(3):
            np.testing.assert_allclose(D[t, :, k], ((Q[t] - S[t, k]) ** 2).sum(1), atol=1e-10)
            np.testing.assert_allclose(M[t, k], Q[t][truth[t] == k].mean(0), atol=1e-12)
    with pytest.raises(InputError, match="no weight"):
        m.means(Q, Z * [1, 1, 0])


def test_the_median_minimises_the_sum_of_distances_and_the_mode_the_density():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((1, 41, 2)) + np.where(rng.random((1, 41, 1)) < 0.2, 5, 0)
    Z = np.ones((1, 41, 1))
    start = m.means(X, Z)
    median = m.centres(X, Z, start, "median", steps=300)[0, 0]
    total = lambda point: np.sqrt(((X[0] - point) ** 2).sum(1)).sum()
    np.testing.assert_allclose(median, optimize.minimize(total, start[0, 0]).x, atol=1e-3)
    width = np.array([0.8])
    mode = m.centres(X, Z, start, "mode", width, steps=300)[0, 0]
    density = lambda point: -np.exp(-((X[0] - point) ** 2).sum(1) / 1.6).sum()
    np.testing.assert_allclose(mode, optimize.minimize(density, mode + 0.05).x, atol=1e-3)
    wide = m.centres(X, Z, start + 1, "mode", np.array([1e6]))
    np.testing.assert_allclose(wide, start, atol=1e-4)  # a kernel without end gives the mean
    with pytest.raises(InputError, match="no width"):
        m.centres(X, Z, start, "mode", np.zeros(1))


def test_no_centre_step_raises_its_cost():
    S, Q, truth = clouds(4)
    Z, width = np.eye(3)[truth], np.full(len(Q), 0.7)
    for kind in ("median", "mode"):
        value = lambda M: (Z * m.cost(m.distances(Q, M), kind, width)).sum()
        path = [value(m.centres(Q, Z, S, kind, width, steps=steps)) for steps in range(1, 8)]
        assert (np.diff(path) < 1e-9).all()


def test_the_graph_is_sklearns_and_has_no_negative_eigenvalue():
    _, Q, _ = clouds(5)
    A, sigma2 = m.neighbours(Q, 3)
    W = m.normalised(A)
    for t in range(len(Q)):
        theirs = kneighbors_graph(Q[t], 3).toarray()
        np.testing.assert_array_equal(dense(A, t, 30), theirs)
        lengths = kneighbors_graph(Q[t], 3, mode="distance").toarray()
        assert sigma2[t] == pytest.approx((lengths[lengths > 0] ** 2).mean())
        mine = dense(W, t, 30)
        assert (mine == mine.T).all() and np.linalg.eigvalsh(mine)[0] > -1e-12
        either = np.maximum(theirs, theirs.T)
        degree = either.sum(1)
        np.testing.assert_allclose(mine, either / np.sqrt(np.outer(degree, degree)) + np.eye(30))
    # no edge between tasks
    assert W.nnz == sum(np.count_nonzero(dense(W, t, 30)) for t in range(len(Q)))
    for k in (0, 30):
        with pytest.raises(InputError, match="neighbours"):
            m.neighbours(Q, k)


def test_bound_updates_agree_with_a_loop_and_never_rise():
    S, Q, _ = clouds(6)
    X = np.concatenate([S, Q], 1)
    a, W = m.distances(X, S), m.normalised(m.neighbours(X)[0])
    for lam in (0.5, 3.0, 20.0):
        path = []
        soft = m.settle(a, W, lam, Y, steps=12, trace=path)
        path = np.array(path)
        assert path.shape == (13, 4) and np.diff(path, axis=0).max() < 1e-9
        block, s = dense(W, 1, 33), softmax(-a[1], -1)
        s[:3] = Y
        for _ in range(12):
            s = np.array(
                [
                    softmax(-a[1, p] + lam * sum(block[p, q] * s[q] for q in range(33)))
                    for p in range(33)
                ]
            )
            s[:3] = Y
        np.testing.assert_allclose(soft[1], s, atol=1e-9)
        inside = np.where(s > 0, s * np.log(np.where(s > 0, s, 1)), 0).sum()
        assert path[-1, 1] == pytest.approx(
            (s * a[1]).sum() - lam / 2 * np.trace(s.T @ block @ s) + inside
        )
    np.testing.assert_allclose(m.settle(a, W, 0.0, Y)[:, 3:], softmax(-a, -1)[:, 3:])


def test_a_directed_graph_is_refused_unless_trusted():
    S, Q, _ = clouds(7)
    X = np.concatenate([S, Q], 1)
    A, _ = m.neighbours(X)
    with pytest.raises(InputError, match="not symmetric"):
        m.settle(m.distances(X, S), A, 0.5, Y)
    assert m.settle(m.distances(X, S), A, 0.5, Y, trust=True).shape == (4, 33, 3)


def test_k_means_is_sklearns_where_the_clamp_is_idle():
    S, Q, _ = clouds(8, spread=0.25)
    labels, M = m.transduce(S, Y, Q, rounds=100)
    for t in range(len(Q)):
        X = np.concatenate([S[t], Q[t]])
        theirs = KMeans(3, init=S[t], n_init=1, max_iter=100).fit(X)
        assert (theirs.labels_[:3] == [0, 1, 2]).all()  # the clamp is idle
        np.testing.assert_array_equal(labels[t], theirs.labels_[3:])
        np.testing.assert_allclose(M[t], theirs.cluster_centers_, atol=1e-6)


@pytest.mark.parametrize(
    "kind, lam", [("mean", 0.0), ("median", 0.0), ("mode", 0.0), ("mean", 0.7), ("mode", 0.7)]
)
def test_a_task_does_not_depend_on_its_neighbours_in_the_stack(kind, lam):
    S, Q, truth = clouds(9)
    together, M = m.transduce(S, Y, Q, kind, lam)
    for t in range(len(Q)):
        alone, M1 = m.transduce(S[t : t + 1], Y, Q[t : t + 1], kind, lam)
        np.testing.assert_array_equal(alone[0], together[t])
        np.testing.assert_allclose(M1[0], M[t], atol=1e-9)
    assert (together == truth).mean() > 0.6


def test_empty_ends():
    S, Q, _ = clouds(10)
    with pytest.raises(InputError, match="no queries"):
        m.transduce(S, Y, Q[:, :0])
    assert m.transduce(S, Y, Q[:, :1], lam=0.5)[0].shape == (4, 1)
    assert (m.transduce(S[:, :1], np.ones((1, 1)), Q)[0] == 0).all()  # one class
    with pytest.raises(InputError, match="no width"):
        m.transduce(np.zeros((1, 3, 2)), Y, np.zeros((1, 5, 2)), "mode")


def test_the_shift_joins_the_means_and_noise_keeps_mean_and_covariance():
    S, Q, _ = clouds(11)
    np.testing.assert_allclose(m.shifted(S, Q).mean(1), S.mean(1), atol=1e-12)
    many = np.concatenate([m.like(np.random.default_rng(seed), Q[:1]) for seed in range(400)], 1)[0]
    np.testing.assert_allclose(many.mean(0), Q[0].mean(0), atol=0.05)
    np.testing.assert_allclose(np.cov(many.T), np.cov(Q[0].T, bias=True), atol=0.12)


def test_label_spreading_is_sklearns():
    S, Q, _ = clouds(12)
    X = np.concatenate([S, Q], 1)
    mine = m.spread(S, Y, Q, 0.8, k=4, steps=400)
    for t in range(len(Q)):
        either = kneighbors_graph(X[t], 4).toarray()
        either = np.maximum(either, either.T)
        theirs = LabelSpreading(kernel=lambda a, b: either, alpha=0.8, max_iter=2000, tol=1e-10)
        theirs.fit(X[t], np.r_[0, 1, 2, np.full(30, -1)])
        np.testing.assert_array_equal(mine[t], theirs.transduction_[3:])


def test_laplacian_shot_without_neighbours_is_the_nearest_prototype():
    S, Q, _ = clouds(13)
    near = m.distances(Q, S).argmin(-1)
    np.testing.assert_array_equal(m.laplacian_shot(S, Y, Q, 0.0), near)
    assert (m.laplacian_shot(S, Y, Q, 2.0) != near).any()


def test_the_identity_is_a_constant_at_the_corners():
    S, Q, truth = clouds(14)
    A, _ = m.neighbours(Q)
    Z, a = np.eye(3)[truth], np.zeros((*truth.shape, 3))
    gap = m.energy(Z, a, m.normalised(A, 0.0), 0.6) - m.energy(Z, a, m.normalised(A), 0.6)
    np.testing.assert_allclose(gap, 0.3 * 30)
    assert sparse.issparse(A)


def test_soft_means_harden_into_k_means():
    S, Q, _ = clouds(15, spread=0.3)
    hard = m.transduce(S, Y, Q, rounds=40)[0]
    np.testing.assert_array_equal(m.soft_means(S, Y, Q, beta=1e4, steps=40), hard)
    near = m.distances(Q, S).argmin(-1)
    np.testing.assert_array_equal(m.soft_means(S, Y, Q, steps=0), near)
