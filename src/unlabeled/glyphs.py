"""Drawn characters for tasks with few labels, and the features of a network trained on others."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from unlabeled.training import batches, fit


def glyphs(
    rng: np.random.Generator, classes: int, each: int, size: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (classes * each, size, size) of random drawings and labels, class by class.

    A class is a drawing of three quadratic Bezier curves in [-.8, .8]^2. A picture of it wobbles:
    control points move, the drawing is turned, scaled and shifted, the pen changes, pixels are
    noisy.
    """
    n, normal = classes * each, lambda *shape: rng.standard_normal(shape, dtype=np.float32)
    points = rng.uniform(-0.8, 0.8, (classes, 1, 9, 2)).astype(np.float32)
    points = (points + 0.16 * normal(classes, each, 9, 2)).reshape(n, 9, 2)
    angle, scale = 0.25 * normal(n), np.exp(0.12 * normal(n))
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    points = points @ np.stack([c, -s, s, c], -1).reshape(n, 2, 2) + 0.08 * normal(n, 1, 2)
    t = np.linspace(0, 1, 9, dtype=np.float32)
    curve = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], 1)
    dotted = (curve @ points.reshape(n, 3, 3, 2)).reshape(n, -1, 2)
    grid = np.linspace(-1.1, 1.1, size, dtype=np.float32)
    squares = (grid - dotted[..., None]) ** 2  # (n, dots, axis, size)
    nearest = np.full((n, size, size), np.inf, dtype=np.float32)
    for dot in range(dotted.shape[1]):
        reach = squares[:, dot, 1, :, None] + squares[:, dot, 0, None, :]
        np.minimum(nearest, reach, out=nearest)
    pen = rng.uniform(0.07, 0.12, (n, 1, 1)).astype(np.float32)
    ink = 1 / (1 + np.exp((np.sqrt(nearest) - pen) / 0.04))
    return ink + 0.15 * normal(n, size, size), np.repeat(np.arange(classes), each)


def train_backbone(
    rng: np.random.Generator,
    pictures: np.ndarray,
    labels: np.ndarray,
    epochs: int,
    batch: int = 128,
) -> torch.nn.Module:
    """A small convolutional network with a linear head, trained by cross-entropy, labels smoothed
    by .1; what is returned maps pictures (n, 1, 16, 16) to features (n, 256).

    Training pictures (n, 16, 16) are turned, shifted and made noisy at random.
    """
    x, y = torch.tensor(pictures)[:, None], torch.tensor(labels)
    network = _backbone()
    head = torch.nn.Linear(256, int(y.max()) + 1)
    rows = batches(len(x), batch, rng)

    def loss(step):
        part = next(rows)
        return F.cross_entropy(head(network(_wobble(x[part]))), y[part], label_smoothing=0.1)

    fit(
        [*network.parameters(), *head.parameters()],
        loss,
        lr=5e-3,
        optimiser="adamw",
        steps=epochs * max(1, len(x) // batch),
        schedule="one-cycle",
        weight_decay=0.01,
    )
    return network.eval()


def features(network: torch.nn.Module, pictures: np.ndarray) -> np.ndarray:
    """Features (n, d) of `pictures` (n, h, w) under a network of `train_backbone`."""
    with torch.no_grad():
        return network(torch.tensor(pictures)[:, None]).double().numpy()


def unit(x: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Features (n, d) minus a centre (d,), then of length 1 (a zero vector stays zero)."""
    x = x - centre
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def plain_and_whitened(
    old: np.ndarray, labels: np.ndarray, new: np.ndarray, keep: int
) -> tuple[np.ndarray, np.ndarray]:
    """Unit features (n, keep) of `new` (n, d), plain and whitened, from base rows `old`.

    Both are cut to the `keep` leading directions of `old`; whitening divides by the scatter within
    the base classes, shrunk by a tenth of its mean variance.
    """
    axes = np.linalg.eigh(np.cov(old.T))[1][:, -keep:]
    old, new = old @ axes, new @ axes
    means = np.stack([old[labels == k].mean(0) for k in range(labels.max() + 1)])
    values, turn = np.linalg.eigh(np.cov((old - means[labels]).T))
    white = turn / np.sqrt(values + 0.1 * values.mean())
    return unit(new, old.mean(0)), unit(new @ white, (old @ white).mean(0))


def _backbone(widths=(16, 32, 64)):
    """A network from pictures (n, 1, 16, 16) to features (n, 4 * widths[-1])."""
    layers, inputs = [], 1
    for width in widths:
        layers += [
            torch.nn.Conv2d(inputs, width, 3, 2, 1, bias=False),
            torch.nn.BatchNorm2d(width),
            torch.nn.ReLU(),
        ]
        inputs = width
    return torch.nn.Sequential(*layers, torch.nn.Flatten())


def _wobble(x):
    """Pictures (n, 1, h, w) turned (sd .2), shifted (sd .1 of half a width) and noisy."""
    angle, move = 0.2 * torch.randn(len(x)), 0.1 * torch.randn(len(x), 2)
    c, s = angle.cos(), angle.sin()
    affine = torch.stack([c, -s, move[:, 0], s, c, move[:, 1]], 1).view(-1, 2, 3)
    grid = F.affine_grid(affine, x.shape, align_corners=False)
    return F.grid_sample(x, grid, align_corners=False) + 0.1 * torch.randn(x.shape)
