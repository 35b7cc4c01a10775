"""The method cells of novel-class-discovery against libraries, loops and limiting cases."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import silhouette_score
from torch import nn

from press import method_cells
from unlabeled.evaluation import clustering_accuracy

m = method_cells("novel-class-discovery")
torch.set_num_threads(1)  # the matrices are tiny: more threads only get in each other's way


def blobs(seed=0, n=300, centres=5, d=4, spread=1.0):
    X, y = make_blobs(n, d, centers=centres, cluster_std=spread, random_state=seed)
    return m.scale(X, False), y


def generators(*seeds):
    return [np.random.default_rng(seed) for seed in seeds]


# Tables


def test_scale_by_column_and_by_one_unit():
    X = np.random.default_rng(0).normal(3, [1, 2, 4], size=(50, 3))
    X = np.insert(X, 1, 7.0, axis=1)
    own, one = m.scale(X, False), m.scale(X, True)
    assert np.allclose(own.std(axis=0), [1, 0, 1, 1], atol=1e-5)
    common = np.sqrt(X.var(axis=0).sum() / 3)  # of the three columns that vary
    assert np.allclose(one * common, X - X.mean(axis=0), atol=1e-4)
    assert np.allclose(one.mean(axis=0), 0, atol=1e-5) and own.dtype == one.dtype == np.float32
    assert not m.scale(np.ones((4, 2)), True).any()


def test_splits_are_a_partition_with_four_known_classes_or_more():
    for C, novel_count in ((6, 2), (7, 3), (8, 4), (10, 5), (26, 13)):
        known, novel = m.split_classes(np.random.default_rng(C), C)
        assert sorted([*known, *novel]) == list(range(C)) and len(novel) == novel_count


def test_labels_show_known_classes_by_place_and_nothing_else():
    y = np.array([0, 1, 2, 3, 1])
    assert m.label_known(y, np.array([3, 1])).tolist() == [-1, 1, -1, 0, 1]
    assert m.label_known(y, np.array([], dtype=int)).tolist() == [-1] * 5


def test_machines_leave_the_table_alone_and_are_blind_to_the_classes():
    X, y = blobs(n=3000)
    Xm = m.add_machines(X, np.random.default_rng(1))
    assert Xm.shape == (3000, 6) and np.array_equal(Xm[:, :4], X)
    for column in Xm[:, 4:].T:
        of_class = [column[y == c].mean() for c in range(5)]
        assert np.abs(of_class).max() < 5 / math.sqrt(600)  # five standard errors


# k-means and NCD k-means


def test_seeding_follows_the_stated_probabilities():
    rng = np.random.default_rng(2)
    X, means = rng.normal(size=(5, 3)), rng.normal(size=(2, 3))
    for power in (1, 2):
        near = np.linalg.norm(X[:, None] - means[None], axis=2).min(axis=1) ** power
        draws = [m.seed_centres(X, 1, rng, means, power)[0] for _ in range(3000)]
        share = [np.mean([np.array_equal(draw, x) for draw in draws]) for x in X]
        assert np.allclose(share, near / near.sum(), atol=0.04)


def test_seeding_without_known_classes_begins_uniformly_and_never_repeats_a_point():
    rng = np.random.default_rng(3)
    X = np.array([[0.0], [1.0], [50.0]])
    draws = [m.seed_centres(X, 2, rng) for _ in range(900)]
    assert np.allclose(
        [np.mean([draw[0, 0] == x for draw in draws]) for x in X[:, 0]], 1 / 3, atol=0.06
    )
    assert all(draw[0, 0] != draw[1, 0] for draw in draws)


def test_rows_that_all_coincide_do_not_break_the_clustering():
    X = np.ones((4, 2), np.float32)
    rng = np.random.default_rng(0)
    assert m.seed_centres(X, 2, rng, np.ones((1, 2))).shape == (2, 2)
    assert m.kmeans(X, 3, rng).shape == (4,)
    assert m.estimate_k(X, 5, rng) == 2


def test_as_many_clusters_as_rows_or_more():
    X = np.arange(3, dtype=np.float32)[:, None]
    for k in (3, 9):
        assert len(np.unique(m.kmeans(X, k, np.random.default_rng(0)))) == 3
    assert m.estimate_k(X, 9, np.random.default_rng(0)) == 2


def test_lloyd_agrees_with_scikit_learn_from_the_same_start():
    for seed in range(4):
        X, _ = blobs(seed, spread=3)
        X = X.astype(float)
        starts = np.stack(
            [
                X[np.random.default_rng(10 * seed + r).choice(300, 6, replace=False)]
                for r in range(3)
            ]
        )
        cluster, mu, inertia = m.lloyd(X, starts)
        for r in range(3):
            theirs = KMeans(6, init=starts[r], n_init=1, max_iter=1000, tol=0).fit(X)
            assert inertia[r] == pytest.approx(theirs.inertia_, rel=1e-9)
            assert np.array_equal(cluster[r], theirs.labels_) and np.allclose(
                mu[r], theirs.cluster_centers_
            )


def test_an_empty_cluster_keeps_its_centre():
    X = np.array([[0.0], [0.2], [1.0], [1.2]])
    _, mu, _ = m.lloyd(X, np.array([[[0.0], [1.0], [99.0]]]))
    assert np.allclose(mu[0, :, 0], [0.1, 1.1, 99.0])


def test_kmeans_reaches_the_best_inertia_of_scikit_learn():
    X, _ = blobs(5, centres=4)
    cluster = m.kmeans(X, 4, np.random.default_rng(0), starts=10)
    inertia = sum(
        len(part) * part.var(axis=0).sum() for part in (X[cluster == c] for c in range(4))
    )
    assert inertia == pytest.approx(KMeans(4, n_init=20, random_state=0).fit(X).inertia_, rel=1e-4)


def test_known_means_repel_the_starts_only():
    """Half of the rows lie on the known mean: they are not drawn, but they are clustered."""
    X = np.concatenate([np.zeros((50, 2)), np.tile([[5.0, 0.0]], (50, 1))])
    starts = [
        m.seed_centres(X, 1, np.random.default_rng(s), np.zeros((1, 2)))[0] for s in range(20)
    ]
    assert np.allclose(starts, [5, 0])
    assert len(np.unique(m.kmeans(X, 1, np.random.default_rng(0), np.zeros((1, 2))))) == 1


def test_class_means():
    X, y = blobs()
    labels = m.label_known(y, np.array([4, 2]))
    assert np.allclose(m.class_means(X, labels), [X[y == 4].mean(axis=0), X[y == 2].mean(axis=0)])
    assert len(m.class_means(X, np.full(len(X), -1))) == 0


# The linear map


def test_the_linear_map_makes_the_known_classes_round():
    X, y = blobs(3, n=600, d=6, spread=2.0)
    labels = np.where(y < 3, y, -1)
    Z = m.linear_map(X.astype(float), labels, 0.0, 6)
    inner = np.concatenate([Z[labels == c] - Z[labels == c].mean(axis=0) for c in range(3)])
    assert np.allclose(inner.T @ inner / len(inner), np.eye(6), atol=1e-3)
    assert np.allclose(Z[labels < 0].mean(axis=0), 0, atol=1e-4)
    spread = Z[labels < 0].var(axis=0)
    assert (np.diff(spread) <= 1e-4).all()


def test_the_linear_map_has_the_distances_of_discriminant_analysis():
    """Where every class is known, whitening by their scatter is linear discriminant analysis'
    metric.
    """
    X, y = blobs(4, n=500, centres=4, d=5, spread=2.0)
    X = np.concatenate([X, X]).astype(float)
    labels = np.concatenate([y, np.full(len(y), -1)])
    Z = m.linear_map(X, labels, 0.0, 5)[:500]
    theirs = LinearDiscriminantAnalysis(solver="svd").fit(X[:500], y)
    between = np.stack([Z[y == c].mean(axis=0) for c in range(4)])
    scores = theirs.transform(X[:500])
    other = np.stack([scores[y == c].mean(axis=0) for c in range(4)])
    distances = [np.linalg.norm(a[:, None] - a[None], axis=2) for a in (between, other)]
    assert np.allclose(distances[0], distances[1], rtol=1e-3)


def test_much_shrinkage_is_principal_components():
    X, y = blobs(1, d=4, spread=2.0)
    labels = np.where(y < 2, y, -1)
    Z = m.linear_map(X.astype(float), labels, 1e9, 2)
    rows = X[labels < 0] - X[labels < 0].mean(axis=0)
    _, s, _ = np.linalg.svd(rows)
    assert np.allclose(
        Z[labels < 0].std(axis=0) / Z[labels < 0].std(axis=0)[0], s[:2] / s[0], atol=1e-3
    )


# PBN


def test_each_network_of_pbn_is_an_ordinary_network():
    net = m.PBN(6, (9, 5), 4, 3, generators(0, 1, 2))
    x = torch.randn(3, 20, 6, generator=torch.Generator().manual_seed(0))
    z = net.code(x)
    for j in range(3):
        weights, biases = net.f.weights, net.f.biases
        layers = []
        for weight, bias in zip(weights, biases):
            layer = nn.Linear(*weight.shape[1:])
            layer.weight.data, layer.bias.data = weight[j].T.detach(), bias[j, 0].detach()
            layers += [layer, nn.ReLU()]
        code = nn.functional.normalize(nn.Sequential(*layers[:-1])(x[j]), dim=1)
        assert torch.allclose(z[j], code, atol=1e-5)
    assert net.g(z).shape == (3, 20, 6) and net.h(z).shape == (3, 20, 3)


def test_the_loss_is_the_formula():
    rng = np.random.default_rng(2)
    net = m.PBN(6, (7,), 4, 3, generators(0, 1))
    x = torch.tensor(rng.normal(size=(2, 12, 6)), dtype=torch.float32)
    target = torch.tensor(rng.normal(size=(2, 12, 6)), dtype=torch.float32)
    labels = torch.tensor(rng.integers(-1, 3, size=(2, 12)))
    rebuilt = torch.tensor(rng.integers(2, size=(2, 12))).float()
    w = torch.tensor([0.2, 0.7])
    loss = m.pbn_loss(net, x, target, labels, rebuilt, w).detach()
    with torch.no_grad():
        z = net.code(x)
        outputs, p = net.g(z), net.h(z).softmax(dim=2)
    for j in range(2):
        seen = [i for i in range(12) if labels[j, i] >= 0]
        kept = [i for i in range(12) if rebuilt[j, i]]
        ce = sum(-math.log(p[j, i, labels[j, i]]) for i in seen) / len(seen)
        rec = sum(float((outputs[j, i] - target[j, i]).square().sum()) for i in kept) / len(kept)
        assert float(loss[j]) == pytest.approx(float(w[j]) * ce + (1 - float(w[j])) * rec, rel=1e-4)


def test_a_batch_without_labels_or_without_rows_to_rebuild_is_no_nan():
    net = m.PBN(6, (7,), 4, 3, generators(0))
    x = torch.randn(1, 12, 6, generator=torch.Generator().manual_seed(0))
    nothing = m.pbn_loss(
        net, x, x, torch.full((1, 12), -1), torch.zeros(1, 12), torch.tensor([0.5])
    )
    assert nothing.item() == 0


@pytest.mark.parametrize(("w", "still"), [(0.0, {"h"}), (1.0, {"g"}), (0.5, set())])
def test_the_extremes_of_w_silence_one_teacher_exactly(w, still):
    net = m.PBN(6, (7,), 4, 3, generators(3))
    x = torch.randn(1, 30, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(30).remainder(4)[None] - 1
    m.pbn_loss(net, x, x, labels, torch.ones(1, 30), torch.tensor([w])).sum().backward()
    quiet = {
        part
        for part in "fgh"
        if all(p.grad is None or p.grad.abs().max() == 0 for p in getattr(net, part).parameters())
    }
    assert quiet == still


def small(seeds=(0, 1), n=200, K=2):
    tables, labels = [], []
    for seed in seeds:
        X, y = blobs(seed, n=n)
        tables.append(X)
        labels.append(np.stack([np.where(y < 3, y, -1)] * K))
    return np.stack(tables), np.stack(labels)


FEW = dict(hidden=(8,), latent=4, steps=30, batch=32)


def test_a_network_learns_the_same_alone_and_in_company():
    X, labels = small()
    together = m.train_pbn(X, labels, [0.3, 0.8], generators(5, 6), **FEW)
    assert together.shape == (2, 2, 200, 4)
    alone = m.train_pbn(X[1:], labels[1:, :1], [0.3], generators(6), **FEW)
    assert np.allclose(together[1, 0], alone[0, 0], atol=2e-3)
    assert np.allclose((together**2).sum(axis=3), 1, atol=1e-4)


def test_the_classifier_alone_does_not_see_the_cut_and_the_decoder_does():
    X, labels = small(seeds=(0,))
    other = np.roll(np.arange(200), 1)[None]
    real, cut = (
        m.train_pbn(X, labels, [1.0, 0.3], generators(5), target=t, **FEW) for t in (None, other)
    )
    assert np.array_equal(real[0, 0], cut[0, 0]) and not np.allclose(
        real[0, 1], cut[0, 1], atol=0.01
    )


def test_rows_that_are_not_rebuilt_do_not_teach_the_decoder():
    X, labels = small(seeds=(0,), K=1)
    rebuilt = (labels < 0).astype(float)
    changed = np.where(labels[0, 0] >= 0, np.roll(np.arange(200), 7), np.arange(200))[None]
    runs = [
        m.train_pbn(X, labels, [0.3], generators(5), target=t, rebuilt=rebuilt, **FEW)
        for t in (None, changed)
    ]
    assert np.array_equal(*runs)


def test_training_finds_plain_classes():
    X, y = blobs(8, n=400, centres=8, d=10, spread=0.7)
    labels = np.where(y < 4, y, -1)
    codes = m.train_pbn(
        X[None], labels[None, None], [0.5], generators(0), hidden=(16,), latent=8, steps=200
    )
    new, rng = y >= 4, np.random.default_rng(0)
    assert clustering_accuracy(m.kmeans(codes[0, 0, new], 4, rng), y[new]) > 0.95


# Counting


def test_silhouettes_agree_with_scikit_learn():
    X, _ = blobs(6, n=150, spread=2)
    X = X.astype(float)
    clusterings = np.stack([KMeans(k, n_init=1, random_state=0).fit(X).labels_ for k in (2, 5, 9)])
    theirs = [silhouette_score(X, cluster) for cluster in clusterings]
    assert np.allclose(m.silhouettes(X, clusterings), theirs, atol=1e-7)


def test_a_row_alone_in_its_cluster_has_silhouette_zero():
    X, cluster = np.array([[0.0], [0.1], [5.0]]), np.array([[0, 0, 1]])
    assert m.silhouettes(X, cluster)[0] == pytest.approx(silhouette_score(X, cluster[0]))
    assert m.silhouettes(X, cluster)[0] == pytest.approx(
        ((5 - 0.1) / 5 + (4.9 - 0.1) / 4.9 + 0) / 3
    )


def test_a_single_cluster_has_silhouette_zero():
    assert m.silhouettes(np.ones((5, 2)), np.zeros((1, 5), int))[0] == 0


@pytest.mark.parametrize("k", [2, 4, 7])
def test_well_separated_clusters_are_counted(k):
    X = np.repeat(20 * np.eye(7)[:k], 30, axis=0) + np.random.default_rng(0).normal(
        size=(30 * k, 7)
    )
    assert m.estimate_k(X, 10, np.random.default_rng(0), starts=10) == k


# Hidden classes and tasks


def test_views_hide_disjoint_classes_and_leave_two_labeled():
    for known in range(4, 12):
        for novel in (2, 3, 5):
            labels = np.repeat(np.arange(-1, known), 3)
            full, *folds = m.views(labels, novel)
            assert np.array_equal(full, labels) and len(folds) == 2
            hidden = [np.unique(labels[(labels >= 0) & (fold < 0)]) for fold in folds]
            assert not set(hidden[0]) & set(hidden[1])
            for fold, classes in zip(folds, hidden):
                assert 2 <= len(classes) <= novel and known - len(classes) >= 2
                assert np.array_equal(fold, np.where(np.isin(labels, classes), -1, labels))


def test_hidden_score_is_one_where_hidden_classes_are_plain():
    y = np.repeat(np.arange(6), 40)
    view = np.where(np.isin(y, [1, 4, 5]), -1, y)
    codes = 30 * np.eye(6)[y] + np.random.default_rng(0).normal(size=(240, 6))
    assert m.hidden_score(codes, y, view, np.random.default_rng(0)) == 1
    noise = np.random.default_rng(1).normal(size=(240, 6))
    assert m.hidden_score(noise, y, view, np.random.default_rng(0)) < 0.6


def test_tasks_depend_on_their_generator_alone_and_the_cuts_are_what_they_say():
    X, y = blobs(8, n=400, centres=8)
    first, again, other = (m.draw_task(rng, X, y, True) for rng in generators(5, 5, 6))
    assert np.array_equal(first.X, again.X) and np.array_equal(first.views, again.views)
    assert not np.array_equal(first.X, other.X)
    assert sorted(first.other) == list(range(400)) and (first.other != np.arange(400)).all()
    assert np.array_equal(first.new, first.views[0] < 0) and first.k == len(np.unique(y[first.new]))
    assert np.array_equal(first.shuffled < 0, first.new)
    assert np.array_equal(np.sort(first.shuffled), np.sort(first.views[0]))
    assert not np.array_equal(first.shuffled, first.views[0])


def test_tuning_finds_the_good_setting_without_a_novel_label():
    X, y = blobs(8, n=400, centres=8)
    task = m.draw_task(np.random.default_rng(3), X, y, False)
    noise, good = np.random.default_rng(0).normal(size=(400, 8)), 30 * np.eye(8)[y]
    good = good + np.random.default_rng(1).normal(size=good.shape)
    garbled = replace(task, y=np.where(task.new, np.random.default_rng(9).permutation(y), y))
    for spaces, best in (([[noise] * 3, [good] * 3], 1), ([[good] * 3, [noise] * 3], 0)):
        found = m.tuned(spaces, task, np.random.default_rng(0), 10)
        blind = m.tuned(spaces, garbled, np.random.default_rng(0), 10)
        assert found["best"] == blind["best"] == best and found["k"] == blind["k"] == task.k
        assert found["given"] == found["found"] == found["each"][best] == 1 and blind["given"] < 0.7
