"""Pairing: one way, byte-stable, and readable where only plain Markdown is known."""

import json
import shutil

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
    assert all(
        cell.outputs == [] and cell.execution_count is None
        for cell in notebook.cells
        if cell.cell_type == "code"
    )
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
    tiny.spoil(
        "Means move", "See {doc}`/book/glossary` and {doc}`the words </book/glossary>`; means move"
    )
    text = markdown(paired(tiny))
    assert "[Glossary](https://ORG.github.io/REPO/book/glossary.html)" in text
    assert "[the words](https://ORG.github.io/REPO/book/glossary.html)" in text


def test_code_is_nobodys_syntax(tiny):
    tiny.spoil("Means move", "A set `{numref}` and\n\n```python\nx = {'a': 1}\n```\n\nmeans move")
    assert "`{numref}`" in markdown(paired(tiny))


@pytest.mark.parametrize(
    "text",
    [
        "{numref}`figure`",
        "```{list-table}\n- a\n```",
        "(a-label)=",
        "a footnote[^1]",
        ":::{margin}\naside\n:::",
    ],
)
def test_what_colab_cannot_show_is_refused(tiny, text):
    tiny.spoil("Means move", f"{text}\n\nMeans move")
    with pytest.raises(PressError, match="cannot be written for Colab"):
        pair.pair(tiny.chapter)


def test_unknown_citation_is_refused(tiny):
    tiny.spoil("{cite:t}`doe2020tiny`", "{cite:t}`nobody1999`")
    with pytest.raises(PressError, match="nobody1999"):
        pair.pair(tiny.chapter)


def test_check_names_missing_and_edited_notebooks_and_those_whose_text_has_gone(tiny):
    assert pair.stale(tiny.root) == [tiny.chapter.notebook]
    pair.write(tiny.root)
    assert pair.stale(tiny.root) == []
    edit(tiny.chapter.notebook)
    assert pair.stale(tiny.root) == [tiny.chapter.notebook]
    pair.write(tiny.root)
    assert pair.stale(tiny.root) == []
    renamed = source.Chapter(tiny.root, "foundations", "renamed")
    tiny.chapter.text.rename(renamed.text)
    listing = tiny.root / "book/plan.yml"
    listing.write_text(listing.read_text().replace("name: tiny", "name: renamed"))
    assert pair.stale(tiny.root) == [renamed.notebook, tiny.chapter.notebook]
    assert set(pair.write(tiny.root)) == {renamed.notebook, tiny.chapter.notebook}
    assert pair.stale(tiny.root) == [] and not tiny.chapter.notebook.exists(), (
        "pair wrote it, and its text has gone"
    )


def edit(path, text="# mine"):
    """Add a cell, as Jupyter does: another layout of the file too."""
    notebook = json.loads(path.read_text())
    notebook["cells"].append(
        {"cell_type": "markdown", "id": "mine", "metadata": {}, "source": [text]}
    )
    path.write_text(json.dumps(notebook, indent=2))
    return path.read_bytes()


def everything(root):
    return {path: path.read_bytes() for path in (root / "notebooks").rglob("*") if path.is_file()}


def test_what_somebody_added_to_a_notebook_is_kept_aside_and_said(tiny, capsys):
    pair.write(tiny.root)
    assert capsys.readouterr().out == ""
    good, aside = (
        tiny.chapter.notebook.read_bytes(),
        tiny.chapter.notebook.with_name("tiny.kept-1.ipynb"),
    )
    first = edit(tiny.chapter.notebook)
    assert pair.write(tiny.root) == [tiny.chapter.notebook]
    told = capsys.readouterr().out
    assert (
        told.count("\n") == 1
        and "notebooks/foundations/tiny.kept-1.ipynb" in told
        and "book/foundations/tiny.md" in told
    )
    assert aside.read_bytes() == first and tiny.chapter.notebook.read_bytes() == good
    second = edit(tiny.chapter.notebook, "# mine again")
    pair.write(tiny.root)
    assert aside.read_bytes() == first, "what was kept is never overwritten"
    assert aside.with_name("tiny.kept-2.ipynb").read_bytes() == second
    before = everything(tiny.root)
    assert pair.write(tiny.root) == [] and everything(tiny.root) == before
    assert pair.strangers(tiny.root) == [] and pair.stale(tiny.root) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda notebook: notebook["cells"][0].update(source="# Another title"),
        lambda notebook: notebook["cells"].pop(),
        lambda notebook: notebook["cells"].insert(1, notebook["cells"].pop(2)),
        lambda notebook: notebook["cells"][-2]["metadata"].update(tags=["mine"]),
        lambda notebook: notebook["metadata"].pop("paired"),
        lambda notebook: next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")[
            "outputs"
        ].append({"output_type": "stream", "name": "stdout", "text": "42"}),
    ],
    ids=["source", "cell removed", "order", "tag", "mark, and then text edited", "outputs"],
)
def test_every_kind_of_edit_is_kept_when_the_text_changes(tiny, spoil, capsys):
    pair.write(tiny.root)
    notebook = json.loads(tiny.chapter.notebook.read_text())
    spoil(notebook)
    tiny.chapter.notebook.write_text(json.dumps(notebook))
    before = tiny.chapter.notebook.read_bytes()
    tiny.spoil("Everything.", "Nearly everything.")
    pair.write(tiny.root)
    assert tiny.chapter.notebook.with_name("tiny.kept-1.ipynb").read_bytes() == before
    assert "tiny.kept-1.ipynb" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"[]", b"<<<<<<< HEAD\n{}\n", b'{"cells": [1]}'],
    ids=str,
)
def test_what_is_no_notebook_is_kept_too(tiny, content):
    tiny.chapter.notebook.write_bytes(content)
    pair.write(tiny.root)
    assert tiny.chapter.notebook.with_name("tiny.kept-1.ipynb").read_bytes() == content
    assert pair.stale(tiny.root) == []


