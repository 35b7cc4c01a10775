"""Claims, tests over seeds, and verdicts by rule.

A test boils each seed's experiment down to one number and asks where the mean of these numbers
lies, by Student's t. A claim's verdict follows from the outcomes of its tests; nobody types it. How
a ledger looks stands in `ledger_view`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from types import SimpleNamespace

import numpy as np
from scipy.special import stdtr, stdtrit

from unlabeled.runtime import InputError, Run

SCHEMA = 2
MIME = "application/vnd.unlabeled.ledger+json"
LEVEL = 0.95
SEEDS_FOR_A_VERDICT = 5
VERDICTS = ("reproduced", "partly", "mixed", "not reproduced", "undecided", "out of reach")
LEFT_OUT = "left out of the control, since its tests stand in an aside"
UNSEEN = "no test of this claim saw the reader's own data"


def interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float, float]:
    """Mean and two-sided Student-t interval of `values` (shape (n,), n >= 2): ``(mean, low,
    high)``.
    """
    values = np.asarray(values, dtype=float)
    mean = values.mean()
    spread = values.std(ddof=1) / np.sqrt(len(values))
    half = stdtrit(len(values) - 1, (1 + level) / 2) * spread
    return float(mean), float(mean - half), float(mean + half)


def evaluate(
    kind: str, direction: str, margin: float, values: Sequence[float], level: float = LEVEL
) -> dict:
    """The outcome of one test, from its values alone.

    Parameters
    ----------
    kind : "t" (mean beyond a margin), "equivalence" (mean within plus or minus a margin) or
        "exact" (largest value within a tolerance)
    direction : "greater" or "less" for "t", "within" for the others
    margin : fixed in advance, in the units of the values; the tolerance for "exact"
    values : shape (seeds,)

    Returns
    -------
    dict with estimate, low, high, p and outcome. For "t" and "equivalence", `p` is one-sided,
    toward the claim: the test holds if and only if p < (1 - level) / 2. For "exact" the estimate
    is the largest value, and low, high and p are None.
    """
    values = np.asarray(values, dtype=float)
    if kind == "exact":
        worst = float(values.max())
        outcome = "holds" if worst <= margin else "fails"
        return dict(estimate=worst, low=None, high=None, p=None, outcome=outcome)
    estimate, low, high = interval(values, level)
    n = len(values)
    error = values.std(ddof=1) / np.sqrt(n)

    def beyond(gap):
        """Chance of a mean this far above a border that is the truth."""
        if error == 0:
            return 0.5 if gap == 0 else float(gap < 0)
        return float(stdtr(n - 1, -gap / error))

    if kind == "equivalence":
        holds, fails = -margin < low and high < margin, low > margin or high < -margin
        p = max(beyond(estimate + margin), beyond(margin - estimate))
    else:
        sign = 1 if direction == "greater" else -1
        above, below = low > margin, high < margin
        holds, fails = (above, below) if sign > 0 else (below, above)
        p = beyond(sign * (estimate - margin))
    outcome = "holds" if holds else "fails" if fails else "undecided"
    return dict(estimate=estimate, low=low, high=high, p=p, outcome=outcome)


def verdict(outcomes: Iterable[str]) -> str:
    """The verdict on a claim from the outcomes ("holds", "fails", "undecided") of its tests.

    All hold: reproduced. None fails and at least half hold: partly. Some hold and some fail:
    mixed. None holds and one fails: not reproduced. Else: undecided.
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
        raise InputError(
            "A log ratio needs positive values: use a paired difference where zero can occur, or,"
            " with data of your own, harder examples."
        )
    return np.log(ours / theirs)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> np.ndarray:
    """`ours` - `theirs`, seed by seed (shape (seeds,))."""
    ours, theirs = _paired(ours, theirs)
    return ours - theirs


def fisher_z(correlations: Sequence[float]) -> np.ndarray:
    """Fisher's transform artanh(r) of correlations (shape (seeds,)); |r| = 1 is pulled in to stay
    finite (Fisher, 1915).
    """
    correlations = _numbers(correlations, "The correlations")
    if (np.abs(correlations) > 1 + 1e-9).any():
        raise InputError("A correlation lies outside [-1, 1]: pass correlations, not other scores.")
    return np.arctanh(np.clip(correlations, -0.999999, 0.999999))


