"""Claims, tests over seeds, and verdicts by rule.

A test boils each seed's experiment down to one number and asks where the mean of these numbers lies, by Student's t.
A claim's verdict follows from the outcomes of its tests; nobody types it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from unlabeled.runtime import InputError, Run

SCHEMA = 1
MIME = "application/vnd.unlabeled.ledger+json"
LEVEL = 0.95
SEEDS_FOR_A_VERDICT = 5
VERDICTS = ("reproduced", "partly", "mixed", "not reproduced", "undecided", "out of reach")
SIGNS = {"reproduced": "✓", "partly": "◐", "mixed": "±", "not reproduced": "✗", "undecided": "?", "out of reach": "–"}


def interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float, float]:
    """Mean and two-sided Student-t interval of `values` (shape (n,), n >= 2): ``(mean, low, high)``."""
    values = np.asarray(values, dtype=float)
    mean = values.mean()
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(mean), float(mean - half), float(mean + half)


def evaluate(kind: str, direction: str, margin: float, values: Sequence[float], level: float = LEVEL) -> dict:
    """The outcome of one test, from its values alone.

    Parameters
    ----------
    kind : "t" (mean beyond a margin), "equivalence" (mean within plus or minus a margin) or "exact" (largest value within a tolerance)
    direction : "greater" or "less" for "t", "within" for the others
    margin : fixed in advance, in the units of the values; the tolerance for "exact"
    values : shape (seeds,)

    Returns
    -------
    dict with estimate, low, high, p and outcome. For "t" and "equivalence", `p` is one-sided, toward the claim: the test
    holds if and only if p < (1 - level) / 2. For "exact" the estimate is the largest value, and low, high and p are None.
    """
    values = np.asarray(values, dtype=float)
    if kind == "exact":
        worst = float(values.max())
        return dict(estimate=worst, low=None, high=None, p=None, outcome="holds" if worst <= margin else "fails")
    estimate, low, high = interval(values, level)
    n = len(values)
    error = values.std(ddof=1) / np.sqrt(n)
    if kind == "equivalence":
        holds, fails = -margin < low and high < margin, low > margin or high < -margin
        p = max(stats.t.sf((estimate + margin) / error, n - 1), stats.t.sf((margin - estimate) / error, n - 1))
    else:
        sign = 1 if direction == "greater" else -1
        holds, fails = (low > margin, high < margin) if sign > 0 else (high < margin, low > margin)
        p = stats.t.sf(sign * (estimate - margin) / error, n - 1)
    return dict(estimate=estimate, low=low, high=high, p=float(p), outcome="holds" if holds else "fails" if fails else "undecided")


def verdict(outcomes: Iterable[str]) -> str:
    """The verdict on a claim from the outcomes ("holds", "fails", "undecided") of its tests.

    All hold: reproduced. None fails and at least half hold: partly. Some hold and some fail: mixed. None holds and one
    fails: not reproduced. Else: undecided.
    """
    outcomes = list(outcomes)
    if not outcomes:
        raise ValueError("A verdict needs at least one test.")
    held, failed = outcomes.count("holds"), outcomes.count("fails")
    if held == len(outcomes):
        return "reproduced"
    if failed:
        return "mixed" if held else "not reproduced"
    return "partly" if 2 * held >= len(outcomes) else "undecided"


def log_ratio(ours: Sequence[float], theirs: Sequence[float]) -> np.ndarray:
    """Natural logarithm of `ours` / `theirs`, seed by seed (both positive, shape (seeds,))."""
    ours, theirs = _paired(ours, theirs)
    if (ours <= 0).any() or (theirs <= 0).any():
        raise InputError("A log ratio needs positive values: use a paired difference where zero can occur.")
    return np.log(ours / theirs)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> np.ndarray:
    """`ours` - `theirs`, seed by seed (shape (seeds,))."""
    ours, theirs = _paired(ours, theirs)
    return ours - theirs


def fisher_z(correlations: Sequence[float]) -> np.ndarray:
    """Fisher's transform artanh(r) of correlations (shape (seeds,)); |r| = 1 is pulled in to stay finite (Fisher, 1915)."""
    correlations = _numbers(correlations, "The correlations")
    if (np.abs(correlations) > 1 + 1e-9).any():
        raise InputError("A correlation lies outside [-1, 1]: pass correlations, not other scores.")
    return np.arctanh(np.clip(correlations, -0.999999, 0.999999))


