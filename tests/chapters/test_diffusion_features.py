"""Method cells of the chapter diffusion-features against closed forms, simulation, single networks
and limiting cases.
"""

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import rbf_kernel

from press import method_cells
from unlabeled.runtime import InputError

m = method_cells("diffusion-features")


def rngs(*seeds):
    return [np.random.default_rng(seed) for seed in seeds]


def normal(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape), dtype=torch.float32)


def test_sketches_are_ten_and_standardised():
    shapes = m.sketches()
    assert shapes.shape == (10, 64)
    np.testing.assert_allclose(shapes.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(shapes.std(1), 1)
    # no two alike, up to the sign of the contrast
    assert np.abs(np.corrcoef(shapes) - np.eye(10)).max() < 0.9
    house = shapes[0].reshape(8, 8) > 0
    assert house[3].all() and not house[7, 0] and house[7, 1]


def test_drawn_pictures_have_variance_one_and_grey_classes():
    labels = np.full(20_000, 3)
    pictures, noise = m.draw(m.sketches(), labels, np.random.default_rng(0))
    assert pictures.dtype == np.float32
    assert pictures.var() == pytest.approx(1, rel=0.01)
    assert np.abs(pictures.mean(0)).max() < 0.04  # the sign of the contrast cancels the sketch
    left = pictures * np.sqrt(1 + 1.2**2) - 1.2 * noise
    np.testing.assert_allclose(np.abs(left), np.abs(m.sketches()[labels]), atol=1e-5)


def test_few_takes_the_first_of_each_class_or_says_what_is_missing():
    labels = np.array([1, 0, 1, 1, 0, 0])
    assert m.few(labels, 2).tolist() == [1, 4, 0, 2]
    with pytest.raises(InputError, match="4 pictures of each"):
        m.few(labels, 4)
    with pytest.raises(InputError, match="two classes"):
        m.few(np.zeros(9, int), 2)


def test_a_split_neither_loses_nor_repeats_a_picture():
    class Data:
        train_images = np.arange(60 * 4).reshape(60, 2, 2) / 300
        train_labels = np.arange(60) % 3
        test_images, test_labels = train_images[:0], train_labels[:0]

    split = m.scanned(np.random.default_rng(0), Data, 5)
    rows = np.concatenate([split["pool"], split["test"]])
    assert len(split["test"]) == 20 and len(split["some"]) == 15
    np.testing.assert_allclose(np.sort(rows[:, 0]), 2 * Data.train_images[:, 0, 0] - 1, atol=1e-6)
    kinds = np.round((split["some"][:, 0] + 1) / 2 * 300 / 4).astype(int) % 3
    np.testing.assert_array_equal(kinds, split["labels"])
    Data.train_images = np.zeros((60, 40, 40))
    Data.test_images = np.zeros((0, 40, 40))
    with pytest.raises(InputError, match="shrink"):
        m.scanned(np.random.default_rng(0), Data, 5)


def test_one_jump_is_the_walk_through_all_levels():
    betas = np.linspace(0.001, 0.08, 100)
    share = m.shares()
    walk, rng = np.full(200_000, 2.0), np.random.default_rng(0)
    for beta in betas[:40]:
        walk = np.sqrt(1 - beta) * walk + np.sqrt(beta) * rng.standard_normal(len(walk))
    at_once = m.noisy(torch.full((1, 1), 2.0), share[39:40], torch.ones(1, 1))
    assert walk.mean() == pytest.approx(2 * float(share[39].sqrt()), abs=0.01)
    assert walk.std() == pytest.approx(float((1 - share[39]).sqrt()), rel=0.01)
    assert float(at_once) == pytest.approx(walk.mean() + walk.std(), abs=0.02)
    assert (share[1:] < share[:-1]).all() and share[0] == pytest.approx(0.999)


def test_the_ends_of_the_levels():
    x, noise = normal(2, 3), normal(2, 3, seed=1)
    assert torch.equal(m.noisy(x, torch.ones(2), noise), x)
    assert torch.equal(m.noisy(x, torch.zeros(2), noise), noise)
    for wrong in ((0, 0.001, 0.08), (10, -0.1, 0.08), (10, 0.1, 0.05), (10, 0.1, 1.0)):
        with pytest.raises(InputError, match="levels|level"):
            m.shares(*wrong)


@pytest.mark.parametrize("skips", [True, False])
def test_a_member_is_the_network_of_its_own_generator(skips):
    together, alone = m.UNet(6, 8, rngs(1, 2), skips), m.UNet(6, 8, rngs(2), skips)
    x, t = normal(2, 5, 6), torch.tensor([7])
    for both, one in zip(together.maps(x, t), alone.maps(x[1:], t)):
        torch.testing.assert_close(both[1:], one)


def test_skips_reach_their_partners_and_only_them():
    """What the first block saw must reach the last block even if the middle is cut."""
    x, t = normal(1, 5, 6), torch.tensor([3])
    for skips in (True, False):
        net = m.UNet(6, 8, rngs(1), skips)
        with torch.no_grad():
            net.blocks[3].weights[0][:, :8] = 0  # the block after the middle forgets the middle
        changed = x + 1
        first, second, middle, after, last = (
            (a - b).abs().max() > 1e-6 for a, b in zip(net.maps(x, t), net.maps(changed, t))
        )
        assert first and second and middle
        assert bool(after) is skips and bool(last) is skips


def test_the_straight_path_is_right_for_white_noise_and_pure_noise():
    net = m.UNet(4, 8, rngs(0))
    with torch.no_grad():
        for parameter in net.out.parameters():
            parameter.zero_()
    net.share = torch.tensor([1.0, 0.3, 0.0])
    x = normal(1, 5, 4)
    assert torch.equal(m.predicted(net, x, torch.tensor([2])), x)
    torch.testing.assert_close(m.predicted(net, x, torch.tensor([1])), np.sqrt(0.7) * x)
    assert m.predicted(net, x, torch.tensor([0])).abs().max() == 0


def test_a_denoiser_of_normal_numbers_finds_the_regression():
    """Against the best guess for pictures of independent normal numbers with standard deviation
    .3: noise = sqrt(1 - a) / (a s^2 + 1 - a) x_t."""
    pool = 0.3 * normal(1, 4000, 4)
    net = m.denoiser(pool, rngs(0), 16, 200, 0.01, 64)
    x, noise, t = 0.3 * normal(1, 2000, 4, seed=5), normal(1, 2000, 4, seed=6), torch.tensor([30])
    share = net.share[30]
    seen = m.noisy(x, net.share[t], noise)
    with torch.no_grad():
        ours = (m.predicted(net, seen, t) - noise).square().mean()
    best = share * 0.09 / (share * 0.09 + 1 - share)
    assert float(ours) == pytest.approx(float(best), rel=0.12)


def test_noise_that_cannot_be_seen_teaches_to_answer_nothing():
    net = m.denoiser(normal(1, 500, 4), rngs(0), 16, 300, 0.01, 32, shuffle=True)
    with torch.no_grad():
        guess = m.predicted(net, normal(1, 500, 4, seed=2), torch.tensor([80]))
    assert float(guess.square().mean()) < 0.2


def test_one_level_is_the_only_one_trained():
    pool = normal(1, 500, 4)
    asked = []
    original = m.UNet.maps
    try:
        m.UNet.maps = lambda net, x, t: asked.append(t) or original(net, x, t)
        m.denoiser(pool, rngs(0), 8, 3, 0.01, 16, level=50)
        m.denoiser(pool, rngs(0), 8, 3, 0.01, 16)
    finally:
        m.UNet.maps = original
    assert all((t == 50).all() for t in asked[:3]) and asked[3].unique().numel() > 8


def test_reading_clean_pictures_draws_no_noise_and_tells_what_it_is_told():
    net, x = m.UNet(4, 8, rngs(0)), normal(1, 6, 4)
    clean = m.read(net, x, None, rngs(3), told=10)
    with torch.no_grad():
        direct = net.maps(x, torch.tensor([10]))
    for ours, theirs in zip(clean, direct):
        np.testing.assert_allclose(ours, theirs)
    again, same = (m.read(net, x, 10, rngs(3))[2] for _ in range(2))
    np.testing.assert_array_equal(again, same)
    assert np.abs(again - clean[2]).max() > 1e-3


def test_the_pair_learns_the_mean_and_the_strength_of_the_grain():
    pool = 0.5 * normal(1, 2000, 4) + 2
    pair = m.adversaries(pool, rngs(0), 16, 200, 0.008, 32)
    with torch.no_grad():
        made = pair.draw(normal(1, 2000, 16, seed=7), normal(1, 2000, 4, seed=8))
    assert float(made.mean()) == pytest.approx(2, abs=0.5)
    assert float(made.std()) < 0.9
    assert pair.scores(pool[:, :5], pair.encoder(pool[:, :5])).shape == (1, 5, 3)


def test_layers_end_where_hidden_ends():
    stack = m.Pair(4, 8, rngs(0, 1)).encoder
    x = normal(2, 5, 4)
    seen = m.layers(stack, x)
    assert len(seen) == 2
    np.testing.assert_allclose(seen[-1], stack.hidden(x).detach(), rtol=1e-6)


def test_an_autoencoder_copies_what_fits_through_its_middle():
    code, turn = normal(1, 1000, 2), normal(1, 2, 6, seed=1)
    pool = code @ turn / 2
    net = m.autoencoder(pool, rngs(0), 16, 200, 0.01, 32)
    with torch.no_grad():
        left = (m.answer(net, pool, torch.tensor([0])) - pool).square().mean()
    assert float(left) < 0.1 * float(pool.var())


def test_the_supervised_network_and_attention_learn_what_is_plain():
    labels = np.tile(np.arange(3), (1, 20))
    x = np.eye(3, dtype=np.float32)[labels] * 4 + normal(1, 60, 3).numpy() * 0.3
    got = m.supervised(x, labels, x, labels, rngs(0), 16, steps=60, rate=0.01)
    assert got == pytest.approx([1.0])
    # only the second of three tokens tells the class
    tokens = np.random.default_rng(4).standard_normal((1, 60, 3, 3))
    tokens[:, :, 1] = x
    assert m.attention(tokens, labels, tokens, labels, rngs(0)) == pytest.approx([1.0])


def test_nearness_to_centres():
    pool = np.repeat(np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]), 20, 0)
    near = m.centres(pool, np.random.default_rng(0), k=3)(np.array([[0.0, 0.0]]))
    distances = np.array([0, 10, 10])
    np.testing.assert_allclose(
        np.sort(near[0]), np.sort(np.maximum(0, distances.mean() - distances))
    )