def test_a_notebook_that_was_only_opened_and_saved_is_no_work(tiny, capsys):
    """Jupyter splits sources into lines, sorts keys anew and adds the kernel's version; git may
    change line ends.
    """
    pair.write(tiny.root)
    notebook = json.loads(tiny.chapter.notebook.read_text())
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    notebook["metadata"]["language_info"]["version"] = "3.99"
    tiny.chapter.notebook.write_bytes(json.dumps(notebook, indent=4).replace("\n", "\r\n").encode())
    tiny.spoil("Everything.", "Nearly everything.")
    assert pair.write(tiny.root) == [tiny.chapter.notebook]
    assert capsys.readouterr().out == "" and len(everything(tiny.root)) == 1


def test_a_fresh_clone_knows_what_pair_wrote(tiny, capsys):
    """Nothing outside the notebook is needed: build/ is gone, and the text has changed since the
    commit.
    """
    pair.write(tiny.root)
    tiny.spoil("Everything.", "Nearly everything.")
    shutil.rmtree(tiny.root / "build")  # stamps, which only save time
    pair.write(tiny.root)
    assert capsys.readouterr().out == "" and len(everything(tiny.root)) == 1


def test_unknown_notebooks_are_left_alone_and_named(tiny):
    pair.write(tiny.root)
    folder = tiny.chapter.notebook.parent
    own = [
        folder / "Untitled.ipynb",
        folder / "tiny-Copy1.ipynb",
        folder / "x.ipynb",
        tiny.root / "notebooks/mine/trial.ipynb",
    ]
    own[3].parent.mkdir()
    own[0].write_text("{}")
    # Jupyter's "Duplicate": the mark is copied with it
    own[1].write_bytes(tiny.chapter.notebook.read_bytes())
    own[2].write_bytes(tiny.chapter.notebook.read_bytes())
    edit(own[2])
    own[3].write_text("no JSON")
    before = everything(tiny.root)
    tiny.spoil("Everything.", "Nearly everything.")
    assert pair.stale(tiny.root) == [tiny.chapter.notebook]
    assert pair.write(tiny.root) == [tiny.chapter.notebook]
    assert pair.stale(tiny.root) == [], "they do not fail the check"
    assert pair.strangers(tiny.root) == sorted(own)
    assert {path: before[path] for path in own} == {
        path: content for path, content in everything(tiny.root).items() if path in own
    }


def test_a_place_that_cannot_be_written_is_told_in_one_sentence(tiny):
    tiny.chapter.notebook.mkdir()
    with pytest.raises(PressError, match="cannot be written .* make its folder writable"):
        pair.write(tiny.root)
    assert list(tiny.chapter.notebook.parent.iterdir()) == [tiny.chapter.notebook], (
        "nothing half-written is left"
    )


def test_solutions_are_folded_in_colab(tiny):
    cell = next(cell for cell in paired(tiny).cells if "solution" in cell.metadata.get("tags", []))
    assert cell.metadata["cellView"] == "form"


def test_unknown_chapter_offers_the_nearest(tiny):
    with pytest.raises(PressError, match="did you mean 'tiny'"):
        source.chapter("tinny", tiny.root)
