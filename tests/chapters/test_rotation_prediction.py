"""Method cells of the chapter rotation-prediction against NumPy, plain torch, tiny loops and
limiting cases.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from press import method_cells

m = method_cells("rotation-prediction")
MINI = [[(3, 6), ("max", 2)], [(3, 8), ("average", 2)], [(3, 8), (1, 8)]]
TURNS = (0, 1, 2, 3)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(7)


def pictures(n, seed=0, kind=None):
    labels = np.arange(n) % 10 if kind is None else np.full(n, kind)
    return m.draw(labels, np.random.default_rng(seed))


@pytest.mark.parametrize("shape", [(5, 5), (3, 4), (2, 3, 4, 6)])
def test_rotate_is_rot90(shape):
    array = np.random.default_rng(0).standard_normal(shape)
    tensor = torch.from_numpy(array)
    for k in range(-4, 8):
        assert np.array_equal(m.rotate(tensor, k).numpy(), np.rot90(array, k, axes=(-2, -1)))


def test_cross_entropy_of_the_batch_is_the_papers_loss():
    images, net = pictures(6), m.NIN(MINI, 1, 4).eval()
    inputs, labels = m.turned_copies(images, TURNS)
    with torch.no_grad():
        batch = F.cross_entropy(net(inputs), labels).item()
        by_formula = np.mean(
            [
                -np.mean(
                    [
                        math.log(net(torch.rot90(x, y, (-2, -1))[None]).softmax(1)[0, y].item())
                        for y in TURNS
                    ]
                )
                for x in images
            ]
        )
    assert batch == pytest.approx(by_formula, abs=1e-5)


def test_on_balls_in_all_positions_no_network_pays_less_than_ln_4():
    balls = pictures(20, kind=10)
    positions = torch.cat([m.rotate(balls, k) for k in TURNS])
    for _ in range(3):
        net = m.calibrate(m.NIN(MINI, 1, 4), balls)
        loss = -m.answers(net, positions)[range(4), :, range(4)].double().mean().item()
        assert loss >= math.log(4) - 1e-6
        assert m.rotation_accuracy(net, positions) == pytest.approx(0.25, abs=0.01)


def test_balls_carry_no_cue_of_up_and_planted_ones_do():
    balls = pictures(4000, seed=6, kind=10)
    ramp = torch.linspace(1, -1, 12)[:, None]
    for images in (balls, balls.abs(), balls**3):
        slope = (images * ramp).mean((1, 2, 3))
        assert abs(slope.mean()) < 4 * slope.std() / len(balls) ** 0.5
    assert (m.plant(balls) * ramp).mean() > 0.3


def test_pictures_are_standardised_and_reproducible():
    first, again = pictures(22, 4), pictures(22, 4)
    assert first.shape == (22, 1, 12, 12) and torch.equal(first, again)
    assert first.mean((1, 2, 3)).abs().max() < 1e-5
    assert list(m.sketches())[-1] == "ball" and len(m.sketches()) == 11
    ball = m.sketches()["ball"]
    assert all(torch.equal(ball, m.rotate(ball, k)) for k in TURNS)


def test_askew_turns_each_picture_and_keeps_the_pile():
    images = pictures(400)
    stored = m.askew(images, np.random.default_rng(0))
    turned = torch.stack([(stored == m.rotate(images, k)).all(-1).all(-1).all(-1) for k in TURNS])
    assert (turned.sum(0) == 1).all() and turned.sum(1).min() > 60


def test_batches_hold_each_picture_in_every_turn():
    inputs, labels = next(m.rotation_batches(pictures(9), TURNS, 5, np.random.default_rng(0)))
    assert labels.tolist() == [k for k in TURNS for _ in range(5)]
    for k in TURNS:
        assert torch.equal(inputs[5 * k : 5 * k + 5], m.rotate(inputs[:5], k))


def test_labeled_batches_keep_to_the_budget_and_the_label():
    versions = torch.stack([torch.arange(5.0), torch.arange(5.0) + 10]).reshape(2, 5, 1, 1, 1)
    drawn, labels = next(m.labeled_batches(versions, torch.arange(5), 40, np.random.default_rng(1)))
    assert len(labels) == 5 and torch.equal(drawn.flatten() % 10, labels.float())


def test_a_maximum_before_the_norm_is_one_after_it():
    net = m.NIN(MINI, 1, 4).eval()
    conv, pool, norm, relu = net.blocks[0]
    x = pictures(5)
    assert isinstance(pool, nn.MaxPool2d)
    assert torch.allclose(net.blocks[0](x), pool(relu(norm(conv(x)))), atol=1e-5)


def test_calibrate_measures_what_the_layers_see():
    images, net = pictures(40), m.NIN(MINI, 1, 4)
    m.calibrate(net, images)
    with torch.no_grad():
        seen = net.blocks[0][1](net.blocks[0][0](images))
    assert torch.allclose(net.blocks[0][2].running_mean, seen.mean((0, 2, 3)), atol=1e-5)
    assert not net.training


def test_maps_are_those_of_the_blocks():
    net, images = m.NIN(MINI, 1, 4).eval(), pictures(10)
    maps = m.block_maps(net, images)
    with torch.no_grad():
        assert torch.allclose(net(images), net.head(maps[-1].mean((2, 3))), atol=1e-5)
    assert m.probe_features(maps[0]).shape == (10, 6 * 16) and m.probe_features(maps[2]).shape == (
        10,
        72,
    )


def test_a_lit_edge_is_learned_and_an_askew_pile_is_not():
    images = pictures(400)
    images[:, :, 0] = 4.0
    for pile, learned in ((images, True), (m.askew(images, np.random.default_rng(3)), False)):
        net = m.train(
            m.NIN(MINI, 1, 4), m.rotation_batches(pile, TURNS, 8, np.random.default_rng(0)), 60, 0.2
        )
        assert (m.rotation_accuracy(net, images[:100]) > 0.95) == learned
