"""The method cells of a chapter as code: what is read in the book is what the tests test."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from press import source


def method_cells(name: str, root: Path | None = None) -> SimpleNamespace:
    """Run a chapter's imports and method cells, and hand over the names that they define.

    Parameters
    ----------
    name : name of the chapter, such as "latent-label-shift"
    root : the project's folder; this one if left out

    Raises
    ------
    PressError : if there is no such chapter
    """
    chapter = source.chapter(name, root or source.ROOT)
    names: dict = {"__name__": f"chapter_{name.replace('-', '_')}"}
    for number, cell in enumerate(chapter.source.cells):
        if cell.cell_type == "code" and source.tag(cell) in ("imports", "method"):
            code = compile(
                cell.source, f"{chapter.text.name}, cell {number}", "exec", dont_inherit=True
            )
            exec(code, names)
    return SimpleNamespace(
        **{key: value for key, value in names.items() if not key.startswith("__")}
    )
