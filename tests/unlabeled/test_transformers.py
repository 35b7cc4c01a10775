"""Stacked transformers against torch's own layer, against single ones, and with the cache against
without.
"""

import numpy as np
import torch
from sentences import refused
from torch import nn

from unlabeled.training import fit
from unlabeled.transformers import Transformers


def rngs(*seeds):
    return [np.random.default_rng(seed) for seed in seeds]


def model(*seeds, d=8):
    made = Transformers(rngs(*seeds), vocab=20, length=12, d=d)
    for name, weight in made.named_parameters():
        if name.startswith(("scale", "shift")):
            nn.init.normal_(weight, 1.0, 0.1)
    return made


def tokens(members, n, batch=3):
    return torch.randint(0, 20, (members, batch, n))


def test_a_member_is_torchs_pre_norm_layer():
    ours, x = model(0, 1), tokens(2, 9)
    mask = torch.ones(9, 9, dtype=torch.bool).tril()
    for member in range(2):
        layer = nn.TransformerEncoderLayer(
            8, 2, 32, dropout=0, activation="gelu", batch_first=True, norm_first=True
        )
        with torch.no_grad():
            for weight in layer.parameters():
                weight.zero_()
            layer.self_attn.in_proj_weight.copy_(ours.look[member].T)
            layer.self_attn.out_proj.weight.copy_(ours.mix[member].T)
            layer.linear1.weight.copy_(ours.up[member].T)
            layer.linear2.weight.copy_(ours.down[member].T)
            for norm, place in ((layer.norm1, "look"), (layer.norm2, "think")):
                norm.weight.copy_(getattr(ours, f"scale_{place}")[member, 0, 0])
                norm.bias.copy_(getattr(ours, f"shift_{place}")[member, 0, 0])
        end = nn.functional.layer_norm(
            layer(ours.tokens[member][x[member]] + ours.places[member, :9], src_mask=~mask),
            (8,),
            ours.scale_end[member, 0, 0],
            ours.shift_end[member, 0, 0],
        )
        torch.testing.assert_close(ours(x, mask=mask)[member], end, rtol=1e-4, atol=1e-5)


def test_reading_on_with_the_cache_is_reading_everything_again():
    ours, x = model(0, 1), tokens(2, 10)
    places = torch.arange(6, 10)
    position = torch.arange(10)
    mask = (position < 6) | (position <= places[:, None])  # a prefix of 6, then backwards only
    whole = ours(x, places, mask)
    cache = ours.open(x[..., :6], room=4)
    one_by_one = torch.stack(
        [ours.read(cache, x[..., place], place) for place in range(6, 10)], dim=2
    )
    torch.testing.assert_close(one_by_one, whole, rtol=1e-4, atol=1e-5)


def test_members_do_not_depend_on_each_other():
    x = tokens(1, 7).expand(3, -1, -1)
    stack, alone = Transformers(rngs(0, 1, 2), 20, 12, 8), Transformers(rngs(1), 20, 12, 8)
    torch.testing.assert_close(stack(x)[1], alone(x[:1])[0])
    torch.testing.assert_close(stack(x[0])[1], alone(x[0])[0])  # tokens shared by all members
    assert len(stack) == 3 and stack.scores(stack(x), slice(3, 7)).shape == (3, 3, 7, 4)


def test_repeated_members_start_alike_and_learn_apart():
    stack = Transformers(rngs(0, 1), 20, 12, 8)
    twice, x = stack.repeat(2), tokens(4, 5)
    for ours, theirs in zip(twice.parameters(), stack.parameters()):
        assert (
            torch.equal(ours[0], theirs[0])
            and torch.equal(ours[1], theirs[0])
            and torch.equal(ours[2], theirs[1])
        )
    before = [weight.detach().clone() for weight in stack.parameters()]
    fit(
        twice.parameters(),
        lambda step: twice(x).square().sum(),
        steps=2,
        lr=0.1,
        clip=1.0,
        members=4,
    )
    assert all(torch.equal(a, b) for a, b in zip(before, stack.parameters())), (
        "the original keeps its weights"
    )
    assert not torch.equal(twice.tokens[0], twice.tokens[1])


def test_gradients_are_clipped_member_by_member():
    weight = nn.Parameter(torch.zeros(2, 3))
    slopes = torch.tensor([[300.0, 0, 400], [0.03, 0.0, 0.04]])
    fit(
        [weight],
        lambda step: (weight * slopes).sum(),
        steps=1,
        lr=1.0,
        optimiser="sgd",
        momentum=0,
        clip=1.0,
        members=2,
    )
    torch.testing.assert_close(weight.detach(), -torch.tensor([[0.6, 0, 0.8], [0.03, 0, 0.04]]))


def test_what_cannot_be_built_is_refused():
    with refused("a width that 2 heads divide"):
        Transformers(rngs(0), 5, 5, 7)
    with refused("a generator each"):
        Transformers([], 5, 5, 8)
