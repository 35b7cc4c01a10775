"""Verdicts on other blocks of seeds: in how many of them a claim is decided as on the page.

The runs are long, so their outcome is kept in a small file for each chapter,
book/results/blocks/<chapter>.json, which is committed; it names the code that was run, so that one
of older code counts as stale.
"""

from __future__ import annotations

import json
from pathlib import Path

from press.aside import write_whole
from press.errors import PressError
from press.source import Chapter

FIRST_SEEDS = (1000, 2000, 3000)
VERSION = 1


def path(chapter: Chapter) -> Path:
    """Where the verdicts of a chapter's blocks are kept."""
    return chapter.root / "book/results/blocks" / f"{chapter.name}.json"


def summary(records: list[dict]) -> dict:
    """The verdicts of several runs of one chapter, each on its block of seeds.

    Raises
    ------
    PressError : if they are not runs of the same code with as many seeds
    """
    first = records[0]
    if any(
        (other["code_hash"], len(other["seeds"])) != (first["code_hash"], len(first["seeds"]))
        for other in records
    ):
        raise PressError(
            f"The blocks of {first['chapter']} were run with different code or numbers of seeds:"
            " run them again."
        )
    return dict(
        version=VERSION,
        chapter=first["chapter"],
        code_hash=first["code_hash"],
        seeds=len(first["seeds"]),
        blocks={
            str(record["seeds"][0]): {claim["id"]: claim["verdict"] for claim in record["claims"]}
            for record in records
        },
    )


def write(chapter: Chapter, records: list[dict]) -> Path:
    """Keep the verdicts of `records` for `chapter`."""
    target = path(chapter)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, json.dumps(summary(records), indent=1) + "\n")
    return target


def read(chapter: Chapter) -> dict | None:
    """What is kept of the chapter's blocks, or None.

    Raises
    ------
    PressError : if the file is no such summary
    """
    there = path(chapter)
    if not there.is_file():
        return None
    try:
        kept = json.loads(there.read_text(encoding="utf-8"))
        whole = (
            kept["version"] == VERSION
            and kept["chapter"] == chapter.name
            and all(isinstance(verdicts, dict) for verdicts in kept["blocks"].values())
        )
        kept["code_hash"], kept["seeds"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise PressError(
            f"{there} does not hold the verdicts of {chapter.name}: delete it and run make blocks"
            f" NAME={chapter.name}."
        )
    return kept


def agreement(record: dict, kept: dict | None) -> dict[str, dict]:
    """For each claim of the published `record`: in how many blocks, its own included, the verdict
    is the same.

    Returns
    -------
    claim id -> dict with same, of, others (first seed -> another verdict) and stale; {} if no
    blocks were run
    """
    if not kept:
        return {}
    found = {}
    for claim in record["claims"]:
        verdicts = {
            first: verdicts[claim["id"]]
            for first, verdicts in kept["blocks"].items()
            if claim["id"] in verdicts
        }
        others = {
            first: verdict for first, verdict in verdicts.items() if verdict != claim["verdict"]
        }
        found[claim["id"]] = dict(
            same=1 + len(verdicts) - len(others),
            of=1 + len(verdicts),
            others=others,
            stale=kept["code_hash"] != record["code_hash"],
        )
    return found


def said(found: dict | None) -> str:
    """An agreement as the scorecard says it."""
    if not found or found["of"] < 2:
        return ""
    text = f"same verdict in {found['same']} of {found['of']} blocks"
    if found["others"]:
        others = [f"{verdict} from seed {first}" for first, verdict in found["others"].items()]
        text += f" ({', '.join(others)})"
    return text + ("; stale, the code has changed since" if found["stale"] else "")
