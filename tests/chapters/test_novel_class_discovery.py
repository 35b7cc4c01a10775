"""The method cells of novel-class-discovery against independent implementations and limiting cases with known answers."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from press import method_cells
from scipy.sparse.csgraph import minimum_spanning_tree
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.manifold import spectral_embedding
from sklearn.metrics import silhouette_score
from torch import nn
from unlabeled.evaluation import clustering_accuracy
from unlabeled.runtime import InputError

m = method_cells("novel-class-discovery")
torch.set_num_threads(1)  # the matrices are tiny: more threads only get in each other's way


def blobs(seed=0, n=300, centres=5, d=4, spread=1.0):
    X, y = make_blobs(n, d, centers=centres, cluster_std=spread, random_state=seed)
    return m.standardise(X), y


# Tables


def table(path, frame):
    frame.to_csv(path, index=False)
    return str(path)


def good_frame(rows=15):
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.normal(size=3 * rows), "b": rng.integers(9, size=3 * rows), "label": np.repeat(["x", "y", "z"], rows)})


def test_a_readers_table_is_read(tmp_path):
    frame = good_frame()
    X, y = m.load_table(table(tmp_path / "t.csv", frame), 1000)
    assert np.allclose(X, frame[["a", "b"]].to_numpy())
    assert y.tolist() == np.repeat([0, 1, 2], 15).tolist()


def test_whole_numbers_are_fine_as_labels(tmp_path):
    frame = good_frame().assign(label=np.repeat([7, 3, 11], 15))
    _, y = m.load_table(table(tmp_path / "t.csv", frame), 1000)
    assert np.unique(y).tolist() == [0, 1, 2] and len(np.unique(y[:15])) == 1


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: f.rename(columns={"label": "species"}), "no column 'label'"),
        (lambda f: f.assign(a=f.a.astype(object).where(f.a > 0, "low")), "not numeric"),
        (lambda f: f.assign(a=f.a.where(f.a > 0)), "missing or infinite"),
        (lambda f: f.assign(a=f.a.where(f.a > 0, np.inf)), "missing or infinite"),
        (lambda f: f.assign(label=f.label.where(f.label != "x")), "missing or infinite"),
        (lambda f: f[f.label != "z"], "2 classes"),
        (lambda f: f.iloc[:35], "has 5 rows"),
        (lambda f: f.drop(columns="b"), "1 numeric columns"),
    ],
)
def test_unfit_tables_are_refused_in_one_sentence(tmp_path, spoil, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        m.read_csv(table(tmp_path / "t.csv", spoil(good_frame())))
    assert str(caught.value).count(". ") == 0 and "\n" not in str(caught.value)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="cannot be read"):
        m.read_csv(str(path))


def test_embedded_tables_and_the_row_limit():
    for name, shape, classes in (("digits", (1797, 64), 10), ("wine", (178, 13), 3), ("breast_cancer", (569, 30), 2)):
        X, y = m.load_table(name, 5000)
        assert X.shape == shape and np.unique(y).tolist() == list(range(classes))
    few, _ = m.load_table("digits", 500)
    again, _ = m.load_table("digits", 500)
    assert few.shape == (500, 64) and np.array_equal(few, again)


def test_standardise_leaves_constant_columns_at_zero():
    X = np.random.default_rng(0).normal(3, 5, size=(50, 3))
    X[:, 1] = 4
    Z = m.standardise(X)
    assert np.allclose(Z.mean(axis=0), 0, atol=1e-5) and np.allclose(Z.std(axis=0), [1, 0, 1], atol=1e-5)


def test_splits_are_a_partition_with_two_novel_classes_or_more():
    for C, novel_count in ((2, 2), (3, 2), (4, 2), (5, 2), (6, 3), (10, 5)):
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
        assert np.abs(of_class).max() < 5 / math.sqrt(600)  # five standard errors of a mean of unit-variance values


# NCD k-means


def test_seeding_follows_the_stated_probabilities():
    rng = np.random.default_rng(2)
    X, means = rng.normal(size=(5, 3)), rng.normal(size=(2, 3))
    for power in (1, 2):
        near = np.linalg.norm(X[:, None] - means[None], axis=2).min(axis=1) ** power
        draws = [m.seed_centroids(X, means, 1, rng, power)[0] for _ in range(3000)]
        share = [np.mean([np.array_equal(draw, x) for draw in draws]) for x in X]
        assert np.allclose(share, near / near.sum(), atol=0.04)


def test_seeding_without_known_classes_begins_uniformly_and_never_repeats_a_point():
    rng = np.random.default_rng(3)
    X = np.array([[0.0], [1.0], [50.0]])
    draws = [m.seed_centroids(X, [], 2, rng) for _ in range(900)]
    assert np.allclose([np.mean([draw[0, 0] == x for draw in draws]) for x in X[:, 0]], 1 / 3, atol=0.06)
    assert all(draw[0, 0] != draw[1, 0] for draw in draws)


def test_rows_that_all_coincide_with_a_known_mean_do_not_break_the_seeding():
    X = np.ones((4, 2))
    assert m.seed_centroids(X, np.ones((1, 2)), 2, np.random.default_rng(0)).shape == (2, 2)


def test_lloyd_agrees_with_scikit_learn_from_the_same_start():
    for seed in range(4):
        X, _ = blobs(seed, spread=3)
        X = X.astype(float)
        starts = np.stack([X[np.random.default_rng(10 * seed + r).choice(300, 6, replace=False)] for r in range(3)])
        cluster, mu, inertia = m.lloyd(X, starts)
        for r in range(3):
            ours = KMeans(6, init=starts[r], n_init=1, max_iter=1000, tol=0).fit(X)
            assert inertia[r] == pytest.approx(ours.inertia_, rel=1e-9)
            assert np.array_equal(cluster[r], ours.labels_) and np.allclose(mu[r], ours.cluster_centers_)


def test_an_empty_cluster_keeps_its_centre():
    X = np.array([[0.0], [0.2], [1.0], [1.2]])
    _, mu, _ = m.lloyd(X, np.array([[[0.0], [1.0], [99.0]]]))
    assert np.allclose(mu[0, :, 0], [0.1, 1.1, 99.0])


def test_without_known_classes_ncd_kmeans_is_kmeans():
    X, _ = blobs(5, centres=4)
    X = X.astype(float)
    cluster, mu = m.ncd_kmeans(X, [], 4, np.random.default_rng(0))
    inertia = ((X - mu[cluster]) ** 2).sum()
    assert inertia == pytest.approx(KMeans(4, n_init=20, random_state=0).fit(X).inertia_, rel=1e-6)


def test_known_means_repel_the_starts_only():
    """Half of the rows lie on the known mean: they are not drawn, but they are clustered."""
    X = np.concatenate([np.zeros((50, 2)), np.tile([[5.0, 0.0]], (50, 1))])
    starts = [m.seed_centroids(X, np.zeros((1, 2)), 1, np.random.default_rng(s))[0] for s in range(20)]
    assert np.allclose(starts, [5, 0])
    _, mu = m.ncd_kmeans(X, np.zeros((1, 2)), 1, np.random.default_rng(0))
    assert np.allclose(mu, [[2.5, 0]])


def test_class_means():
    X, y = blobs()
    labels = m.label_known(y, np.array([4, 2]))
    assert np.allclose(m.class_means(X, labels), [X[y == 4].mean(axis=0), X[y == 2].mean(axis=0)])
    assert m.class_means(X, np.full(len(X), -1)).shape == (0, 4)


# NCD spectral clustering


def test_bandwidth_comes_from_the_longest_edge_of_the_spanning_tree():
    for seed in range(3):
        X, _ = blobs(seed, n=60)
        D2 = m.squared_distances(X)
        assert np.allclose(D2, ((X[:, None].astype(float) - X[None]) ** 2).sum(axis=-1), atol=1e-9)
        longest = minimum_spanning_tree(D2).data.max()
        for min_dist in (0.01, 0.5, 0.9):
            sigma = m.bandwidth(D2, min_dist)
            assert sigma == pytest.approx(math.sqrt(-longest / math.log(min_dist)))
            assert math.exp(-longest / (2 * sigma**2)) == pytest.approx(math.sqrt(min_dist))


def test_embedding_spans_the_eigenvectors_of_the_laplacian():
    X, _ = blobs(1, n=80)
    D2 = m.squared_distances(X)
    sigma = m.bandwidth(D2, 0.5)
    ours = m.spectral_embedding(D2, sigma, 4)
    A = np.exp(-D2 / (2 * sigma**2)) - np.eye(len(X))
    scale = np.diag(A.sum(axis=1) ** -0.5)
    values, vectors = np.linalg.eigh(np.eye(len(X)) - scale @ A @ scale)
    for i in range(4):
        assert abs(ours[:, i] @ vectors[:, i + 1]) == pytest.approx(1, abs=1e-6)
    # scikit-learn divides the same vectors by the square roots of the degrees
    theirs = spectral_embedding(A, n_components=4, drop_first=True, random_state=0) / np.diag(scale)[:, None]
    theirs /= np.linalg.norm(theirs, axis=0)
    assert np.allclose(np.abs((ours * theirs).sum(axis=0)), 1, atol=1e-4)


def test_spectral_clustering_of_separate_groups_is_perfect():
    X, y = blobs(4, n=150, centres=3, spread=0.5)
    assert clustering_accuracy(m.spectral_clustering(X, 3, 0), y) == 1


def test_the_second_eigenvector_finds_what_kmeans_cannot():
    angle = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    X, y = np.concatenate([circle, 4 * circle]), np.repeat([0, 1], 100)
    D2 = m.squared_distances(X)
    second = m.spectral_embedding(D2, m.bandwidth(D2, 1e-12), 1)[:, 0]
    assert clustering_accuracy((second > 0).astype(int), y) == 1
    assert clustering_accuracy(m.kmeans(X, 2, 0), y) < 0.8


def test_ncd_spectral_clustering_keeps_the_embedding_that_shows_the_known_classes():
    _, y = blobs(2)
    labels = m.label_known(y, np.array([0, 1, 2]))
    useless, good = np.random.default_rng(0).normal(size=(len(y), 5)), np.eye(5)[y]
    for order in ([useless, good], [good, useless]):
        cluster, chosen = m.ncd_spectral_clustering(order, labels, 2, 0)
        assert order[chosen] is good
        assert clustering_accuracy(cluster, y[labels < 0]) == 1


# PBN


def reference(net, j):
    """Network j of a stack, rebuilt from torch.nn's layers: encoder body, decoder, classifier."""

    def linear(name):
        W, b = net.parts[name][:2]
        layer = nn.Linear(W.shape[2], W.shape[1])
        layer.weight.data, layer.bias.data = W[j].detach().clone(), b[j, :, 0].detach().clone()
        return layer

    def hidden(name):
        units = net.parts[name][0].shape[1]
        norm = nn.BatchNorm1d(units)
        norm.weight.data, norm.bias.data = (p.detach().view(net.M, units)[j].clone() for p in net.parts[name][2:])
        norm.running_mean, norm.running_var = (s.view(net.M, units)[j].clone() for s in net.norms[name])
        return [linear(name), nn.ReLU(), norm]

    body = [layer for name in net.f[:-1] for layer in hidden(name)] + [linear(net.f[-1])]
    decoder = [layer for name in net.g[:-1] for layer in hidden(name)] + [linear(net.g[-1])]
    return nn.Sequential(*body), nn.Sequential(*decoder), linear("h0")


