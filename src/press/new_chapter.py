"""A new chapter: a skeleton that runs, files a dummy claim, and breaks its contract until it is filled."""

from __future__ import annotations

import os
import re
from pathlib import Path

from press import pair, source
from press.aside import write_whole
from press.errors import PressError
from press.pages import PARTS

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
'''


def create(name: str, part: str, paper: str = "", root: Path = source.ROOT) -> list[Path]:
    """Write the text, its notebook and its tests, and put the chapter at the end of its part in `_toc.yml`.

    Parameters
    ----------
    name : words in lower case, joined by hyphens
    part : one of the book's parts
    paper : key in book/references.bib; if left out, an entry to be filled is added

    Raises
    ------
    PressError : if the name is taken or malformed, or there is no such part or paper
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise PressError(f"NAME={name} will not do: write words in lower case, joined by hyphens, such as NAME=web-label-noise.")
    if part not in PARTS:
        raise PressError(f"There is no part {part!r}: choose one of {', '.join(PARTS)} as PART.")
    if any(name == chapter.name for chapter in source.chapters(root)):
        raise PressError(f"There is a chapter {name!r} already: choose another NAME.")
    chapter = source.Chapter(root, part, name)
    test = root / "tests/chapters" / f"test_{name.replace('-', '_')}.py"
    for path in (chapter.text, chapter.notebook, test):
        if os.path.lexists(path):
            raise PressError(f"{path.relative_to(root)} is there already: choose another NAME, or move that file.")
    bibliography = root / "book/references.bib"
    entries = bibliography.read_text(encoding="utf-8")
    key = paper or f"todo-{name}"
    found = re.search(r"@\w+\{" + re.escape(key) + r"\s*,", entries)
    if paper and not found:
        raise PressError(f"book/references.bib has no entry {paper!r}: add it, or leave PAPER out.")
    if not found:
        write_whole(bibliography, entries.rstrip("\n") + f"\n\n@misc{{{key},\n  title={{TODO}}, author={{Todo, Nobody}}, year={{2000}}\n}}\n")
    text = TEMPLATE.read_text(encoding="utf-8")
    for mark, value in {"@NAME@": name, "@PAPER@": key}.items():
        text = text.replace(mark, value)
    for path, content in {chapter.text: text, test: TEST.format(name=name)}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(content)
    _list(root / "_toc.yml", chapter)
    pair.write(root)
    return [chapter.text, chapter.notebook, test]


def _list(path, chapter):
    """Put the chapter behind the last page of its part, or its part before the last one of the book."""
    lines = path.read_text(encoding="utf-8").splitlines()
    siblings = [place for place, line in enumerate(lines) if re.search(rf"file: (?:notebooks|book)/{chapter.part}/", line)]
    entry = f"      - file: {chapter.document}"
    if siblings:
        indent = lines[siblings[-1]].split("-")[0]
        lines.insert(siblings[-1] + 1, indent + entry.lstrip())
    else:
        captions = [place for place, line in enumerate(lines) if line.startswith("  - caption:")]
        place = captions[-1] if captions else len(lines)
        opener = [f"      - file: book/{chapter.part}/index"] if (chapter.root / "book" / chapter.part / "index.md").is_file() else []
        lines[place:place] = [f"  - caption: {PARTS[chapter.part]}", "    chapters:", *opener, entry]
    write_whole(path, "\n".join(lines) + "\n")
