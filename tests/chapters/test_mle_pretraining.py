"""Method cells of the chapter mle-pretraining against SciPy, scikit-learn, brute force, closed
forms and limiting cases.
"""

import itertools

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.mixture import GaussianMixture

from press import method_cells

m = method_cells("mle-pretraining")


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def world():
    B, beta = m.factor_world(rng(1), 12, 3)
    return B, beta, m.covariance(B)


# --- the factor world and its exact risk
# -------------------------------------------------------------


def test_world_has_the_promised_shape(world):
    B, beta, Sigma = world
    np.testing.assert_allclose(np.linalg.svd(B, compute_uv=False), [1.5, 1.25, 1.0])
    assert np.isclose(np.linalg.norm(beta), 1)
    B2, _ = m.factor_world(rng(2), 9, 2, scales=[3, 0.5])
    np.testing.assert_allclose(np.linalg.svd(B2, compute_uv=False), [3, 0.5])


def test_drawn_points_have_the_model_moments(world):
    B, beta, Sigma = world
    X, y = m.draw_labeled(rng(3), B, beta, 200_000, 0.5)
    assert np.abs(X.T @ X / len(X) - Sigma).max() < 0.06
    assert np.abs(X.T @ y / len(X) - B @ beta).max() < 0.03
    assert abs(y.var() - 1.25) < 0.03


def test_excess_risk_is_the_difference_of_two_risks(world):
    """Against the two expected squared errors, each written out from the joint second moments."""
    B, beta, Sigma = world
    w_star, w = m.best_linear(B, beta), rng(4).standard_normal(12)
    risk = lambda v: v @ Sigma @ v - 2 * v @ B @ beta + beta @ beta + 0.25
    assert np.isclose(m.excess_risk(w, w_star, Sigma), risk(w) - risk(w_star))
    assert m.excess_risk(w_star, w_star, Sigma) == 0
    best = optimize.minimize(risk, np.zeros(12), method="BFGS").x
    np.testing.assert_allclose(best, w_star, atol=1e-5)


# --- phase one
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [4, 40])
def test_second_moment_has_wishart_mean_and_variance(points, world):
    """Both branches, fewer points than inputs or more: E S = Sigma, Var S_ij = (S_ij^2 + S_ii
    S_jj)/m.
    """
    _, _, Sigma = world
    source = rng(5)
    draws = np.array([m.second_moment(source, Sigma, points) for _ in range(4000)])
    spread = np.sqrt((Sigma**2 + np.outer(np.diag(Sigma), np.diag(Sigma))) / points)
    assert (np.abs(draws.mean(0) - Sigma) < 5 * spread / np.sqrt(4000)).all()
    np.testing.assert_allclose(draws.std(0), spread, rtol=0.12)
    assert np.linalg.matrix_rank(draws[0]) == min(points, 12)


def test_exact_moments_give_back_the_loadings(world):
    B, _, Sigma = world
    B_hat = m.fit_factor_model(Sigma, 3)
    np.testing.assert_allclose(B_hat @ B_hat.T, B @ B.T, atol=1e-10)


def test_eigenvalues_below_the_noise_are_clipped():
    S = np.diag([3.0, 0.9, 0.5])
    B_hat = m.fit_factor_model(S, 2)
    np.testing.assert_allclose(B_hat @ B_hat.T, np.diag([2.0, 0, 0]), atol=1e-12)


def test_closed_form_is_where_a_numerical_optimizer_ends(world):
    _, _, Sigma = world
    S = m.second_moment(rng(6), Sigma, 60)

    def loss(flat):
        C = m.covariance(flat.reshape(12, 3))
        return np.linalg.slogdet(C)[1] + np.trace(np.linalg.solve(C, S))

    found = optimize.minimize(
        loss, rng(7).standard_normal(36), method="BFGS", options=dict(maxiter=500)
    )
    B_hat = m.fit_factor_model(S, 3)
    assert abs(loss(B_hat.ravel()) - found.fun) < 1e-5
    numeric = found.x.reshape(12, 3)
    np.testing.assert_allclose(B_hat @ B_hat.T, numeric @ numeric.T, atol=1e-2)


