"""The training loop against a loop written out, closed forms and torch's own schedules."""

import numpy as np
import pytest
import torch
from sentences import refused

from unlabeled.training import batches, fit, rate


def parameter():
    return torch.nn.Parameter(torch.tensor([1.0, -2.0]))


def test_gradient_descent_on_a_parabola_has_a_closed_form():
    w = parameter()
    losses = fit(
        [w],
        lambda step: 0.5 * (w**2).sum(),
        steps=10,
        lr=0.1,
        optimiser="sgd",
        momentum=0,
        schedule="constant",
    )
    np.testing.assert_allclose(w.detach(), np.array([1.0, -2.0]) * 0.9**10, rtol=1e-5)
    np.testing.assert_allclose(losses, 2.5 * 0.81 ** np.arange(10), rtol=1e-5)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_the_loop_is_the_loop_written_out(optimiser):
    ours, theirs = parameter(), parameter()
    fit(
        [ours],
        lambda step: ((ours - step) ** 2).sum(),
        steps=5,
        lr=0.1,
        optimiser=optimiser,
        weight_decay=0.01,
    )
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimiser]
    method = kind(
        [theirs], lr=0.1, weight_decay=0.01, **({"momentum": 0.9} if optimiser == "sgd" else {})
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(method, 5)
    for step in range(5):
        method.zero_grad()
        ((theirs - step) ** 2).sum().backward()
        method.step()
        schedule.step()
    torch.testing.assert_close(ours, theirs)


def test_schedules_start_peak_and_end_where_they_should():
    assert [rate("constant", step, 10) for step in (0, 9)] == [1, 1]
    cosine = [rate("cosine", step, 100) for step in range(100)]
    assert (
        cosine[0] == 1
        and cosine[50] == pytest.approx(0.5)
        and 0 < cosine[-1] < 1e-3
        and np.all(np.diff(cosine) < 0)
    )
    cycle = [rate("one-cycle", step, 100) for step in range(100)]
    assert (
        max(cycle) == pytest.approx(1)
        and cycle.index(max(cycle)) == 29
        and 0 < cycle[0] < 0.05
        and 0 < cycle[-1] < 1e-2
    )
    assert all(
        0 < rate("one-cycle", step, steps) <= 1 for steps in (1, 2, 3, 7) for step in range(steps)
    )


def test_the_best_weights_on_validation_are_kept():
    w = torch.nn.Parameter(torch.tensor(0.0))
    fit(
        [w],
        lambda step: -w,
        steps=40,
        lr=0.1,
        optimiser="sgd",
        momentum=0,
        schedule="constant",
        validate=lambda: -abs(float(w) - 2.0),
        every=5,
    )
    assert float(w) == pytest.approx(2.0)


def test_clipping_bounds_the_step():
    w = parameter()
    fit([w], lambda step: 1000 * w.sum(), steps=1, lr=1.0, optimiser="sgd", momentum=0, clip=0.1)
    assert float((w.detach() - torch.tensor([1.0, -2.0])).norm()) == pytest.approx(0.1, rel=1e-4)


def test_batches_visit_every_example_once_a_pass():
    stream = batches(10, 3, np.random.default_rng(0))
    first = [next(stream) for _ in range(3)]
    assert len(set(np.concatenate(first))) == 9 and all(len(batch) == 3 for batch in first)
    again = batches(10, 3, np.random.default_rng(0))
    assert all((next(again) == batch).all() for batch in first)
    assert len(next(batches(2, 5, np.random.default_rng(0)))) == 2


def test_what_cannot_be_trained_is_refused():
    with refused("no optimiser 'lbfgs'"):
        fit([parameter()], lambda step: None, steps=1, lr=1, optimiser="lbfgs")
    with refused("no schedule 'linear'"):
        fit([parameter()], lambda step: None, steps=1, lr=1, schedule="linear")
    with refused("does nothing"):
        fit([parameter()], lambda step: None, steps=0, lr=1)
    with refused("no batches of 0"):
        next(batches(5, 0, np.random.default_rng(0)))
    w = parameter()
    with refused("smaller learning rate"):
        fit([w], lambda step: (w**4).sum(), steps=50, lr=1e6, optimiser="sgd", schedule="constant")
