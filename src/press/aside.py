"""What `pair` has written can be told from what somebody has written, and the latter is kept aside,
never lost.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from press.errors import PressError

MARK = "paired"  # key in a notebook's metadata


def digest(notebook: dict) -> str:
    """Hash of what a person can have put into a notebook: its cells' kinds, sources, tags,
    attachments and outputs.
    """
    cells = []
    for cell in notebook["cells"]:
        text, tags = cell["source"], cell.get("metadata", {}).get("tags", [])
        text = text if isinstance(text, str) else "".join(text)  # Jupyter saves lines
        cells.append(
            [cell["cell_type"], text, tags, cell.get("attachments", {}), cell.get("outputs", [])]
        )
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()


def seal(notebook: dict, document: str) -> None:
    """Note in the notebook itself which document it is and what it holds; so a fresh clone knows it
    too.
    """
    notebook["metadata"][MARK] = {"document": document, "sha256": digest(notebook)}


def is_ours(path: Path, document: str) -> bool:
    """Whether the notebook at `path` is, to the last cell, what `pair` once wrote for `document`.

    Saving it unchanged in Jupyter, another layout of its JSON or other line ends make no
    difference; a copy under another name is somebody's own.
    """
    notebook = _read(path)
    mark = notebook.get("metadata", {}).get(MARK, {}) if notebook else {}
    return (
        bool(mark) and mark.get("document") == document and mark.get("sha256") == digest(notebook)
    )


def _read(path):
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        digest(notebook)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return notebook


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a kill leaves either the former content or the new, and never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def put(path: Path, text: str, document: str) -> Path | None:
    """Write the notebook `text` to `path`; what stands there and is not ours is first copied aside.

    Returns
    -------
    the copy's path, or None if there was nothing to keep

    Raises
    ------
    PressError : if the folder or the file cannot be written
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = None
        if path.is_file() and not is_ours(path, document):
            there = _read(path)
            if there is None or digest(there) != digest(json.loads(text)):
                kept = _copy_aside(path)
        write_whole(path, text)
    except OSError as error:
        raise PressError(
            f"{path} cannot be written ({error.strerror}): make its folder writable."
        ) from None
    return kept


def _copy_aside(path):
    content = path.read_bytes()
    number = 1
    while True:
        target = path.with_name(f"{path.stem}.kept-{number}{path.suffix}")
        try:
            with open(target, "xb") as file:  # never over a file that is there
                file.write(content)
            return target
        except FileExistsError:
            if target.is_file() and target.read_bytes() == content:
                return target
            number += 1
