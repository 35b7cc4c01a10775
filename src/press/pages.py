"""What the press writes into pages: strips of verdicts, the scorecard, the status table, the
controls' outcomes.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from press import (
    blocks,
    contract,
    control,
    plan,
    records,
    referee,
    reference,
    simulation,
    source,
    words,
)
from press.errors import PressError
from press.pair import Links, address, authors, bibliography, cited, title
from press.source import Chapter
from unlabeled.claims import VERDICTS, number
from unlabeled.ledger_view import SIGNS, describe, measured, needed, remarks

TEMPLATES = Path(__file__).with_name("templates")
MISSED = ("not reproduced", "mixed")
OUTCOMES = {"holds": "holds", "fails": "fails", "undecided": "is undecided"}


@dataclass(frozen=True)
class Run:
    """A chapter with the records that its page shows: the default run, its negative control, and
    the full run (or None).
    """

    chapter: Chapter
    record: dict
    control: dict
    full: dict | None
    blocks: dict | None = None  # verdicts on other seeds, as press.blocks keeps them

    @property
    def stale(self) -> bool:
        return self.full is not None and records.is_stale(self.full, self.chapter)


def load(chapter: Chapter) -> Run:
    """Read and check all records of `chapter`; refuse a control that changes nothing."""
    record = records.read(chapter, chapter.record())
    if records.is_stale(record, chapter):
        raise PressError(
            f"The record {chapter.record()} is older than the chapter's code: run the chapter"
            " again."
        )
    referee.require(record)
    reference.require(record, chapter.card.get("cost"))
    cut = records.read(chapter, chapter.control())
    control.require(record, cut)
    full = (
        records.read(chapter, chapter.record("full")) if chapter.record("full").is_file() else None
    )
    if full is not None and full["profile"] != "full":
        raise PressError(
            f"{chapter.record('full')} is a record of the {full['profile']} profile: only full runs"
            " belong there."
        )
    return Run(chapter, record, cut, full, blocks.read(chapter))


def render(template: str, **values) -> Markup:
    """One of the press's templates as HTML; what is put in is escaped by itself."""
    return Markup(_templates().get_template(f"{template}.html").render(**values).strip())


@lru_cache(maxsize=1)
def _templates():
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    found.filters |= dict(
        number=number,
        measured=measured,
        needed=needed,
        describe=describe,
        sentence=sentence,
        held=held,
        embedded=embedded,
        by_chapter=by_chapter,
    )
    found.globals |= dict(
        signs=SIGNS, verdicts=VERDICTS, remarks=remarks, picture=picture, outcomes=OUTCOMES
    )
    return found


