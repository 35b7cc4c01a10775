"""Lay out what Jupyter Book renders: prose pages, executed notebooks with the book's own Markdown,
and generated tables.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote

import nbformat

from press import aside, pages, shown, source, words
from press.errors import PressError
from press.graft import grafted
from press.pair import Links, own_text
from press.source import Chapter
from unlabeled import claims


def stage(root: Path = source.ROOT) -> Path:
    """Make build/stage anew and return it.

    Raises
    ------
    PressError : if a chapter has not been run, was run from another text, or a page lacks the place
    for what is generated
    """
    folder = root / "build/stage"
    shutil.rmtree(folder, ignore_errors=True)
    documents = set(source.toc(root))
    for path in ("_config.yml", "_toc.yml"):
        _copy(root, folder, path)
    for path in sorted((root / "book").rglob("*")):
        name = path.relative_to(root)
        # Pages that the contents do not list stay out: Sphinx would look for them by a pattern that
        # folders' names can break.
        listed = path.suffix != ".md" or name.with_suffix("").as_posix() in documents
        if (
            path.is_file()
            and listed
            and not {"coursework", "results"} & set(name.parts)
            and not _is_chapter(path)
        ):
            _copy(root, folder, str(name))
    glossary = folder / "book/glossary.md"
    glossary.write_text(
        words.glossary_page(glossary.read_text(encoding="utf-8"), root), encoding="utf-8"
    )
    runs = [pages.load(chapter) for chapter in source.chapters(root)]
    for run in runs:
        target = folder / f"{run.chapter.document}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(staged(run), target)
    for name, blocks in pages.generated(runs, root).items():
        path = folder / "book" / f"{name}.md"
        text = path.read_text(encoding="utf-8")
        for place, block in blocks.items():
            if f"<!-- {place} -->" not in text:
                raise PressError(
                    f"book/{name}.md has no line '<!-- {place} -->' for what the press puts there:"
                    " add it."
                )
            text = text.replace(f"<!-- {place} -->", block)
        path.write_text(text, encoding="utf-8")
    return folder


# what a chapter's page is rendered with when it stands alone
BESIDE = ("book/glossary", "book/references")


def stage_page(chapter: Chapter) -> Path:
    """Lay out one chapter alone, with glossary and references, in build/page; files that stay the
    same keep their dates.
    """
    root, folder = chapter.root, chapter.root / "build/page"
    beside = [name for name in BESIDE if (root / f"{name}.md").is_file()]
    files = "".join(f"  - file: {name}\n" for name in beside)
    _put(
        folder / "_toc.yml",
        f"format: jb-book\nroot: {chapter.document}\nchapters:\n{files}".encode(),
    )
    _put(folder / "_config.yml", (root / "_config.yml").read_bytes())
    for path in sorted((root / "book").rglob("*")):
        name = path.relative_to(root)
        if (
            path.is_file()
            and path.suffix != ".md"
            and not {"coursework", "results"} & set(name.parts)
        ):
            _put(folder / name, path.read_bytes())
    for name in beside:
        text = (root / f"{name}.md").read_text(encoding="utf-8")
        _put(
            folder / f"{name}.md",
            (words.glossary_page(text, root) if name == BESIDE[0] else text).encode(),
        )
    _put(
        folder / f"{chapter.document}.ipynb", nbformat.writes(staged(pages.load(chapter))).encode()
    )
    return folder


def _put(path, content):
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _is_chapter(path):
    return path.suffix == ".md" and "chapter" in source.front_matter(path)


def _copy(root, folder, name):
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(root / name, target)


def staged(run: pages.Run) -> nbformat.NotebookNode:
    """The executed notebook of `run` as the book shows it."""
    chapter = run.chapter
    notebook = grafted(chapter, run.record)
    notebook.metadata.pop(aside.MARK, None)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if cell.id == "card":
                cell.source = pages.card(run)
            elif cell.id.startswith("cell-"):
                cell.source = own_text(chapter, int(cell.id.removeprefix("cell-")))
                if "## The negative control" in cell.source:
                    cell.source = _with_control(cell.source, run)
        else:
            for output in cell.outputs:
                output.get("data", {}).pop(claims.MIME, None)
    notebook.cells = shown.arranged(
        notebook.cells,
        chapter,
        below={"ledger": f"{pages.verdicts_to_touch(run)}\n\n{pages.rivals_of(run)}".strip()},
    )
    notebook.cells.append(nbformat.v4.new_markdown_cell(_footer(chapter)))
    return notebook


def _with_control(text, run):
    head, mark, rest = text.partition("## The negative control")
    first, gap, more = rest.partition("\n## ")
    return f"{head}{mark}{first}\n\n{pages.control_table(run)}{gap}{more}"


def _footer(chapter):
    repository = Links(chapter.root).repository
    title = quote(f"Error in the chapter {chapter.name}")
    branch = source.config(chapter.root)["repository"]["branch"]
    edit = f"{repository}/edit/{branch}/book/{chapter.part}/{chapter.name}.md"
    return pages.raw(
        pages.render("footer", issue=f"{repository}/issues/new?title={title}", edit=edit)
    )


def write_notebooks(site: Path, root: Path = source.ROOT) -> None:
    """Let readers download the notebook that Colab opens, not the one laid out for the page."""
    for chapter in source.chapters(root):
        shutil.copyfile(chapter.notebook, site / "_sources" / f"{chapter.document}.ipynb")
