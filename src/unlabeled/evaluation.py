"""What features and clusterings are worth: probes, neighbours, similarity, matched accuracy."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from unlabeled.runtime import InputError

PENALTIES = tuple(10.0 ** np.arange(-4, 5))


def match_clusters(clusters: np.ndarray, classes: np.ndarray) -> dict[int, int]:
    """One-to-one matching of clusters to classes that agrees on as many examples as possible (Kuhn,
    1955).

    Parameters
    ----------
    clusters, classes : whole numbers from 0, shape (n,); the two may differ in how many values they
    take

    Returns
    -------
    dict from cluster to class; where there are more clusters than classes, the unmatched ones are
    absent
    """
    clusters, classes = np.asarray(clusters), np.asarray(classes)
    if clusters.shape != classes.shape or clusters.ndim != 1 or not len(clusters):
        raise ValueError(
            "clusters and classes must be of one length and not empty, not of shapes"
            f" {clusters.shape} and {classes.shape}."
        )
    for name, numbers in (("clusters", clusters), ("classes", classes)):
        if numbers.dtype.kind not in "ui" or numbers.min() < 0:
            raise ValueError(
                f"{name} must be whole numbers from 0: number them anew or drop those without one."
            )
    table = np.zeros((clusters.max() + 1, classes.max() + 1), dtype=int)
    np.add.at(table, (clusters, classes), 1)
    return dict(zip(*(indices.tolist() for indices in linear_sum_assignment(table, maximize=True))))


def clustering_accuracy(clusters: np.ndarray, classes: np.ndarray) -> float:
    """Share of examples whose cluster is matched to their class, under the best one-to-one matching
    (in [0, 1]).
    """
    clusters, classes = np.asarray(clusters), np.asarray(classes)
    matching = match_clusters(clusters, classes)
    assigned = np.full(clusters.max() + 1, -1)
    assigned[list(matching)] = list(matching.values())
    return float(np.mean(assigned[clusters] == classes))


def ridge_probe(train, train_labels, test, test_labels, penalties=PENALTIES) -> float:
    """Accuracy of a linear probe: ridge regression onto the classes, its penalty chosen on the
    training part alone.

    Features are standardised with the training part's mean and standard deviation; the penalty is
    the one with the smallest leave-one-out error, which has a closed form (Allen, 1974: the
    residual divided by one minus the example's leverage).

    Parameters
    ----------
    train, test : features, shape (n, …); flattened
    train_labels, test_labels : whole numbers from 0, shape (n,)
    penalties : the penalties to choose from, in units of the mean eigenvalue of the features' Gram
    matrix

    Returns
    -------
    share of `test` classified correctly, in [0, 1]
    """
    return float(
        np.mean(ridge_predict(train, train_labels, test, penalties) == np.asarray(test_labels))
    )


def ridge_predict(train, train_labels, test, penalties=PENALTIES) -> np.ndarray:
    """Classes that the probe of `ridge_probe` gives to `test`, shape (n,)."""
    train = np.asarray(train, dtype=np.float64).reshape(len(train), -1)
    test = np.asarray(test, dtype=np.float64).reshape(len(test), -1)
    labels = np.asarray(train_labels)
    if len(train) != len(labels) or len(train) < 2:
        raise InputError(
            f"A probe needs two examples or more and one label each, not {len(train)} and"
            f" {len(labels)}."
        )
    mean, spread = train.mean(0), train.std(0)
    spread = np.where(spread > 1e-8, spread, 1.0)  # a constant feature says nothing; leave it at 0
    train, test = (train - mean) / spread, (test - mean) / spread
    targets = np.eye(labels.max() + 1)[labels]
    offset = targets.mean(0)
    # One decomposition serves every penalty; the smaller of the two Gram matrices is taken.
    if train.shape[1] <= len(train):
        values, basis = np.linalg.eigh(train.T @ train)
        rows, new = train @ basis, test @ basis
        rotated = rows.T @ (targets - offset)
    else:
        values, left = np.linalg.eigh(train @ train.T)
        keep = values > 1e-9 * values[-1]
        values, left = values[keep], left[:, keep]
        basis = train.T @ (left / np.sqrt(values))
        rows, new = left * np.sqrt(values), test @ basis
        rotated = rows.T @ (targets - offset)
    values = np.maximum(values, 0)
    best, chosen = np.inf, None
    for penalty in np.asarray(penalties) * max(values.mean(), 1e-12):
        weights = rotated / (values + penalty)[:, None]
        leverage = np.einsum("ij,j,ij->i", rows, 1 / (values + penalty), rows) + 1 / len(rows)
        error = (targets - offset - rows @ weights) / (1 - np.minimum(leverage, 1 - 1e-9))[:, None]
        if (score := np.mean(error**2)) < best:
            best, chosen = score, weights
    return np.argmax(new @ chosen + offset, axis=1)


def knn(train, train_labels, test, test_labels, k: int = 5) -> float:
    """Accuracy of the majority among the `k` nearest of `train` by cosine similarity (ties: the
    class of the nearer).

    train, test : features, shape (n, …); flattened. Labels : whole numbers from 0, shape (n,).
    """
    train, test = (
        np.asarray(part, dtype=np.float64).reshape(len(part), -1) for part in (train, test)
    )
    labels = np.asarray(train_labels)
    if not 1 <= k <= len(train):
        raise InputError(
            f"The number of neighbours is {k}, but there are {len(train)} examples to look among:"
            f" use 1 to {len(train)}."
        )
    train, test = (
        part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
        for part in (train, test)
    )
    nearest = np.argsort(-(test @ train.T), axis=1, kind="stable")[:, :k]
    votes = np.zeros((len(test), labels.max() + 1))
    # A vote loses a hair with each rank, which only decides ties.
    for rank in range(k):
        np.add.at(votes, (np.arange(len(test)), labels[nearest[:, rank]]), 1 - 1e-6 * rank)
    return float(np.mean(votes.argmax(1) == np.asarray(test_labels)))


def cka(a, b) -> float:
    """Linear centred kernel alignment of two sets of features of the same examples, in [0, 1]
    (Kornblith et al., 2019).

    a, b : shape (n, features), the numbers of features may differ
    """
    a, b = (np.asarray(part, dtype=np.float64).reshape(len(part), -1) for part in (a, b))
    if len(a) != len(b):
        raise InputError(
            f"CKA compares features of the same examples, not of {len(a)} and {len(b)}: pass one"
            " row for each in both."
        )
    a, b = a - a.mean(0), b - b.mean(0)
    scale = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    return float(np.linalg.norm(a.T @ b) ** 2 / scale) if scale > 0 else 0.0
