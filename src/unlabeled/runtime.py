"""One run of a chapter: its five parameters checked, its settings chosen, its randomness and
threads tamed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:  # torch takes seconds to import, and reading a ledger does without
    import torch

PROFILES = ("quick", "full")


class InputError(ValueError):
    """An input that cannot be used; its text is one sentence that says what to do about it."""

    def _render_traceback_(self):
        # IPython shows these lines instead of a traceback: the sentence is all that a reader needs.
        return [f"InputError: {self}"]


@dataclass(frozen=True)
class Run:
    """What one run of a chapter was asked to do; made by `start`.

    Attributes
    ----------
    chapter : str
    profile : str, "quick" or "full"
    seeds : tuple of int, one experiment each
    dataset : str, a name that `unlabeled.data.load` knows, a path to the reader's own file, or ""
    if the chapter makes its data
    control : bool, whether the mechanism under test is cut
    device : torch.device
    """

    chapter: str
    profile: str
    seeds: tuple[int, ...]
    dataset: str
    control: bool
    device: torch.device

    @property
    def own(self) -> bool:
        """Whether the run is on the reader's own file."""
        return bool(Path(self.dataset).suffix)

    def each(self, one_seed: Callable[..., dict], *args, **kwargs) -> dict:
        """Run ``one_seed(rng, *args, **kwargs)`` for every seed and stack what it returns.

        `one_seed` gets a generator of its own, from `seed_all`: a seed's draws depend on that seed
        alone. It returns a dict of numbers, arrays or dicts of these.

        Returns
        -------
        dict with the same keys and one more axis in front: shape (seeds, …); what differs in shape
        from seed to seed, or is no number, becomes a list
        """
        return _stacked([one_seed(seed_all(seed), *args, **kwargs) for seed in self.seeds])

    def rngs(self) -> list[np.random.Generator]:
        """One generator for each seed, for work that is stacked over the seeds."""
        return [np.random.default_rng(seed) for seed in self.seeds]

    def settings(self, **pairs) -> SimpleNamespace:
        """Pick from ``name=(quick value, full value)`` pairs those of this run's profile."""
        for name, pair in pairs.items():
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise InputError(
                    f"Setting {name!r} must be a pair (quick value, full value), not {pair!r}."
                )
        column = PROFILES.index(self.profile)
        return SimpleNamespace(**{name: pair[column] for name, pair in pairs.items()})


def start(
    chapter, *, profile, seeds, first_seed, dataset, control, takes=(), default=("", "")
) -> Run:
    """Check a chapter's five parameters and set threads and determinism for the run.

    Parameters
    ----------
    chapter : str
    profile, seeds, first_seed, dataset, control : the values of the notebook's cell ``parameters``
    takes : names of the data sets that the chapter accepts; "npz" or "csv" admit the reader's own
    file of that type
    default : (quick, full) names of the data set used when `dataset` is ""

    Raises
    ------
    InputError : with one sentence that says what to change
    """
    import torch

    check_parameters(chapter, profile, seeds, first_seed, dataset, control, takes)
    dataset = dataset or default[PROFILES.index(profile)]
    device = torch.device("cuda" if profile == "full" and torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and profile == "quick":
        # One thread: the figures on the page then do not depend on the number of cores, and
        # chapters run side by side.
        torch.set_num_threads(1)
        threadpool_limits(1)
        # for libraries loaded from here on
        os.environ |= dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
        )
    else:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # As torch.use_deterministic_algorithms does, without its import of the compiler.
    torch.set_deterministic_debug_mode("warn")
    # Deterministic mode also fills memory that is about to be overwritten; no chapter reads such
    # memory, so save the time.
    torch.utils.deterministic.fill_uninitialized_memory = False
    return Run(
        chapter, profile, tuple(range(first_seed, first_seed + seeds)), dataset, control, device
    )


def check_parameters(chapter, profile, seeds, first_seed, dataset, control, takes=()) -> None:
    """Refuse parameters that no run of `chapter` can use.

    Raises
    ------
    InputError : with one sentence that says what to change
    """
    if profile not in PROFILES:
        raise InputError(f"Unknown profile {profile!r}: use 'quick' or 'full'.")
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 2:
        raise InputError(
            f"seeds is {seeds!r}, but an interval needs at least 2 seeds (a verdict 5): set seeds=5"
            " or more."
        )
    if isinstance(first_seed, bool) or not isinstance(first_seed, int) or first_seed < 0:
        raise InputError(f"first_seed is {first_seed!r}: set it to a whole number, 0 or larger.")
    if first_seed + seeds > 2**32:
        raise InputError(
            f"With first_seed={first_seed} and seeds={seeds} the seeds pass {2**32 - 1}, the"
            " largest that NumPy takes: use smaller numbers."
        )
    if not isinstance(control, bool):
        raise InputError(f"control is {control!r}: set it to True or False.")
    _check_dataset(chapter, dataset, takes)


def _check_dataset(chapter, dataset, takes):
    named = [name for name in takes if name not in ("npz", "csv")]
    own = [f".{name}" for name in takes if name in ("npz", "csv")]
    if not isinstance(dataset, str):
        raise InputError(f"dataset is {dataset!r}: set it to a name or a path in quotes.")
    if dataset == "" or dataset in named:
        return
    if not takes:
        raise InputError(
            f"The chapter {chapter} makes its own data, so it takes no dataset: leave dataset empty"
            f" instead of {dataset!r}."
        )
    choices = " or ".join(
        filter(
            None,
            [", ".join(map(repr, named)), own and f"a path to your own {' or '.join(own)} file"],
        )
    )
    if not own or not Path(dataset).suffix:
        raise InputError(
            f"The chapter {chapter} does not take the dataset {dataset!r}: use {choices}."
        )
    if Path(dataset).suffix.lower() not in own:
        raise InputError(
            f"The dataset file {dataset!r} is no {' or '.join(own)} file: the chapter {chapter}"
            f" takes {choices}."
        )
    if not Path(dataset).is_file():
        raise InputError(f"There is no dataset file {dataset!r}: check the path, or use {choices}.")


def _stacked(rows):
    if isinstance(rows[0], dict):
        return {key: _stacked([row[key] for row in rows]) for key in rows[0]}
    try:
        stacked = np.stack([np.asarray(row) for row in rows])
    except ValueError:  # shapes differ
        return rows
    return stacked if stacked.dtype.kind in "biufcU" else rows


def seed_all(seed: int) -> np.random.Generator:
    """Seed Python, NumPy and torch, and return a NumPy generator of its own for `seed`.

    Call it at the start of each seed's experiment: its draws then depend on that seed alone.
    """
    seed = int(seed)
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return np.random.default_rng(seed)
