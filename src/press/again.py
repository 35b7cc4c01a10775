"""Running chapters again: which ones, on which seeds, and what must come out the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from press import dependencies, records, source
from press.errors import PressError
from press.source import Chapter
from press.surroundings import variables

# the press's part in a run
TOUCHING = {
    f"src/press/{name}.py"
    for name in ("again", "dependencies", "execute", "records", "surroundings")
}
# relative; work that is stacked over the seeds may round differently when another seed stands
# beside
SAME = 1e-6


def chosen(passes: str, root: Path = source.ROOT) -> list[Chapter]:
    """The chapters that run again: "all" of them, or those "touched" since the base of the push.

    The base is the commit in PRESS_BASE, or the one before the last. A chapter is touched if the
    code of its cells, its tests or a module of `unlabeled` that it imports has changed; a change of
    how the press runs chapters or of the requirements touches all.
    """
    everything = source.chapters(root)
    if passes == "all":
        return everything
    if passes != "touched":
        raise PressError(
            f"passes is {passes!r}: set it to 'all' or 'touched' in _config.yml or as PASSES."
        )
    changed = _changed(root)
    if changed is None or changed & (TOUCHING | {"requirements.txt"}):
        return everything
    return [chapter for chapter in everything if _is_touched(chapter, changed)]


def _is_touched(chapter, changed):
    test = f"tests/chapters/test_{chapter.name.replace('-', '_')}.py"
    if changed & {
        test,
        *(str(path.relative_to(chapter.root)) for path in dependencies.modules(chapter)),
    }:
        return True
    name = str(chapter.notebook.relative_to(chapter.root))
    if name not in changed:
        return False
    done = subprocess.run(
        ["git", "show", f"{_base()}:{name}"],
        cwd=chapter.root,
        capture_output=True,
        encoding="utf-8",
    )
    return done.returncode != 0 or _bare(source.code_of(json.loads(done.stdout)["cells"])) != _bare(
        chapter.code
    )


def _bare(code):
    return [(tags, dependencies.bare(text)) for tags, text in code]


def _base():
    return os.environ.get("PRESS_BASE") or "HEAD~1"


def _changed(root):
    """Paths that differ from the base, or None where there is no base to compare with."""
    done = subprocess.run(
        ["git", "diff", "--name-only", _base(), "--"], cwd=root, capture_output=True, text=True
    )
    return set(done.stdout.splitlines()) if done.returncode == 0 else None


def differences(record: dict, other: dict) -> list[str]:
    """Tests whose values differ on the seeds that two runs share, as sentences."""
    shared = [seed for seed in record["seeds"] if seed in other["seeds"]]
    here, there = ([run["seeds"].index(seed) for seed in shared] for run in (record, other))
    tests = {
        (claim["id"], test["id"]): test for claim in other["claims"] for test in claim["tests"]
    }
    found = []
    for claim in record["claims"]:
        for test in claim["tests"]:
            again, n = tests[claim["id"], test["id"]], len(record["seeds"])
            if (
                not shared
                or not test["deterministic"]
                or len(test["values"]) != n
                or len(again["values"]) != len(other["seeds"])
            ):
                continue
            scale = max(map(abs, test["values"]))
            for seed, i, j in zip(shared, here, there):
                first, second = test["values"][i], again["values"][j]
                if abs(first - second) > SAME * max(abs(first), abs(second), scale):
                    found.append(
                        f"{claim['id']}/{test['id']} is {first:.9g} for seed {seed} of seeds from"
                        f" {record['seeds'][0]}, {second:.9g} of seeds from {other['seeds'][0]}"
                    )
                    break
    return found


def require_same_start(runs: list[tuple[Chapter, dict]]) -> None:
    """Refuse a chapter of which a seed's values depend on the other seeds, or on chance."""
    found, compared = [], 0
    for chapter, asked in runs:
        record, other = (
            records.read(chapter, chapter.record()),
            records.read(chapter, chapter.kept(**asked)),
        )
        found += [f"{chapter.name}: {sentence}" for sentence in differences(record, other)]
        compared += bool(set(record["seeds"]) & set(other["seeds"]))
    if found:
        raise PressError("A seed's values depend on more than the seed:\n  " + "\n  ".join(found))
    print(f"passes: the same values on shared seeds in {compared} chapters", flush=True)


def flips(record: dict, other: dict) -> list[str]:
    """Tests of central claims that hold in `record` and fail in `other`, as claim/test."""
    outcomes = {
        (claim["id"], test["id"]): test["outcome"]
        for claim in other["claims"]
        for test in claim["tests"]
    }
    return [
        f"{claim['id']}/{test['id']}"
        for claim in record["claims"]
        if claim["central"]
        for test in claim["tests"]
        if test["outcome"] == "holds" and outcomes[claim["id"], test["id"]] == "fails"
    ]


def require_no_flips(runs: list[tuple[Chapter, dict]]) -> None:
    """Refuse a chapter of which a central test holds on the reported seeds and fails on others."""
    found = []
    for chapter, asked in runs:
        record, other = (
            records.read(chapter, chapter.record()),
            records.read(chapter, chapter.kept(**asked)),
        )
        starts = record["seeds"][0], other["seeds"][0]
        found += [
            f"{chapter.name}: {test} holds on seeds from {starts[0]} and fails on seeds from"
            f" {starts[1]}"
            for test in flips(record, other)
        ]
    if found:
        raise PressError("A central test flips with the seeds:\n  " + "\n  ".join(found))
    print(f"passes: no central test flips on other seeds in {len(runs)} chapters", flush=True)


def require_same_outputs(notebooks: list[Path], root: Path, cores: int) -> None:
    """Run executed notebooks once more by nbval and refuse any output that differs.

    Raises
    ------
    PressError : with the cells whose outputs differ or that fail
    """
    command = [
        # Relative paths: brackets in a folder's name would be read as a test's parameters.
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "--nbval-current-env",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(root),
        "-c",
        os.devnull,
        *(
            ["-n", str(min(cores, len(notebooks))), "--dist", "loadfile"]
            if len(notebooks) > 1
            else []
        ),
        *(os.path.relpath(path, root) for path in notebooks),
    ]
    done = subprocess.run(
        command,
        cwd=root,
        env=variables(root, "quick"),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    log = root / "build/logs/nbval.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        failed = [
            line for line in done.stdout.splitlines() if line.startswith("FAILED")
        ] or done.stdout.splitlines()[-5:]
        raise PressError(
            f"A second run differs (all of it in {log.relative_to(root)}):\n  "
            + "\n  ".join(failed)
        )
    count = re.search(r"(\d+) passed", done.stdout)
    print(f"passes: {count[1]} cells gave the same outputs again", flush=True)
