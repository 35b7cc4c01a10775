"""Small corrections to what Jupyter Book puts on every page."""

from __future__ import annotations


def setup(app):
    """Connect the corrections (called by Sphinx)."""
    app.connect("html-page-context", _trim, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _trim(app, pagename, templatename, context, doctree):
    # Jupyter Book loads Thebe's loader, which fetches itself from elsewhere, although the book does
    # not use it.
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context.get(kind, []) if not _is_thebe(file)]
    # roles that ARIA has withdrawn or that the list's entries do not fit; the text says enough
    if "body" in context:
        context["body"] = (
            context["body"]
            .replace(' role="doc-biblioentry"', "")
            .replace('<div role="list" class="citation-list">', '<div class="citation-list">')
        )


def _is_thebe(file):
    parts = [
        str(getattr(file, "filename", file)),
        *map(str, getattr(file, "attributes", {}).values()),
    ]
    return any("thebe" in part.lower() for part in parts)