def _numbers(values, whose):
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{whose} must be numbers, one per seed: got lists of unequal lengths or something that is no number.") from None


def _paired(ours, theirs):
    ours, theirs = _numbers(ours, "Paired values"), _numbers(theirs, "Paired values")
    if ours.shape != theirs.shape:
        raise InputError(f"Paired values must be of equal length, one per seed: got the shapes {ours.shape} and {theirs.shape}.")
    return ours, theirs


class Ledger:
    """The claims of a chapter, the tests filed for them, and the verdicts that follow.

    Examples
    --------
    >>> ledger = Ledger(run)
    >>> ledger.claim("gain", "Method A beats method B.", paper="+3.1 points", where="Table 2", central=True)
    >>> ledger.greater("gain", "accuracy", "accuracy of A - accuracy of B", difference(a, b))
    >>> ledger
    """

    def __init__(self, run: Run):
        self.run = run
        self._claims: dict[str, dict] = {}

    def claim(self, id: str, statement: str, *, paper: str = "not at hand", where: str = "", central: bool = False) -> None:
        """Declare a claim of the paper: what it says, the paper's own figure ("not at hand" if unknown) and where it stands."""
        if id in self._claims:
            raise InputError(f"The claim {id!r} is declared twice: give each claim an id of its own.")
        if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", id):
            raise InputError(f"The claim id {id!r} cannot be linked to: use small letters, digits and single hyphens, as in 'few-labels'.")
        if not statement.strip():
            raise InputError(f"The claim {id!r} says nothing: state it in one sentence.")
        self._claims[id] = dict(
            id=id, central=bool(central), statement=statement, paper=paper, where=where, verdict=None, reason="", tests=[]
        )

    def greater(self, claim: str, id: str, what: str, values: Sequence[float], *, margin: float = 0.0, deterministic: bool = True):
        """File the test that the mean of `values` (one per seed) lies above `margin`."""
        self._file(claim, id, what, values, "t", "greater", margin, deterministic)

    def less(self, claim: str, id: str, what: str, values: Sequence[float], *, margin: float = 0.0, deterministic: bool = True):
        """File the test that the mean of `values` (one per seed) lies below `margin`."""
        self._file(claim, id, what, values, "t", "less", margin, deterministic)

    def equivalent(self, claim: str, id: str, what: str, values: Sequence[float], *, margin: float, deterministic: bool = True):
        """File the test that the mean of `values` (one per seed) lies within plus or minus `margin` > 0."""
        if not margin > 0:
            raise InputError(f"The equivalence test {id!r} needs a margin above 0, not {margin}.")
        self._file(claim, id, what, values, "equivalence", "within", margin, deterministic)

    def exact(self, claim: str, id: str, what: str, values: Sequence[float], *, tolerance: float):
        """File the test of an identity, theorem or bound: the largest of `values` (one per seed) is at most `tolerance`.

        For an identity pass absolute errors; for a bound pass by how much it is exceeded, negative where it is kept.
        """
        self._file(claim, id, what, values, "exact", "within", tolerance, True)

    def out_of_reach(self, claim: str, reason: str) -> None:
        """Say that this scale cannot test `claim`, and why."""
        entry = self._entry(claim)
        if entry["tests"]:
            raise InputError(f"The claim {claim!r} has tests, so it cannot be out of reach: drop the one or the other.")
        if not reason.strip():
            raise InputError(f"The claim {claim!r} is out of reach: say why.")
        entry["reason"] = reason

    def _entry(self, claim):
        if claim not in self._claims:
            raise InputError(f"There is no claim {claim!r}: declare it with ledger.claim first.")
        return self._claims[claim]

    def _file(self, claim, id, what, values, kind, direction, margin, deterministic):
        entry = self._entry(claim)
        values = _numbers(values, f"The values of the test {claim}/{id}")
        n = len(self.run.seeds)
        if not id.strip() or not what.strip():
            raise InputError(f"A test of the claim {claim!r} lacks {'a description' if id.strip() else 'an id'}: name it and say what it measures.")
        if entry["reason"]:
            raise InputError(f"The claim {claim!r} is out of reach, so it takes no tests: drop the one or the other.")
        if any(test["id"] == id for test in entry["tests"]):
            raise InputError(f"The claim {claim!r} has two tests called {id!r}: give each an id of its own.")
        if values.ndim != 1 or len(values) != n:
            raise InputError(f"The test {claim}/{id} needs one value per seed, {n} in all, but got an array of shape {values.shape}.")
        if not (np.abs(values) < 1e150).all():  # beyond, the variance overflows; NaN compares false
            raise InputError(f"The test {claim}/{id} got NaN or infinity: find the seed where the experiment broke.")
        if not np.isfinite(margin):
            raise InputError(f"The test {claim}/{id} has the margin {margin}: it must be a finite number.")
        if kind != "exact" and n < 2:
            raise InputError(f"The test {claim}/{id} has too few seeds for an interval: at least 2 are needed.")
        if kind != "exact" and not values.std(ddof=1) > 1e-12 * np.abs(values).max():
            raise InputError(f"The test {claim}/{id} got the same value for every seed: an interval needs spread, so use ledger.exact for identities.")
        entry["tests"].append(
            dict(id=id, what=what, kind=kind, direction=direction, margin=float(margin), level=LEVEL, values=values.tolist())
            | evaluate(kind, direction, margin, values)
            | dict(n=n, deterministic=bool(deterministic))
        )

    def to_dict(self) -> dict:
        """The ledger as the JSON object that the book's records are made of, with the verdicts worked out.

        Raises
        ------
        InputError : if there is no claim, or if a claim has neither a test nor a reason why it is out of reach
        """
        if not self._claims:
            raise InputError("The ledger holds no claim: declare the paper's claims with ledger.claim.")
        claims = [
            entry | dict(zip(("verdict", "reason"), decide(entry))) for entry in self._claims.values()
        ]
        run = self.run
        return dict(
            schema=SCHEMA, chapter=run.chapter, profile=run.profile, control=run.control,
            seeds=list(run.seeds), dataset=run.dataset, claims=claims,
        )

    def verdicts(self) -> dict[str, str]:
        """Claim id -> verdict."""
        return {claim["id"]: claim["verdict"] for claim in self.to_dict()["claims"]}

    def _repr_mimebundle_(self, include=None, exclude=None):
        record = self.to_dict()
        return {"text/plain": as_text(record), "text/html": as_html(record), MIME: record}


