"""Small corrections to what Jupyter Book puts on every page."""

from __future__ import annotations


def setup(app):
    """Connect the corrections (called by Sphinx)."""
    app.connect("html-page-context", _trim, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _trim(app, pagename, templatename, context, doctree):
    # Jupyter Book loads Thebe's loader, which fetches itself from elsewhere, although the book does not use it.
    context["script_files"] = [file for file in context.get("script_files", []) if "thebe" not in str(getattr(file, "filename", file)).lower()]
    context["css_files"] = [file for file in context.get("css_files", []) if "thebe" not in str(getattr(file, "filename", file)).lower()]
