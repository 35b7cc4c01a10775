"""Pairing: one way, byte-stable, and readable where only plain Markdown is known."""

import json

import nbformat
import pytest

from press import pair, source
from press.errors import PressError


def paired(tiny):
    return nbformat.reads(pair.pair(tiny.chapter), as_version=4)


def markdown(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_pairing_twice_gives_the_same_bytes(tiny):
    assert pair.pair(tiny.chapter) == pair.pair(tiny.chapter)
    assert pair.write(tiny.root) == [tiny.chapter.notebook]
    before = tiny.chapter.notebook.stat().st_mtime_ns
    assert pair.write(tiny.root) == []
    assert tiny.chapter.notebook.stat().st_mtime_ns == before


def test_notebook_is_valid_has_no_outputs_and_positional_ids(tiny):
    notebook = paired(tiny)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert ids[:2] == ["title", "card"]
    assert len(set(ids)) == len(ids)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
    numbers = [int(name.removeprefix("cell-")) for name in ids if name.startswith("cell-")]
    assert numbers == sorted(numbers)


def test_bootstrap_stands_before_the_first_code_and_names_the_repository(tiny):
    code = [cell for cell in paired(tiny).cells if cell.cell_type == "code"]
    assert code[0].metadata.tags == ["bootstrap"]
    assert "git+https://github.com/ORG/REPO@main" in code[0].source


def test_citations_terms_and_notes_become_plain_markdown(tiny):
    text = markdown(paired(tiny))
    assert "[Doe et al. (2020)](https://example.org/tiny)" in text
    assert "(mean)" in text and "{term}" not in text
    assert "> **Note.**\n>\n> Read on." in text


def test_cross_references_become_links_to_the_published_page(tiny):
    tiny.spoil("Means move", "See {doc}`/book/glossary` and {doc}`the words </book/glossary>`; means move")
    text = markdown(paired(tiny))
    assert "[Glossary](https://ORG.github.io/REPO/book/glossary.html)" in text
    assert "[the words](https://ORG.github.io/REPO/book/glossary.html)" in text


def test_code_is_nobodys_syntax(tiny):
    tiny.spoil("Means move", "A set `{numref}` and\n\n```python\nx = {'a': 1}\n```\n\nmeans move")
    assert "`{numref}`" in markdown(paired(tiny))


@pytest.mark.parametrize(
    "text", ["{numref}`figure`", "```{list-table}\n- a\n```", "(a-label)=", "a footnote[^1]", ":::{margin}\naside\n:::"],
)
def test_what_colab_cannot_show_is_refused(tiny, text):
    tiny.spoil("Means move", f"{text}\n\nMeans move")
    with pytest.raises(PressError, match="cannot be written for Colab"):
        pair.pair(tiny.chapter)


def test_unknown_citation_is_refused(tiny):
    tiny.spoil("{cite:t}`doe2020tiny`", "{cite:t}`nobody1999`")
    with pytest.raises(PressError, match="nobody1999"):
        pair.pair(tiny.chapter)


def test_check_names_missing_edited_and_orphaned_notebooks(tiny):
    assert pair.stale(tiny.root) == [tiny.chapter.notebook]
    pair.write(tiny.root)
    assert pair.stale(tiny.root) == []
    edited = json.loads(tiny.chapter.notebook.read_text())
    edited["cells"][0]["source"] = "# Another title"
    tiny.chapter.notebook.write_text(json.dumps(edited))
    orphan = tiny.chapter.notebook.with_name("orphan.ipynb")
    orphan.write_text("{}")
    assert pair.stale(tiny.root) == [tiny.chapter.notebook, orphan]
    pair.write(tiny.root)
    assert pair.stale(tiny.root) == [] and not orphan.exists()


def test_solutions_are_folded_in_colab(tiny):
    cell = next(cell for cell in paired(tiny).cells if "solution" in cell.metadata.get("tags", []))
    assert cell.metadata["cellView"] == "form"


def test_unknown_chapter_offers_the_nearest(tiny):
    with pytest.raises(PressError, match="did you mean 'tiny'"):
        source.chapter("tinny", tiny.root)


def test_chapter_missing_from_the_contents_is_named(tiny):
    (tiny.root / "_toc.yml").write_text("format: jb-book\nroot: book/welcome\n")
    with pytest.raises(PressError, match="not in _toc.yml"):
        source.chapters(tiny.root)