def _numbers(values, whose):
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(
            f"{whose} must be numbers, one per seed: got lists of unequal lengths or something that"
            " is no number."
        ) from None


def _paired(ours, theirs):
    ours, theirs = _numbers(ours, "Paired values"), _numbers(theirs, "Paired values")
    if ours.shape != theirs.shape:
        raise InputError(
            f"Paired values must be of equal length, one per seed: got the shapes {ours.shape} and"
            f" {theirs.shape}."
        )
    return ours, theirs


# What prose prints


def number(value: float) -> str:
    """A figure as the book prints it: three significant digits (whole numbers up to 9999 in full),
    with a true minus sign."""
    size = abs(value)
    if size == 0:
        text = "0"
    elif 1e-3 <= size < 9999.5:
        text = f"{value:.0f}" if size >= 999.5 else f"{value:.3g}"
    else:
        digits, exponent = f"{value:.2e}".split("e")
        text = f"{digits.rstrip('0').rstrip('.')}e{exponent}"
    return text.replace("-", "−")


def say(values: Sequence[float], digits: int = 2, sign: bool = False) -> str:
    """Mean and 95 % interval of `values` (shape (seeds,)) for a sentence: "0.12 [0.10, 0.14]".

    `digits` after the point; with `sign`, a plus stands before what is above zero.
    """
    return _said(*interval(values), digits, sign)


def _said(mean, low, high, digits, sign):
    def figure(value):
        text = f"{value:{'+' if sign else ''}.{digits}f}"
        text = text.lstrip("+-") if float(text) == 0 else text  # no minus before a zero
        return text.replace("-", "−")

    if low is None:
        return number(mean)
    return f"{figure(mean)} [{figure(low)}, {figure(high)}]"


def word(
    values: Sequence[float],
    margin: float = 0.0,
    *,
    holds: str = "beats",
    fails: str = "loses to",
    undecided: str = "cannot be told apart from",
) -> str:
    """The word of outcome for the mean of `values` (shape (seeds,)) against `margin`, so that a
    sentence changes with the run: `holds` if their interval lies above, `fails` if below."""
    outcome = evaluate("t", "greater", margin, values)["outcome"]
    return dict(holds=holds, fails=fails, undecided=undecided)[outcome]


class Test(SimpleNamespace):
    """One filed test: its record's fields as attributes (id, what, estimate, low, high, outcome,
    values …).
    """

    __test__ = False  # pytest is not meant

    def say(self, digits: int = 3, sign: bool = True) -> str:
        """Estimate and interval for a sentence."""
        return _said(self.estimate, self.low, self.high, digits, sign)

    def word(
        self,
        holds: str = "beats",
        fails: str = "loses to",
        undecided: str = "cannot be told apart from",
    ) -> str:
        """The word that goes with this test's outcome."""
        return dict(holds=holds, fails=fails, undecided=undecided)[self.outcome]