def decide(claim: dict) -> tuple[str, str]:
    """The verdict on a ledger's claim and the reason given with it, recomputed from its tests' values alone."""
    if not claim["tests"]:
        if not claim["reason"]:
            raise InputError(f"The claim {claim['id']!r} has no test: file one, or say why it is out of reach.")
        return "out of reach", claim["reason"]
    fewest = min(len(test["values"]) for test in claim["tests"])
    if fewest < SEEDS_FOR_A_VERDICT and any(test["kind"] != "exact" for test in claim["tests"]):
        return "undecided", f"{fewest} seeds; a verdict needs at least {SEEDS_FOR_A_VERDICT}"
    outcomes = [
        evaluate(test["kind"], test["direction"], test["margin"], test["values"], test["level"])["outcome"] for test in claim["tests"]
    ]
    return verdict(outcomes), ""


def number(value: float) -> str:
    """A figure as the book prints it: three significant digits (whole numbers up to 9999 in full), with a true minus sign."""
    size = abs(value)
    if size == 0:
        text = "0"
    elif 1e-3 <= size < 9999.5:
        text = f"{value:.0f}" if size >= 999.5 else f"{value:.3g}"
    else:
        digits, exponent = f"{value:.2e}".split("e")
        text = f"{digits.rstrip('0').rstrip('.')}e{exponent}"
    return text.replace("-", "−")


