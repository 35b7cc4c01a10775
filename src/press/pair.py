"""Text notebook -> notebook, one way and byte-stable, with plain equivalents for what only the book
can show.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from press import aside, source, stamps
from press.errors import PressError
from press.source import Chapter

if TYPE_CHECKING:
    from pybtex.database import Entry

DIRECTIVES = ("note", "tip", "warning", "important", "admonition", "dropdown")
ROLE_OR_CODE = re.compile(r"\{([A-Za-z][\w:.-]*)\}`([^`]+)`|(`+)(?!`).+?(?<!`)\3(?!`)", re.DOTALL)
FENCE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[^}\n]+)\}"
    r"[ \t]*(?P<title>[^\n]*)\n(?P<body>.*?)^(?P=fence)[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
CODE = re.compile(r"^(`{3,})(?!\{)[^\n]*\n.*?^\1[ \t]*$", re.DOTALL | re.MULTILINE)
BOOTSTRAP = """\
# On Colab, or wherever the book's helper package is missing: install it, once.
try:
    import unlabeled
except ModuleNotFoundError:
    import importlib, os, subprocess, sys

    target = os.environ.get("UNLABELED_INSTALL", "unlabeled @ git+{repository}@{ref}")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", target], check=True)
    importlib.invalidate_caches()"""


class Links:
    """The repository's and the published book's addresses, which stand once, in `_config.yml`."""

    def __init__(self, root: Path):
        config = source.config(root)
        self.repository = config["repository"]["url"]
        self.ref = config["press"]["ref"]
        self.site = config["html"]["baseurl"].rstrip("/")

    def colab(self, chapter: Chapter) -> str:
        path = self.repository.removeprefix("https://github.com/")
        return f"https://colab.research.google.com/github/{path}/blob/{self.ref}/{chapter.document}.ipynb"

    def page(self, document: str) -> str:
        return f"{self.site}/{document}.html"


def pair(chapter: Chapter) -> str:
    """The text of the .ipynb that belongs to `chapter`.

    Raises
    ------
    PressError : if the text uses a role or directive that has no plain equivalent, or cites what
    the bibliography lacks
    """
    import nbformat

    links = Links(chapter.root)
    cells = [_markdown("title", f"# {chapter.title}"), _markdown("card", card(chapter, links))]
    for number, cell in enumerate(chapter.source.cells):
        name = f"cell-{number:03d}"
        if cell.cell_type == "markdown":
            if text := plain(own_text(chapter, number), chapter, links):
                cells.append(_markdown(name, text))
            continue
        if not any(other["cell_type"] == "code" for other in cells):
            cells.append(
                _code(
                    "bootstrap",
                    BOOTSTRAP.format(repository=links.repository, ref=links.ref),
                    ["bootstrap"],
                )
            )
        cells.append(_code(name, cell.source, cell.metadata.get("tags", [])))
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )
    notebook.nbformat_minor = 5
    aside.seal(notebook, chapter.document)
    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def own_text(chapter: Chapter, number: int) -> str:
    """The Markdown of the chapter's cell `number`, without the title line, which has a cell of its
    own.
    """
    text = chapter.source.cells[number].source
    return (
        text.split("\n", 1)[1].strip()
        if number == 0 and "\n" in text
        else ""
        if number == 0
        else text
    )


def _cell(kind, name, text, **more):
    # not new_code_cell, which validates each cell against the whole schema
    from nbformat import from_dict

    return from_dict({"cell_type": kind, "id": name, "metadata": {}, "source": text} | more)


def _markdown(name, text):
    return _cell("markdown", name, text)


def _code(name, text, tags):
    cell = _cell("code", name, text, execution_count=None, outputs=[])
    if tags:
        cell.metadata["tags"] = list(tags)
    if "solution" in tags:  # Colab and JupyterLab fold it
        cell.metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
    return cell


def card(chapter: Chapter, links: Links) -> str:
    """The chapter's card as Markdown, for the notebook."""
    facts = chapter.card
    entry = cited(chapter, facts["paper"])
    lines = [
        f"**Question.** {facts['question']}",
        (
            f"**Paper.** {authors(entry)} ({entry.fields['year']})."
            f" [{title(entry)}]({address(entry) or links.page('book/references')})."
        ),
        f"**You need** {', '.join(facts['prerequisites'])}.",
        (
            "**Times, verdicts and the negative control** of the published run stand on [this"
            f" chapter's page]({links.page(chapter.document)})."
        ),
    ]
    badge = (
        "[![Open in"
        f" Colab](https://colab.research.google.com/assets/colab-badge.svg)]({links.colab(chapter)})"
    )
    return badge + "\n\n" + "\n>\n".join(f"> {line}" for line in lines)


