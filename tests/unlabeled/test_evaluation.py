"""Clustering accuracy against the definition by brute force."""

import itertools

import numpy as np
import pytest

from unlabeled.evaluation import clustering_accuracy, match_clusters


def brute_force(clusters, classes):
    """The best share over all one-to-one maps of clusters to classes; clusters may be left out."""
    k, c = int(max(clusters)) + 1, int(max(classes)) + 1
    names = [*range(c), *([-1] * k)]  # -1: matched to no class
    return max(np.mean(np.array(chosen)[clusters] == classes) for chosen in set(itertools.permutations(names, k)))


@pytest.mark.parametrize("k, c", [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (4, 2), (2, 4), (1, 3), (3, 1)])
def test_accuracy_is_the_best_over_all_matchings(k, c):
    rng = np.random.default_rng(10 * k + c)
    for _ in range(3 if k < 5 else 1):
        clusters, classes = rng.integers(0, k, 25), rng.integers(0, c, 25)
        clusters[0], classes[0] = k - 1, c - 1
        assert clustering_accuracy(clusters, classes) == pytest.approx(brute_force(clusters, classes))


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
    assert match_clusters([0, 0, 0, 2], [2, 2, 1, 0])[2] == 0, "a cluster number that does not occur takes no class away"


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
