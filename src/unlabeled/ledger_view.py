"""How claims and ledgers look: as text for terminals, as tables for the book, Colab and VS Code."""

from __future__ import annotations

import html

from unlabeled.claims import number

SIGNS = {
    "reproduced": "✓",
    "partly": "◐",
    "mixed": "±",
    "not reproduced": "✗",
    "undecided": "?",
    "out of reach": "–",
}
RULE = (
    "All tests hold: reproduced. None fails and at least half hold: partly. Some hold, some fail:"
    " mixed. None holds and one fails: not reproduced. Else: undecided, which is not the same as no"
    " effect."
)
LEFT = "text-align:left;vertical-align:top"


def describe(test: dict) -> str:
    """What a test requires, in a few symbols."""
    if test["kind"] == "exact":
        return f"largest ≤ {number(test['margin'])}"
    if test["kind"] == "equivalence":
        return f"within ±{number(test['margin'])}"
    return f"{'>' if test['direction'] == 'greater' else '<'} {number(test['margin'])}"


def needed(test: dict) -> str:
    """What a test requires, in words."""
    if test["kind"] == "exact":
        return f"at most {number(test['margin'])}"
    if test["kind"] == "equivalence":
        return f"within ±{number(test['margin'])}"
    return f"{'above' if test['direction'] == 'greater' else 'below'} {number(test['margin'])}"


def measured(test: dict) -> str:
    """Estimate and interval of a test, in a few symbols."""
    if test["low"] is None:
        return number(test["estimate"])
    return f"{number(test['estimate'])} [{number(test['low'])}, {number(test['high'])}]"


def remarks(test: dict) -> list[str]:
    """What a reader must know of a test beside its numbers: a late margin, a declared dependence,
    data it did not see.
    """
    said = []
    if test.get("late"):
        said.append(f"set after a look: {test['late']}")
    if test.get("repeats"):
        said.append(f"not independent: {test['repeats']}")
    if test.get("wide"):
        said.append(f"wide margin: {test['wide']}")
    if not test.get("counted", True):
        said.append("on the chapter's made data, not counted")
    return said


def heading(record: dict) -> str:
    """Which run a ledger is of."""
    seeds = record["seeds"]
    control = ", NEGATIVE CONTROL (mechanism cut)" if record["control"] else ""
    data = f", {record['dataset'].rsplit('/', 1)[-1]}" if record["dataset"] else ""
    return (
        f"{record['chapter']}: {record['profile']} profile, seeds {seeds[0]} to"
        f" {seeds[-1]}{data}{control}"
    )


def as_text(record: dict) -> str:
    """The ledger as plain text, for terminals."""
    lines = [heading(record)]
    for claim in record["claims"]:
        star = " (central)" if claim["central"] else ""
        reason = f": {claim['reason']}" if claim["reason"] else ""
        lines.append(f"{SIGNS[claim['verdict']]} {claim['verdict']:<15}{claim['id']}{star}{reason}")
        for test in claim["tests"]:
            notes = "".join(f" ({remark})" for remark in remarks(test))
            lines.append(
                f"    {test['outcome']:<10} {test['what']}: {measured(test)}, "
                f"claimed {describe(test)}, n = {test['n']}{notes}"
            )
    return "\n".join(lines)


def _cell(content, rows=1, style=LEFT):
    span = f' rowspan="{rows}"' if rows > 1 else ""
    return f'<td{span} style="{style}">{content}</td>'


def as_html(record: dict) -> str:
    """The ledger as a table that reads alike in the book, Colab and VS Code (styles inline, no
    script).
    """
    rows = []
    for claim in record["claims"]:
        tests = claim["tests"]
        span = max(1, len(tests))
        mark = claim["verdict"].replace(" ", "-")
        reason = f"<br>{html.escape(claim['reason'])}" if claim["reason"] and tests else ""
        head = _cell(
            f'<span id="claim-{html.escape(claim["id"])}"></span>'
            f"<strong>{html.escape(claim['name'])}</strong>"
            f"{' (central)' if claim['central'] else ''}<br>{html.escape(claim['statement'])}",
            span,
        )
        tail = _cell(
            f'<strong class="verdict {mark}">{SIGNS[claim["verdict"]]}'
            f" {claim['verdict']}</strong>{reason}",
            span,
        )
        if not tests:
            middle = f'<td colspan="4" style="{LEFT}">{html.escape(claim["reason"])}</td>'
            rows.append(f"<tr>{head}{middle}{tail}</tr>")
        for place, test in enumerate(tests):
            notes = "".join(f"<br><em>{html.escape(remark)}</em>" for remark in remarks(test))
            middle = "".join(
                (
                    _cell(html.escape(test["what"]) + notes),
                    _cell(
                        f"{measured(test)}<br>n = {test['n']}", style=LEFT + ";white-space:nowrap"
                    ),
                    _cell(needed(test)),
                    _cell(test["outcome"]),
                )
            )
            rows.append(
                f"<tr>{head if place == 0 else ''}{middle}{tail if place == 0 else ''}</tr>"
            )
    names = ("Claim", "Test", "Measured, 95 % interval", "Needed", "Outcome", "Verdict")
    return _table(
        "ledger", "Verdicts", heading(record), names, rows, f"<p><small>{RULE}</small></p>"
    )


def _table(kind, label, caption, names, rows, foot=""):
    columns = "".join(f'<th scope="col" style="text-align:left">{name}</th>' for name in names)
    return (
        f'<div class="{kind}" style="overflow-x:auto" tabindex="0" role="region"'
        f' aria-label="{label}">'
        f'<table><caption style="text-align:left">{html.escape(caption)}</caption>'
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(rows)}</tbody></table>{foot}</div>"
    )


class ClaimTable:
    """The claims of a chapter before anything is run: what is said, and the paper's own figures
    where they are at hand.
    """

    def __init__(self, claims: list[dict]):
        self.claims = claims

    def _figure(self, claim):
        return "; ".join(filter(None, (claim["paper"], claim["where"])))

    def __repr__(self):
        return "\n".join(
            f"{claim['name']}{' (central)' if claim['central'] else ''}: {claim['statement']}"
            f" Paper: {self._figure(claim)}."
            for claim in self.claims
        )

    def _repr_html_(self):
        known = any(claim["paper"] != "not at hand" for claim in self.claims)
        rows = []
        for claim in self.claims:
            star = "<br>central" if claim["central"] else ""
            cells = _cell(f"<strong>{html.escape(claim['name'])}</strong>{star}") + _cell(
                html.escape(claim["statement"])
            )
            if known:
                figure = (
                    self._figure(claim)
                    if claim["paper"] != "not at hand"
                    else claim["where"] or "–"
                )
                cells += _cell(html.escape(figure))
            elif claim["where"]:
                cells = cells[: -len("</td>")] + f" <em>({html.escape(claim['where'])})</em></td>"
            rows.append(f"<tr>{cells}</tr>")
        names = ("Claim", "What is said") + (("In the paper",) if known else ())
        caption = (
            "The claims under test."
            if known
            else "The claims under test; the paper's own figures are not at hand."
        )
        return _table("claims", "Claims", caption, names, rows)
