"""The press: turns the text notebooks in `book/` into notebooks, runs, records and a site. Chapters never import it."""

from press.cells import method_cells

__all__ = ["method_cells"]
