"""Photographs and patches that come with the libraries."""

import socket

import numpy as np
import pytest
import skimage.data
from sentences import refused

from unlabeled.data import PHOTOGRAPHS, patches, photographs
from unlabeled.photographs import GREY


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """No network and no earlier downloads: what is missing from the wheels cannot be had."""

    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_every_photograph_comes_with_the_libraries():
    for name, picture in photographs().items():
        assert picture.dtype == np.float32 and picture.ndim == 3 and picture.shape[2] == 3, name
        assert 0 <= picture.min() < 0.3 and 0.75 < picture.max() <= 1 and picture.std() > 0.05, name
        assert (np.ptp(picture, axis=2) == 0).all() == (name in GREY), name
    assert np.array_equal(
        (picture * 255).round(), np.repeat(skimage.data.gravel()[..., None], 3, 2)
    )


def test_scaling_keeps_proportions_range_and_mean():
    for name, picture in photographs(height=48).items():
        whole = photographs([name])[name]
        assert picture.shape == (48, round(48 * whole.shape[1] / whole.shape[0]), 3)
        assert picture.min() >= 0 and picture.max() <= 1
        assert np.allclose(picture.mean((0, 1)), whole.mean((0, 1)), atol=0.01), name


def test_patches_are_cut_from_the_photographs():
    cut = patches(np.random.default_rng(0), 300, 16, ["brick"], colour=True)
    assert cut.shape == (300, 16, 16, 3) and cut.dtype == np.float32
    brick = photographs(["brick"])["brick"][..., 0]
    windows = np.lib.stride_tricks.sliding_window_view(brick, (16, 16))
    corners = {
        tuple(np.argwhere((windows[:, :, 0, :8] == patch[0, :8, 0]).all(-1))[0])
        for patch in cut[:20]
    }
    assert len(corners) == 20
    for patch in cut[:20]:
        places = np.argwhere((windows[:, :, 0, :8] == patch[0, :8, 0]).all(-1))
        assert any(np.array_equal(windows[y, x], patch[..., 0]) for y, x in places)


def test_patches_depend_on_the_generator_alone():
    first, again, other = (patches(np.random.default_rng(s), 50, 12, height=96) for s in (1, 1, 2))
    assert first.shape == (50, 12, 12) and np.array_equal(first, again)
    assert not np.array_equal(first, other)
    colour = patches(np.random.default_rng(1), 50, 12, height=96, colour=True)
    assert np.allclose(colour.mean(-1), first, atol=1e-6)


def test_what_cannot_be_cut_is_refused():
    with refused("There is no photograph called 'lena'", "'astronaut'"):
        photographs(["lena"])
    with refused("do not fit", "use a smaller size"):
        patches(np.random.default_rng(0), 1, 65, height=64)
    assert len(PHOTOGRAPHS) == len(set(PHOTOGRAPHS))
