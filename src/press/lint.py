"""The linter and the formatter: ruff on the house's code, the linter alone on cells.

Cells are not formatted by machine: what a reader should see side by side stays side by side.
"""

import subprocess
import sys
from pathlib import Path

COLUMNS_OF_A_CELL = 92  # as wide as the page shows without a scroll bar
COMMANDS = (
    ("check", "src", "tests"),
    ("format", "--check", "src", "tests"),
    (
        *("check", "--isolated", "--select", "E501,F", "--line-length", str(COLUMNS_OF_A_CELL)),
        *("--ignore-noqa", "--ignore", "F401,F841", "notebooks"),
    ),
)


def problems(root: Path) -> list[str]:
    """What ruff finds in src, tests and the cells of the paired notebooks, a line each.

    A book without a pyproject.toml has set no rules, so nothing is found there.
    """
    found = []
    if not (root / "pyproject.toml").is_file():
        return found
    for words in COMMANDS:
        options = ("--output-format", "concise") if words[0] == "check" else ()
        done = subprocess.run(
            [sys.executable, "-m", "ruff", words[0], "--quiet", "--no-cache", *options, *words[1:]],
            cwd=root,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            found += [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return found