class Claim:
    """One claim of a ledger; file its tests where their numbers are born. Made by `Ledger.claim`.

    Every test takes these options:

    late : why its margin or control was set after a look at seeds 0, 1, …; shown with the test
    repeats : why it may depend on another test of the ledger (equal, linear or nearly so)
    toy : whether it is computed on data that the chapter makes itself although `dataset` can name
        the reader's own; such a test is shown, and not counted, in a run on own data
    deterministic : False for what measures time
    """

    def __init__(self, run: Run, entry: dict):
        self._run, self._entry = run, entry

    @property
    def id(self) -> str:
        return self._entry["id"]

    def greater(
        self, id: str, what: str, values: Sequence[float], *, margin: float = 0.0, **options
    ) -> Test:
        """File the test that the mean of `values` (one per seed) lies above `margin`."""
        return self._file(id, what, values, "t", "greater", margin, **options)

    def less(
        self, id: str, what: str, values: Sequence[float], *, margin: float = 0.0, **options
    ) -> Test:
        """File the test that the mean of `values` (one per seed) lies below `margin`."""
        return self._file(id, what, values, "t", "less", margin, **options)

    def equivalent(
        self,
        id: str,
        what: str,
        values: Sequence[float],
        *,
        margin: float,
        beside: str = "",
        wide: str = "",
        **options,
    ) -> Test:
        """File the test that the mean of `values` (one per seed) lies within plus or minus `margin`
        > 0.

        Parameters
        ----------
        beside : the test ("id", or "claim/id") whose effect counts as success; the margin must be
            at most a third of it
        wide : why the margin is wider than that
        """
        if not margin > 0:
            raise InputError(f"The equivalence test {id!r} needs a margin above 0, not {margin}.")
        beside = beside if not beside or "/" in beside else f"{self.id}/{beside}"
        return self._file(
            id, what, values, "equivalence", "within", margin, beside=beside, wide=wide, **options
        )

    def exact(
        self, id: str, what: str, values: Sequence[float], *, tolerance: float, **options
    ) -> Test:
        """File the test of an identity, theorem or bound: the largest of `values` (one or more) is
        at most `tolerance`.

        For an identity pass absolute errors; for a bound pass by how much it is exceeded, negative
        where it is kept.
        """
        return self._file(id, what, values, "exact", "within", tolerance, **options)

    def out_of_reach(self, reason: str) -> None:
        """Say that this scale cannot test the claim, and why."""
        if self._entry["tests"]:
            raise InputError(
                f"The claim {self.id!r} has tests, so it cannot be out of reach: drop the one or"
                " the other."
            )
        if not reason.strip():
            raise InputError(f"The claim {self.id!r} is out of reach: say why.")
        self._entry["reason"] = reason

    def _file(
        self,
        id,
        what,
        values,
        kind,
        direction,
        margin,
        *,
        late="",
        repeats="",
        toy=False,
        deterministic=True,
        beside="",
        wide="",
    ):
        name = f"{self.id}/{id}"
        values = np.atleast_1d(_numbers(values, f"The values of the test {name}"))
        n = len(self._run.seeds)
        if not id.strip() or not what.strip():
            lack = "a description" if id.strip() else "an id"
            raise InputError(
                f"A test of the claim {self.id!r} lacks {lack}: name it and say what it measures."
            )
        if self._entry["reason"]:
            raise InputError(
                f"The claim {self.id!r} is out of reach, so it takes no tests: drop the one or the"
                " other."
            )
        if any(test["id"] == id for test in self._entry["tests"]):
            raise InputError(
                f"The claim {self.id!r} has two tests called {id!r}: give each an id of its own."
            )
        if (
            values.ndim != 1
            or (kind == "exact" and not len(values))
            or (kind != "exact" and len(values) != n)
        ):
            raise InputError(
                f"The test {name} needs one value per seed, {n} in all, but got an array of shape"
                f" {values.shape}."
            )
        if not (np.abs(values) < 1e150).all():  # beyond, the variance overflows; NaN compares false
            raise InputError(
                f"On this data the test {name} has no finite number for some seed: try data with"
                " more examples of each class."
                if self._run.own
                else (
                    f"The test {name} got NaN or infinity: find the seed where the experiment"
                    " broke."
                )
            )
        if not np.isfinite(margin):
            raise InputError(
                f"The test {name} has the margin {margin}: it must be a finite number."
            )
        if kind != "exact" and n < 2:
            raise InputError(
                f"The test {name} has too few seeds for an interval: set seeds=2 or more."
            )
        # Differences that are all zero say "no effect"; any other constant was never drawn from
        # seeds.
        if (
            kind != "exact"
            and values.any()
            and not values.std(ddof=1) > 1e-12 * np.abs(values).max()
        ):
            raise InputError(
                f"On this data every seed gives the test {name} the same value, so that no interval"
                " can be drawn: try more examples, or harder ones."
                if self._run.own
                else (
                    f"The test {name} got the same value for every seed: an interval needs spread,"
                    " so use exact for identities."
                )
            )
        test = (
            dict(
                id=id,
                what=what,
                kind=kind,
                direction=direction,
                margin=float(margin),
                level=LEVEL,
                values=values.tolist(),
            )
            | evaluate(kind, direction, margin, values)
            | dict(
                n=len(values),
                deterministic=bool(deterministic),
                late=late,
                repeats=repeats,
                toy=bool(toy),
                counted=not (toy and self._run.own),
                beside=beside,
                wide=wide,
            )
        )
        self._entry["tests"].append(test)
        return Test(**test)


