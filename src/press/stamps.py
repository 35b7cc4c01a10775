"""What was found out about files that have not changed since is not worked out again: it stands in
build/stamps.json.

A stamp is a hash of all that its answer depends on. Losing the file costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from functools import lru_cache
from pathlib import Path

PRESS = Path(__file__).parent


def digest(*parts: str | bytes) -> str:
    """Hash of texts and bytes, in order."""
    found = hashlib.sha256()
    for part in parts:
        part = part.encode() if isinstance(part, str) else part
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()[:32]


def content(*paths: Path) -> str:
    """Hash of the names and contents of files; a file that is missing counts as such."""
    return digest(
        *(
            part
            for path in paths
            for part in (path.name, path.read_bytes() if path.is_file() else b"\0")
        )
    )


@lru_cache(maxsize=1)
def _press():
    import importlib.metadata

    versions = [importlib.metadata.version(name) for name in ("jupytext", "nbformat", "pybtex")]
    return digest(content(*sorted(PRESS.glob("*.py"))), *versions)


@lru_cache(maxsize=4)
def _headings(root, dates):
    found = []
    for path, _ in dates:
        heading = re.search(
            r"^# (.+)$", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
        )
        found += [str(path.relative_to(root)), heading[1] if heading else ""]
    return digest(*found)


def of_text(chapter) -> str:
    """Hash of what a chapter's notebook is made from: its text, the bibliography, addresses, other
    pages' titles, the press.
    """
    root = chapter.root
    pages = tuple(
        (path, path.stat().st_mtime_ns) for path in sorted((root / "book").glob("**/*.md"))
    )
    files = content(chapter.text, root / "book/references.bib", root / "_config.yml")
    return digest(_press(), _headings(root, pages), files)


def of_contract(chapter) -> str:
    """Hash of what the contract looks at: `of_text`, the book's shared pages, and the helpers."""
    shared = [path for path in sorted((chapter.root / "book").glob("*")) if path.is_file()]
    helpers = sorted((chapter.root / "src/unlabeled").glob("*.py"))
    return digest(of_text(chapter), content(*shared, *helpers))


def known(root: Path, kind: str, name: str, key: str):
    """What was remembered of `name` under this very `key`, or None."""
    return dict([_read(root).get(f"{kind}:{name}", ("", None))]).get(key)


def remember(root: Path, kind: str, name: str, key: str, value) -> None:
    """Keep `value`, which JSON can hold, until `key` changes."""
    there = _read(root) | {f"{kind}:{name}": [key, value]}
    try:
        (root / "build").mkdir(exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=root / "build", prefix=".stamps")
        with open(handle, "w", encoding="utf-8") as file:
            json.dump(there, file, indent=1)
        os.replace(temporary, root / "build/stamps.json")
    except OSError:  # then it is worked out again next time
        pass


def _read(root):
    try:
        there = json.loads((root / "build/stamps.json").read_text(encoding="utf-8"))
        return {name: (str(key), value) for name, (key, value) in there.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
