"""The training loop: a chapter writes only its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from unlabeled.runtime import InputError

OPTIMISERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SCHEDULES = ("constant", "cosine", "one-cycle")


def fit(
    parameters: Iterable[torch.nn.Parameter],
    loss: Callable[[int], torch.Tensor],
    *,
    steps: int,
    lr: float,
    optimiser: str = "adam",
    schedule: str = "cosine",
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    clip: float | None = None,
    members: int | None = None,
    validate: Callable[[], float] | None = None,
    every: int = 50,
) -> np.ndarray:
    """Minimise `loss` over `parameters`, in place.

    Parameters
    ----------
    parameters : as of ``module.parameters()``
    loss : function of the step (0, 1, …) that returns a scalar tensor; it draws its own batch
    steps : how often the weights are changed
    lr : the largest learning rate
    optimiser : "sgd" (with `momentum`), "adam" or "adamw"
    schedule : "constant"; "cosine", falling to 0 (Loshchilov and Hutter, 2017); or "one-cycle",
        rising over the first 30 % and then falling (Smith, 2018)
    clip : largest norm of the gradient of all parameters together, or None
    members : how many stacked models the parameters' first axis holds; each is then clipped alone
    validate : function that scores the weights as they are, higher is better; asked every `every`
        steps and at the end, and the best weights are kept

    Returns
    -------
    the losses, shape (steps,)

    Raises
    ------
    InputError : for an unknown optimiser or schedule, no steps, or a loss that is no number
    """
    if optimiser not in OPTIMISERS:
        raise InputError(f"There is no optimiser {optimiser!r}: use {', '.join(OPTIMISERS)}.")
    if schedule not in SCHEDULES:
        raise InputError(f"There is no schedule {schedule!r}: use {', '.join(SCHEDULES)}.")
    if steps < 1:
        raise InputError(f"Training for {steps} steps does nothing: use 1 or more.")
    parameters = list(parameters)
    extra = {"momentum": momentum} if optimiser == "sgd" else {"fused": True}  # one pass, not ten
    method = OPTIMISERS[optimiser](parameters, lr=lr, weight_decay=weight_decay, **extra)
    best, kept, losses = -np.inf, None, np.empty(steps)
    for step in range(steps):
        for group in method.param_groups:
            group["lr"] = lr * rate(schedule, step, steps)
        method.zero_grad(set_to_none=True)
        value = loss(step)
        value.backward()
        if clip is not None:
            _clip(parameters, clip, members)
        method.step()
        losses[step] = value.detach()
        if validate is not None and ((step + 1) % every == 0 or step + 1 == steps):
            with torch.no_grad():
                score = float(validate())
            if score > best:
                best, kept = score, [parameter.detach().clone() for parameter in parameters]
    if not np.isfinite(losses).all():
        raise InputError(
            "The loss became NaN or infinite in training: use a smaller learning rate."
        )
    if kept is not None:
        with torch.no_grad():
            for parameter, value in zip(parameters, kept):
                parameter.copy_(value)
    return losses


@torch.no_grad()
def _clip(parameters, limit, members):
    if members is None:
        torch.nn.utils.clip_grad_norm_(parameters, limit)
        return
    squares = sum(weight.grad.flatten(1).square().sum(1) for weight in parameters)
    factor = limit / squares.sqrt().clamp(min=limit)
    for weight in parameters:
        weight.grad *= factor.view(-1, *[1] * (weight.dim() - 1))


def rate(schedule: str, step: int, steps: int) -> float:
    """Factor on the learning rate at `step` of `steps`, in (0, 1]."""
    if schedule == "constant":
        return 1.0
    if schedule == "one-cycle":
        rise = 0.3 * steps
        if step + 1 < rise:
            return (step + 1) / rise
        return 0.5 * (1 + np.cos(np.pi * (step + 1 - rise) / (steps - rise + 1)))
    return 0.5 * (1 + np.cos(np.pi * step / steps))


def batches(n: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches without end: indices below `n`, shape (min(size, n),), each pass in a new order.

    A pass's remainder that fills no batch is dropped, so every batch is of one size.
    """
    if n < 1 or size < 1:
        raise InputError(
            f"There are no batches of {size} from {n} examples: both must be 1 or more."
        )
    size = min(size, n)
    while True:
        order = rng.permutation(n)
        yield from (order[first : first + size] for first in range(0, n - size + 1, size))