class Ledger:
    """The claims of a chapter, the tests filed for them, and the verdicts that follow.

    Examples
    --------
    >>> ledger = Ledger(run)
    >>> gain = ledger.claim("gain", "On digits A beats B.", name="A beats B", paper="+3.1 points",
    where="Table 2")
    >>> gain.greater("accuracy", "accuracy of A - accuracy of B", difference(a, b))
    >>> ledger
    """

    def __init__(self, run: Run):
        self.run = run
        self._claims: dict[str, dict] = {}

    def claim(
        self,
        id: str,
        statement: str,
        *,
        name: str = "",
        paper: str = "not at hand",
        where: str = "",
        central: bool = False,
        rival: str = "",
        rival_test: str = "",
    ) -> Claim:
        """Declare a claim of the paper.

        Parameters
        ----------
        id : small letters, digits and hyphens; what links point to
        statement : one sentence, as strong as its tests and no stronger; white space is folded
        name : the claim in three to five words
        paper, where : the paper's own figure ("not at hand" if unknown), and its place
        central : whether the negative control must break it
        rival, rival_test : what else could explain it, and the test ("id", or "claim/id") that
        speaks against that
        """
        if id in self._claims:
            raise InputError(
                f"The claim {id!r} is declared twice: give each claim an id of its own."
            )
        if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", id):
            raise InputError(
                f"The claim id {id!r} cannot be linked to: use small letters, digits and single"
                " hyphens, as in 'few-labels'."
            )
        if not statement.strip():
            raise InputError(f"The claim {id!r} says nothing: state it in one sentence.")
        rival_test = rival_test if not rival_test or "/" in rival_test else f"{id}/{rival_test}"
        self._claims[id] = dict(
            id=id,
            name=name or id.replace("-", " "),
            central=bool(central),
            statement=" ".join(statement.split()),
            paper=paper,
            where=where,
            rival=" ".join(rival.split()),
            rival_test=rival_test,
            verdict=None,
            reason="",
            tests=[],
        )
        return Claim(self.run, self._claims[id])

    @property
    def table(self):
        """The claims as a table: end the cell that declares them with it."""
        from unlabeled.ledger_view import ClaimTable

        return ClaimTable(list(self._claims.values()))

    def to_dict(self) -> dict:
        """The ledger as the JSON object that the book's records are made of, with the verdicts
        worked out.

        Raises
        ------
        InputError : if there is no claim, or if a claim has neither a test nor a reason why it is
        out of reach
        """
        if not self._claims:
            raise InputError(
                "The ledger holds no claim: declare the paper's claims with ledger.claim."
            )
        run = self.run
        claims = []
        for entry in self._claims.values():
            if run.control and not entry["tests"] and not entry["reason"]:
                entry = entry | dict(reason=LEFT_OUT)
            claims.append(entry | dict(zip(("verdict", "reason"), decide(entry))))
        return dict(
            schema=SCHEMA,
            chapter=run.chapter,
            profile=run.profile,
            control=run.control,
            seeds=list(run.seeds),
            dataset=run.dataset,
            claims=claims,
        )

    def verdicts(self) -> dict[str, str]:
        """Claim id -> verdict."""
        return {claim["id"]: claim["verdict"] for claim in self.to_dict()["claims"]}

    def _repr_mimebundle_(self, include=None, exclude=None):
        from unlabeled.ledger_view import as_html, as_text

        record = self.to_dict()
        return {"text/plain": as_text(record), "text/html": as_html(record), MIME: record}


def decide(claim: dict) -> tuple[str, str]:
    """The verdict on a ledger's claim and the reason given with it, recomputed from its tests'
    values alone.
    """
    tests = [test for test in claim["tests"] if test.get("counted", True)]
    if not tests:
        if claim["tests"]:
            return "out of reach", UNSEEN
        if not claim["reason"]:
            raise InputError(
                f"The claim {claim['id']!r} has no test: file one, or say why it is out of reach."
            )
        return "out of reach", claim["reason"]
    drawn = [len(test["values"]) for test in tests if test["kind"] != "exact"]
    if drawn and min(drawn) < SEEDS_FOR_A_VERDICT:
        return "undecided", f"{min(drawn)} seeds; a verdict needs at least {SEEDS_FOR_A_VERDICT}"
    return (
        verdict(
            evaluate(
                test["kind"], test["direction"], test["margin"], test["values"], test["level"]
            )["outcome"]
            for test in tests
        ),
        "",
    )


def dumps(record: dict) -> str:
    """A record as the JSON text that is stored: sorted nowhere, two spaces, a newline at the end;
    refuses NaN.
    """
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
