"""What the press writes into pages: strips of verdicts, the scorecard, the status table, the controls' outcomes."""

from __future__ import annotations

import csv
import html
import io
import json
from dataclasses import dataclass
from pathlib import Path

from unlabeled.claims import VERDICTS, number
from unlabeled.ledger_view import SIGNS, describe, measured

from press import control, plan, records, referee, simulation, source, words
from press.errors import PressError
from press.pair import bibliography, title
from press.source import Chapter

@dataclass(frozen=True)
class Run:
    """A chapter with the records that its page shows: the default run, its negative control, and the full run (or None)."""

    chapter: Chapter
    record: dict
    control: dict
    full: dict | None

    @property
    def stale(self) -> bool:
        return self.full is not None and records.is_stale(self.full, self.chapter)


def load(chapter: Chapter) -> Run:
    """Read and check all records of `chapter`; refuse a control that changes nothing."""
    record = records.read(chapter, chapter.record())
    if records.is_stale(record, chapter):
        raise PressError(f"The record {chapter.record()} is older than the chapter's code: run the chapter again.")
    referee.require(record)
    cut = records.read(chapter, chapter.control())
    control.require(record, cut)
    full = records.read(chapter, chapter.record("full")) if chapter.record("full").is_file() else None
    if full is not None and full["profile"] != "full":
        raise PressError(f"{chapter.record('full')} is a record of the {full['profile']} profile: only full runs belong there.")
    return Run(chapter, record, cut, full)


def chip(verdict: str) -> str:
    """A verdict as an inline label: sign and word, so that colour is never needed."""
    return f'<span class="verdict {verdict.replace(" ", "-")}"><span aria-hidden="true">{SIGNS[verdict]}</span> {verdict}</span>'


def strip(run: Run) -> str:
    """The chapter's verdicts in one line each, linking to where they are decided."""
    items = "".join(
        f'<li><a href="#claim-{claim["id"]}">{html.escape(claim["id"])}</a>{" <em>central</em>" if claim["central"] else ""} {chip(claim["verdict"])}</li>'
        for claim in run.record["claims"]
    )
    return f'<p class="verdict-head">Verdicts of this run</p><ul class="verdict-strip">{items}</ul>'


def times(run: Run) -> str:
    """What a run costs, measured."""
    record = run.record
    text = f"about {max(1, round(record['seconds'] / 60))} minute{'s' if record['seconds'] >= 90 else ''} on a laptop ({record['cpu_seconds']:.0f} CPU-seconds, {record['peak_mb']:.0f} MB at the most)"
    if run.full is None:
        return f"{text}; the full profile: not run, GPU memory not measured"
    full = run.full
    return f"{text}; the full profile: {full['seconds'] / 60:.0f} minutes on {html.escape(full['device'])}{' (stale: the code has changed since)' if run.stale else ''}"


