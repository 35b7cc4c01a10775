"""Stacked networks against single ones, and against torch's own layers."""

import numpy as np
import pytest
import torch
from sentences import refused
from torch import nn

from unlabeled.networks import Stack, accuracy, cross_entropy
from unlabeled.training import batches, fit

SIZES = (6, 8, 5, 3)


def rngs(*seeds):
    return [np.random.default_rng(seed) for seed in seeds]


def single(stack, member, activation):
    """Member `member` of `stack` as a chain of torch's layers."""
    layers = []
    for weight, bias in zip(stack.weights, stack.biases):
        layer = nn.Linear(weight.shape[1], weight.shape[2])
        layer.weight.data, layer.bias.data = weight[member].T.clone(), bias[member, 0].clone()
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize(
    "name, activation", [("relu", nn.ReLU), ("tanh", nn.Tanh), ("gelu", nn.GELU), ("silu", nn.SiLU)]
)
def test_a_member_is_the_network_that_torch_would_build(name, activation):
    stack = Stack(SIZES, rngs(0, 1, 2), name)
    for bias in stack.biases:
        nn.init.normal_(bias)
    x = torch.randn(7, 6)
    for member in range(3):
        torch.testing.assert_close(stack(x)[member], single(stack, member, activation)(x))
        torch.testing.assert_close(
            stack.hidden(x)[member], single(stack, member, activation)[:-1](x)
        )
    torch.testing.assert_close(stack(x), stack(x.expand(3, 7, 6).clone()))


def test_a_members_weights_depend_on_its_generator_alone():
    stack, alone = Stack(SIZES, rngs(0, 1, 2)), Stack(SIZES, rngs(1))
    for ours, theirs in zip(stack.parameters(), alone.parameters()):
        assert torch.equal(ours[1:2], theirs)
    assert len(stack) == 3 and len(alone) == 1


def test_initial_weights_have_the_promised_variance():
    weight = Stack((400, 300), rngs(0), gain=2.0).weights[0]
    assert float(weight.detach().var()) == pytest.approx(2 / 400, rel=0.02) and float(
        weight.detach().mean()
    ) == pytest.approx(0, abs=1e-3)


def test_training_a_stack_trains_each_member_as_if_it_were_alone():
    x, labels = torch.randn(40, 6), torch.randint(0, 3, (40,))
    order = batches(40, 10, np.random.default_rng(3))
    picks = [next(order) for _ in range(12)]

    def trained(stack):
        fit(
            stack.parameters(),
            lambda step: cross_entropy(stack(x[picks[step]]), labels[picks[step]]),
            steps=12,
            lr=0.05,
        )
        return stack

    stack, alone = trained(Stack(SIZES, rngs(0, 1))), trained(Stack(SIZES, rngs(1)))
    torch.testing.assert_close(stack(x)[1], alone(x)[0], rtol=1e-4, atol=1e-5)


def test_scores_of_a_stack_are_those_of_its_members():
    logits, labels = torch.randn(4, 9, 3), torch.randint(0, 3, (9,))
    own = torch.randint(0, 3, (4, 9))
    assert float(cross_entropy(logits, labels)) == pytest.approx(
        sum(float(nn.functional.cross_entropy(row, labels)) for row in logits), rel=1e-5
    )
    assert float(cross_entropy(logits, own)) == pytest.approx(
        sum(float(nn.functional.cross_entropy(a, b)) for a, b in zip(logits, own)), rel=1e-5
    )
    for row, share in zip(logits, accuracy(logits, labels)):
        assert share == pytest.approx(np.mean(row.argmax(1).numpy() == labels.numpy()))
    assert accuracy(logits, own)[2] == pytest.approx(
        np.mean(logits[2].argmax(1).numpy() == own[2].numpy())
    )


def test_what_cannot_be_stacked_is_refused():
    with refused("needs an input and an output size"):
        Stack((3,), rngs(0))
    with refused("one generator a member"):
        Stack((3, 2), [])
    with refused("no activation 'sine'"):
        Stack((3, 2), rngs(0), "sine")
