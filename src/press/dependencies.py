"""What a run depends on: its code, not its words or the dates of files.

The code is that of the cells, of the modules of `unlabeled` that they import, and the pinned
requirements. Comments, docstrings, the wording of errors, the looks of figures and ledgers, and
exercises' messages are left out.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

from press import stamps
from press.source import ASIDE, Chapter

# modules of looks and messages
NOT_IN_NUMBERS = {"__init__", "exercises", "figures", "ledger_view"}
# cells that no number of a ledger depends on
# headings in requirements.txt of what no run uses
NOT_IN_RUNS = {"The book", "Coursework", "Tests", "Building the helper package"}
ONLY_SHOWN = {"figure", "prose", "exercise", "check", "solution"}


def imported(code: str, package: Path) -> set[Path]:
    """Modules of the package folder that `code` imports, directly or through one another."""
    found: set[Path] = set()
    waiting = _names(ast.parse(code))
    while waiting:
        name = waiting.pop()
        path = package / f"{name}.py"
        if path.is_file() and path not in found:
            found.add(path)
            waiting |= _names(_parsed(path, path.stat().st_mtime_ns))
    return found


@lru_cache(maxsize=64)
def _parsed(path, date):
    return ast.parse(path.read_text(encoding="utf-8"))


def _names(tree):
    names = {"__init__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("unlabeled.")
            }
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "unlabeled":
                names |= {alias.name for alias in node.names}
            elif node.module.startswith("unlabeled."):
                names.add(node.module.split(".")[1])
    return names


def modules(chapter: Chapter) -> list[Path]:
    """The modules of `unlabeled` that the chapter imports, directly or through one another,
    sorted.
    """
    code = "\n".join(text for _, text in chapter.code)
    return sorted(imported(code, chapter.root / "src/unlabeled"))


def run_hash(chapter: Chapter, asked: dict) -> str:
    """Hash of all that the outcome of a run depends on; `asked` are the parameters that differ from
    the notebook's own.

    The published run shows the outputs of all its cells. Of any other run only the ledger is used,
    so cells that draw, print prose or pose exercises do not count, nor do asides in the negative
    control, which leaves them out.
    """
    return _hashes(chapter)[
        "published" if not asked else "control" if asked.get("control") else "ledger"
    ]


def code_hash(chapter: Chapter) -> str:
    """Hash of the code behind the chapter's numbers: a record of another hash is stale.

    Unlike `run_hash` it leaves out the requirements and the cell ``parameters``, which say how a
    run was made and stand in its record.
    """
    return _hashes(chapter)["numbers"]


def _hashes(chapter):
    root = chapter.root
    helpers = sorted((root / "src/unlabeled").glob("*.py"))
    pins = _pins(root)
    own = Path(__file__)
    key = stamps.digest(repr(chapter.code), stamps.content(*helpers, own), pins)
    there = stamps.known(root, "hashes", chapter.document, key)
    if there is None:
        there = _worked_out(chapter, pins)
        stamps.remember(root, "hashes", chapter.document, key, there)
    return there


def _worked_out(chapter, pins):
    helpers = [
        bare(path.read_text(encoding="utf-8"))
        for path in modules(chapter)
        if path.stem not in NOT_IN_NUMBERS
    ]
    cells = [(set(tags), bare(text)) for tags, text in chapter.code]

    def hashed(*left_out, more=()):
        return stamps.digest(
            *(code for tags, code in cells if not tags & set(left_out)), "modules", *helpers, *more
        )[:16]

    return {
        "published": hashed(more=[pins]),
        "ledger": hashed(*ONLY_SHOWN, more=[pins]),
        "control": hashed(*ONLY_SHOWN, ASIDE, more=[pins]),
        "numbers": hashed(*ONLY_SHOWN, "parameters"),
    }


def _pins(root):
    """The pins of requirements.txt, sorted, without those under a heading of NOT_IN_RUNS."""
    path = root / "requirements.txt"
    found, heading = [], ""
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        if line.startswith("# "):
            heading = line[2:].strip()
        elif (pin := line.split("#")[0].strip()) and heading not in NOT_IN_RUNS:
            found.append(pin)
    return "\n".join(sorted(found))


def bare(code: str) -> str:
    """`code` as its syntax tree in words, without comments, layout, docstrings, and the strings of
    what it raises.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError:  # it will say so when it is run
        return code
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            if isinstance(body[0].value.value, str):
                node.body = body[1:] or [ast.Pass()]
        if isinstance(node, ast.Raise | ast.Assert):
            for part in ast.walk(node.msg or ast.Pass() if isinstance(node, ast.Assert) else node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    part.value = ""
    return ast.dump(tree)
