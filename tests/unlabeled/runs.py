"""A run for tests that need a ledger and no chapter."""

import torch

from unlabeled.runtime import Run


def run_of(n=5, **changes):
    """A quick run of a chapter "tiny" on the seeds 0, ..., n - 1; `changes` are other facts."""
    facts = dict(
        chapter="tiny",
        profile="quick",
        seeds=tuple(range(n)),
        dataset="",
        control=False,
        device=torch.device("cpu"),
    )
    return Run(**facts | changes)
