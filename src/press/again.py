"""Running chapters again: which ones, on which seeds, and what must come out the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from press import dependencies, records, source
from press.errors import PressError
from press.source import Chapter
from press.surroundings import variables

OTHER_SEED = 1000  # first of the seeds that nobody develops or reports on


def chosen(passes: str, root: Path = source.ROOT) -> list[Chapter]:
    """The chapters that take all passes: "all" of them, or those "touched" since the base of the push.

    The base is the commit in PRESS_BASE, or the one before the last. A chapter is touched if its text, its notebook, its
    tests or a module of `unlabeled` that it imports has changed; a change of the press or of the requirements touches all.
    """
    everything = source.chapters(root)
    if passes == "all":
        return everything
    if passes != "touched":
        raise PressError(f"passes is {passes!r}: set it to 'all' or 'touched' in _config.yml or as PASSES.")
    changed = _changed(root)
    if changed is None or any(path.startswith(("src/press/", "requirements.txt", "Snakefile")) for path in changed):
        return everything
    return [chapter for chapter in everything if changed & _touching(chapter)]


def _touching(chapter):
    test = f"tests/chapters/test_{chapter.name.replace('-', '_')}.py"
    return {str(chapter.text.relative_to(chapter.root)), test, *dependencies.inputs(chapter)}


def _changed(root):
    """Paths that differ from the base, or None where there is no base to compare with."""
    base = os.environ.get("PRESS_BASE") or "HEAD~1"
    done = subprocess.run(["git", "diff", "--name-only", base, "--"], cwd=root, capture_output=True, text=True)
    return set(done.stdout.splitlines()) if done.returncode == 0 else None


def flips(record: dict, other: dict) -> list[str]:
    """Tests of central claims that hold in `record` and fail in `other`, as claim/test."""
    outcomes = {(claim["id"], test["id"]): test["outcome"] for claim in other["claims"] for test in claim["tests"]}
    return [
        f"{claim['id']}/{test['id']}"
        for claim in record["claims"] if claim["central"]
        for test in claim["tests"] if test["outcome"] == "holds" and outcomes[claim["id"], test["id"]] == "fails"
    ]


def require_no_flips(chapters: list[Chapter], first_seed: int) -> None:
    """Refuse a chapter of which a central test holds on the reported seeds and fails on others."""
    found = []
    for chapter in chapters:
        record, other = records.read(chapter, chapter.record()), records.read(chapter, chapter.on_seeds(first_seed))
        found += [f"{chapter.name}: {test} holds on seeds from {record['seeds'][0]} and fails on seeds from {first_seed}" for test in flips(record, other)]
    if found:
        raise PressError("A central test flips with the seeds:\n  " + "\n  ".join(found))
    print(f"passes: no central test flips on seeds from {first_seed}", flush=True)


def require_same_outputs(notebooks: list[Path], root: Path, cores: int) -> None:
    """Run executed notebooks once more by nbval and refuse any output that differs.

    Raises
    ------
    PressError : with the cells whose outputs differ or that fail
    """
    command = [
        # Relative paths: brackets in a folder's name would be read as a test's parameters.
        sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", "-p", "no:cacheprovider", "--rootdir", str(root), "-c", os.devnull,
        *(["-n", str(min(cores, len(notebooks))), "--dist", "loadfile"] if len(notebooks) > 1 else []), *(os.path.relpath(path, root) for path in notebooks),
    ]
    done = subprocess.run(
        command, cwd=root, env=variables(root, "quick"), capture_output=True, encoding="utf-8", errors="replace",
    )
    log = root / "build/logs/nbval.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")] or done.stdout.splitlines()[-5:]
        raise PressError(f"A second run differs (all of it in {log.relative_to(root)}):\n  " + "\n  ".join(failed))
    count = re.search(r"(\d+) passed", done.stdout)
    print(f"passes: {count[1]} cells gave the same outputs again", flush=True)
