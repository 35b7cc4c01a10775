"""The method cells of latent-label-shift against independent implementations and limiting cases
with known answers.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import NMF

from press import method_cells
from unlabeled.data import Pictures, load
from unlabeled.evaluation import clustering_accuracy
from unlabeled.runtime import InputError, seed_all

m = method_cells("latent-label-shift")
PAIRS = ((0, 1), (2, 6), (3, 4), (5, 7), (8, 9))


def random_columns(rng, rows, columns):
    return rng.dirichlet(np.ones(rows), size=columns).T


# The class shares


@pytest.mark.parametrize(
    ("k", "r", "alpha", "cap"),
    [(5, 10, 0.5, 4), (5, 10, 10, 12), (10, 20, 3, 6), (3, 3, 0.5, 4), (2, 2, 3, 5)],
)
def test_priors_keep_to_the_rules(k, r, alpha, cap):
    for seed in range(5):
        Q = m.sample_priors(np.random.default_rng(seed), k, r, alpha, cap)
        assert Q.shape == (k, r)
        assert np.allclose(Q.sum(axis=0), 1)
        assert np.linalg.cond(Q) <= cap * (1 + 1e-9)
        assert ((Q == 0) | (Q >= 1e-7)).all()


def test_priors_are_symmetric_in_the_classes_with_the_dirichlet_spread():
    rng = np.random.default_rng(0)
    k, alpha = 5, 3
    Q = np.stack([m.sample_priors(rng, k, 10, alpha, cap=1e6) for _ in range(400)])
    assert np.allclose(Q.mean(axis=(0, 2)), 1 / k, atol=0.015)
    # variance of a Dirichlet(a, ..., a) entry with k a = alpha
    assert Q.var() == pytest.approx((1 / k) * (1 - 1 / k) / (alpha + 1), rel=0.05)


def test_priors_that_cannot_be_met_are_refused_in_one_sentence():
    with pytest.raises(InputError, match="raise the cap"):
        m.sample_priors(np.random.default_rng(0), 5, 5, 10, cap=1.01, budget=10_000)
    with pytest.raises(InputError, match="take 2 or more"):
        m.sample_priors(np.random.default_rng(0), 5, 4, 10, cap=10)


# The authors' formulas, written down anew in loops


def loop_domain_given_class(Q_YD):
    k, r = Q_YD.shape
    Q_DY = np.empty((r, k))
    for y in range(k):
        total = sum(Q_YD[y, d] for d in range(r))
        for d in range(r):
            Q_DY[d, y] = Q_YD[y, d] / (total if total else 1e-8)
    return Q_DY


@pytest.mark.parametrize("seed", range(4))
def test_adjustment_agrees_with_the_authors_formulas_on_random_inputs(seed):
    rng = np.random.default_rng(seed)
    k, r, n = 4, 7, 60
    Q_YD = random_columns(rng, k, r)
    F, d = rng.dirichlet(np.ones(r), size=n), rng.integers(0, r, size=n)
    Q_DY = loop_domain_given_class(Q_YD)
    assert np.allclose(m.domain_given_class(Q_YD), Q_DY)
    # pinv of a matrix of full column rank is (A'A)^-1 A'
    p_yx = np.stack([np.linalg.inv(Q_DY.T @ Q_DY) @ Q_DY.T @ row for row in F])
    assert np.allclose(m.class_given_input(F, Q_YD), p_yx)
    weighted = np.stack([p_yx[i] * Q_DY[d[i]] for i in range(n)])
    assert (m.classify(p_yx, d, Q_YD) == weighted.argmax(axis=1)).all()


def test_a_class_that_no_domain_shows_gives_a_zero_column():
    Q_YD = np.array([[0.5, 1.0, 0.2], [0.5, 0.0, 0.8], [0.0, 0.0, 0.0]])
    Q_DY = m.domain_given_class(Q_YD)
    assert np.allclose(Q_DY, loop_domain_given_class(Q_YD))
    assert (Q_DY[:, 2] == 0).all()
    assert np.isfinite(m.class_given_input(np.full((4, 3), 1 / 3), Q_YD)).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", range(3))
def test_factorisation_is_the_authors_for_one_start(seed):
    rng = np.random.default_rng(seed)
    Q_CD = random_columns(rng, 12, 8)
    # as the authors call it, on the transpose
    model = NMF(n_components=4, init="random", random_state=seed)
    W = model.fit_transform(Q_CD.T).T
    C = model.components_.T
    W = W * C.sum(axis=0)[:, None]
    Q_CY, Q_YD = m.factorize(Q_CD, 4, seed, restarts=1, max_iter=200)
    assert np.allclose(Q_CY, C / C.sum(axis=0), atol=1e-10)
    assert np.allclose(Q_YD, W / W.sum(axis=0), atol=1e-10)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_more_starts_never_fit_worse():
    rng = np.random.default_rng(1)
    Q_CD = random_columns(rng, 12, 8)
    worst = [np.inf]
    for restarts in (1, 3, 6):
        errors = []
        for number in range(restarts):
            model = NMF(n_components=4, init="random", random_state=1000 * number, max_iter=1000)
            factor = model.fit_transform(Q_CD.T)
            errors.append(
                (np.linalg.norm(Q_CD.T - factor @ model.components_), model.components_.T)
            )
        best = min(errors, key=lambda pair: pair[0])
        assert best[0] <= worst[-1] + 1e-12
        worst.append(best[0])
        Q_CY, _ = m.factorize(Q_CD, 4, seed=0, restarts=restarts)
        assert np.allclose(Q_CY, best[1] / best[1].sum(axis=0), atol=1e-8)


def test_rescaling_keeps_the_product_and_gives_distributions():
    rng = np.random.default_rng(0)
    Q_CY, Q_YD = random_columns(rng, 9, 3), random_columns(rng, 3, 6)
    scale = rng.uniform(0.1, 10, size=3)
    left, right = m.rescale(Q_CY * scale, Q_YD / scale[:, None])
    assert np.allclose(left, Q_CY) and np.allclose(right, Q_YD)
    dead, _ = m.rescale(np.c_[Q_CY, np.zeros(9)], np.r_[Q_YD, np.ones((1, 6))])
    assert np.isfinite(dead).all() and (dead[:, 3] == 0).all()


# Theorem and algorithm apart


@pytest.mark.parametrize("alpha", [0.5, 3, 10, 40])
def test_the_anchor_solver_is_exact_for_words(alpha):
    for seed in range(10, 14):
        rng = np.random.default_rng(seed)
        Q_YD = m.sample_priors(rng, 4, 7, alpha, 1e3)
        Q_XY = m.finite_world(rng, 4, words=20, anchor_mass=0.05)
        assert np.allclose(Q_XY.sum(axis=0), 1)
        Q_XD = Q_XY @ Q_YD
        P = Q_XD / Q_XD.sum(axis=1, keepdims=True)
        assert sorted(m.find_anchors(P, 4)) == [0, 1, 2, 3]
        found = m.solve_anchors(P, 4)
        assert np.abs(found[m.align_rows(found, Q_YD)] - Q_YD).max() < 1e-7


def test_the_anchor_solver_needs_no_room_and_no_order():
    rng = np.random.default_rng(3)
    Q_YD = m.sample_priors(rng, 3, 5, 3, 10)
    p_yx = rng.permutation(np.r_[np.eye(3), rng.dirichlet(np.ones(3), size=40)])
    found = m.solve_anchors(p_yx @ m.domain_given_class(Q_YD).T, 3)
    assert np.abs(found[m.align_rows(found, Q_YD)] - Q_YD).max() < 1e-9


def test_without_anchors_the_solver_is_wrong():
    rng = np.random.default_rng(3)
    Q_YD = m.sample_priors(rng, 3, 5, 3, 10)
    p_yx = 0.5 * rng.dirichlet(np.ones(3), size=40) + 0.5 / 3
    found = m.solve_anchors(p_yx @ m.domain_given_class(Q_YD).T, 3)
    assert np.abs(found[m.align_rows(found, Q_YD)] - Q_YD).max() > 0.05


def test_nmf_fits_exactly_and_is_wrong_where_domains_are_alike():
    errors, fits = [], []
    for seed in range(20, 24):
        rng = np.random.default_rng(seed)
        Q_YD = m.sample_priors(rng, 3, 6, 10, 12)
        Q_XD = m.finite_world(rng, 3, words=12) @ Q_YD
        left, right = m.factorize(Q_XD, 3, seed, restarts=3, max_iter=6000, tol=1e-12)
        fits.append(np.abs(left @ right - Q_XD).max())
        errors.append(m.l1_per_domain(right[m.align_rows(right, Q_YD)], Q_YD))
    assert max(fits) < 1e-4
    assert np.mean(errors) > 0.1


def test_nmf_is_right_where_domains_and_words_are_pure():
    rng = np.random.default_rng(0)
    Q_YD = np.c_[np.eye(3), random_columns(rng, 3, 3)]
    Q_XD = m.finite_world(rng, 3, words=12) @ Q_YD
    _, found = m.factorize(Q_XD, 3, seed=0, restarts=3, max_iter=20_000, tol=1e-12)
    assert np.abs(found[m.align_rows(found, Q_YD)] - Q_YD).max() < 1e-3


# The oracle world


def test_oracle_densities_integrate_to_one_and_match_the_samples():
    Q_YD = np.full((3, 3), 1 / 3)
    x, d, y, _ = m.oracle_world(np.random.default_rng(0), 3000, Q_YD, radius=1.3)
    angle = np.arange(6) * np.pi / 3
    centers = 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    distance = np.sqrt(((x[:, None] - centers) ** 2).sum(axis=-1))
    own = np.minimum(distance[np.arange(3000), y], distance[np.arange(3000), y + 3])
    assert own.max() <= 1.3
    # E[distance^2] under density proportional to 1 - (distance / radius)^2 is radius^2 / 3
    assert (own**2).mean() == pytest.approx(1.3**2 / 3, rel=0.05)
    assert (np.bincount(d) == 1000).all()
    # a class's own density averages over a sample to the integral of its square, also computed on a
    # grid
    step = 0.02
    axis = np.arange(-3.5, 3.5, step)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    near = 1 - ((grid[:, None] - centers[[0, 3]]) ** 2).sum(axis=-1) / 1.3**2
    density = (2 / (np.pi * 1.3**2) * np.clip(near, 0, None)).sum(axis=1) / 2
    assert density.sum() * step**2 == pytest.approx(1, abs=1e-3)
    _, _, y, p = m.oracle_world(np.random.default_rng(1), 20_000, Q_YD, radius=1.3)
    assert p[y == 0, 0].mean() == pytest.approx((density**2).sum() * step**2, rel=0.03)


def test_with_the_oracle_the_adjusted_classifier_is_bayes():
    rng = np.random.default_rng(0)
    Q_YD = m.sample_priors(rng, 3, 6, 3, 6)
    _, d, _, density = m.oracle_world(rng, 2000, Q_YD)
    p_yx = density * Q_YD.mean(axis=1)
    p_yx /= p_yx.sum(axis=1, keepdims=True)
    F = p_yx @ m.domain_given_class(Q_YD).T
    assert np.allclose(m.class_given_input(F, Q_YD), p_yx)
    bayes = density * Q_YD[:, d].T
    assert (m.classify(p_yx, d, Q_YD) == bayes.argmax(axis=1)).all()
    # F is p(d|x): by Bayes' rule from the densities of the domains
    p_xd = density @ Q_YD
    assert np.allclose(F, p_xd / p_xd.sum(axis=1, keepdims=True))


# Matching and counting


def test_matching_agrees_with_trying_every_order():
    rng = np.random.default_rng(0)
    Q = random_columns(rng, 4, 6)
    estimate = random_columns(rng, 4, 6)
    order = m.align_rows(estimate, Q)
    best = min(np.abs(estimate[list(p)] - Q).sum() for p in itertools.permutations(range(4)))
    assert np.abs(estimate[order] - Q).sum() == pytest.approx(best)
    predicted, y = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    accuracy, l1 = m.accuracy_and_l1(predicted, estimate, y, Q)
    assert accuracy == pytest.approx(
        max(np.mean(np.array(p)[predicted] == y) for p in itertools.permutations(range(4)))
    )
    assert accuracy == pytest.approx(clustering_accuracy(predicted, y))
    assert 0 <= l1 <= 2


def test_a_renamed_truth_scores_perfectly():
    rng = np.random.default_rng(1)
    Q, y, names = random_columns(rng, 5, 8), rng.integers(0, 5, 300), rng.permutation(5)
    accuracy, l1 = m.accuracy_and_l1(names[y], Q[np.argsort(names)], y, Q)
    assert accuracy == 1 and l1 < 1e-12
    assert m.l1_per_domain(np.eye(2), np.eye(2)[::-1]) == 2


def test_counting_agrees_with_histogram2d():
    rng = np.random.default_rng(0)
    c, d = rng.integers(0, 7, 500), rng.integers(0, 4, 500)
    expected = np.histogram2d(c, d, bins=[np.arange(8) - 0.5, np.arange(5) - 0.5])[0]
    assert (m.count_clusters(c, d, 7, 4) == expected).all()


def test_both_solvers_recover_pure_clusters():
    rng = np.random.default_rng(0)
    Q_YD = np.c_[np.eye(3), random_columns(rng, 3, 3)]
    # two clusters for each class, equally large domains
    counts = np.repeat(np.round(1e6 * Q_YD / 2), 2, axis=0)
    for solver in ("nmf", "anchors"):
        found = m.ddfa_priors(counts, 3, seed=0, solver=solver)
        assert np.abs(found[m.align_rows(found, Q_YD)] - Q_YD).max() < 5e-3


# Drawing the pictures


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_drawn_pictures_follow_the_shares(digits):
    rng = np.random.default_rng(0)
    Q_YD = m.sample_priors(rng, 5, 4 + 1, 3, 20)
    classes = np.array(
        [next(c for c, pair in enumerate(PAIRS) if label in pair) for label in digits.train_labels]
    )
    sample = m.draw_pictures(
        rng, digits.train_images, digits.train_labels, PAIRS, Q_YD, 20_000, noise=0.0
    )
    assert (np.bincount(sample.d) == 4000).all()
    shares = np.stack(
        [np.bincount(sample.y[sample.d == d], minlength=5) / 4000 for d in range(5)], axis=1
    )
    assert np.abs(shares - Q_YD).max() < 4 * np.sqrt(0.25 / 4000)
    known = {picture.tobytes(): label for picture, label in zip(digits.train_images, classes)}
    assert all(
        known[picture.tobytes()] == label for picture, label in zip(sample.x[:300], sample.y)
    )


def test_jitter_moves_pictures_as_numpy_rolls_them(digits):
    Q_YD = np.eye(2)
    sample = m.draw_pictures(
        np.random.default_rng(0),
        digits.train_images,
        digits.train_labels,
        ((0,), (1,)),
        Q_YD,
        60,
        0.0,
        jitter=1,
    )
    originals = digits.train_images[digits.train_labels < 2]
    shifts = set()
    for picture in sample.x:
        hits = [
            s
            for s in itertools.product((-1, 0, 1), repeat=2)
            if (np.roll(originals, s, axis=(1, 2)) == picture).all(axis=(1, 2)).any()
        ]
        assert hits
        shifts.update(hits)
    assert len(shifts) == 9


def test_a_task_keeps_its_pools_apart_and_the_control_changes_domain_labels_alone(digits):
    arguments = dict(
        pictures=digits, grouping=PAIRS, r=10, alpha=0.5, cap=4, n=(600, 300, 400), noise=0.0
    )
    task = m.make_task(np.random.default_rng(7), **arguments)
    seen = [
        {picture.tobytes() for picture in part.x} for part in (task.train, task.valid, task.test)
    ]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    cut = m.make_task(np.random.default_rng(7), **arguments, shuffle=True)
    assert (cut.Q_YD == task.Q_YD).all()
    for name in ("train", "valid", "test"):
        real, control = getattr(task, name), getattr(cut, name)
        assert (real.x == control.x).all() and (real.y == control.y).all()
        assert (np.bincount(real.d) == np.bincount(control.d)).all()
        assert (real.d == control.d).all() == (name == "test")


def test_a_missing_class_is_named(digits):
    few = replace(digits, train_labels=np.where(digits.train_labels == 9, 8, digits.train_labels))
    with pytest.raises(InputError, match="no picture"):
        m.draw_pictures(
            np.random.default_rng(0),
            few.train_images,
            few.train_labels,
            [(c,) for c in range(10)],
            np.eye(10),
            100,
            0.0,
        )


# The discriminator


def two_looks(n, rng, Q_YD):
    """Pictures of two looks, black and white, so that p(d|x) is known."""
    d = np.arange(n) % 2
    y = (rng.random(n) > Q_YD[0, d]).astype(int)
    return m.Sample(np.tile(y[:, None, None], (1, 2, 2)).astype(np.float32), d, y)


def test_the_discriminator_learns_p_d_given_x():
    rng = np.random.default_rng(0)
    Q_YD = np.array([[0.9, 0.3], [0.1, 0.7]])
    task = m.Task(Q_YD, *(two_looks(n, rng, Q_YD) for n in (4000, 2000, 1000)))
    F_seen, F_test = m.discriminate(rng, task, epochs=12, batch=200)
    assert F_seen.shape == (6000, 2) and F_test.shape == (1000, 2)
    assert np.allclose(F_test, m.domain_given_class(Q_YD).T[task.test.y], atol=0.05)


@pytest.mark.parametrize("shape", [(8, 8), (12, 12, 3)])
@pytest.mark.parametrize("kind", ["mlp", "resnet18"])
def test_networks_take_grey_and_colour_pictures(kind, shape):
    net = m.Discriminator(np.random.default_rng(0), kind, shape, 5)
    images = torch.as_tensor(np.random.default_rng(0).random((4, *shape), dtype=np.float32))
    F = net.posterior(images)
    assert F.shape == (4, 5) and np.allclose(F.sum(axis=1), 1)
    assert np.allclose(net.posterior(images[:2]), F[:2], atol=1e-6)


def test_the_resnet_has_18_layers_with_weights_and_11_million_parameters():
    net = m.resnet18(3, 10)
    convolutions = [
        layer
        for layer in net.modules()
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (3, 3)
    ]
    assert len(convolutions) + 1 == 18
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(11.17e6, rel=0.01)


# The whole


SIZES = dict(n=(3000, 1500, 2000), noise=0.1)


def trial(seed, pictures, grouping, r, **changes):
    return m.trial(seed_all(seed), pictures, grouping, r, 0.5, 4, **SIZES | changes)


def test_a_grouping_of_ones_own(digits):
    scores = trial(501, digits, ((0, 7), (1, 8), (4, 6)), 6)
    assert scores["DDFA"][0] > 0.9 > scores["k-means"][0] and scores["DDFA"][1] < 0.3
    assert scores["DDFA, true shares"][1] < 1e-12
    for name, (accuracy, _) in scores.items():
        assert 1 / 3 <= accuracy <= 1, name


def test_the_control_takes_the_gain_away_and_a_seed_decides_alone(digits):
    real = trial(502, digits, PAIRS, 10)
    torch.manual_seed(99)  # what happened before must not matter
    np.random.seed(99)
    again = trial(502, digits, PAIRS, 10)
    assert all(np.array_equal(real[name], again[name], equal_nan=True) for name in real)
    assert real["DDFA"][0] > 0.9 and trial(502, digits, PAIRS, 10, shuffle=True)["DDFA"][0] < 0.6


def test_the_domain_alone_is_what_it_says(digits):
    task = m.make_task(np.random.default_rng(1), digits, PAIRS, 10, 0.5, 4, (600, 300, 1000), 0.1)
    scores = m.pixel_baselines(task, seed=1, m=15)
    table = m.count_clusters(task.test.y, task.test.d, 5, 10)
    expected = sum(table[task.Q_YD[:, d].argmax(), d] for d in range(10)) / 1000
    assert scores["domain alone"][0] == pytest.approx(expected)
    assert scores["merged with labels"][0] >= scores["naive NMF"][0] - 0.2


def test_colour_pictures_and_large_sets_are_taken():
    rng = np.random.default_rng(0)
    labels = np.arange(6000) % 3
    images = (
        0.2 * rng.random((6000, 4, 4, 3))
        + 0.3 * labels[:, None, None, None] * np.array([1, 0.5, 0])
    ).astype(np.float32)
    pictures = Pictures("own", images[:5400], labels[:5400], images[5400:], labels[5400:])
    scores = trial(503, pictures, ((0,), (1, 2)), 4, n=(3000, 1500, 600))
    # Two classes and four domains: the discriminator is all but perfect, the factorisation need not
    # be.
    assert scores["DDFA, true shares"][0] > 0.98 and scores["DDFA, anchors"][0] > 0.95
