"""Glossary and notation: what the pages hold and what chapters add in their front matter, merged
and sorted.
"""

from __future__ import annotations

import re
from pathlib import Path

from press import source
from press.errors import PressError

BLOCK = re.compile(r"^```\{glossary\}\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)


def glossary(root: Path = source.ROOT) -> dict[str, str]:
    """Terms and their definitions, of book/glossary.md and of all chapters, sorted; terms of one
    entry are joined by a newline.

    Raises
    ------
    PressError : if a term is defined twice, is no term, or has no definition; the sentence names
    the files
    """
    found: dict[str, str] = {}
    owner: dict[str, str] = {}
    entries = [
        ("book/glossary.md", terms, text)
        for terms, text in _page_entries(root / "book/glossary.md")
    ]
    for chapter in source.chapters(root):
        file = f"book/{chapter.part}/{chapter.name}.md"
        entries += [
            (file, [str(term)], " ".join(str(text or "").split()))
            for term, text in chapter.card["terms"].items()
        ]
    for file, terms, text in entries:
        for term in terms:
            if re.search(r"[{}\[\]`]", term) or re.match(r"\(|.*[.:;,]$", term):
                raise PressError(
                    f"{file} defines {term!r}, which is no term: write the word alone, and notes"
                    " elsewhere."
                )
            if term.casefold() in owner:
                first = owner[term.casefold()]
                raise PressError(
                    f"The term {term!r} is defined in {first} and again in {file}: keep one"
                    " definition."
                )
            owner[term.casefold()] = file
        if not text:
            raise PressError(f"{file} gives no definition of {terms[0]!r}: say what it means.")
        found["\n".join(terms)] = text
    return dict(sorted(found.items(), key=lambda entry: entry[0].casefold()))


def _page_entries(path):
    """Entries of the glossary's block: their terms (one a line) and the text below, which is
    indented.
    """
    block = BLOCK.search(path.read_text(encoding="utf-8")) if path.is_file() else None
    if path.is_file() and not block:
        raise PressError(f"{path} has no ```{{glossary}} block: put the terms in one.")
    terms, text = [], []
    for line in (block[1] if block else "").splitlines() + [""]:
        if not line.strip():
            if terms:
                yield terms, "\n".join(text)
            terms, text = [], []
        elif line[0].isspace():
            text.append(line.strip())
        else:
            terms.append(line.strip())


def terms(root: Path = source.ROOT) -> set[str]:
    """All terms that `{term}` may link to, in small letters."""
    return {term.casefold() for entry in glossary(root) for term in entry.split("\n")}


def unused(root: Path = source.ROOT) -> list[str]:
    """Entries of the glossary that neither a page of the book nor another entry names."""
    entries = glossary(root)
    pages = " ".join(
        _without_terms(path.read_text(encoding="utf-8"))
        for path in sorted((root / "book").rglob("*.md"))
        if path != root / "book/glossary.md"
    ).casefold()
    found = []
    for entry in entries:
        others = " ".join(text for other, text in entries.items() if other != entry).casefold()
        names = [term.casefold() for term in entry.split("\n")]
        if not any(name in pages or name in others for name in names):
            found.append(entry.split("\n")[0])
    return found


def _without_terms(text):
    """A page without the block in which a chapter's front matter defines its terms."""
    return re.sub(r"\A---\n.*?^---$", "", text, count=1, flags=re.DOTALL | re.MULTILINE)


def glossary_page(text: str, root: Path = source.ROOT) -> str:
    """The glossary's page with all terms in its block."""
    entries = "\n\n".join(
        f"{terms}\n" + "\n".join(f"  {line}" for line in definition.split("\n"))
        for terms, definition in glossary(root).items()
    )
    return BLOCK.sub(lambda _: f"```{{glossary}}\n{entries}\n```", text, count=1)


def notation(root: Path = source.ROOT) -> str:
    """The symbols that chapters add, a table for each chapter in the book's order, as Markdown."""
    sections = []
    for chapter in source.chapters(root):
        if symbols := chapter.card["symbols"]:
            rows = "\n".join(
                f"| {_cell(symbol)} | {_cell(meaning)} |" for symbol, meaning in symbols
            )
            sections.append(
                f"## {chapter.title}\n\nUsed in {{doc}}`/{chapter.document}`.\n\n| Symbol | Meaning"
                f" |\n|---|---|\n{rows}"
            )
    return "\n\n".join(sections)


def _cell(text):
    """Markdown for a cell of a table, where a bar would end the cell."""
    pieces = re.split(r"(\$[^$]+\$)", " ".join(text.split()))
    return "".join(
        piece.replace("|", r"\vert " if piece.startswith("$") else r"\|") for piece in pieces
    )
