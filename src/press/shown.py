"""How the page shows a chapter's cells: what stands open, what is folded under one line, what is
left out.
"""

from __future__ import annotations

import ast
import copy
import html
import re

import nbformat

from press import source
from press.source import ASIDE_HEAD, Chapter, tag

SETTING_UP = ("imports", "parameters", "settings", "claims")
LONG = 15  # lines; other code than methods folds beyond this


def arranged(cells: list, chapter: Chapter, below: dict[str, str]) -> list:
    """The cells of an executed notebook, in the book's own Markdown, as the page shows them.

    `below` holds Markdown that stands below the cell of a role.

    Setting up folds under one line, each aside under its summary, an exercise's check and solution
    under another; the code of figures and long code that is no method folds by itself. The ledger's
    code, one word, and prose cells' code do not show.
    """
    asides = {place: run for run in source.asides(chapter.source.cells) for place in run}
    shown, fold, aside = [], "", None
    for cell in cells:
        place = int(cell.id.removeprefix("cell-")) if cell.id.startswith("cell-") else -1
        role = tag(cell) if cell.cell_type == "code" else ""
        if cell.cell_type == "code" and "bootstrap" in cell.metadata.get("tags", []):
            cell.metadata["tags"] = ["remove-cell"]
            shown.append(cell)
            continue
        wanted = (
            "setup" if role in SETTING_UP else "answer" if role in ("check", "solution") else ""
        )
        if fold and fold != wanted:
            shown.append(_raw("</details>"))
        if asides.get(place) != aside:
            if aside is not None:
                shown.append(_raw("</details>"))
            aside = asides.get(place)
            if aside is not None:
                shown.append(_raw(_open("aside", *_summary(cell))))
        if wanted and fold != wanted:
            shown.append(
                _raw(_open(wanted, "Setting up" if wanted == "setup" else "Solution and check"))
            )
        fold = wanted
        if cell.cell_type == "code":
            _dress(cell, role)
        if role == "claims":  # its table stays in sight below the fold
            code = copy.deepcopy(cell)
            code.outputs, code.id = [], f"{cell.id}-code"
            cell.metadata["tags"], fold = ["remove-input"], ""
            shown += [code, _raw("</details>"), cell]
        elif cell.cell_type == "code" or cell.source.strip():
            shown.append(cell)
        if role and below.get(role):
            shown.append(nbformat.v4.new_markdown_cell(below[role]))
    shown += [_raw("</details>")] * (bool(fold) + (aside is not None))
    return shown


def _open(kind, summary, markup=""):
    return f'<details class="fold {kind}"><summary>{markup or html.escape(summary)}</summary>'


def _summary(cell):
    """Take the aside's first line off its first cell: as text, and as HTML."""
    found = ASIDE_HEAD.match(cell.source)
    if not found:
        return ("More",)
    cell.source = cell.source[found.end() :].lstrip("\n")
    text = re.sub(r"\{[\w:]+\}`([^`<]+?)(?:\s*<[^>]*>)?`", r"\1", found[1])
    markup = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    markup = re.sub(
        r"\$([^$]+)\$", r'<span class="math notranslate nohighlight">\\(\1\\)</span>', markup
    )
    return text, markup


def _dress(cell, role):
    """Give a code cell the tags that Jupyter Book knows; leave out what an unanswered exercise
    prints.
    """
    tags, lines = [], [line for line in cell.source.splitlines() if line.strip()]
    if role in ("prose", "ledger"):
        tags = ["remove-input"]
    elif role == "figure":
        tags = ["hide-input"]
        _prompt(cell, "the code of this figure")
    elif role == "" and len(lines) > LONG:
        tags = ["hide-input"]
        _prompt(
            cell,
            (
                f"the code: {_purpose(cell.source)}, {len(lines)} lines"
                if _purpose(cell.source)
                else f"{len(lines)} lines of code"
            ),
        )
    elif role == "check":
        cell.outputs = []
    cell.metadata["tags"] = tags + ([f"is-{role}"] if role else [])


def _purpose(code):
    """What a cell says of itself: its leading comment, or the first sentence of its only
    definition's docstring.
    """
    found = re.match(r"#\s*(.+)", code.lstrip())
    if found:
        return found[1].strip().rstrip(".:")
    body = ast.parse(code).body
    if (
        len(body) == 1
        and isinstance(body[0], ast.FunctionDef | ast.ClassDef)
        and (text := ast.get_docstring(body[0]))
    ):
        return re.split(r"[.:](?:\s|$)", " ".join(text.split()), maxsplit=1)[0]
    return ""


def _prompt(cell, what):
    cell.metadata["mystnb"] = {
        "code_prompt_show": f"Show {what}",
        "code_prompt_hide": f"Hide {what}",
    }


def _raw(markup):
    return nbformat.v4.new_markdown_cell(f"```{{raw}} html\n{markup}\n```")
