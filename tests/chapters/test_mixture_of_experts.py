"""Method cells of the chapter mixture-of-experts against loops, automatic differentiation,
libraries and limiting cases.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch.nn.functional import softmax, softplus

from press import method_cells
from unlabeled.runtime import InputError

torch.set_num_threads(1)  # tensors this small are slower on more
m = method_cells("mixture-of-experts")


def rngs(*seeds):
    return [np.random.default_rng(seed) for seed in seeds or (0, 1)]


def world(*seeds, n=300, d=10, test=200, **kind):
    return m.worlds(rngs(*seeds), n, d, test, **kind)


def test_a_point_is_made_of_the_patches_that_the_text_names():
    rng = np.random.default_rng(2)
    v, c = m.frame(rng, 12)
    np.testing.assert_allclose(np.vstack([v, c]) @ np.vstack([v, c]).T, np.eye(8), atol=1e-12)
    x, y, k = m.draw(rng, 5000, v, c)
    alpha, beta = np.einsum("nd,nd->n", x[:, 0], v[k]) * y, np.einsum("nd,nd->n", x[:, 1], c[k])
    assert 0.5 <= alpha.min() and alpha.max() <= 2 and 1 <= beta.min() and beta.max() <= 2
    liar = x[:, 2] @ v.T
    assert (np.abs(liar[np.arange(5000), k]) < 1e-6).all(), "the liar is of another cluster"
    assert np.mean(np.sign(liar.sum(1)) == y) == pytest.approx(0.5, abs=0.03)
    assert np.square(x[:, 3]).sum(1).mean() == pytest.approx(1, rel=0.05)


def test_worlds_without_a_liar_and_with_tossed_signs():
    truthful, tossed = world(gamma=(0, 0)), world(signed=True)
    assert (truthful.x[:, :, 2] == 0).all()
    sign = torch.einsum(
        "snd,snd->sn", tossed.x[:, :, 1], tossed.c.float()[torch.arange(2)[:, None], tossed.k]
    )
    assert (sign > 0).float().mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("power", [1, 3])
def test_experts_are_the_sum_over_filters_and_patches(power):
    gen = torch.Generator().manual_seed(0)
    W, x = torch.randn(2, 3, 2, 5, generator=gen), torch.randn(2, 4, 6, 5, generator=gen)
    chosen = torch.randint(3, (2, 4), generator=gen)
    every = m.experts(W, x, power=power)
    for s in range(2):
        for i in range(4):
            loop = [sum(float(w @ p) ** power for w in expert for p in x[s, i]) for expert in W[s]]
            np.testing.assert_allclose(every[s, i], loop, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        m.experts(W, x, chosen, power), every.gather(2, chosen[..., None]).squeeze(2), atol=1e-5
    )


def test_no_additive_function_passes_seven_eighths():
    """The derivation by brute force: all sign patterns of four free outputs, A and B beside g1
    and g2.
    """
    rng = np.random.default_rng(0)
    a, b, g1, g2 = rng.standard_normal((4, 100_000))
    right = (a + g1 > 0).astype(int) + (a + g2 < 0) + (b + g1 < 0) + (b + g2 > 0)
    assert right.max() == 3


def test_top_k_keeps_k_and_all_is_the_dense_gate():
    h = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(1))
    for k in range(1, 6):
        gate = m.top_k(h, k)
        assert ((gate > 0).sum(-1) == k).all() and torch.allclose(gate.sum(-1), torch.ones(2, 7))
        assert (gate.argmax(-1) == h.argmax(-1)).all()
    assert torch.allclose(m.top_k(h, 5), softmax(h, -1))
    assert (m.top_k(torch.zeros(1, 1, 4), 2)[0, 0] == torch.tensor([0.5, 0.5, 0, 0])).all(), (
        "ties go to the lowest index"
    )


@pytest.mark.parametrize("k", [0, 6])
def test_fewer_experts_than_top_k_is_refused_in_a_sentence(k):
    with pytest.raises(InputError, match="use k from 1 to 5"):
        m.top_k(torch.zeros(1, 2, 5), k)
    with pytest.raises(InputError, match="cannot be kept"):
        m.train(world(n=20), rngs(), 3, 1, keep=4)


def test_impossible_worlds_and_mixtures_are_refused():
    with pytest.raises(InputError, match="do not fit into d = 7"):
        m.frame(np.random.default_rng(0), 7)
    with pytest.raises(InputError, match="K = 2 or more"):
        m.frame(np.random.default_rng(0), 7, K=1)
    for M, J in ((0, 1), (2, 0)):
        with pytest.raises(InputError, match="1 or more of each"):
            m.begin(rngs(), M, J, 5, 1.0)
    with pytest.raises(InputError, match="without points"):
        m.dispatch_entropy(np.zeros((3, 4)))


def test_a_normalised_step_moves_each_expert_by_eta_and_leaves_an_idle_one():
    W, theta = m.begin(rngs(), 3, 2, 4, 1.0)
    rule = m.Normalised(W, theta, 0.1, 0.5)
    before = W.detach().clone()
    (W[:, :2] ** 2 * torch.tensor([1.0, 1e4]).view(1, 2, 1, 1)).sum().backward()
    rule.step()
    moved = (W.detach() - before).flatten(2).norm(dim=2)
    np.testing.assert_allclose(moved, [[0.1, 0.1, 0]] * 2, rtol=1e-4)
    assert torch.isfinite(W).all() and (theta == 0).all()


def test_one_step_of_training_is_the_formula():
    """Against a loop over points with the gradient by hand, for the only seed."""
    one = world(3, n=40)
    W, theta, path = m.train(one, rngs(9), 4, 1, J=2, eta=0.05, rho=0.7, start=1.0)
    same = rngs(9)
    W0, _ = m.begin(same, 4, 2, 10, 1.0)
    chosen = (same[0].random((40, 4), dtype=np.float32)).argmax(1)  # theta is 0, so noise decides
    dW, dtheta = np.zeros((4, 2, 10)), np.zeros((4, 10))
    for x, y, c in zip(one.x[0].numpy(), one.y[0].numpy(), chosen):
        z = W0.detach().numpy()[0, c] @ x.T
        f, pi = (z**3).sum(), np.full(4, 0.25)
        slope = -y / (1 + np.exp(y * pi[c] * f)) / 40
        dW[c] += slope * pi[c] * 3 * z**2 @ x
        dtheta += slope * f * pi[c] * np.outer((np.arange(4) == c) - pi, x.sum(0))
    length = np.sqrt((dW**2).sum((1, 2)))[:, None, None]
    np.testing.assert_allclose(W[0], W0.detach().numpy()[0] - 0.05 * dW / length, atol=1e-5)
    np.testing.assert_allclose(theta[0], -0.7 * dtheta, atol=1e-5)
    assert path[0][0] == 1 and torch.equal(path[0][1], theta)


def test_seeds_that_are_stacked_do_not_touch():
    both = m.train(world(4, 5), m.training_rngs(rngs(4, 5)), 4, 5)
    for place, seed in enumerate((4, 5)):
        alone = m.train(world(seed), m.training_rngs(rngs(seed)), 4, 5)
        np.testing.assert_allclose(both[0][place], alone[0][0], atol=1e-5)
        np.testing.assert_allclose(both[1][place], alone[1][0], atol=1e-5)


def test_the_cuts_cut_what_they_say():
    h = torch.arange(2 * 50 * 4, dtype=torch.float32).view(2, 50, 4) % 7 * 10
    own, weight = m.route(h, rngs())
    assert (own == h.argmax(2)).all(), "noise below 1 does not change a lead of 10"
    frozen, ones = m.route(h, rngs(), "frozen")
    assert (frozen == h.argmax(2)).all() and (ones == 1).all()
    stranger, theirs = m.route(h, rngs(), "stranger")
    assert (stranger != own).any() and (stranger.sort(1).values == own.sort(1).values).all(), (
        "loads stay"
    )
    assert torch.allclose(theirs.sort(1).values, weight.sort(1).values)
    stray, gate = m.route(h, rngs(), "stray")
    assert (stray.sort(1).values == own.sort(1).values).all()
    assert torch.allclose(gate, softmax(h, 2).gather(2, stray[..., None]).squeeze(2))


def test_dispatch_entropy_is_the_mean_entropy_of_the_cells():
    rng = np.random.default_rng(0)
    chosen, k = rng.integers(5, size=400), rng.integers(4, size=400)
    counts = m.dispatch(chosen, k, 6)
    assert counts.sum() == 400 and (counts[5] == 0).all()
    mean = sum(row.sum() / 400 * entropy(row / row.sum()) for row in counts[:5])
    assert m.dispatch_entropy(counts) == pytest.approx(mean)
    assert m.dispatch_entropy(np.eye(4) * 9) == 0
    assert m.dispatch_entropy(np.ones((2, 4))) == pytest.approx(np.log(4))


def test_ideal_weights_are_judged_ideal():
    w = world(n=20, test=2000)
    found = m.judge(5 * w.v.float()[:, :, None], w.c.float(), w, power=1)
    assert found.accuracy.min() > 0.97 and found.entropy.max() < 0.1


def test_the_auxiliary_loss_is_one_weight_when_even_and_m_when_collapsed():
    even = torch.full((1, 8), 1 / 8)
    one = torch.eye(8)[:1]
    assert float(m.auxiliary(even, even, 0.3)) == pytest.approx(0.3, abs=1e-6)
    assert float(m.auxiliary(one, one, 0.3)) == pytest.approx(2.4, abs=1e-6)
    share = even.clone().requires_grad_()
    assert not m.auxiliary(share, even, 0.3).requires_grad, "the share is a constant"


def test_the_bias_spreads_the_load_where_a_still_router_cannot():
    w = world(n=100)
    loads = {cure: m.balanced(w, rngs(), 1e-6, cure, steps=40)[1] for cure in ("none", "bias")}
    assert (loads["none"][-1].max(1).values == 1).all()
    assert (loads["bias"][-5:].mean(0).max(1).values < 0.6).all()


def test_the_opponents_on_worlds_that_they_solve():
    rng = np.random.default_rng(1)
    s, S = rng.standard_normal((2, 600, 3))
    y, Y = np.sign(s[:, 0] * s[:, 1]), np.sign(S[:, 0] * S[:, 1])
    assert m.by_products(s, y, S, Y) > 0.95
    assert m.by_cells(s[:, 1] > 0, S[:, 1] > 0, s, y, S, Y) > 0.95
    assert m.by_cells((y > 0) * 1, (Y > 0) * 1, s, y, S, Y) == 1, "a pure cell says its label"


def test_a_shuffled_dispatch_gives_one_experts_loss_at_the_start():
    """At theta = 0 the gate is 1/M for all, so training starts at the loss ln 2."""
    w = world(n=60)
    W, theta = m.begin(rngs(), 4, 1, 10, 1e-3)
    chosen, weight = m.route(w.x.sum(2) @ theta.transpose(1, 2), rngs())
    assert torch.allclose(weight, torch.full((2, 60), 0.25))
    loss = softplus(-w.y * weight * m.experts(W, w.x, chosen)).mean()
    assert float(loss.detach()) == pytest.approx(np.log(2), abs=1e-4)


def test_the_path_of_a_mixture_that_is_not_trained_is_empty():
    w = SimpleNamespace(**vars(world(n=20)))
    assert m.train(w, rngs(), 2, 0)[2] == []
