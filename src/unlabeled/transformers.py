"""Small transformers side by side, and reading on with a cache."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from unlabeled.runtime import InputError


class Transformers(nn.Module):
    """One-layer transformers side by side: same sizes, own weights (Vaswani et al., 2017;
    pre-norm).

    Tokens have shape (members, batch, n), or (batch, n) if all members read the same. Member s is
    the transformer that ``Transformers(rngs[s:s + 1], ...)`` gives alone.

    Parameters
    ----------
    rngs : one NumPy generator for each member
    vocab : number of tokens
    length : largest number of positions
    d : width, a multiple of `heads`
    heads : number of attention heads

    Raises
    ------
    InputError : without a generator, or if `d` is no multiple of `heads`
    """

    def __init__(
        self, rngs: Sequence[np.random.Generator], vocab: int, length: int, d: int, heads: int = 2
    ):
        super().__init__()
        if not len(rngs) or d % heads:
            raise InputError(
                f"Transformers need a generator each and a width that {heads} heads divide, not"
                f" {d}."
            )
        self.heads = heads
        shapes = {  # name: (shape, standard deviation)
            "tokens": ((vocab, d), 0.1),
            "places": ((length, d), 0.1),
            "look": ((d, 3 * d), d**-0.5),
            "mix": ((d, d), 0.5 * d**-0.5),
            "up": ((d, 4 * d), d**-0.5),
            "down": ((4 * d, d), 0.5 * (4 * d) ** -0.5),
        }
        drawn = [
            {name: sd * rng.standard_normal(shape) for name, (shape, sd) in shapes.items()}
            for rng in rngs
        ]
        for name in shapes:
            weight = torch.tensor(np.stack([one[name] for one in drawn]), dtype=torch.float32)
            self.register_parameter(name, nn.Parameter(weight))
        for place in ("look", "think", "end"):  # the layer norms' scales and shifts
            self.register_parameter(f"scale_{place}", nn.Parameter(torch.ones(len(rngs), 1, 1, d)))
            self.register_parameter(f"shift_{place}", nn.Parameter(torch.zeros(len(rngs), 1, 1, d)))

    def __len__(self) -> int:
        return len(self.tokens)

    def repeat(self, times: int) -> Transformers:
        """A copy with every member `times` times in a row, each with weights of its own from here
        on.
        """
        new = copy.deepcopy(self)
        for name, weight in self.named_parameters():
            setattr(new, name, nn.Parameter(weight.detach().repeat_interleave(times, dim=0)))
        return new

    def words(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token embeddings, (members, batch, n, d)."""
        if tokens.dim() == 2:
            tokens = tokens.expand(len(self), *tokens.shape)
        _, vocab, d = self.tokens.shape
        own = vocab * torch.arange(len(self), device=tokens.device)[:, None, None]
        return F.embedding(tokens + own, self.tokens.reshape(-1, d))

    def forward(self, tokens, places=None, mask=None) -> torch.Tensor:
        """Output vectors (members, batch, len(places), d).

        places : indices of the positions that are asked for (all if None); with one layer no
            other position's output matters
        mask : bool (len(places), n), True where a place may look; None: everywhere
        """
        x = self.words(tokens) + self.places[:, None, : tokens.shape[-1]]
        places = torch.arange(tokens.shape[-1], device=x.device) if places is None else places
        query, keys, values = self._look(x)
        return self._think(
            x[:, :, places], query[:, :, places], self._split(keys), self._split(values), mask
        )

    def open(self, tokens: torch.Tensor, room: int) -> list[torch.Tensor]:
        """A cache for `read`: keys and values of `tokens`, with room for `room` more positions.

        Positions within `tokens` see one another in both directions: a prefix language model.
        """
        x = self.words(tokens) + self.places[:, None, : tokens.shape[-1]]
        return [F.pad(self._split(part), (0, 0, 0, room)) for part in self._look(x)[1:]]

    def read(self, cache: list[torch.Tensor], token: torch.Tensor, position: int) -> torch.Tensor:
        """Read one more token (members, batch) at `position`; returns its output (members, batch,
        d).

        Keys and values of the tokens before it stay in the cache, so it costs one row.
        """
        x = self.words(token[..., None]) + self.places[:, None, position : position + 1]
        query, *new = self._look(x)
        for store, part in zip(cache, new):
            store[:, :, position : position + 1] = self._split(part)
        seen = [store[:, :, : position + 1] for store in cache]
        return self._think(x, query, *seen)[:, :, 0]

    def scores(self, out: torch.Tensor, tokens: slice = slice(None)) -> torch.Tensor:
        """Logits of the next token among `tokens`, by the inner product with their embeddings."""
        return _linear(out, self.tokens[:, tokens].transpose(1, 2))

    def _norm(self, place, x):
        scale, shift = getattr(self, f"scale_{place}"), getattr(self, f"shift_{place}")
        return F.layer_norm(x, x.shape[-1:]) * scale + shift

    def _look(self, x):
        return _linear(self._norm("look", x), self.look).chunk(3, dim=-1)

    def _think(self, x, query, keys, values, mask=None):
        mixed = F.scaled_dot_product_attention(self._split(query), keys, values, mask)
        x = x + _linear(mixed.transpose(1, 2).reshape(x.shape), self.mix)
        return self._norm(
            "end", x + _linear(F.gelu(_linear(self._norm("think", x), self.up)), self.down)
        )

    def _split(self, x):
        members, batch, n, d = x.shape
        return x.reshape(members * batch, n, self.heads, d // self.heads).transpose(1, 2)


def _linear(x, weight):
    """x (members, …, a) times weight (members, a, b): each member with its own matrix."""
    return torch.bmm(x.reshape(len(x), -1, x.shape[-1]), weight).view(*x.shape[:-1], -1)