def plain(text: str, chapter: Chapter, links: Links) -> str:
    """`text` with its roles and directives written in Markdown that Colab, Jupyter and VS Code show
    alike.
    """
    kept: list[str] = []

    def keep(found):
        kept.append(found[0])
        return f"\0{len(kept) - 1}\0"

    text = CODE.sub(keep, text)
    text = _directives(text, chapter)
    # What stands in a code span is nobody's syntax.
    text = ROLE_OR_CODE.sub(
        lambda found: keep(found) if found[3] else _role(found, chapter, links), text
    )
    if found := re.search(
        r"\{[A-Za-z][\w:.-]*\}`|^\([\w-]+\)=$|\[\^[\w-]+\]|^(?:`{3,}|:{3,})\{", text, re.MULTILINE
    ):
        raise PressError(
            f"{chapter.text}: {found[0]!r} cannot be written for Colab: use"
            f" {', '.join(sorted(ROLES))} or {', '.join(DIRECTIVES)}."
        )
    for number in reversed(range(len(kept))):
        text = text.replace(f"\0{number}\0", kept[number])
    return text.strip()


def _directives(text, chapter):
    def block(found):
        name, heading = found["name"], found["title"].strip()
        if name not in DIRECTIVES:
            raise PressError(
                f"{chapter.text}: the directive {{{name}}} cannot be written for Colab: use"
                f" {', '.join(DIRECTIVES)}."
            )
        # options such as :class:
        body = re.sub(r"\A(?:[ \t]*:[\w-]+:[^\n]*\n)+", "", found["body"])
        body = _directives(body, chapter).strip()
        head = heading or name.capitalize()
        return "\n".join(
            f"> {line}".rstrip()
            for line in [
                f"**{head}.**" if head[-1] not in ".?!" else f"**{head}**",
                "",
                *body.split("\n"),
            ]
        )

    return FENCE.sub(block, text)


def _role(found, chapter, links):
    if found[1] not in ROLES:
        raise PressError(
            f"{chapter.text}: the role {{{found[1]}}} cannot be written for Colab: use"
            f" {', '.join(sorted(ROLES))}."
        )
    return ROLES[found[1]](found[2], chapter, links)


def _named(text):
    found = re.fullmatch(r"(.+?)\s*<(.+)>", text, re.DOTALL)
    return (found[1], found[2]) if found else (None, text)


def _cite_text(keys, chapter, links):
    entries = [cited(chapter, key.strip()) for key in keys.split(",")]
    return "; ".join(
        f"[{authors(entry)}"
        f" ({entry.fields['year']})]({address(entry) or links.page('book/references')})"
        for entry in entries
    )


def _cite_parentheses(keys, chapter, links):
    entries = [cited(chapter, key.strip()) for key in keys.split(",")]
    inner = "; ".join(
        f"[{authors(entry)},"
        f" {entry.fields['year']}]({address(entry) or links.page('book/references')})"
        for entry in entries
    )
    return f"({inner})"


def _term(text, chapter, links):
    name, target = _named(text)
    return name or target


def _doc(text, chapter, links):
    name, target = _named(text)
    document = (
        target.lstrip("/")
        if target.startswith("/")
        else _relative(f"notebooks/{chapter.part}", target)
    )
    text = re.sub(r"^notebooks/", "book/", document)
    path = chapter.root / f"{text}.md"
    if not path.is_file():
        raise PressError(
            f"{chapter.text} links to {target!r}, and there is no {path}: mend the link."
        )
    heading = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return f"[{name or heading[1].strip()}]({links.page(document)})"


def _relative(folder, target):
    parts = folder.split("/")
    for step in target.split("/"):
        parts = parts[:-1] if step == ".." else parts if step == "." else [*parts, step]
    return "/".join(parts)


ROLES: dict[str, Callable[[str, Chapter, Links], str]] = {
    "cite:t": _cite_text,
    "cite:p": _cite_parentheses,
    "term": _term,
    "doc": _doc,
}


@lru_cache(maxsize=8)
def _bibliography(path: Path, stamp: float):
    from pybtex.database import parse_file

    return parse_file(str(path), bib_format="bibtex").entries


