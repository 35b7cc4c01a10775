"""Method cells of the chapter out-of-domain-unlabeled against searches, differences, simulation and
limiting cases.
"""

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.decomposition import PCA

from press import method_cells
from unlabeled.runtime import InputError

m = method_cells("out-of-domain-unlabeled")


def rng(seed=0):
    return np.random.default_rng(seed)


def world(seed=0, d=20, n=4000, labels=6, **noise):
    source = rng(seed)
    mu = m.unit(source.standard_normal(d))
    return mu, *m.draw(source, mu, labels, **noise), m.draw(source, mu, n, **noise)[0]


@pytest.mark.parametrize("gamma", [0.3, 1.0, 3.0])
def test_the_ramp_is_the_adversarys_best_move(gamma):
    """Against a search over where he may carry the point along the normal of the border."""
    u, z = np.linspace(-2, 4, 61), np.linspace(-10, 10, 200_001)
    brute = np.array([((z <= 0) - gamma * np.abs(z - value)).max() for value in u])
    assert np.abs(m.ramp(u, gamma) - brute).max() < 1e-3


def test_the_gradient_is_that_of_the_mean_ramp():
    source = rng(1)
    X, side, theta = (
        source.standard_normal((50, 6)),
        source.choice([-1.0, 1.0], 50),
        source.standard_normal(6),
    )
    loss = lambda t: m.ramp(side * (X @ t), 0.7).mean()
    numeric = optimize.approx_fprime(theta, loss, 1e-7)
    np.testing.assert_allclose(m.ramp_gradient(X, side, theta, 0.7), numeric, atol=1e-5)
    assert (m.ramp_gradient(X[:0], side[:0], theta, 0.7) == 0).all()


def test_accuracy_is_the_share_that_a_simulation_finds():
    source = rng(2)
    mu, loud = 1.3 * m.unit(source.standard_normal(8)), m.unit(source.standard_normal(8))
    theta = m.unit(mu + 0.8 * source.standard_normal(8))
    X, y = m.draw(source, mu, 200_000, loud, 2.5)
    assert np.mean(np.sign(X @ theta) == y) == pytest.approx(
        m.accuracy(theta, mu, loud, 2.5), abs=0.004
    )
    assert m.accuracy(m.unit(mu), mu) == pytest.approx(stats.norm.cdf(1.3))
    assert np.var(X @ loud - y * (mu @ loud)) == pytest.approx(6.25, rel=0.02)
    assert np.cov((X - np.outer(y, mu)).T)[0, 0] == pytest.approx(1 + 5.25 * loud[0] ** 2, rel=0.03)


def test_without_unlabeled_points_the_labels_alone_are_left():
    mu, X, y, U = world()
    alone = m.unit(X.T @ y)
    for theta in (
        m.rss(X, y, U, lam=0),
        m.rss(X, y, U[:0]),
        m.principal_component(X, y, U[:0]),
        m.self_training(X, y, U[:0]),
    ):
        np.testing.assert_allclose(theta, alone, atol=1e-6)
    with pytest.raises(InputError, match="name no direction"):
        m.rss(X[:2] * 0, y[:2], U)


def test_rss_lowers_its_own_objective_and_stays_on_the_sphere():
    mu, X, y, U = world(3)
    loss = lambda t: m.ramp(y * (X @ t), 0.5).mean() + 20 * m.ramp(np.abs(U @ t), 0.5).mean()
    start, end = m.unit(X.T @ y), m.rss(X, y, U)
    assert np.linalg.norm(end) == pytest.approx(1, abs=1e-5) and loss(end) < loss(start)
    # a search from there, over the sphere, finds hardly anything better
    better = optimize.minimize(
        lambda v: loss(m.unit(v)),
        end.astype(float),
        method="Nelder-Mead",
        options=dict(maxiter=800),
    )
    assert loss(end) - better.fun < 0.02


def test_with_many_points_all_find_the_axis_and_the_labels_give_the_sign():
    mu, X, y, U = world(4, n=20_000)
    for learner in (m.rss, m.self_training, m.principal_component):
        assert m.accuracy(learner(X, y, U), mu) > stats.norm.cdf(1) - 0.01
    assert m.accuracy(m.rss(X, -y, U), mu) < 1 - stats.norm.cdf(1) + 0.01


def test_the_component_is_pcas():
    mu, X, y, U = world(5)
    # about the origin, not the mean
    theirs = PCA(1, svd_solver="full").fit(np.r_[U, -U]).components_[0]
    assert abs(m.principal_component(X, y, U) @ theirs) == pytest.approx(1, abs=1e-4)


def test_frozen_self_labels_are_those_of_the_start():
    """With its first labels kept, the unlabeled part is an ordinary ramp on labeled data."""
    mu, X, y, U = world(6, n=500)
    first = np.sign(U @ m.unit(X.T @ y))
    theta, velocity = m.unit(X.T @ y), 0
    for step in range(40):
        pull = m.ramp_gradient(X, y, theta, 0.5) + 20 * m.ramp_gradient(U, first, theta, 0.5)
        velocity = 0.9 * velocity - 0.3 * (1 - step / 40) * pull
        theta = m.unit(theta + velocity)
    np.testing.assert_allclose(m.rss(X, y, U, steps=40, frozen=True), theta, atol=1e-5)
