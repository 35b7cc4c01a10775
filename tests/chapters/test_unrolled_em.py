"""Method cells of the chapter unrolled-em against loops, a library and limiting cases."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.mixture import GaussianMixture

from press import method_cells
from unlabeled.runtime import InputError

m = method_cells("unrolled-em")


def tasks(seeds=2, count=3, ways=4, shots=2, queries=12, d=3, seed=0):
    """Support, queries and classes of tasks of well-mixed clouds."""
    rng = np.random.default_rng(seed)
    middle = 1.5 * rng.standard_normal((seeds, count, ways, 1, d))
    S = middle + rng.standard_normal((seeds, count, ways, shots, d))
    y = rng.integers(0, min(2, ways), (seeds, count, queries))
    Q = np.take_along_axis(middle[..., 0, :], y[..., None], 2)
    Q = Q + rng.standard_normal((seeds, count, queries, d))
    return torch.tensor(S), torch.tensor(Q), torch.tensor(y)


def by_loops(S, Q, tau, lam, T):
    """Assignments (n, K) of one task in numpy, from the formula in words."""
    w, share = S.mean(1), np.full(len(S), 1 / len(S))
    for weight, soft in zip(lam, T):
        u = np.zeros((len(Q), len(S)))
        for n, x in enumerate(Q):
            gap = np.array([((tau * x - tau * centre) ** 2).sum() for centre in w])
            u[n] = softmax((-gap / 2 + weight * np.log(share + 1e-6)) / soft)
        share = u.mean(0)
        for k in range(len(S)):
            mass = len(S[k]) + u[:, k].sum()
            w[k] = (S[k].sum(0) + sum(u[n, k] * Q[n] for n in range(len(Q)))) / mass
    return u


def test_layers_agree_with_loops_and_every_seed_has_its_own_knobs():
    S, Q, _ = tasks()
    tau = torch.tensor([0.7, 1.4])
    lam = torch.tensor([[1.0, 3.0, 0.5], [0.2, 1.0, 2.0]])
    T = torch.tensor([[2.0, 1.5, 1.0], [1.0, 1.2, 3.0]])
    u = m.em(S, Q, (tau, lam, T)).exp().numpy()
    for seed in range(2):
        for task in range(3):
            mine = by_loops(
                S[seed, task].numpy(),
                Q[seed, task].numpy(),
                float(tau[seed]),
                lam[seed].numpy(),
                T[seed].numpy(),
            )
            np.testing.assert_allclose(u[seed, task], mine, atol=1e-5)


def test_a_layer_at_one_is_the_e_step_of_a_mixture():
    S, Q, _ = tasks(seeds=1, count=1)
    seen = []
    m.em(S, Q, m.constant(1, 2), seen)
    u = seen[0][0, 0].numpy()
    x = Q[0, 0].numpy()
    mass = 2 + u.sum(0)
    w = (S[0, 0].sum(1).numpy() + u.T @ x) / mass[:, None]
    mixture = GaussianMixture(4, covariance_type="spherical")
    mixture.weights_, mixture.means_ = u.mean(0), w
    mixture.covariances_ = mixture.precisions_cholesky_ = np.ones(4)
    np.testing.assert_allclose(seen[1][0, 0].numpy(), mixture.predict_proba(x), atol=1e-4)


def test_hard_assignments_without_balance_are_clamped_k_means():
    S, Q, _ = tasks(seeds=1, count=1)
    got = m.em(S, Q, m.constant(1, 5, lam=0, T=1e-4))[0, 0].argmax(-1).numpy()
    s, q = S[0, 0].numpy(), Q[0, 0].numpy()
    w = s.mean(1)
    for _ in range(5):
        label = ((q[:, None] - w) ** 2).sum(-1).argmin(1)
        w = np.stack([np.concatenate([s[k], q[label == k]]).mean(0) for k in range(4)])
    assert (got == label).all()


def test_softness_is_absorbed_and_the_first_weight_idle():
    S, Q, y = tasks()
    one = m.em(S, Q, m.constant(0.9, 4, 2.5, 1.7))
    other = m.em(S, Q, m.constant(0.9 / 1.7**0.5, 4, 2.5 / 1.7, 1.0))
    torch.testing.assert_close(one.exp(), other.exp(), atol=1e-5, rtol=0)
    a = torch.ones(1, 4, requires_grad=True)
    raw = [a, torch.zeros(1, 4), torch.zeros(1)]
    m.task_loss(m.em(S, Q, m.positive(raw)), y, log_loss=True).sum().backward()
    assert abs(a.grad[0, 0]) < 1e-6 < 1e-4 < a.grad[0, 1:].abs().max()


def test_losses():
    log_u = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]).log()[None, None]
    y = torch.tensor([[[0, 2]]])
    proper = m.task_loss(log_u, y, log_loss=True)
    assert torch.allclose(proper, torch.tensor([-np.log(0.7) - np.log(0.1)]).float() / 2)
    twice = torch.nn.functional.cross_entropy(log_u.exp()[0, 0], y[0, 0])
    assert torch.allclose(m.task_loss(log_u, y)[0], twice)


def test_learning_lowers_the_loss_and_seeds_do_not_mix():
    S, Q, y = (x.float() if x.is_floating_point() else x for x in tasks(count=8))
    start = m.task_loss(
        m.em(S, Q, m.positive([torch.ones(2, 3), -torch.ones(2, 3), torch.full((2,), 0.5413)])), y
    )
    knobs = m.learn((S, Q, y), 3, 1.0, steps=25, batch=8)
    assert (m.task_loss(m.em(S, Q, knobs), y) < start).all()
    alone = m.learn((S[:1], Q[:1], y[:1]), 3, 1.0, steps=25, batch=8)
    for both, one in zip(knobs, alone):
        torch.testing.assert_close(both[:1], one, atol=1e-3, rtol=1e-3)
    _, lam, T = m.learn((S, Q, y), 3, 1.0, steps=3, batch=8, shared=True)
    assert (lam == lam[:, :1]).all() and (T == T[:, :1]).all()


def test_pick_takes_the_most_accurate_in_each_seed():
    data = tasks(count=6, seed=3)
    many = [m.constant(tau, 4) for tau in (0.01, 0.5, 1.0, 3.0)]
    many += m.schedules(np.random.default_rng(0), 4, 4, 1.0)
    best = m.accuracy(data, m.pick(data, many))
    np.testing.assert_allclose(best, np.stack([m.accuracy(data, k) for k in many]).max(0))
    for tau, lam, T in many[4:]:
        assert np.allclose(np.diff(lam[0], 2), 0, atol=1e-5) and (T >= 1).all() and tau > 0


def test_tasks_hold_what_they_say():
    labels = np.repeat(np.arange(12), 20)
    for seed in range(30):
        S, Q, y = m.task(np.random.default_rng(seed), 12, 20, 3, (2, 5), 8, 30)
        named = labels[S]
        assert (named == named[:, :1]).all() and len(set(named[:, 0])) == 8
        assert (labels[Q] == named[y, 0]).all() and 2 <= len(set(y)) <= 5
        assert not set(S.ravel()) & set(Q) and len(set(Q)) == 30


def test_clouds_have_unit_noise():
    x = m.clouds(np.random.default_rng(1), 50, 40, 6).reshape(50, 40, 6)
    assert abs(x.var(1, ddof=1).mean() - 1) < 0.05 and abs(x.mean(1).var() - 1.025) < 0.2


def test_impossible_settings_say_what_to_change():
    S, Q, _ = tasks()
    with pytest.raises(InputError, match="labeled example"):
        m.em(S[..., :0, :], Q, m.constant(1, 2))
    with pytest.raises(InputError, match="labeled example"):
        m.em(S, Q[:, :, :0], m.constant(1, 2))
    with pytest.raises(InputError, match="positive"):
        m.em(S, Q, m.constant(1, 2, T=0))
    with pytest.raises(InputError, match="positive"):
        m.em(S, Q, m.constant(-1, 2))
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="A task needs"):
        m.task(rng, 12, 20, 0, 2, 8, 30)
    with pytest.raises(InputError, match="A task needs"):
        m.task(rng, 12, 20, 2, 9, 8, 30)
    with pytest.raises(InputError, match="rows for queries"):
        m.task(rng, 12, 20, 2, 1, 8, 30)


def test_one_class_one_query_and_a_class_without_any():
    S, Q, _ = tasks(ways=1)
    assert (m.em(S, Q[:, :, :1], m.constant(1, 3)).exp() == 1).all()
    far = torch.tensor([[0.0], [50.0]]).reshape(1, 1, 2, 1, 1)
    u = m.em(far, torch.zeros(1, 1, 5, 1), m.constant(1, 4, lam=3)).exp()
    assert torch.isfinite(u).all() and (u[..., 0] == 1).all()