def bibliography(root: Path) -> dict[str, Entry]:
    """Entries of book/references.bib by key."""
    path = root / "book/references.bib"
    return _bibliography(path, path.stat().st_mtime)


def cited(chapter: Chapter, key: str) -> Entry:
    """The bibliography's entry for `key`."""
    entries = bibliography(chapter.root)
    if key not in entries:
        raise PressError(
            f"{chapter.text} cites {key!r}, which book/references.bib lacks: add the entry."
        )
    return entries[key]


def authors(entry: Entry) -> str:
    """The authors as running text names them: one, two joined by "and", or the first "et al."."""
    names = [_unbrace(" ".join(person.last_names)) for person in entry.persons["author"]]
    return (
        names[0]
        if len(names) == 1
        else f"{names[0]} and {names[1]}"
        if len(names) == 2
        else f"{names[0]} et al."
    )


def title(entry: Entry) -> str:
    return _unbrace(entry.fields["title"])


def address(entry: Entry) -> str:
    """Where the paper can be read, or ""."""
    fields = entry.fields
    arxiv = re.search(
        r"\d{4}\.\d{4,5}",
        fields.get("eprint", "") + " " + fields.get("note", "") + " " + fields.get("journal", ""),
    )
    if "url" in fields:
        return fields["url"]
    if arxiv:
        return f"https://arxiv.org/abs/{arxiv[0]}"
    return f"https://doi.org/{fields['doi']}" if "doi" in fields else ""


def _unbrace(text):
    # Not render_as("text"), which looks its backend up among all installed packages at every call.
    from pybtex.backends.plaintext import Backend
    from pybtex.richtext import Text

    return re.sub(r"\s+", " ", Text.from_latex(text).render(Backend())).strip()


def stale(root: Path = source.ROOT, stamped: bool = True) -> list[Path]:
    """Notebooks of the book that are missing, differ from what their text gives, or whose text has
    gone.

    With `stamped`, what was in step is trusted as long as neither side has changed.
    """
    there = source.chapters(root)
    wrong = [
        chapter.notebook
        for chapter in there
        if not (stamped and _in_step(chapter)) and not _compared(chapter)[0]
    ]
    return wrong + [path for path in _without_text(root) if aside.is_ours(path, _document(path))]


def strangers(root: Path = source.ROOT) -> list[Path]:
    """Notebooks in `notebooks/` that are nobody's pair: somebody's own, which no command touches
    (copies put aside left out).
    """
    return [
        path
        for path in _without_text(root)
        if ".kept-" not in path.name and not aside.is_ours(path, _document(path))
    ]


def _without_text(root):
    return sorted(
        set((root / "notebooks").glob("*/*.ipynb"))
        - {chapter.notebook for chapter in source.chapters(root)}
    )


def _document(path):
    return f"notebooks/{path.parent.name}/{path.stem}"


def write(root: Path = source.ROOT, only: Chapter | None = None) -> list[Path]:
    """Write every stale notebook and remove those of ours whose text has gone; return the paths
    that changed.

    `only` writes that chapter's and leaves all else.

    A notebook that somebody has edited is copied aside first, as NAME.kept-1.ipynb, and a line says
    so.

    Raises
    ------
    PressError : if a notebook cannot be written
    """
    written = []
    for chapter in [only] if only else source.chapters(root):
        if _in_step(chapter):
            continue
        same, text = _compared(chapter)
        if not same:
            if kept := aside.put(chapter.notebook, text, chapter.document):
                name = chapter.notebook.relative_to(root)
                print(
                    f"{name} held something that its text does not: that is now"
                    f" {kept.relative_to(root)}; edit {chapter.text.relative_to(root)} instead"
                )
            written.append(chapter.notebook)
    for orphan in [] if only else _without_text(root):
        if aside.is_ours(orphan, _document(orphan)):
            orphan.unlink()
            written.append(orphan)
    return written


def _read(path):
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, ValueError):
        return None


def _in_step(chapter):
    """Whether text and notebook are those that have been found in step before."""
    return stamps.known(
        chapter.root, "pair", chapter.document, stamps.of_text(chapter)
    ) == stamps.content(chapter.notebook)


def _compared(chapter):
    """Whether the notebook is what the text gives, and what that is; the answer is stamped."""
    text = pair(chapter)
    # The stamp is that of the notebook to be: it holds once this one is written.
    stamps.remember(
        chapter.root,
        "pair",
        chapter.document,
        stamps.of_text(chapter),
        stamps.digest(chapter.notebook.name, text),
    )
    return _read(chapter.notebook) == text, text