def sentence(text: str) -> str:
    """`text` with a capital letter and a full stop."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def card(run: Run) -> str:
    """The chapter's card: paper, question, times, and the strip of verdicts, each a link to where
    it is decided.
    """
    chapter, facts = run.chapter, run.chapter.card
    entry = cited(chapter, facts["paper"])
    return render(
        "card",
        facts=facts,
        authors=authors(entry),
        year=entry.fields["year"],
        title=title(entry),
        url=address(entry),
        times=times(run),
        colab=Links(chapter.root).colab(chapter),
        document=chapter.document,
        claims=run.record["claims"],
        missed=[claim for claim in run.record["claims"] if claim["verdict"] in MISSED],
    )


def times(run: Run) -> str:
    """What a run costs, measured."""
    record = run.record
    minutes = max(1, round(record["reference_seconds"] / 60))
    text = (
        f"about {minutes} minute{'s' if minutes > 1 else ''} on one core"
        f" ({record['reference_seconds']:.0f} reference seconds, {record['peak_mb']:.0f} MB at the"
        " most)"
    )
    if run.full is None:
        return f"{text}; the full profile: not run, GPU memory not measured"
    full = run.full
    return (
        f"{text}; the full profile: {full['seconds'] / 60:.0f} minutes on"
        f" {full['device']}{' (stale: the code has changed since)' if run.stale else ''}"
    )


def rivals_of(run: Run) -> str:
    """Under the verdicts: what else could explain each central claim, and the test that speaks
    against it, as a raw block.
    """
    tests = referee.tests_by_name(run.record)
    names = {claim["id"]: claim["name"] for claim in run.record["claims"]}
    listed = []
    for claim in run.record["claims"]:
        if claim["central"] and claim["rival"]:
            test, where = tests.get(claim["rival_test"]), claim["rival_test"].split("/")[0]
            what = test and (
                test["what"] if where == claim["id"] else f"{test['what']}” of “{names[where]}"
            )
            listed.append((claim, test, what))
    return raw(render("rivals", rivals=listed)) if listed else ""


def control_table(run: Run) -> str:
    """What the negative control cuts, and its recorded outcome beside the real one, as a raw
    block.
    """
    real = {claim["id"]: claim for claim in run.record["claims"]}
    cut = {claim["id"]: claim for claim in run.control["claims"]}
    claims: dict[str, dict] = {}
    for row in control.compare(run.record, run.control):
        about = dict(
            name=real[row["claim"]]["name"],
            verdict=row["verdict"],
            control_verdict=row["control_verdict"],
        )
        claims.setdefault(row["claim"], about | dict(rows=[]))["rows"].append(row)
    tested = [claim for claim in claims.values() if claim["verdict"] == "reproduced"]
    lost = sum(claim["control_verdict"] != "reproduced" for claim in tested)
    summary = (
        f"Of {len(tested)} central claim{'s' if len(tested) != 1 else ''} reproduced above, {lost}"
        f" lose{'s' if lost == 1 else ''} that verdict."
        if tested
        else "No central claim was reproduced, so there is no verdict to lose."
    )
    seeds = run.control["seeds"]
    side = [claim for claim in real.values() if not claim["central"]]
    return raw(
        render(
            "control",
            cut=run.chapter.card["control"],
            summary=summary,
            claims=list(claims.values()),
            caption=(
                f"Central claims, really and with the mechanism cut (seeds {seeds[0]} to"
                f" {seeds[-1]})."
            ),
            kept=[
                claim["name"]
                for claim in side
                if claim["verdict"] == cut[claim["id"]]["verdict"] == "reproduced"
            ],
            left_out=[
                claim["name"] for claim in side if claim["tests"] and not cut[claim["id"]]["tests"]
            ],
        )
    )


def raw(markup: str) -> str:
    """HTML as a block that MyST passes through."""
    return f"```{{raw}} html\n{markup}\n```"


def generated(runs: list[Run], root: Path) -> dict[str, dict[str, str]]:
    """Page name -> place -> what the press puts there."""
    planned = plan.read(root)
    places = {
        "scorecard": {"scorecard": raw(scorecard(runs))},
        "status": {"status": raw(status(runs))},
        "how-we-decide": {"simulation": raw(simulation.table()), "chance": chance(runs)},
        "welcome": {"tiles": tiles(runs), "ticks": ticks(runs)},
        "roadmap": {
            "roadmap": "\n\n".join(
                f"## {plan.heading(part)}\n\n{lines}"
                for part in planned
                if (lines := to_come(runs, part, root))
            )
        },
        "notation": {"symbols": words.notation(root)},
    }
    if (root / "book/weeks.yml").is_file():
        places["teach"] = {"weeks": weeks(runs, root)}
    for part in dict.fromkeys(run.chapter.part for run in runs):
        if (root / "book" / part / "index.md").is_file():
            there = "\n".join(
                f"- {{doc}}`/{run.chapter.document}`. {run.chapter.card['question']}"
                f" *{held(run.record['claims'])}.*"
                for run in runs
                if run.chapter.part == part
            )
            later = to_come(runs, part, root)
            places[f"{part}/index"] = {
                "chapters": "\n\n".join(filter(None, [there, later and f"To come:\n\n{later}"]))
            }
    return places


def to_come(runs: list[Run], part: str, root: Path) -> str:
    """The chapters of `part` that the plan names and the book does not have yet, as a Markdown
    list.
    """
    written = {run.chapter.name for run in runs}
    later = [entry for entry in plan.read(root).get(part, []) if entry["name"] not in written]
    if missing := [entry for entry in later if entry["paper"] not in bibliography(root)]:
        raise PressError(
            f"book/plan.yml gives {missing[0]['name']} the paper {missing[0]['paper']!r}, which"
            " book/references.bib lacks: add the entry."
        )
    return "\n".join(
        f"- *{title(bibliography(root)[entry['paper']])}* {{cite:p}}`{entry['paper']}`."
        f" {entry['question']}"
        for entry in later
    )


def tiles(runs: list[Run]) -> str:
    """The chapters as a grid of links with their questions."""
    listed = "\n".join(
        ":::{container} tile\n"
        f"{{doc}}`/{run.chapter.document}`\n\n{run.chapter.card['question']}\n:::"
        for run in runs
    )
    return f"::::{{container}} tiles\n{listed}\n::::"


def weeks(runs: list[Run], root: Path) -> str:
    """The course plan of book/weeks.yml as a Markdown table, with minutes to read.

    Raises
    ------
    PressError : if the plan is no YAML or names a chapter that is not there
    """
    there = {run.chapter.name: run.chapter for run in runs}
    rows = []
    try:
        listed = yaml.safe_load((root / "book/weeks.yml").read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise PressError(f"book/weeks.yml is no YAML ({said}): mend it.") from None
    for week, entry in enumerate(listed, 1):
        if missing := [name for name in entry["read"] if name not in there]:
            raise PressError(
                f"book/weeks.yml has {missing[0]!r} in week {week}, which is no chapter: name one"
                " that is written."
            )
        read = "; ".join(
            f"{{doc}}`/{there[name].document}` ({minutes(there[name])} min)"
            for name in entry["read"]
        )
        rows.append(f"| {week} | {read} | {entry['class']} | {entry['homework']} |")
    return "\n".join(["| week | before class | in class | homework |", "|---|---|---|---|", *rows])


def minutes(chapter: Chapter) -> int:
    """About how long a chapter takes to read: 200 words or 20 lines of code a minute, in fives."""
    lines = sum(contract.code_lines(text) for _, text in chapter.code)
    return max(5, 5 * round((contract.count_words(chapter) / 200 + lines / 20) / 5))


def ticks(runs: list[Run]) -> str:
    """A tick for each claim of the book, signed by its verdict, each a link to where it is decided,
    as a raw block.
    """
    return raw(render("ticks", runs=runs))


# The scorecard


def rows(runs: list[Run]) -> list[dict]:
    """One flat row per claim and profile, for the tables that readers download."""
    listed = []
    for run in runs:
        agreed = blocks.agreement(run.record, run.blocks)
        for record in filter(None, (run.record, run.full)):
            listed += [
                dict(
                    part=run.chapter.part,
                    chapter=run.chapter.name,
                    claim=claim["id"],
                    name=claim["name"],
                    statement=claim["statement"],
                    central=claim["central"],
                    paper=claim["paper"],
                    where=claim["where"],
                    verdict=claim["verdict"],
                    reason=claim["reason"],
                    profile=record["profile"],
                    stale=record is run.full and run.stale,
                    seeds=len(record["seeds"]),
                    first_seed=record["seeds"][0],
                    tests=claim["tests"],
                    blocks=(
                        blocks.said(agreed.get(claim["id"]))
                        if record is run.record and claim["tests"]
                        else ""
                    ),
                    link=f"{run.chapter.document}.html#claim-{claim['id']}",
                    title=run.chapter.title,
                    all_seeds=record["seeds"],
                )
                for claim in record["claims"]
            ]
    return listed


def as_csv(runs: list[Run]) -> str:
    """The scorecard with one line per test (or per claim out of reach)."""
    fields = (
        "part",
        "chapter",
        "claim",
        "name",
        "statement",
        "central",
        "paper",
        "where",
        "profile",
        "stale",
        "verdict",
        "reason",
        "seeds",
        "first_seed",
        "blocks",
        "test",
        "what",
        "kind",
        "direction",
        "margin",
        "level",
        "estimate",
        "low",
        "high",
        "p",
        "n",
        "outcome",
        "late",
        "repeats",
    )
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    for row in rows(runs):
        base = {key: value for key, value in row.items() if key in fields}
        for test in row["tests"] or [{}]:
            writer.writerow(
                base
                | {"test": test.get("id", "")}
                | {key: value for key, value in test.items() if key in fields}
            )
    return out.getvalue()


def as_json(runs: list[Run]) -> str:
    """All records behind the scorecard; each passes the record schema that is published beside
    it.
    """
    listed = [
        record
        for run in runs
        for record in (run.record, run.control, run.full)
        if record is not None
    ]
    return json.dumps(listed, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def scorecard(runs: list[Run]) -> str:
    """Counts, filter and table; complete without JavaScript, which only adds the filter."""
    counts: dict[str, dict[str, int]] = {}
    for run in runs:
        line = counts.setdefault(plan.heading(run.chapter.part), dict.fromkeys(VERDICTS, 0))
        for claim in run.record["claims"]:
            line[claim["verdict"]] += 1
    keys = {plan.heading(run.chapter.part): run.chapter.part for run in runs}
    listed = rows(runs)
    touched = [_touchable(row["all_seeds"], row) for row in listed]
    return render("scorecard", counts=counts, keys=keys, rows=listed, touched=touched)


def verdicts_to_touch(run: Run) -> str:
    """What the page's script needs to open a chapter's tests, as a raw block."""
    claims = [_touchable(run.record["seeds"], claim) for claim in run.record["claims"]]
    return raw(f'<script type="application/json" id="chapter-claims">{embedded(claims)}</script>')


def _touchable(seeds, claim):
    """A claim with all that its verdict depends on."""
    keys = ("what", "kind", "direction", "margin", "values", "counted")
    return dict(
        verdict=claim["verdict"],
        seeds=seeds,
        tests=[{key: test[key] for key in keys if key in test} for test in claim["tests"]],
    )


def embedded(value) -> Markup:
    """`value` as JSON that may stand in a script element, whatever is in it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))


