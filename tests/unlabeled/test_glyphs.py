"""Drawn characters, the network trained on them, and the two metrics of its features."""

import numpy as np
import torch

from unlabeled.glyphs import features, glyphs, plain_and_whitened, train_backbone, unit
from unlabeled.runtime import seed_all


def test_glyphs_of_a_class_are_alike_and_repeat_with_the_seed():
    pictures, labels = glyphs(np.random.default_rng(0), 6, 20)
    again, _ = glyphs(np.random.default_rng(0), 6, 20)
    assert pictures.shape == (120, 16, 16) and (pictures == again).all()
    flat = pictures.reshape(120, -1)
    gap = ((flat[:, None] - flat) ** 2).sum(-1)
    same = labels[:, None] == labels
    assert gap[same & ~np.eye(120, dtype=bool)].mean() < 0.9 * gap[~same].mean()


def test_training_separates_the_base_classes():
    torch.set_num_threads(1)
    rng = seed_all(1)
    pictures, labels = glyphs(rng, 4, 20)
    network = train_backbone(rng, pictures, labels, epochs=40, batch=40)
    x = features(network, pictures)
    assert x.shape == (80, 256)
    centre = np.stack([x[labels == k].mean(0) for k in range(4)])
    assert (((x[:, None] - centre) ** 2).sum(-1).argmin(1) == labels).mean() > 0.9


def test_whitening_makes_the_scatter_within_classes_round():
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(5), 400)
    old = 3 * rng.standard_normal((5, 8))[labels] + rng.standard_normal(
        (2000, 8)
    ) @ rng.standard_normal((8, 8))
    plain, white = plain_and_whitened(old, labels, old, keep=8)
    assert np.allclose(np.linalg.norm(plain, axis=1), 1) and np.allclose(
        np.linalg.norm(white, axis=1), 1
    )
    ratio = []
    for space in (plain, white):
        within = np.cov(
            (space - np.stack([space[labels == k].mean(0) for k in range(5)])[labels]).T
        )
        values = np.linalg.eigvalsh(within)
        ratio.append(values[-1] / values[0])
    assert ratio[1] < ratio[0] / 3
    assert (unit(np.zeros((1, 3)), np.zeros(3)) == 0).all()
