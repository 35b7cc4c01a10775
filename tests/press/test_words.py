"""Glossary and notation grow from the chapters, and nothing but terms gets in."""

import pytest
from conftest import CHAPTER

from press import words
from press.contract import problems
from press.errors import PressError

OURS = "{shift: 'A number that is added to all others.'}"


def page(tiny, entries):
    (tiny.root / "book/glossary.md").write_text(
        f"# Glossary\n\nWords.\n\n```{{glossary}}\n{entries}```\n\nMore.\n"
    )


def test_terms_of_page_and_chapters_are_merged_and_sorted(tiny):
    page(tiny, "Zero\n  Nothing.\n\nmean\naverage\n  A sum,\n  divided.\n")
    assert list(words.glossary(tiny.root)) == ["mean\naverage", "shift", "Zero"]
    assert words.terms(tiny.root) == {"mean", "average", "shift", "zero"}
    text = words.glossary_page((tiny.root / "book/glossary.md").read_text(), tiny.root)
    assert (
        "mean\naverage\n  A sum,\n  divided.\n\nshift\n  A number that is added to all"
        " others.\n\nZero\n" in text
    )
    assert text.startswith("# Glossary\n\nWords.") and text.endswith("More.\n")


@pytest.mark.parametrize(
    "entries, terms, sentence",
    [
        (
            "Shift\n  A move.\n",
            OURS,
            "'shift' is defined in book/glossary.md and again in book/foundations/tiny.md",
        ),
        (
            "mean\n  A sum.\n\nmean\n  Half.\n",
            OURS,
            "defined in book/glossary.md and again in book/glossary.md",
        ),
        (
            "(Used with {term} and to be in the glossary already\n  self-training.)\n",
            OURS,
            "which is no term",
        ),
        ("mean [see there]\n  A sum.\n", OURS, "which is no term"),
        ("", "{'{term}': 'x'}", "book/foundations/tiny.md defines '{term}', which is no term"),
        ("mean\n", OURS, "book/glossary.md gives no definition of 'mean'"),
        ("", "{shift: ''}", "book/foundations/tiny.md gives no definition of 'shift'"),
    ],
)
def test_what_is_no_entry_is_told_in_one_sentence_that_names_the_file(
    tiny, entries, terms, sentence
):
    page(tiny, entries)
    tiny.write(CHAPTER.replace(OURS, terms))
    with pytest.raises(PressError) as caught:
        words.glossary(tiny.root)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_two_chapters_that_define_one_term_are_named(tiny):
    (tiny.root / "book/foundations/later.md").write_text(CHAPTER)
    with pytest.raises(
        PressError, match="in book/foundations/tiny.md and again in book/foundations/later.md"
    ):
        words.glossary(tiny.root)


def test_a_term_that_nobody_defines_is_named(tiny):
    tiny.spoil("Everything.", "Every {term}`mean value` and {term}`Means <mean>`.")
    assert [problem.split(": ", 1)[1] for problem in problems(tiny.chapter)] == [
        "the glossary lacks the term 'mean value': define it under chapter.terms in the front"
        " matter."
    ]


def test_a_term_that_no_page_uses_is_named(tiny):
    page(tiny, "Zero\n  Nothing.\n\nmean\naverage\n  Unlike zero.\n\nblob\n  Unused.\n")
    tiny.write(CHAPTER.replace("\n# ", "\nAn average is taken.\n\n# ", 1))
    assert words.unused(tiny.root) == ["blob"], "used here, or by another entry"


def test_symbols_become_a_table_in_which_bars_do_no_harm(tiny):
    tiny.spoil("'the mean']", "'the mean of $|x|$ | its size']")
    text = words.notation(tiny.root)
    assert text.startswith("## A tiny chapter\n") and "{doc}`/notebooks/foundations/tiny`" in text
    assert text.endswith("| $\\mu$ | the mean of $\\vert x\\vert $ \\| its size |")
