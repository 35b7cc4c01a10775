"""The press: turns the text notebooks in `book/` into notebooks, runs, records and a site. Chapters
never import it.
"""

import sys

# An optional checker of web addresses, which jsonschema imports if it can, takes longer to load
# than all the rest.
sys.modules.setdefault("rfc3987_syntax", None)

__all__ = ["method_cells"]


def __getattr__(name):
    if name == "method_cells":  # loaded when a test asks for it: commands do without
        from press.cells import method_cells

        return method_cells
    raise AttributeError(f"module 'press' has no attribute {name!r}")
