"""The press: turns the text notebooks in `book/` into notebooks, runs, records and a site. Chapters never import it."""

import sys

# An optional checker of web addresses, which jsonschema imports if it can, takes longer to load than all the rest.
sys.modules.setdefault("rfc3987_syntax", None)

from press.cells import method_cells  # noqa: E402

__all__ = ["method_cells"]