def test_subspace_equals_pca_and_covariance_nears_factor_analysis(world):
    B, beta, _ = world
    X, _ = m.draw_labeled(rng(8), B, beta, 50_000, 0.5)
    X = X - X.mean(0)
    B_hat = m.fit_factor_model(X.T @ X / len(X), 3)
    components = PCA(3, svd_solver="full").fit(X).components_
    projector = lambda A: A @ np.linalg.pinv(A)
    np.testing.assert_allclose(projector(B_hat), projector(components.T), atol=1e-8)
    # FactorAnalysis estimates the noise, so it agrees only up to sampling error.
    loadings = FactorAnalysis(3, svd_method="lapack").fit(X).components_
    assert np.abs(B_hat @ B_hat.T - loadings.T @ loadings).max() < 0.05


# --- phase two and the opponents
# ---------------------------------------------------------------------


def test_posterior_mean_is_gaussian_conditioning(world):
    B, _, Sigma = world
    np.testing.assert_allclose(m.posterior_mean_map(B), np.linalg.solve(Sigma, B), atol=1e-12)


@pytest.mark.parametrize("n", [5, 14, 100])
def test_plain_head_is_least_squares_of_least_norm(n, world):
    B, beta, _ = world
    X, y = m.draw_labeled(rng(10), B, beta, n, 0.5)
    np.testing.assert_allclose(m.fit_head(X, y), np.linalg.pinv(X) @ y, atol=1e-8)


def test_head_predictions_ignore_rotation_and_scale_of_features(world):
    B, beta, _ = world
    X, y = m.draw_labeled(rng(11), B, beta, 40, 0.5)
    B_hat = m.fit_factor_model(X.T @ X / 40, 3)
    turn = np.linalg.qr(rng(12).standard_normal((3, 3)))[0]
    components = np.linalg.svd(X, full_matrices=False)[2][:3].T
    ours = m.fit_head(X, y, m.posterior_mean_map(B_hat))
    np.testing.assert_allclose(
        ours, m.fit_head(X, y, m.posterior_mean_map(B_hat @ turn)), atol=1e-10
    )
    np.testing.assert_allclose(ours, m.fit_head(X, y, components), atol=1e-10)


@pytest.mark.parametrize("n", [8, 12, 60])
def test_ridge_is_scikit_learns_leave_one_out(n, world):
    B, beta, _ = world
    X, y = m.draw_labeled(rng(13), B, beta, n, 0.5)
    grid = np.logspace(-3, 4, 29)
    theirs = RidgeCV(alphas=grid, fit_intercept=False).fit(X, y)
    np.testing.assert_allclose(m.ridge_loo(X, y), theirs.coef_, rtol=1e-6, atol=1e-8)


def test_ridge_against_really_leaving_one_out(world):
    B, beta, _ = world
    X, _ = m.draw_labeled(rng(14), B, beta, 15, 0.5)
    Y = rng(15).standard_normal((15, 2)) + X[:, :1]
    grid = np.array([0.1, 1.0, 10.0, 100.0])
    solve = lambda A, T, k: np.linalg.solve(A.T @ A + k * np.eye(12), A.T @ T)
    errors = [
        sum(
            ((Y[i] - X[i] @ solve(np.delete(X, i, 0), np.delete(Y, i, 0), k)) ** 2).sum()
            for i in range(15)
        )
        for k in grid
    ]
    np.testing.assert_allclose(
        m.ridge_loo(X, Y, grid), solve(X, Y, grid[np.argmin(errors)]), atol=1e-10
    )


def test_two_phases_with_the_true_moments_are_the_oracle(world):
    B, beta, Sigma = world
    X, y = m.draw_labeled(rng(16), B, beta, 30, 0.5)
    np.testing.assert_allclose(
        m.two_phase(Sigma, 3, X, y), m.fit_head(X, y, m.posterior_mean_map(B)), atol=1e-10
    )
    nothing = m.two_phase(0.5 * np.eye(12), 3, X, y)
    assert (nothing == 0).all(), (
        "a cloud with less variance than the noise shows no factor, so the prediction is 0"
    )


def test_selector_is_the_best_of_all_single_features(world):
    B, beta, _ = world
    X, y = m.draw_labeled(rng(16), B, beta, 50, 0.5)
    W = m.posterior_mean_map(B)
    fits = []
    for k in range(3):
        f = X @ W[:, k]
        c = (f @ y) / (f @ f)
        fits.append((((y - c * f) ** 2).sum(), c * W[:, k]))
    np.testing.assert_allclose(m.selector_head(X, y, W), min(fits, key=lambda pair: pair[0])[1])


# --- the two terms ---------- ------------------------------------------------------------------


