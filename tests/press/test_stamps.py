"""Stamps save work only where nothing has changed."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

from press import pair, stamps


@pytest.fixture
def counted(tiny, monkeypatch):
    """The tiny book, paired, with a list of the chapters that are paired again."""
    pair.write(tiny.root)
    tiny.paired, real = [], pair.pair
    monkeypatch.setattr(
        pair, "pair", lambda chapter: tiny.paired.append(chapter.name) or real(chapter)
    )
    return tiny


def test_what_has_not_changed_is_not_paired_again(counted):
    assert (
        pair.stale(counted.root) == [] and pair.write(counted.root) == [] and counted.paired == []
    )
    assert pair.stale(counted.root, stamped=False) == [] and counted.paired == ["tiny"]


CHANGES = {
    "the text": ("book/foundations/tiny.md", "Everything.", "Nearly everything."),
    "the bibliography": ("book/references.bib", "2020}", "2021}"),
    "the addresses": ("_config.yml", "ref: main", "ref: later"),
    "another page's title": ("book/glossary.md", "# Glossary", "# Words"),
    "the notebook": ("notebooks/foundations/tiny.ipynb", "Everything.", "Something."),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_what_a_notebook_is_made_from_is_seen(counted, change):
    name, old, new = CHANGES[change]
    path = counted.root / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    pair.stale(counted.root)
    assert counted.paired == ["tiny"]


def test_stamps_that_are_lost_cut_short_or_foreign_cost_time_only(counted):
    path = counted.root / "build/stamps.json"
    for text in ("", "{", "[]", '{"pair:notebooks/foundations/tiny": 3}', None):
        path.unlink() if text is None else path.write_text(text)
        counted.paired.clear()
        assert pair.stale(counted.root) == [] and counted.paired == ["tiny"]


def test_a_changed_helper_or_shared_page_is_checked_against_the_contract_again(tiny):
    before = stamps.of_contract(tiny.chapter)
    assert stamps.of_contract(tiny.chapter) == before
    (tiny.root / "book/glossary.md").write_text("# Glossary\n")
    assert stamps.of_contract(tiny.chapter) != before


def test_light_commands_load_nothing_heavy():
    """`make list` and a second `make pair` and `make check` start at once."""
    heavy = (
        "{'torch', 'scipy', 'jupytext', 'nbformat', 'seaborn', 'matplotlib', 'papermill',"
        " 'snakemake', 'jsonschema', 'pybtex'}"
    )
    for code in (
        "from press import __main__; __main__.main(['names'])",
        "from press import pair, contract, stamps",
    ):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import sys\n{code}\nprint(sorted({heavy} & set(sys.modules)))",
            ],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "[]", code


def test_digests_tell_borders_apart():
    assert stamps.digest("ab", "c") != stamps.digest("a", "bc")
    assert json.loads(json.dumps(stamps.digest("a"))) == stamps.digest(b"a")