def describe(test: dict) -> str:
    """What a test requires, in a few symbols."""
    if test["kind"] == "exact":
        return f"largest ≤ {number(test['margin'])}"
    if test["kind"] == "equivalence":
        return f"within ±{number(test['margin'])}"
    return f"{'>' if test['direction'] == 'greater' else '<'} {number(test['margin'])}"


def measured(test: dict) -> str:
    """Estimate and interval of a test, in a few symbols."""
    if test["low"] is None:
        return number(test["estimate"])
    return f"{number(test['estimate'])} [{number(test['low'])}, {number(test['high'])}]"


def as_text(record: dict) -> str:
    """The ledger as plain text, for terminals."""
    lines = [_heading(record)]
    for claim in record["claims"]:
        star = " (central)" if claim["central"] else ""
        lines.append(f"{SIGNS[claim['verdict']]} {claim['verdict']:<15}{claim['id']}{star}{': ' + claim['reason'] if claim['reason'] else ''}")
        lines += [f"    {test['outcome']:<10} {test['what']}: {measured(test)}, claimed {describe(test)}, n = {test['n']}" for test in claim["tests"]]
    return "\n".join(lines)


def _heading(record):
    seeds = record["seeds"]
    control = ", NEGATIVE CONTROL (mechanism cut)" if record["control"] else ""
    data = f", {record['dataset'].rsplit('/', 1)[-1]}" if record["dataset"] else ""
    return f"{record['chapter']}: {record['profile']} profile, seeds {seeds[0]} to {seeds[-1]}{data}{control}"


def as_html(record: dict) -> str:
    """The ledger as a table that reads alike in the book, Colab and VS Code (styles inline, no script)."""
    rows = []
    for claim in record["claims"]:
        tests = claim["tests"]
        head = (
            f'<td rowspan="{max(1, len(tests))}" style="text-align:left;vertical-align:top"><span id="claim-{html.escape(claim["id"])}"></span>'
            f"<strong>{html.escape(claim['id'])}</strong>{' (central)' if claim['central'] else ''}<br>{html.escape(claim['statement'])}"
            f"<br><em>Paper: {html.escape(claim['paper'])}{', ' + html.escape(claim['where']) if claim['where'] else ''}</em></td>"
        )
        tail = (
            f'<td rowspan="{max(1, len(tests))}" style="text-align:left;vertical-align:top"><strong class="verdict {claim["verdict"].replace(" ", "-")}">{SIGNS[claim["verdict"]]} {claim["verdict"]}</strong></td>'
        )
        if not tests:
            rows.append(f'<tr>{head}<td colspan="3" style="text-align:left">{html.escape(claim["reason"])}</td>{tail}</tr>')
        for place, test in enumerate(tests):
            cells = "".join(
                f'<td style="text-align:left;vertical-align:top">{text}</td>'
                for text in (html.escape(test["what"]) + f" {html.escape(describe(test))}", f"{measured(test)}<br>n = {test['n']}", test["outcome"])
            )
            rows.append(f"<tr>{head if place == 0 else ''}{cells}{tail if place == 0 else ''}</tr>")
            if place == 0 and claim["reason"]:
                rows[-1] = rows[-1].replace(tail, tail.replace("</td>", f"<br>{html.escape(claim['reason'])}</td>"))
    columns = "".join(f'<th scope="col" style="text-align:left">{name}</th>' for name in ("Claim", "Test", "Measured, 95 % interval", "Outcome", "Verdict"))
    return (
        f'<div class="ledger" style="overflow-x:auto" tabindex="0" role="region" aria-label="Verdicts"><table><caption style="text-align:left">{html.escape(_heading(record))}</caption>'
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def dumps(record: dict) -> str:
    """A record as the JSON text that is stored: sorted nowhere, two spaces, a newline at the end; refuses NaN."""
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
