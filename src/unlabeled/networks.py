"""Small networks: one, or many side by side with the face of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from unlabeled.runtime import InputError

ACTIVATIONS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": nn.functional.gelu,
    "silu": nn.functional.silu,
}


class Stack(nn.Module):
    """Multilayer perceptrons side by side: same sizes, own weights, and the face of a single one.

    Member s is the network that ``Stack(sizes, rngs[s:s + 1])`` gives alone; a sum of the members'
    losses trains each as if it were alone. One stacked matrix product costs less than many small
    ones.

    Parameters
    ----------
    sizes : units of each layer, from input to output, such as (64, 32, 10)
    rngs : one NumPy generator for each member; each draws its own initial weights
    activation : "relu", "tanh", "gelu" or "silu", after every layer but the last
    gain : factor on the initial weights, which are uniform within sqrt(3 gain / inputs) so that
        they have variance gain / inputs (LeCun et al., 1998; gain 2 is He et al., 2015)

    Raises
    ------
    InputError : for fewer than two sizes, no generator or an unknown activation
    """

    def __init__(
        self,
        sizes: Sequence[int],
        rngs: Sequence[np.random.Generator],
        activation: str = "relu",
        gain: float = 1.0,
    ):
        super().__init__()
        if len(sizes) < 2 or not len(rngs):
            raise InputError(
                "A Stack needs an input and an output size, and one generator a member."
            )
        if activation not in ACTIVATIONS:
            raise InputError(
                f"There is no activation {activation!r}: use {', '.join(ACTIVATIONS)}."
            )
        self.activation = ACTIVATIONS[activation]
        weights = [[] for _ in sizes[1:]]
        for rng in rngs:  # member by member, so that a member's draws do not depend on the others
            for layer, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
                bound = np.sqrt(3 * gain / inputs)
                weights[layer].append(rng.uniform(-bound, bound, (inputs, outputs)))
        self.weights = nn.ParameterList(
            nn.Parameter(torch.tensor(np.stack(layer), dtype=torch.float32)) for layer in weights
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(len(rngs), 1, outputs)) for outputs in sizes[1:]
        )

    def __len__(self) -> int:
        return len(self.weights[0])

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        """Activations of the last hidden layer, shape (members, n, units)."""
        if x.dim() == 2:
            x = x.expand(len(self), *x.shape)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1]):
            x = self.activation(torch.baddbmm(bias, x, weight))
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs of all members, shape (members, n, outputs).

        x : float tensor, (n, inputs) shared by all members, or (members, n, inputs)
        """
        return torch.baddbmm(self.biases[-1], self.hidden(x), self.weights[-1])


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of a stack: the sum over members of each one's mean over its examples.

    logits : (members, n, classes); labels : (n,) shared, or (members, n)
    """
    members, n, classes = logits.shape
    labels = labels.expand(members, n).reshape(-1)
    return members * nn.functional.cross_entropy(logits.reshape(-1, classes), labels)


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Share of examples that each member classifies correctly, shape (members,).

    logits : (members, n, classes); labels : (n,) shared, or (members, n)
    """
    return (logits.argmax(-1) == labels).float().mean(-1).cpu().numpy()