def test_a_perfect_denoiser_draws_its_only_picture():
    only = normal(1, 1, 4, seed=9).clamp(-1, 1)

    class Perfect:
        """Its layers supply what the straight path lacks."""

        share, out = m.shares(), staticmethod(lambda seen: seen)

        def maps(self, x, t):
            share = self.share[t][..., None]
            noise = (x - share.sqrt() * only) / (1 - share).sqrt()
            return [(noise - (1 - share).sqrt() * x) / share.sqrt()]

    made = m.drawn(Perfect(), 3, 4, rngs(0))
    np.testing.assert_allclose(made, only.expand(1, 3, 4), atol=1e-3)


def test_the_kernel_distance_is_that_of_the_kernel_matrices():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 3)), rng.standard_normal((40, 3)) + 0.5
    square = ((b[:, None] - b) ** 2).sum(-1)
    gamma = 1 / np.median(square[np.triu_indices(40, 1)])
    off = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))
    expected = (
        off(rbf_kernel(a, gamma=gamma))
        + off(rbf_kernel(b, gamma=gamma))
        - 2 * rbf_kernel(a, b, gamma=gamma).mean()
    )
    assert m.kernel_distance(a, b) == pytest.approx(expected)
    same = [m.kernel_distance(*rng.standard_normal((2, 50, 3))) for _ in range(60)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(60)  # no bias
    with pytest.raises(InputError, match="two pictures or more"):
        m.kernel_distance(a[:1], b)
    with pytest.raises(InputError, match="equal"):
        m.kernel_distance(a, np.ones((5, 3)))