def by_chapter(listed: list[dict]) -> list[list[dict]]:
    """Rows of the scorecard, those of one chapter together, in the book's order."""
    found: dict[str, list[dict]] = {}
    for row in listed:
        found.setdefault(row["chapter"], []).append(row)
    return list(found.values())


def held(claims) -> str:
    """How many of `claims` hold, in words: "5 of 9 claims hold", those out of reach told apart."""
    count = [claim["verdict"] for claim in claims]
    tried = len(count) - count.count("out of reach")
    text = f"{count.count('reproduced')} of {tried} claim{'s' if tried != 1 else ''} hold"
    out = count.count("out of reach")
    return f"{text}, {out} out of reach" if out else text


def picture(test: dict) -> dict:
    """Where a test's estimate, interval and margins lie in a picture of its own scale, and the
    words that say the same.
    """
    width, height, edge = 130, 20, 8
    low, high = (test["estimate"],) * 2 if test["low"] is None else (test["low"], test["high"])
    margins = (
        [-test["margin"], test["margin"]] if test["kind"] == "equivalence" else [test["margin"]]
    )
    first, last = min([low, *margins]), max([high, *margins])
    span = (last - first) or 1.0

    def x(value):
        return round(edge + (width - 2 * edge) * (value - first) / span, 1)

    said = " and ".join(number(margin) for margin in margins)
    return dict(
        width=width,
        height=height,
        margins=[x(margin) for margin in margins],
        low=x(low),
        high=x(high),
        estimate=x(test["estimate"]),
        label=f"{measured(test)}; the margin is {said}; {test['outcome']}",
    )


