"""The plan is the one list of the book: what follows from it, and each way to spoil it."""

from types import SimpleNamespace

import pytest
from conftest import CHAPTER

from press import pages, plan, source
from press.errors import PressError


def test_order_contents_and_readme_follow_the_plan(tiny):
    (tiny.root / "book/foundations/later.md").write_text(CHAPTER.replace("# A tiny", "# A later"))
    listing = tiny.root / "book/plan.yml"
    assert [chapter.name for chapter in source.chapters(tiny.root)] == ["tiny", "later"]
    assert plan.stale(tiny.root) == [tiny.root / "_toc.yml", tiny.root / "README.md"]
    assert plan.write(tiny.root) == [tiny.root / "_toc.yml", tiny.root / "README.md"]
    assert plan.write(tiny.root) == plan.stale(tiny.root) == []
    first, second = listing.read_text().splitlines()[1:3]
    listing.write_text(f"foundations:\n{second}\n{first}\n")
    plan.write(tiny.root)
    assert source.toc(tiny.root)[1:4] == [
        "book/foundations/index",
        "notebooks/foundations/later",
        "notebooks/foundations/tiny",
    ]
    readme = (tiny.root / "README.md").read_text()
    assert (
        readme.index("later.ipynb") < readme.index("tiny.ipynb")
        and "| Foundations |" in readme
        and "*A Tiny Tale of Means*, 2020" in readme
    )


def test_chapters_to_come_are_in_no_list(tiny):
    assert (
        "later" not in (tiny.root / "_toc.yml").read_text() + (tiny.root / "README.md").read_text()
    )
    assert "Discovery" not in (tiny.root / "_toc.yml").read_text(), (
        "a part without a chapter has no heading"
    )


@pytest.mark.parametrize(
    "text, sentence",
    [
        (
            (
                "foundations:\n  - {name: tiny, paper: p, question: q}\n  - {name: tiny, paper: p,"
                " question: q}\n"
            ),
            "names tiny twice, in foundations and in foundations",
        ),
        (
            (
                "foundations:\n  - {name: tiny, paper: p, question: q}\nobjects:\n  - {name: tiny,"
                " paper: p, question: q}\n"
            ),
            "names tiny twice, in foundations and in objects",
        ),
        (
            "foundations: []\n",
            "tiny.md is a chapter and book/plan.yml does not name it: add it there",
        ),
        (
            "objects:\n  - {name: tiny, paper: p, question: q}\n",
            "has it in objects: move the one or the other",
        ),
        (
            "foundations:\n  - {name: tiny, paper: p}\n",
            "the entry 'tiny' of foundations must have a name, a paper, a question",
        ),
        ("foundations:\n  - {name: tiny, paper: p, question: ''}\n", "each with its text"),
        ("foundations:\n  - tiny\n", "the entry 'tiny' of foundations must have"),
        ("foundations: tiny\n", "must hold a list of chapters under each part"),
        ("foundations: [\n", "is no valid YAML"),
    ],
)
def test_a_spoiled_plan_is_told_in_one_sentence(tiny, text, sentence):
    (tiny.root / "book/plan.yml").write_text(text)
    with pytest.raises(PressError, match=sentence) as caught:
        source.chapters(tiny.root)
    assert "book/plan.yml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_text_that_is_no_chapter_is_named(tiny):
    tiny.write("# Only words\n")
    with pytest.raises(
        PressError, match="names tiny, and book/foundations/tiny.md has no chapter: block"
    ):
        source.chapters(tiny.root)


def test_a_list_without_its_marks_is_named(tiny):
    (tiny.root / "README.md").write_text("# Tiny\n")
    with pytest.raises(PressError, match="README.md lacks the lines"):
        plan.stale(tiny.root)


def test_weeks_of_a_course_name_chapters_that_are_written(tiny):
    listing = tiny.root / "book/weeks.yml"
    listing.write_text("- {read: [tiny], class: 'Why?', homework: exercise 1}\n")
    runs = [SimpleNamespace(chapter=tiny.chapter)]
    table = pages.weeks(runs, tiny.root)
    assert f"| 1 | {{doc}}`/{tiny.chapter.document}` (5 min) | Why? | exercise 1 |" in table
    listing.write_text("- {read: [tinny], class: 'Why?', homework: exercise 1}\n")
    with pytest.raises(PressError, match="'tinny' in week 1, which is no chapter"):
        pages.weeks(runs, tiny.root)
    listing.write_text("- {read: [tiny\n")
    with pytest.raises(PressError, match="book/weeks.yml is no YAML"):
        pages.weeks(runs, tiny.root)
