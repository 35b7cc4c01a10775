"""Photographs that scikit-image and scikit-learn bring along: no network is needed."""

from __future__ import annotations

import numpy as np

from unlabeled.runtime import InputError

# Scenes and things, then textures seen from above.
PHOTOGRAPHS = (
    "astronaut", "camera", "chelsea", "china", "coffee", "coins", "flower", "moon", "rocket",
    "brick", "grass", "gravel",
)  # fmt: skip
GREY = frozenset(("camera", "coins", "moon", "brick", "grass", "gravel"))


def photographs(names=PHOTOGRAPHS, height: int | None = None) -> dict[str, np.ndarray]:
    """Photographs by name, in colour; grey ones have three equal channels.

    Parameters
    ----------
    names : names from PHOTOGRAPHS
    height : pixels to which each is scaled, width in proportion (bilinear, smoothed); None keeps it

    Returns
    -------
    dict from name to a float32 array of shape (height, width, 3), values in [0, 1]
    """
    if unknown := [name for name in names if name not in PHOTOGRAPHS]:
        raise InputError(
            f"There is no photograph called {unknown[0]!r}: "
            f"use {', '.join(map(repr, PHOTOGRAPHS))}."
        )
    return {name: _scaled(_photograph(name), height) for name in names}


def _photograph(name):
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        picture = load_sample_image(f"{name}.jpg")
    else:
        import skimage.data

        picture = getattr(skimage.data, name)()
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    return picture[..., :3].astype(np.float32) / 255


def _scaled(picture, height):
    if height is None:
        return picture
    import torch

    width = round(height * picture.shape[1] / picture.shape[0])
    scaled = torch.nn.functional.interpolate(
        torch.from_numpy(picture).permute(2, 0, 1)[None],
        size=(height, width),
        mode="bilinear",
        antialias=True,
    )
    return scaled[0].permute(1, 2, 0).clamp(0, 1).contiguous().numpy()


def patches(
    rng: np.random.Generator,
    n: int,
    size: int,
    names=PHOTOGRAPHS,
    height: int | None = None,
    colour: bool = False,
) -> np.ndarray:
    """Square patches cut at random from photographs drawn at random.

    Parameters
    ----------
    n, size : how many patches, and their side in pixels
    names, height : as for `photographs`; a smaller `height` puts more of a picture into a patch
    colour : False gives the mean of the channels

    Returns
    -------
    float32 array of shape (n, size, size), or (n, size, size, 3) in colour, values in [0, 1]
    """
    pictures = list(photographs(names, height).values())
    if size < 1 or any(min(picture.shape[:2]) < size for picture in pictures):
        raise InputError(
            f"Patches of {size} pixels do not fit into each photograph: use a smaller size, or "
            "give a larger height."
        )
    cut = np.empty((n, size, size, 3), np.float32)
    for i, which in enumerate(rng.integers(len(pictures), size=n)):
        picture = pictures[which]
        top, left = (rng.integers(side - size + 1) for side in picture.shape[:2])
        cut[i] = picture[top : top + size, left : left + size]
    return cut if colour else cut.mean(axis=-1)
