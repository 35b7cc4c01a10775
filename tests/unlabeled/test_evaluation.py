"""Clustering accuracy against the definition by brute force, probes and similarities against
libraries and definitions.
"""

import itertools

import numpy as np
import pytest
from sentences import refused

from unlabeled.evaluation import (
    cka,
    clustering_accuracy,
    knn,
    match_clusters,
    ridge_predict,
    ridge_probe,
)


def brute_force(clusters, classes):
    """The best share over all one-to-one maps of clusters to classes; clusters may be left out."""
    k, c = int(max(clusters)) + 1, int(max(classes)) + 1
    names = [*range(c), *([-1] * k)]  # -1: matched to no class
    return max(
        np.mean(np.array(chosen)[clusters] == classes)
        for chosen in set(itertools.permutations(names, k))
    )


@pytest.mark.parametrize(
    "k, c", [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (4, 2), (2, 4), (1, 3), (3, 1)]
)
def test_accuracy_is_the_best_over_all_matchings(k, c):
    rng = np.random.default_rng(10 * k + c)
    for _ in range(3 if k < 5 else 1):
        clusters, classes = rng.integers(0, k, 25), rng.integers(0, c, 25)
        clusters[0], classes[0] = k - 1, c - 1
        assert clustering_accuracy(clusters, classes) == pytest.approx(
            brute_force(clusters, classes)
        )


def test_relabelling_changes_nothing():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 6, 200)
    clusters = np.where(rng.random(200) < 0.7, classes, rng.integers(0, 6, 200))
    accuracy = clustering_accuracy(clusters, classes)
    assert 0.5 < accuracy < 0.9
    for _ in range(5):
        names, order = rng.permutation(6), rng.permutation(200)
        assert clustering_accuracy(names[clusters], classes) == pytest.approx(accuracy)
        assert clustering_accuracy(clusters, names[classes]) == pytest.approx(accuracy)
        assert clustering_accuracy(clusters[order], classes[order]) == pytest.approx(accuracy)
    assert clustering_accuracy(rng.permutation(6)[classes], classes) == 1


def test_more_clusters_than_classes_and_the_reverse():
    assert clustering_accuracy([0, 1, 2, 3], [0, 0, 1, 1]) == 0.5
    assert set(match_clusters([0, 1, 2, 3], [0, 0, 1, 1]).values()) == {0, 1}
    assert clustering_accuracy([0, 0, 1, 1], [0, 1, 2, 3]) == 0.5
    assert match_clusters([0, 0, 0, 1], [2, 2, 1, 0]) == {0: 2, 1: 0}
    assert match_clusters([0, 0, 0, 2], [2, 2, 1, 0])[2] == 0, (
        "a cluster number that does not occur takes no class away"
    )


def test_tensors_are_taken_too():
    import torch

    assert clustering_accuracy(torch.tensor([1, 1, 0]), torch.tensor([0, 0, 1])) == 1


@pytest.mark.parametrize(
    "clusters, classes, words",
    [
        ([0, 1], [0], "of one length"),
        ([], [], "not empty"),
        ([[0, 1]], [[0, 1]], "of one length"),
        ([-1, 0], [0, 1], "clusters must be whole numbers from 0"),
        ([0, 1], [0, -1], "classes must be whole numbers from 0"),
        ([0.0, 1.0], [0, 1], "clusters must be whole numbers from 0"),
    ],
)
def test_what_cannot_be_matched_is_refused(clusters, classes, words):
    with pytest.raises(ValueError, match=words):
        match_clusters(np.array(clusters), np.array(classes))
    with pytest.raises(ValueError, match=words):
        clustering_accuracy(np.array(clusters), np.array(classes))


# Probes


def blobs(n, d, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    return rng.standard_normal((3, d))[labels] + rng.standard_normal((n, d)), labels


@pytest.mark.parametrize("n, d", [(60, 10), (30, 100)])
def test_the_probe_is_ridge_regression_with_the_best_leave_one_out_error(n, d):
    from sklearn.linear_model import Ridge

    features, labels = blobs(n, d)
    new, _ = blobs(50, d, seed=1)
    features[:, 0] = new[:, 0] = 4.0  # a constant feature harms nothing
    mean, spread = features.mean(0), np.where(features.std(0) > 0, features.std(0), 1)
    train, test = (features - mean) / spread, (new - mean) / spread
    targets = np.eye(3)[labels]
    gram = np.linalg.eigvalsh(train.T @ train if d <= n else train @ train.T)
    kept = gram if d <= n else gram[gram > 1e-9 * gram[-1]]

    def left_out(penalty):
        errors = []
        for one in range(n):
            rest = np.arange(n) != one
            # The features' mean and the offset stay those of all examples, as in the closed form's
            # leverage.
            model = Ridge(penalty).fit(train[rest], targets[rest])
            errors.append(targets[one] - model.predict(train[one : one + 1])[0])
        return np.mean(np.square(errors))

    penalties = 10.0 ** np.arange(-2, 3)
    best = min(penalties, key=lambda penalty: left_out(penalty * kept.mean()))
    expected = Ridge(best * kept.mean()).fit(train, targets).predict(test).argmax(1)
    assert (ridge_predict(features, labels, new, penalties) == expected).all()


def test_the_probe_of_noise_is_chance_and_of_labels_is_perfect():
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 3
    noise = rng.standard_normal((600, 5))
    assert abs(ridge_probe(noise[:300], labels[:300], noise[300:], labels[300:]) - 1 / 3) < 0.1
    clean = np.eye(3)[labels]
    assert ridge_probe(clean[:300], labels[:300], clean[300:], labels[300:]) == 1
    with refused("two examples or more"):
        ridge_probe(clean[:1], labels[:1], clean, labels)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_neighbours_vote_as_in_scikit_learn(k):
    from sklearn.neighbors import KNeighborsClassifier

    features, labels = blobs(90, 6)
    new, truth = blobs(120, 6, seed=1)
    model = KNeighborsClassifier(k, metric="cosine").fit(features, labels)
    _, order = model.kneighbors(new)
    votes = np.stack([np.bincount(labels[row], minlength=3) for row in order])
    clear = np.sort(votes, 1)[:, -1] > np.sort(votes, 1)[:, -2]
    assert clear.sum() > 60
    assert knn(features, labels, new[clear], truth[clear], k) == pytest.approx(
        model.score(new[clear], truth[clear])
    )
    with refused("use 1 to 90"):
        knn(features, labels, new, truth, 91)


def test_a_tie_goes_to_the_nearer():
    train = np.array([[1, 0.0], [1, 0.5], [0, 1.0]])
    assert knn(train, [1, 0, 0], np.array([[1, 0.1]]), [1], k=2) == 1


def test_cka_is_the_centred_alignment_of_gram_matrices():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20, 4)), rng.standard_normal((20, 7))
    centre = np.eye(20) - 1 / 20
    k, m = centre @ a @ a.T @ centre, centre @ b @ b.T @ centre
    assert cka(a, b) == pytest.approx(np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m)))
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    assert cka(a, 3 * a @ turn + 1) == pytest.approx(1) and cka(a, np.ones((20, 2))) == 0
    with refused("the same examples"):
        cka(a, b[:5])