def control_table(run: Run) -> str:
    """The negative control's recorded outcome beside the real one, as HTML in a Markdown page."""
    rows = []
    for row in control.compare(run.record, run.control):
        rows.append(
            f"<tr><th scope='row'>{row['claim']}<br><small>{html.escape(row['what'])}</small></th><td>{number(row['real'])}<br>{chip(row['verdict'])}</td>"
            f"<td>{number(row['control'])}<br>{chip(row['control_verdict'])}</td><td>{number(row['effect'])} [{number(row['low'])}, {number(row['high'])}]</td></tr>"
        )
    seeds = run.control["seeds"]
    return raw(
        f'<div class="table-scroll" tabindex="0" role="region" aria-label="Negative control"><table class="control-table"><caption>Central claims, really and with the mechanism cut '
        f"(seeds {seeds[0]} to {seeds[-1]}).</caption><thead><tr><th scope='col'>Central claim</th><th scope='col'>Real</th><th scope='col'>Control</th>"
        f"<th scope='col'>Effect of the mechanism, in the claimed direction (95&nbsp;% interval)</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def raw(markup: str) -> str:
    """HTML as a block that MyST passes through."""
    return f"```{{raw}} html\n{markup}\n```"


def generated(runs: list[Run], root: Path) -> dict[str, dict[str, str]]:
    """Page name -> place -> what the press puts there."""
    planned = plan.read(root)
    blocks = {
        "scorecard": {"scorecard": raw(scorecard(runs))},
        "status": {"status": raw(status(runs))},
        "how-we-decide": {"simulation": raw(simulation.table()), "chance": chance(runs)},
        "welcome": {"tiles": tiles(runs)},
        "roadmap": {"roadmap": "\n\n".join(f"## {plan.heading(part)}\n\n{lines}" for part in planned if (lines := to_come(runs, part, root)))},
        "notation": {"symbols": words.notation(root)},
    }
    for part in planned:
        if (root / "book" / part / "index.md").is_file():
            there = "\n".join(f"- {{doc}}`/{run.chapter.document}`. {run.chapter.card['question']}" for run in runs if run.chapter.part == part)
            later = to_come(runs, part, root)
            blocks[f"{part}/index"] = {"chapters": "\n\n".join(filter(None, [there, later and f"To come:\n\n{later}"]))}
    return blocks


def to_come(runs: list[Run], part: str, root: Path) -> str:
    """The chapters of `part` that the plan names and the book does not have yet, as a Markdown list."""
    written = {run.chapter.name for run in runs}
    later = [entry for entry in plan.read(root).get(part, []) if entry["name"] not in written]
    if missing := [entry for entry in later if entry["paper"] not in bibliography(root)]:
        raise PressError(f"book/plan.yml gives {missing[0]['name']} the paper {missing[0]['paper']!r}, which book/references.bib lacks: add the entry.")
    return "\n".join(
        f"- *{title(bibliography(root)[entry['paper']])}* {{cite:p}}`{entry['paper']}`. {entry['question']}" for entry in later
    )


def tiles(runs: list[Run]) -> str:
    """The chapters as a grid of links with their questions."""
    listed = "\n".join(f":::{{container}} tile\n{{doc}}`/{run.chapter.document}`\n\n{run.chapter.card['question']}\n:::" for run in runs)
    return f"::::{{container}} tiles\n{listed}\n::::"


# The scorecard

def rows(runs: list[Run]) -> list[dict]:
    """One flat row per claim and profile, for the tables that readers download."""
    return [
        dict(
            part=run.chapter.part, chapter=run.chapter.name, claim=claim["id"], statement=claim["statement"], central=claim["central"],
            paper=claim["paper"], where=claim["where"], verdict=claim["verdict"], reason=claim["reason"], profile=record["profile"],
            stale=record is run.full and run.stale, seeds=len(record["seeds"]), first_seed=record["seeds"][0],
            tests=claim["tests"], link=f"{run.chapter.document}.html#claim-{claim['id']}",
        )
        for run in runs for record in (run.record, run.full) if record is not None
        for claim in record["claims"]
    ]


def as_csv(runs: list[Run]) -> str:
    """The scorecard with one line per test (or per claim out of reach)."""
    fields = ("part", "chapter", "claim", "statement", "central", "paper", "where", "profile", "stale", "verdict", "reason", "seeds", "first_seed",
              "test", "what", "kind", "direction", "margin", "level", "estimate", "low", "high", "p", "n", "outcome")
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    for row in rows(runs):
        base = {key: value for key, value in row.items() if key in fields}
        for test in row["tests"] or [{}]:
            writer.writerow(base | {"test": test.get("id", "")} | {key: value for key, value in test.items() if key in fields})
    return out.getvalue()


def as_json(runs: list[Run]) -> str:
    """All records behind the scorecard; each passes the record schema that is published beside it."""
    listed = [record for run in runs for record in (run.record, run.control, run.full) if record is not None]
    return json.dumps(listed, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def scorecard(runs: list[Run]) -> str:
    """Counts, filter and table; complete without JavaScript, which only adds the filter."""
    listed = rows(runs)
    downloads = (
        '<p class="downloads">Download: <a href="scorecard.csv" download>CSV, a line for each test</a> · <a href="scorecard.json" download>JSON, all records</a> · '
        '<a href="record.schema.json" download>the schema of a record</a></p>'
    )
    return "".join([counts(runs), downloads, _table(listed), f"<script>{FILTER}</script>"])


def counts(runs: list[Run]) -> str:
    """Claims by part and verdict, of the default runs."""
    parts = list(dict.fromkeys(run.chapter.part for run in runs))
    table = {part: {verdict: 0 for verdict in VERDICTS} for part in parts}
    for run in runs:
        for claim in run.record["claims"]:
            table[run.chapter.part][claim["verdict"]] += 1
    head = "".join(f"<th scope='col'>{chip(verdict)}</th>" for verdict in VERDICTS)
    body = "".join(
        f"<tr><th scope='row'>{plan.heading(part)}</th>{''.join(f'<td>{table[part][verdict]}</td>' for verdict in VERDICTS)}<td>{sum(table[part].values())}</td></tr>" for part in parts
    )
    totals = "".join(f"<td>{sum(table[part][verdict] for part in parts)}</td>" for verdict in VERDICTS)
    total = sum(sum(line.values()) for line in table.values())
    return (
        f'<div class="table-scroll" tabindex="0" role="region" aria-label="Claims by part and verdict"><table class="scorecard-counts"><caption>Claims by part and verdict (quick profile).</caption>'
        f"<thead><tr><th scope='col'>Part</th>{head}<th scope='col'>all</th></tr></thead><tbody>{body}</tbody><tfoot><tr><th scope='row'>All parts</th>{totals}<td>{total}</td></tr></tfoot></table></div>"
    )


def _table(listed):
    body = []
    for row in listed:
        tests = "".join(
            f'<div class="test"><span class="what">{html.escape(test["what"])}</span> {dot(test)} <span class="figures">{measured(test)}, claimed {html.escape(describe(test))}</span></div>'
            for test in row["tests"]
        ) or html.escape(row["reason"])
        paper = html.escape(row["paper"]) + (f"<br><small>{html.escape(row['where'])}</small>" if row["where"] else "")
        stale = "<br><strong>stale</strong>" if row["stale"] else ""
        note = f"<br><small>{html.escape(row['reason'])}</small>" if row["tests"] and row["reason"] else ""
        body.append(
            f'<tr data-part="{row["part"]}" data-verdict="{row["verdict"]}">'
            f'<td data-label="Claim"><a href="../{row["link"]}">{html.escape(row["claim"])}</a>{" <em>central</em>" if row["central"] else ""}<br>{html.escape(row["statement"])}'
            f'<br><small>{html.escape(row["chapter"])}</small></td><td data-label="Paper">{paper}</td><td data-label="Ours">{tests}</td>'
            f'<td data-label="Seeds">{row["seeds"] if row["tests"] else "–"}</td><td data-label="Profile">{row["profile"]}{stale}</td><td data-label="Verdict">{chip(row["verdict"])}{note}</td></tr>'
        )
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("Claim", "Paper", "Ours, with its 95&nbsp;% interval", "Seeds", "Profile", "Verdict"))
    return f'<div id="scorecard-filter"></div><table class="scorecard"><caption>Every claim of every chapter.</caption><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'


def dot(test: dict) -> str:
    """A test's estimate and interval as dot and whisker against its margin, on a scale of its own (inline SVG)."""
    width, height, edge = 130, 20, 8
    low, high = (test["estimate"],) * 2 if test["low"] is None else (test["low"], test["high"])
    margins = [-test["margin"], test["margin"]] if test["kind"] == "equivalence" else [test["margin"]]
    first, last = min([low, *margins]), max([high, *margins])
    span = (last - first) or 1.0

    def x(value):
        return round(edge + (width - 2 * edge) * (value - first) / span, 1)

    lines = "".join(f'<line x1="{x(margin)}" x2="{x(margin)}" y1="1" y2="{height - 1}" stroke="currentColor" stroke-dasharray="2 2" opacity="0.7"/>' for margin in margins)
    whisker = f'<line x1="{x(low)}" x2="{x(high)}" y1="{height / 2}" y2="{height / 2}" stroke="currentColor" stroke-width="2"/>'
    label = f"{measured(test)}; the margin is {' and '.join(number(margin) for margin in margins)}; {test['outcome']}"
    return (
        f'<svg class="dot {test["outcome"]}" role="img" aria-label="{html.escape(label)}" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'{lines}{whisker}<circle cx="{x(test["estimate"])}" cy="{height / 2}" r="4" fill="currentColor"/></svg>'
    )


FILTER = """
(function () {
  var place = document.getElementById('scorecard-filter'), rows = Array.from(document.querySelectorAll('table.scorecard tbody tr'));
  if (!place) return;
  function values(key) { return Array.from(new Set(rows.map(function (row) { return row.dataset[key]; }))); }
  function select(key, name) {
    var label = document.createElement('label'), box = document.createElement('select');
    label.append(name + ' ', box);
    box.append(new Option('all', ''));
    values(key).forEach(function (value) { box.append(new Option(value, value)); });
    box.addEventListener('change', update);
    place.append(label);
    return box;
  }
  var part = select('part', 'Part'), verdict = select('verdict', 'Verdict');
  var label = document.createElement('label'), text = document.createElement('input'), tell = document.createElement('span');
  text.type = 'search';
  label.append('Text ', text);
  tell.setAttribute('role', 'status');
  place.append(label, tell);
  text.addEventListener('input', update);
  function update() {
    var shown = 0, word = text.value.trim().toLowerCase();
    rows.forEach(function (row) {
      var keep = (!part.value || row.dataset.part === part.value) && (!verdict.value || row.dataset.verdict === verdict.value)
        && (!word || row.textContent.toLowerCase().includes(word));
      row.hidden = !keep;
      shown += keep;
    });
    tell.textContent = shown + ' of ' + rows.length + ' claims';
  }
  update();
})();
"""


# Status and chance

def status(runs: list[Run]) -> str:
    """Which run each page shows: profile, cost, seeds, device, versions, date."""
    body = []
    for run in runs:
        for record in (run.record, run.full):
            if record is None:
                continue
            stale = "; <strong>stale</strong>: the code has changed since" if record is run.full and run.stale else ""
            packages = ", ".join(f"{name} {version}" for name, version in record["packages"].items())
            cells = (
                f"<a href='../{run.chapter.document}.html'>{html.escape(run.chapter.title)}</a>", record["profile"] + stale, f"{record['seconds']:.0f}", f"{record['cpu_seconds']:.0f}",
                f"{record['peak_mb']:.0f}", f"{record['seeds'][0]} to {record['seeds'][-1]}", html.escape(record["device"]), html.escape(packages), record["date"],
            )
            body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        if run.full is None:
            body.append(f"<tr><td>{html.escape(run.chapter.title)}</td><td>full</td><td colspan='7'>not run</td></tr>")
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("Chapter", "Profile", "Seconds", "CPU-seconds", "Peak MB", "Seeds", "Device", "Versions", "Date"))
    return f'<div class="table-scroll" tabindex="0" role="region" aria-label="Status of the chapters"><table class="status"><caption>The runs that this site shows.</caption><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def chance(runs: list[Run]) -> str:
    """How many central claims would be reproduced by chance, and how many are after Holm's adjustment, as Markdown."""
    ps = []
    for run in runs:
        for claim in run.record["claims"]:
            if claim["central"] and all(test["p"] is not None for test in claim["tests"]):
                # A claim needs all its tests, so its p-value is the largest of theirs (an intersection-union test).
                ps.append((max(test["p"] for test in claim["tests"]), claim["verdict"]))
    kept = simulation.holm([p for p, _ in ps])
    reproduced = sum(verdict == "reproduced" for _, verdict in ps)
    return (
        f"This build decides {len(ps)} central claims by intervals.\n"
        f"If not one of them were true, a rule with a false-positive rate of 2.5 % each would still call {0.025 * len(ps):.1f} of them reproduced, on average.\n"
        f"It calls {reproduced} of them reproduced; after Holm's adjustment, which keeps the chance of even one false positive among all of them below 2.5 %, {sum(kept)} remain."
    )


def load_all(root: Path = source.ROOT) -> list[Run]:
    """The runs of every chapter; refuses to go on without one of them."""
    return [load(chapter) for chapter in source.chapters(root)]