# Status and chance


def status(runs: list[Run]) -> str:
    """Which run each page shows: profile, cost, seeds, device, versions, date."""
    names = (
        "Chapter",
        "Profile",
        "Reference seconds",
        "CPU-seconds",
        "Peak MB",
        "Seeds",
        "Device",
        "Versions",
        "Date",
    )
    listed = []
    for run in runs:
        for record in filter(None, (run.record, run.full)):
            packages = ", ".join(
                f"{name} {version}" for name, version in record["packages"].items()
            )
            figures = [
                f"{record[key]:.0f}" for key in ("reference_seconds", "cpu_seconds", "peak_mb")
            ]
            listed.append(
                dict(
                    title=run.chapter.title,
                    link=f"{run.chapter.document}.html",
                    profile=record["profile"],
                    stale=record is run.full and run.stale,
                    cells=[
                        *figures,
                        f"{record['seeds'][0]} to {record['seeds'][-1]}",
                        record["device"],
                        packages,
                        record["date"],
                    ],
                )
            )
        if run.full is None:
            listed.append(
                dict(title=run.chapter.title, link="", profile="full", stale=False, cells=[])
            )
    return render("status", names=names, rows=listed)


def chance(runs: list[Run]) -> str:
    """How many central claims would be reproduced by chance, and how many are after Holm's
    adjustment, as Markdown.
    """
    ps = []
    for run in runs:
        for claim in run.record["claims"]:
            if claim["central"] and all(test["p"] is not None for test in claim["tests"]):
                # A claim needs all its tests, so its p-value is the largest of theirs (an
                # intersection-union test).
                ps.append((max(test["p"] for test in claim["tests"]), claim["verdict"]))
    kept = simulation.holm([p for p, _ in ps])
    reproduced = sum(verdict == "reproduced" for _, verdict in ps)
    return (
        f"This build decides {len(ps)} central claims by intervals.\nIf not one of them were true,"
        f" a rule with a false-positive rate of 2.5 % each would still call {0.025 * len(ps):.1f}"
        f" of them reproduced, on average.\nIt calls {reproduced} of them reproduced; after Holm's"
        " adjustment, which keeps the chance of even one false positive among all of them below"
        f" 2.5 %, {sum(kept)} remain."
    )


def load_all(root: Path = source.ROOT) -> list[Run]:
    """The runs of every chapter; refuses to go on without one of them."""
    return [load(chapter) for chapter in source.chapters(root)]
