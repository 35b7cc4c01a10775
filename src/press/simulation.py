"""The rule of the book put to the test: how often does it err when we know the truth?"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats

SEEDS = (5, 8, 20)
TRIALS = 200_000
EFFECTS = (0.0, 1.0, 2.0)  # true means in standard deviations over seeds


def _intervals(samples, level=0.95):
    n = samples.shape[1]
    mean = samples.mean(1)
    half = stats.t.ppf((1 + level) / 2, n - 1) * samples.std(1, ddof=1) / np.sqrt(n)
    return mean - half, mean + half


@lru_cache
def rates(trials: int = TRIALS) -> dict:
    """Simulated rates of the verdict on a claim with one test "> 0", by number of seeds.

    Returns
    -------
    dict n -> dict with `holds` (tuple, one rate per true mean of `EFFECTS`, normal data), `skewed`
    (rate of holds when the mean is 0 and the data are exponential, shifted: skewed to the right,
    and mirrored: the worse of the two) and `coverage`, `coverage_skewed` of the 95 % interval
    """
    rng = np.random.default_rng(0)
    out = {}
    for n in SEEDS:
        normal = rng.standard_normal((trials, n))
        low, high = _intervals(normal)
        skewed = rng.exponential(size=(trials, n)) - 1
        skew_low, skew_high = _intervals(skewed)
        out[n] = dict(
            holds=tuple(float((low + effect > 0).mean()) for effect in EFFECTS),
            skewed=float(max((skew_low > 0).mean(), (skew_high < 0).mean())),
            coverage=float(((low <= 0) & (0 <= high)).mean()),
            coverage_skewed=float(((skew_low <= 0) & (0 <= skew_high)).mean()),
        )
    return out


def table() -> str:
    """The simulated rates as an HTML table."""

    def percent(value):
        return f"{100 * value:.1f}&nbsp;%"

    body = "".join(
        f"<tr><th scope='row'>{n}</th>{''.join(f'<td>{percent(rate)}</td>' for rate in told)}</tr>"
        for n, row in rates().items()
        for told in [[*row["holds"], row["skewed"], row["coverage"], row["coverage_skewed"]]]
    )
    heads = [
        "Seeds",
        "no effect: false positives",
        *(
            f"effect of {effect:g} standard deviation{'s' if effect != 1 else ''}: power"
            for effect in EFFECTS[1:]
        ),
        "false positives, skewed data, worse side",
        "coverage, normal data",
        "coverage, skewed data",
    ]
    head = "".join(f"<th scope='col'>{name}</th>" for name in heads)
    return (
        '<div class="table-scroll" tabindex="0" role="region" aria-label="Simulation of the'
        ' rule"><table class="simulation"><caption>How often a claim with one test is called'
        f" reproduced, simulated {TRIALS:,} times while this page was built; the figures are good"
        f" to about {100 * 2 * np.sqrt(0.025 * 0.975 / TRIALS):.1f} points near 2.5&nbsp;%,"
        f" {100 * 2 * np.sqrt(0.25 / TRIALS):.1f} points in the"
        f" middle.</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def holm(ps: list[float], alpha: float = 0.025) -> list[bool]:
    """Which hypotheses remain rejected after Holm's step-down adjustment (Holm, 1979)."""
    kept = [False] * len(ps)
    for step, place in enumerate(np.argsort(ps, kind="stable")):
        if ps[place] > alpha / (len(ps) - step):
            break
        kept[place] = True
    return kept