def different_weights(net, seed=0):
    """Make the M networks differ, so that a mix-up shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator)
    return net


@pytest.mark.parametrize("hidden", [(7,), (9, 5)])
def test_the_stack_is_m_ordinary_networks(hidden):
    net = different_weights(m.Stack(6, hidden, [4, 4, 4], [3], seed=1))
    x = torch.tensor(np.random.default_rng(1).normal(size=(6, 20)), dtype=torch.float32)
    for dropout in (0.0, None):  # training with dropout rate 0, then evaluation with the running averages
        references = [reference(net, j) for j in range(3)]
        z = net.encode(x, dropout)
        rebuilt, logits = net.decode(z, dropout), net.linear("h0", z)
        for j, (f, g, h) in enumerate(references):
            for part in (f, g):
                part.train(dropout is not None)
            code = nn.functional.normalize(f(x.T), dim=1)
            assert torch.allclose(z[j].T, code, atol=1e-5)
            assert torch.allclose(rebuilt[j].T, g(code), atol=1e-4)
            assert torch.allclose(logits[j].T, h(code), atol=1e-5)


def test_all_networks_of_a_stack_start_alike_and_spare_coordinates_stay_zero():
    net = m.Stack(6, (7,), [5, 2], [3], seed=1)
    assert all(torch.equal(p[0], p[1]) for part in net.parts.values() for p in part[:2])
    z = net.encode(torch.randn(6, 10, generator=torch.Generator().manual_seed(0)))
    assert (z[1, 2:] == 0).all() and (z[0, 2:] != 0).any()
    assert torch.allclose(z.square().sum(dim=1), torch.ones(2, 10), atol=1e-5)


def test_dropout_keeps_the_mean_and_is_shared_by_the_networks():
    net = m.Stack(3, (400,), [2, 2], [2], seed=1)
    with torch.no_grad():
        x = torch.randn(3, 500, generator=torch.Generator().manual_seed(0))
        full, dropped = net.layer("f0", x, 0.0), net.layer("f0", x, 0.25)
    assert torch.equal(dropped[0] == 0, dropped[1] == 0)
    kept = dropped != 0
    assert kept.float().mean() == pytest.approx(0.75, abs=0.01)
    assert torch.allclose(dropped[kept], full[kept] / 0.75, atol=1e-4)


def test_the_loss_is_the_formula():
    rng = np.random.default_rng(2)
    net = different_weights(m.Stack(6, (7,), [4, 3], [3], seed=2))
    x = torch.tensor(rng.normal(size=(6, 12)), dtype=torch.float32)
    target = torch.tensor(rng.normal(size=(6, 12)), dtype=torch.float32)
    labels = torch.tensor(rng.integers(-1, 3, size=(2, 12)))
    w = torch.tensor([0.2, 0.7])
    loss = m.pbn_loss(net, x, target, labels, w, None).detach()
    with torch.no_grad():
        z = net.encode(x)
        rebuilt, p = net.decode(z), net.linear("h0", z).softmax(dim=1)
    for j in range(2):
        seen = [i for i in range(12) if labels[j, i] >= 0]
        ce = sum(-math.log(p[j, labels[j, i], i]) for i in seen) / len(seen)
        rec = sum(float((rebuilt[j, :, i] - target[:, i]).square().sum()) for i in range(12)) / 12
        assert float(loss[j]) == pytest.approx(float(w[j]) * ce + (1 - float(w[j])) * rec, rel=1e-4)


def test_a_batch_without_labels_has_no_cross_entropy_and_is_no_nan():
    net = m.Stack(6, (7,), [4], [3], seed=2)
    x = torch.randn(6, 12, generator=torch.Generator().manual_seed(0))
    assert m.pbn_loss(net, x, x, torch.full((1, 12), -1), torch.ones(1), None).item() == 0


@pytest.mark.parametrize(("w", "still"), [(0.0, {"h"}), (1.0, {"g"}), (0.5, set())])
def test_the_extremes_of_w_silence_one_teacher_exactly(w, still):
    net = m.Stack(6, (7,), [4], [3], seed=3)
    x = torch.randn(6, 30, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(30).remainder(4)[None] - 1
    m.pbn_loss(net, x, x, labels, torch.tensor([w]), 0.1).sum().backward()
    moving = {name[0] for name, part in net.parts.items() for p in part if p.grad is not None and p.grad.abs().max() > 0}
    assert {"f", "g", "h"} - moving == still


def test_a_network_learns_the_same_alone_and_in_company():
    X, y = blobs(3, n=200)
    labels = np.stack([m.label_known(y, np.array(known)) for known in ([0, 1], [0, 1, 2])])
    together = m.train_pbn(X, labels, [0.3, 0.8], [3, 2], 7, hidden=(8,), epochs=3, batch=64)
    again = m.train_pbn(X, labels, [0.3, 0.8], [3, 2], 7, hidden=(8,), epochs=3, batch=64)
    assert np.array_equal(together, again)
    labels_alone = labels.copy()
    labels_alone[1] = labels[0]  # the other network's labels must not matter
    labels_alone[1, np.argmax(y == 2)] = 2  # (only the number of classes fixes the shape of the classifier)
    alone = m.train_pbn(X, labels_alone, [0.3, 0.1], [3, 2], 7, hidden=(8,), epochs=3, batch=64)
    assert np.allclose(together[0], alone[0], atol=1e-3)
    assert not np.allclose(together[1], alone[1], atol=1e-3)


def test_the_true_target_is_the_row_itself_and_the_classifier_alone_ignores_it():
    X, y = blobs(3, n=200)
    labels = np.stack([m.label_known(y, np.array([0, 1, 2]))] * 2)
    train = lambda target: m.train_pbn(X, labels, [0.5, 1.0], [3, 3], 7, target=target, hidden=(8,), epochs=2, batch=64)
    true, same, other = train(None), train(np.arange(200)), train(np.roll(np.arange(200), 1))
    assert np.array_equal(true, same)
    assert not np.allclose(true[0], other[0], atol=1e-3) and np.array_equal(true[1], other[1])


def test_labels_pick_the_columns_that_matter():
    """Classes in two quiet columns, a louder structure in four others: only true labels lead to the classes."""
    rng = np.random.default_rng(4)
    y = rng.integers(6, size=600)
    angle = 2 * np.pi * y / 6
    quiet = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.15 * rng.normal(size=(600, 2))
    loud = rng.normal(size=(3, 6))[rng.integers(3, size=600)] + 0.2 * rng.normal(size=(600, 6))
    X = m.standardise(np.concatenate([quiet, loud], axis=1))
    labels = m.label_known(y, np.array([0, 2, 3, 5]))
    shuffled = m.shuffle_known(labels, rng)
    codes = m.train_pbn(X, np.stack([labels, shuffled]), [0.9, 0.9], [4, 4], 0, hidden=(24,), epochs=30, batch=64, lr=5e-3)
    new = labels < 0
    true, cut = (clustering_accuracy(m.kmeans(z[new], 2, 0), y[new]) for z in codes)
    assert true > 0.9 and cut < true - 0.2


# Counting


def test_silhouettes_agree_with_scikit_learn():
    X, _ = blobs(6, n=150, spread=2)
    clusterings = np.stack([KMeans(k, n_init=1, random_state=0).fit(X).labels_ for k in (2, 5, 9)])
    theirs = [silhouette_score(X.astype(float), cluster) for cluster in clusterings]
    assert np.allclose(m.silhouettes(X, clusterings), theirs, atol=1e-7)


def test_a_row_alone_in_its_cluster_has_silhouette_zero():
    X = np.array([[0.0], [0.1], [5.0]])
    cluster = np.array([[0, 0, 1]])
    assert m.silhouettes(X, cluster)[0] == pytest.approx(silhouette_score(X, cluster[0]))
    assert m.silhouettes(X, cluster)[0] == pytest.approx(((5 - 0.1) / 5 + (4.9 - 0.1) / 4.9 + 0) / 3)


@pytest.mark.parametrize("k", [2, 4, 7])
def test_well_separated_clusters_are_counted(k):
    centres = 20 * np.eye(7)[:k]
    X = np.repeat(centres, 30, axis=0) + np.random.default_rng(0).normal(size=(30 * k, 7))
    assert m.estimate_k(X, 10, 0, n_init=10) == k


# Hidden classes


def test_folds_are_disjoint_and_leave_two_classes_labeled():
    for C_known in range(0, 12):
        for novel in (2, 3, 5):
            folds = m.hidden_folds(np.arange(C_known), novel)
            assert bool(folds) == (C_known >= 4)
            hidden = np.concatenate(folds) if folds else np.array([], dtype=int)
            assert len(np.unique(hidden)) == len(hidden) and np.isin(hidden, np.arange(C_known)).all()
            for fold in folds:
                assert 2 <= len(fold) <= novel and C_known - len(fold) >= 2


def test_hiding_and_shuffling_touch_only_known_rows():
    labels = np.array([0, 1, 2, -1, 1, 0, -1, 2])
    assert m.hide(labels, [0, 2]).tolist() == [-1, 1, -1, -1, 1, -1, -1, -1]
    shuffled = m.shuffle_known(np.tile(labels, 50), np.random.default_rng(0))
    before = np.tile(labels, 50)
    assert ((shuffled < 0) == (before < 0)).all() and not np.array_equal(shuffled, before)
    assert np.array_equal(np.bincount(shuffled[shuffled >= 0]), np.bincount(before[before >= 0]))


def test_hidden_score_is_one_where_hidden_classes_are_plain():
    y = np.repeat(np.arange(6), 40)
    codes = 30 * np.eye(6)[y] + np.random.default_rng(0).normal(size=(240, 6))
    assert m.hidden_score(codes, y, [1, 4, 5], 0) == 1
    noise = np.random.default_rng(1).normal(size=(240, 6))
    assert m.hidden_score(noise, y, [1, 4, 5], 0) < 0.6


def test_the_search_never_sees_a_novel_label_and_hides_what_it_says():
    X, y = blobs(8, n=400, centres=8)
    task = m.make_task(3, X, y)
    handed = []

    def train(labels):
        handed.append(labels)
        return np.random.default_rng(0).normal(size=(len(labels), 400, 3))

    codes, scores = m.tuned_search(train, task, task.labels, 2, 3)
    (labels,) = handed
    assert codes.shape == (2, 400, 3) and labels.shape == (6, 400)
    assert (labels[:, task.new] == -1).all()
    assert np.array_equal(labels[0], task.labels) and np.array_equal(labels[1], task.labels)
    for fold, first in zip(task.folds, (2, 4)):
        assert (labels[first : first + 2][:, np.isin(task.labels, fold)] == -1).all()
    garbled = replace(task, y=np.where(task.new, np.random.default_rng(9).permutation(y), y))
    _, same = m.tuned_search(train, garbled, garbled.labels, 2, 3)
    assert np.array_equal(scores, same)


def test_tasks_depend_on_their_seed_alone_and_targets_are_other_rows():
    X, y = blobs(8, n=400, centres=8)
    first, again, other = m.make_task(5, X, y, True), m.make_task(5, X, y, True), m.make_task(6, X, y, True)
    assert np.array_equal(first.X, again.X) and np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.X, other.X)
    assert sorted(first.target) == list(range(400))
    assert (first.target != np.arange(400)).all()


def test_clusterings_report_accuracy_count_and_accuracy_with_the_count():
    X, y = blobs(8, n=400, centres=8)
    task = m.make_task(5, X, y)
    Z = 30 * np.eye(8)[y[task.new]] + np.random.default_rng(0).normal(size=(task.new.sum(), 8))
    assert m.clusterings(Z, task, 0, 10) == (1, 4, 1)


# The pseudo-label network


def test_pair_targets_are_the_loops():
    generator = torch.Generator().manual_seed(0)
    z = nn.functional.normalize(torch.randn(2, 3, 14, generator=generator), dim=1)
    loose = torch.rand(2, 14, generator=generator) < 0.7
    share = torch.tensor([0.2, 0.5])
    T = m.pair_targets(z, loose, share)
    for j in range(2):
        rows = [i for i in range(14) if loose[j, i]]
        count = max(1, int(float(share[j]) * len(rows)))
        chosen = {}
        for a in rows:
            others = sorted((b for b in rows if b != a), key=lambda b: -float(z[j, :, a] @ z[j, :, b]))
            chosen[a] = set(others[:count])
        for a in rows:
            for b in rows:
                if a != b:
                    assert T[j, a, b] == float(b in chosen[a] or a in chosen[b])


def test_pseudo_label_loss_is_the_formula():
    rng = np.random.default_rng(3)
    net = different_weights(m.Stack(5, (6,), [3, 3], [3, 2], seed=3))
    x = torch.tensor(rng.normal(size=(5, 10)), dtype=torch.float32)
    near = torch.tensor(rng.normal(size=(2, 5, 6)), dtype=torch.float32)
    labels = torch.tensor(rng.integers(-1, 3, size=(2, 10)))
    labels[:, :4] = -1
    share, w1, w2 = torch.tensor([0.3, 0.6]), torch.tensor([0.9, 0.4]), torch.tensor([0.2, 0.7])
    with torch.no_grad():
        loss = m.pseudo_label_loss(net, x, near, labels, share, w1, w2, None)
        z, z_near = net.encode(x), net.encode(near)
        first, second = net.linear("h0", z), net.linear("h1", z)
        first_near, second_near = net.linear("h0", z_near), net.linear("h1", z_near)
    T = m.pair_targets(z[:, :, :6], labels[:, :6] < 0, share)
    for j in range(2):
        seen = [i for i in range(10) if labels[j, i] >= 0]
        ce = np.mean([-float(first[j, :, i].log_softmax(0)[labels[j, i]]) for i in seen]) if seen else 0
        c1 = float((first[j, :, :6] - first_near[j]).square().mean())
        loose = [i for i in range(6) if labels[j, i] < 0]
        p = second[j].softmax(0)
        same = {(a, b): float(p[:, a] @ p[:, b]) for a in loose for b in loose if a < b}
        pair = np.mean([-math.log(s if T[j, a, b] else 1 - s) for (a, b), s in same.items()])
        c2 = np.mean([float((second[j, :, i] - second_near[j, :, i]).square().mean()) for i in loose])
        formula = w1[j] * ce + (1 - w1[j]) * c1 + w2[j] * pair + (1 - w2[j]) * c2
        assert float(loss[j]) == pytest.approx(float(formula), rel=1e-4)


def test_nearest_rows_are_the_nearest_other_rows():
    X, _ = blobs(1, n=50)
    D2 = m.squared_distances(X)
    np.fill_diagonal(D2, np.inf)
    assert np.array_equal(m.nearest_rows(X, 4), D2.argsort(axis=1)[:, :4])


def test_pseudo_label_training_runs_and_repeats():
    X, y = blobs(2, n=200)
    labels = np.stack([m.label_known(y, np.array([0, 1, 2]))] * 2)
    knobs = [(0.3, 0.5, 0.5, 3), (0.1, 0.9, 0.9, 5)]
    runs = [m.train_pseudo_label(X, labels, knobs, 2, 5, latent=4, hidden=(8,), epochs=3, batch=64) for _ in range(2)]
    assert runs[0].shape == (2, 200, 4) and np.array_equal(*runs)
    assert np.allclose((runs[0] ** 2).sum(axis=2), 1, atol=1e-4)
