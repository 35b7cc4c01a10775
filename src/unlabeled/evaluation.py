"""Scores that more than one chapter needs."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment


def match_clusters(clusters: np.ndarray, classes: np.ndarray) -> dict[int, int]:
    """One-to-one matching of clusters to classes that agrees on as many examples as possible (Kuhn, 1955).

    Parameters
    ----------
    clusters, classes : whole numbers from 0, shape (n,); the two may differ in how many values they take

    Returns
    -------
    dict from cluster to class; where there are more clusters than classes, the unmatched ones are absent
    """
    clusters, classes = np.asarray(clusters), np.asarray(classes)
    if clusters.shape != classes.shape or clusters.ndim != 1 or not len(clusters):
        raise ValueError(f"clusters and classes must be of one length and not empty, not of shapes {clusters.shape} and {classes.shape}.")
    for name, numbers in (("clusters", clusters), ("classes", classes)):
        if numbers.dtype.kind not in "ui" or numbers.min() < 0:
            raise ValueError(f"{name} must be whole numbers from 0: number them anew or drop those without one.")
    table = np.zeros((clusters.max() + 1, classes.max() + 1), dtype=int)
    np.add.at(table, (clusters, classes), 1)
    return dict(zip(*(indices.tolist() for indices in linear_sum_assignment(table, maximize=True))))


def clustering_accuracy(clusters: np.ndarray, classes: np.ndarray) -> float:
    """Share of examples whose cluster is matched to their class, under the best one-to-one matching (in [0, 1])."""
    clusters, classes = np.asarray(clusters), np.asarray(classes)
    matching = match_clusters(clusters, classes)
    assigned = np.full(clusters.max() + 1, -1)
    assigned[list(matching)] = list(matching.values())
    return float(np.mean(assigned[clusters] == classes))
