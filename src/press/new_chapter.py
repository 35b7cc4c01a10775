"""A new chapter: a skeleton that runs, files a dummy claim, and breaks its contract until it is
filled.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from press import pair, plan, source
from press.aside import write_whole
from press.errors import PressError

TEMPLATE = Path(__file__).with_name("chapter.template.md")
TEST = '''"""The method cells of {name} against independent derivations."""

import numpy as np
import pytest

from press import method_cells


@pytest.fixture(scope="module")
def m():
    return method_cells("{name}")


def test_shifted_mean_is_the_mean(m):  # TODO compare each method with a library, a closed form or a limiting case
    draws = np.random.default_rng(500).standard_normal(50)
    assert m.shifted_mean(np.random.default_rng(500), 50, 2.0) == pytest.approx(draws.mean() + 2)
'''  # noqa: E501


def create(name: str, part: str, paper: str = "", root: Path = source.ROOT) -> list[Path]:
    """Write the text, its notebook and its tests, and put the chapter into book/plan.yml, if it is
    not there, and into the contents.

    Parameters
    ----------
    name : words in lower case, joined by hyphens
    part : one of the book's parts; may be left out for a chapter of the plan
    paper : key in book/references.bib; if left out, the plan's, or an entry to be filled is added

    Raises
    ------
    PressError : if the name is taken or malformed, or there is no such part or paper
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise PressError(
            f"NAME={name} will not do: write words in lower case, joined by hyphens, such as"
            " NAME=web-label-noise."
        )
    parts = plan.read(root)
    planned = next(
        (
            (there, entry)
            for there, entries in parts.items()
            for entry in entries
            if entry["name"] == name
        ),
        None,
    )
    if planned:
        if part and part != planned[0]:
            raise PressError(
                f"book/plan.yml has {name} in {planned[0]}, not in {part}: leave PART out."
            )
        part, paper = planned[0], paper or planned[1]["paper"]
    if part not in parts:
        raise PressError(f"There is no part {part!r}: choose one of {', '.join(parts)} as PART.")
    if any(name == chapter.name for chapter in source.chapters(root)):
        raise PressError(f"There is a chapter {name!r} already: choose another NAME.")
    chapter = source.Chapter(root, part, name)
    test = root / "tests/chapters" / f"test_{name.replace('-', '_')}.py"
    for path in (chapter.text, chapter.notebook, test):
        if os.path.lexists(path):
            raise PressError(
                f"{path.relative_to(root)} is there already: choose another NAME, or move that"
                " file."
            )
    bibliography = root / "book/references.bib"
    entries = bibliography.read_text(encoding="utf-8")
    key = paper or f"todo-{name}"
    found = re.search(r"@\w+\{" + re.escape(key) + r"\s*,", entries)
    if paper and not found:
        raise PressError(f"book/references.bib has no entry {paper!r}: add it, or leave PAPER out.")
    if not found:
        write_whole(
            bibliography,
            entries.rstrip("\n")
            + f"\n\n@misc{{{key},\n  title={{TODO}}, author={{Todo, Nobody}}, year={{2000}}\n}}\n",
        )
    text = TEMPLATE.read_text(encoding="utf-8")
    for mark, value in {"@NAME@": name, "@PAPER@": key}.items():
        text = text.replace(mark, value)
    for path, content in {chapter.text: text, test: TEST.format(name=name)}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(content)
    if not planned:
        plan.add(root, part, name, key)
    plan.write(root)
    pair.write(root)
    return [chapter.text, chapter.notebook, test]
