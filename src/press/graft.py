"""Puts the outputs of a kept run into the notebook that belongs to the text as it now stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from press.dependencies import bare
from press.errors import PressError
from press.pair import pair
from press.source import Chapter

if TYPE_CHECKING:
    import nbformat


def grafted(chapter: Chapter, record: dict) -> nbformat.NotebookNode:
    """The paired notebook of `chapter` with the outputs of its published run, code cell by code
    cell.

    Words, comments and docstrings may have changed since the run; code may not.

    Raises
    ------
    PressError : if there is no such run, it is no notebook, its code differs, or `record` is of
    another run
    """
    import nbformat

    path = chapter.executed()
    try:
        executed = nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise PressError(
            f"There is no executed notebook {path}: run the chapter with make chapter"
            f" NAME={chapter.name}."
        ) from None
    except Exception:  # nbformat has many ways to say that something is no notebook
        raise PressError(
            f"{path} is no notebook, perhaps cut short: delete it and run the chapter again."
        ) from None
    if executed.metadata.get("run", {}).get("run_hash") != record["run_hash"]:
        raise PressError(
            f"{path} and the record of {chapter.name} are of different runs: delete both and run"
            " the chapter again."
        )
    notebook = nbformat.reads(pair(chapter), as_version=4)
    cells, kept = (
        [cell for cell in one.cells if cell.cell_type == "code"] for one in (notebook, executed)
    )
    if len(cells) != len(kept):
        raise PressError(
            f"{path} has {len(kept)} code cells, and {chapter.text} now has {len(cells)}: run the"
            " chapter again."
        )
    for cell, other in zip(cells, kept):
        # The bootstrap holds the repository's address and shows nothing.
        if "bootstrap" not in cell.metadata.get("tags", []) and bare(cell.source) != bare(
            other.source
        ):
            raise PressError(
                f"{path} was made from another code cell than that of {chapter.text} which begins"
                f" {_begins(cell)}: run the chapter again."
            )
        cell.outputs, cell.execution_count = other.outputs, other.execution_count
    return notebook


def _begins(cell):
    return repr(next((line for line in cell.source.splitlines() if line.strip()), "")[:50])