def test_head_term_is_the_mean_excess_of_least_squares(world):
    B, beta, Sigma = world
    w_star, source = m.best_linear(B, beta), rng(17)
    W = m.posterior_mean_map(B)
    runs = [m.draw_labeled(source, B, beta, 60, 0.5) for _ in range(2000)]
    for map, p in ((None, 12), (W, 3)):
        excess = [m.excess_risk(m.fit_head(X, y, map), w_star, Sigma) for X, y in runs]
        expected = m.head_term(B, beta, 60, 0.5, p)
        assert abs(np.mean(excess) - expected) < 5 * np.std(excess) / np.sqrt(2000)


def test_pretraining_term_is_the_limit_for_many_points():
    B, beta = m.factor_world(rng(18), 25, 3)
    Sigma, w_star, source = m.covariance(B), m.best_linear(B, beta), rng(19)
    lost = []
    for _ in range(400):
        W = m.posterior_mean_map(m.fit_factor_model(m.second_moment(source, Sigma, 50_000), 3))
        best = W @ np.linalg.solve(W.T @ Sigma @ W, W.T @ B @ beta)
        lost.append(m.excess_risk(best, w_star, Sigma))
    assert abs(np.mean(lost) / m.pretraining_term(B, beta, 50_000) - 1) < 0.06


# --- the mixture
# -------------------------------------------------------------------------------------


def test_mixture_world_and_draws():
    U, psi = m.mixture_world(rng(22), 10, 4, 5.0)
    np.testing.assert_allclose(np.linalg.norm(U, axis=1), 5)
    X, y = m.draw_mixture(rng(23), U, psi, 40_000)
    assert set(np.unique(y)) == {0, 1}
    nearest = ((X[:, None] - U) ** 2).sum(2).argmin(1)
    np.testing.assert_allclose([y[nearest == k].mean() for k in range(4)], psi, atol=0.04)


def test_responsibilities_and_likelihood_from_densities():
    U, X = rng(24).standard_normal((3, 4)), rng(25).standard_normal((20, 4))
    density = np.array([stats.multivariate_normal(u).pdf(X) for u in U])
    P, fit = m.responsibilities(X, U)
    np.testing.assert_allclose(P, density / density.sum(0))
    assert np.isclose(fit, np.log(density.mean(0)).mean() + 2 * np.log(2 * np.pi))
    far, _ = m.responsibilities(1e4 * X, 1e3 * U)  # no overflow
    np.testing.assert_allclose(far.sum(0), 1)


def test_em_never_lowers_the_likelihood_and_stops_where_it_is_stationary():
    U, psi = m.mixture_world(rng(26), 8, 5, 2.0)
    X, _ = m.draw_mixture(rng(27), U, psi, 800)
    centers, fits = X[:5], []
    for _ in range(30):
        centers, fit = m.em_pass(X, centers)
        fits.append(fit)
    assert (np.diff(fits) > -1e-12).all()
    found = m.fit_mixture(rng(28), X, 5, tolerance=1e-7, most=5000)
    gradient = optimize.approx_fprime(
        found.ravel(), lambda flat: m.responsibilities(X, flat.reshape(5, 8))[1], 1e-6
    )
    assert np.abs(gradient).max() < 1e-5


@pytest.mark.parametrize("norm", [3.0, 4.0, 6.0])
def test_mixture_fit_is_never_stuck(norm):
    """At a maximum the likelihood is at least that of the true centres."""
    for seed in range(2000, 2006):
        source = rng(seed)
        U, psi = m.mixture_world(source, 30, 8, norm)
        X, _ = m.draw_mixture(source, U, psi, 2000)
        found = m.fit_mixture(source, X, 8)
        assert m.responsibilities(X, found)[1] > m.responsibilities(X, U)[1]


def test_mixture_centres_agree_with_scikit_learn():
    U, psi = m.mixture_world(rng(29), 30, 8, 5.0)
    X, _ = m.draw_mixture(rng(30), U, psi, 3000)
    theirs = GaussianMixture(8, covariance_type="spherical", n_init=5, random_state=0).fit(X).means_
    ours = m.fit_mixture(rng(31), X, 8)
    apart = np.linalg.norm(ours[:, None] - theirs, axis=2)
    assert apart[linear_sum_assignment(apart)].max() < 0.15  # they also fit weights and variances
    truth = np.linalg.norm(ours[:, None] - U, axis=2)
    assert truth[linear_sum_assignment(truth)].max() < 0.6


