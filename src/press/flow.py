"""What must be made anew, and Snakemake, which makes it: several runs at once, and the site behind
them.

Whether something is current is read from the thing itself: a record names the hash of the code that
was run, and the site that of what it shows. If all is, Snakemake is not even started.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from press import records, source, stamps, surroundings
from press.errors import PressError
from press.source import Chapter

SITE = "build/site/index.html"
MADE_FROM = ".made-from"  # in the site: the hash of what it shows
# Modules of the press that the pages do not depend on.
NOT_ON_PAGES = {
    "__main__",
    "again",
    "cells",
    "contract",
    "environment",
    "execute",
    "flow",
    "names",
    "new_chapter",
    "reference",
    "stamps",
    "surroundings",
}

Run = tuple[Chapter, dict]  # a chapter, and the parameters that differ from its own


def published(chapters: list[Chapter]) -> list[Run]:
    """The runs that the site shows: each chapter as it stands, and its negative control."""
    return [(chapter, asked) for chapter in chapters for asked in ({}, {"control": True})]


def require(runs: list[Run], site: bool = False, cores: str = "", root: Path = source.ROOT) -> None:
    """Make those of `runs` that are missing or outdated, and with `site` the site, if it shows
    anything else than it would.

    Raises
    ------
    PressError : if something could not be made; the rest is made nevertheless
    """
    stale = [run for run in runs if not records.is_current(*run)]
    forced = [str(chapter.kept(**asked).relative_to(root)) for chapter, asked in stale]
    wanted = forced + ([SITE] if site and (stale or site_key(root) != made_from(root)) else [])
    if wanted:
        first_seeds = {asked["first_seed"] for _, asked in runs if "first_seed" in asked}
        _snakemake(wanted, cores, root, first_seeds)


def pages_key(root: Path) -> str:
    """Hash of what is written by hand or code and shown on the site; what runs have made is left
    out.
    """
    pages = [
        path
        for path in sorted((root / "book").rglob("*"))
        if path.is_file() and "coursework" not in path.parts
    ]
    press = [
        path
        for path in sorted(stamps.PRESS.rglob("*"))
        if path.is_file() and path.suffix != ".pyc" and path.stem not in NOT_ON_PAGES
    ]
    others = [root / name for name in ("_config.yml", "_toc.yml", "requirements.txt")]
    helpers = [root / "src/unlabeled" / f"{name}.py" for name in ("claims", "ledger_view")]
    return stamps.digest(
        stamps.content(*pages, *press, *others, *helpers),
        *(str(path.relative_to(root)) for path in pages),
    )


def site_key(root: Path) -> str:
    """Hash of all that the site is made from."""
    made = []
    for chapter in source.chapters(root):
        made += [chapter.notebook, chapter.executed(), chapter.record(), chapter.control()]
    return stamps.digest(pages_key(root), stamps.content(*made))


def made_from(root: Path) -> str:
    """The key of the site that is there, or ""."""
    path = root / "build/site" / MADE_FROM
    return path.read_text(encoding="utf-8") if path.is_file() and (root / SITE).is_file() else ""


def _snakemake(targets, cores, root, first_seeds):
    """Run Snakemake, one at a time."""
    folder = root / "build"
    folder.mkdir(exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PressError(
                "Another build of this book is running: wait for it, or stop it first."
            ) from None
        # The lock above falls with its process, so Snakemake's own, which outlives a kill, is not
        # needed.
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(root / "Snakefile"),
            "--directory",
            str(root),
            "--cores",
            str(cores or os.cpu_count()),
            "--nolock",
            "--rerun-incomplete",
            "--rerun-triggers",
            "mtime",
            "params",
            "--keep-going",
            "--quiet",
            "rules",
            "host",
            "reason",
            *(
                ["--config", f"first_seeds={','.join(map(str, sorted(first_seeds)))}"]
                if first_seeds
                else []
            ),
            "--forcerun",
            *targets,
            "--",
            *targets,
        ]
        surroundings.settle_dates(root)
        # Children write to this terminal, in its own characters.
        spoken = {"PYTHONIOENCODING": f"{sys.stdout.encoding}:replace"}
        process = subprocess.Popen(
            command,
            env=surroundings.variables(root) | spoken,
            stderr=subprocess.PIPE,
            encoding=sys.stdout.encoding,
            errors="replace",
        )
        try:
            log = _relay(process.stderr)
            code = process.wait()
        except KeyboardInterrupt:
            process.wait()
            raise PressError(
                "Interrupted, and what was finished is kept: run the same command again to go on"
                " from there."
            ) from None
    if code:
        if not any(line.startswith("press: ") for line in log):
            sys.stderr.writelines(log[-30:])
        raise PressError(
            "The build stopped: mend what stands above, and run the same command again."
        )


def _relay(lines) -> list[str]:
    """Show the press's own sentences and the count of steps; Snakemake's account of a failed step
    is long, so it is only kept.
    """
    log = []
    for line in lines:
        log.append(line)
        if (
            line.startswith("press: ")
            or (line.startswith("  ") and not line.startswith("    "))
            or "steps (" in line
        ):
            sys.stderr.write(line)
            sys.stderr.flush()
    return log