def test_vote_minimizes_the_empirical_risk_when_groups_are_apart():
    """Against all 2^K heads."""
    U = 20 * np.eye(6)
    X, y = m.draw_mixture(rng(34), U, np.where(np.arange(6) % 2, 0.2, 0.8), 120)
    P, _ = m.responsibilities(X, U)
    wrong = lambda bits: (m.predict_votes(P, np.array(bits)) != y).sum()
    assert wrong(m.vote(P, y)) == min(wrong(bits) for bits in itertools.product((0, 1), repeat=6))


def test_votes_of_several_classes_by_hand():
    P = np.array([[0.9, 0.2, 0.1], [0.1, 0.8, 0.9]])
    y = np.array([2, 1, 1])
    assert m.vote(P, y, 3).tolist() == [2, 1]
    assert m.predict_votes(P, np.array([2, 1]), 3).tolist() == [2, 1, 1]


# --- contrastive
# -------------------------------------------------------------------------------------


def test_pairs_follow_the_similarity():
    theta, beta = m.contrastive_world(rng(35), 6, 2)
    np.testing.assert_allclose(theta.T @ theta, 2.25 * np.eye(2), atol=1e-12)
    X, X2, t = m.draw_pairs(rng(36), theta, 100_000)
    s = ((X @ theta) * (X2 @ theta)).sum(1)
    for low, high in ((-2, -1), (-0.5, 0.5), (1, 2)):
        part = (s > low) & (s < high)
        assert abs(t[part].mean() - (1 / (1 + np.exp(-s[part]))).mean()) < 0.02


def test_contrastive_fit_is_stationary_and_likelier_than_the_truth():
    theta, _ = m.contrastive_world(rng(37), 6, 2)
    X, X2, t = m.draw_pairs(rng(38), theta, 4000)

    def loss(flat):
        A = flat.reshape(6, 2)
        s = ((X @ A) * (X2 @ A)).sum(1)
        return -(t * s - np.log1p(np.exp(s))).mean()

    found = m.fit_contrastive(X, X2, t, 2)
    assert loss(found.ravel()) < loss(theta.ravel())
    assert np.abs(optimize.approx_fprime(found.ravel(), loss, 1e-6)).max() < 1e-3
    assert np.abs(found @ found.T - theta @ theta.T).max() < 0.4


def test_contrastive_of_full_rank_is_logistic_regression_on_products():
    """With r = d and a positive definite solution, theta theta' is the free symmetric matrix of a
    logistic regression.
    """
    theta = np.diag([1.5, 1.2, 1.0])
    X, X2, t = m.draw_pairs(rng(39), theta, 8000)
    i, j = np.triu_indices(3)
    products = X[:, i] * X2[:, j] + X[:, j] * X2[:, i] * (i != j)
    free = (
        LogisticRegression(C=1e8, fit_intercept=False, tol=1e-8, max_iter=500)
        .fit(products, t)
        .coef_[0]
    )
    found = m.fit_contrastive(X, X2, t, 3, most=500)
    np.testing.assert_allclose((found @ found.T)[i, j], free, atol=5e-3)


# --- what the chapter says of its limits
# -------------------------------------------------------------


def test_infinite_pretraining_is_the_oracle_and_whitening_leaves_nothing(world):
    B, beta, Sigma = world
    X, y = m.draw_labeled(rng(40), B, beta, 50, 0.5)
    fitted = m.posterior_mean_map(m.fit_factor_model(Sigma, 3))
    np.testing.assert_allclose(
        m.fit_head(X, y, fitted), m.fit_head(X, y, m.posterior_mean_map(B)), atol=1e-10
    )
    assert np.abs(m.fit_factor_model(np.eye(12), 3)).max() < 1e-7


def test_selector_needs_the_rotation_even_with_infinite_data():
    excess = {}
    for name, diagonal in (("aligned", True), ("turned", False)):
        B, _ = m.factor_world(rng(41), 20, 4)
        if diagonal:
            U, s, _ = np.linalg.svd(B, full_matrices=False)
            B = U * s
        beta = np.eye(4)[0]
        Sigma, w_star = m.covariance(B), m.best_linear(B, beta)
        X, y = m.draw_labeled(rng(42), B, beta, 100_000, 0.5)
        W = m.posterior_mean_map(m.fit_factor_model(Sigma, 4))
        excess[name] = m.excess_risk(m.selector_head(X, y, W), w_star, Sigma)
        assert m.excess_risk(m.fit_head(X, y, W), w_star, Sigma) < 1e-3
    assert excess["aligned"] < 1e-3 < 0.02 < excess["turned"]
