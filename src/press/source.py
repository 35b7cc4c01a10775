"""The book's sources: where things stand, which chapters there are, and what a chapter's text
notebook holds.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from press import plan
from press.errors import PressError

if TYPE_CHECKING:
    import nbformat

ROOT = Path(os.environ.get("PRESS_ROOT", Path(__file__).resolve().parents[2]))
PARAMETERS = {"profile": "quick", "seeds": 5, "first_seed": 0, "dataset": "", "control": False}
TAGS = (
    "imports",
    "parameters",
    "settings",
    "claims",
    "method",
    "figure",
    "prose",
    "ledger",
    "exercise",
    "check",
    "solution",
)
ASIDE = "aside"  # may stand beside any tag that is not SPINE
SPINE = ("imports", "parameters", "settings", "claims", "ledger", "exercise", "check", "solution")
CARD = {"paper": str, "question": str, "prerequisites": list, "control": str}
ASIDE_HEAD = re.compile(r"\*\*Aside: (.+?)\*\*[ \t]*(?:\n|\Z)")
MORE = {"cost": str, "terms": dict, "symbols": list, "exempt": dict}


@dataclass(frozen=True)
class Chapter:
    """One chapter's source.

    Attributes
    ----------
    root : the project's folder; all other paths hang on it
    part, name : folder and file stem of ``book/<part>/<name>.md``
    """

    root: Path
    part: str
    name: str

    @property
    def text(self) -> Path:
        return self.root / "book" / self.part / f"{self.name}.md"

    @property
    def notebook(self) -> Path:
        return self.root / "notebooks" / self.part / f"{self.name}.ipynb"

    def run(self, **asked) -> Path:
        """Where the notebook of a run lies; `asked` are the parameters that differ from the
        chapter's own.

        The run of all defaults feeds the site; any other lies in build/runs under the name of what
        was asked, a file of the reader's under a hash of its content.
        """
        if not asked:
            return self.root / "build/executed/quick" / self.part / f"{self.name}.ipynb"
        words = [f"{key}={asked[key]}" for key in ("seeds", "first_seed") if key in asked]
        if asked.get("dataset"):
            words.append(f"dataset={_dataset(asked['dataset'])}")
        if asked.get("control"):
            words.append("control")
        return (
            self.root
            / "build/runs"
            / asked.get("profile", "quick")
            / ("-".join(words) or "default")
            / f"{self.name}.ipynb"
        )

    def kept(self, **asked) -> Path:
        """Where the record of that run lies."""
        return (
            self.run(**asked).with_suffix(".json")
            if asked
            else self.root / "build/results/quick" / f"{self.name}.json"
        )

    def executed(self) -> Path:
        """The notebook of the run that the site shows."""
        return self.run()

    def control(self) -> Path:
        """Record of the negative control; it is a run like any other, so it stands in
        build/runs.
        """
        return self.kept(control=True)

    def record(self, profile: str = "quick") -> Path:
        """The record that the site shows: full ones are committed, quick ones are made."""
        return (
            self.root / f"book/results/full/{self.name}.json" if profile == "full" else self.kept()
        )

    @property
    def overlap(self) -> dict:
        """The parameters of the run on overlapping seeds: its first two are the last two of the
        published run.
        """
        return {"first_seed": self.defaults["seeds"] - 2}

    @cached_property
    def code(self) -> list[tuple[tuple[str, ...], str]]:
        """(tags, code) of each code cell that is run, the bootstrap left out: from the notebook, or
        else from the text.
        """
        if self.notebook.is_file():
            cells = json.loads(self.notebook.read_text(encoding="utf-8"))["cells"]
        else:
            cells = self.source.cells
        return code_of(cells)

    @cached_property
    def defaults(self) -> dict:
        """The values in the cell ``parameters``."""
        text = next((text for tags, text in self.code if "parameters" in tags), "")
        values = {}
        for node in ast.parse(text).body:
            try:
                values[node.targets[0].id] = ast.literal_eval(node.value)
            except (AttributeError, ValueError):
                raise PressError(
                    f"{self.text}: write only plain values in the cell 'parameters'."
                ) from None
        return PARAMETERS | values

    @property
    def document(self) -> str:
        """Name of the page in the built book."""
        return f"notebooks/{self.part}/{self.name}"

    @cached_property
    def source(self) -> nbformat.NotebookNode:
        """The text notebook, parsed."""
        import jupytext  # takes most of a second, and many commands do without

        return jupytext.reads(self.text.read_text(encoding="utf-8"), fmt="md:myst")

    @cached_property
    def card(self) -> dict:
        """The front matter's ``chapter:`` block, checked; keys of MORE that it leaves out are
        empty.
        """
        card = front_matter(self.text).get("chapter")
        if not isinstance(card, dict):
            raise PressError(
                f"{self.text} has no chapter: block in its front matter: add it as CONTRIBUTING.md"
                " shows."
            )
        card = {key: kind() for key, kind in MORE.items()} | card
        for key, kind in (CARD | MORE).items():
            if not isinstance(card.get(key), kind):
                raise PressError(
                    f"{self.text}: the front matter's chapter.{key} must be a {kind.__name__}."
                )
        return card

    @cached_property
    def takes(self) -> tuple[str, ...]:
        """What the cell ``settings`` tells `start` to accept as dataset; () if it says nothing."""
        for cell in self.source.cells:
            if cell.cell_type != "code" or tag(cell) != "settings":
                continue
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.keyword) and node.arg == "takes":
                    try:
                        return tuple(ast.literal_eval(node.value))
                    except (ValueError, TypeError):
                        raise PressError(
                            f"{self.text}: write takes=(…) in the cell 'settings' as plain names in"
                            " quotes."
                        ) from None
        return ()

    @cached_property
    def title(self) -> str:
        first = self.source.cells[0]
        line = first.source.split("\n", 1)[0]
        if first.cell_type != "markdown" or not line.startswith("# "):
            raise PressError(f"{self.text} must begin with its title: '# Title'.")
        return line[2:].strip()


def _load(text):
    # libyaml's loader, where PyYAML has it, is ten times as fast.
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _dataset(name):
    """A data set as part of a folder's name: its own name, or that of the reader's file with a hash
    of what is in it.
    """
    path = Path(name)
    if not path.suffix:
        return name
    content = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "missing"
    return f"{re.sub(r'[^A-Za-z0-9_.]', '_', path.stem)}-{content}"


def front_matter(path: Path) -> dict:
    """The YAML block at the top of a text file ({} if there is none)."""
    found = re.match(r"---\n(.*?)\n---\n", path.read_text(encoding="utf-8"), re.DOTALL)
    try:
        return (_load(found[1]) or {}) if found else {}
    except yaml.YAMLError as error:
        raise PressError(
            f"The front matter of {path} is no valid YAML: {str(error).splitlines()[0]}."
        ) from None


def config(root: Path = ROOT) -> dict:
    """`_config.yml`, with the keys of the press under ``press``."""
    return _load((root / "_config.yml").read_text(encoding="utf-8"))


def toc(root: Path = ROOT) -> list[str]:
    """Documents of `_toc.yml` in the book's order."""
    listing = _load((root / "_toc.yml").read_text(encoding="utf-8"))

    def files(node):
        if isinstance(node, dict):
            yield from [node[key] for key in ("root", "file") if key in node]
            for value in node.values():
                yield from files(value)
        elif isinstance(node, list):
            for value in node:
                yield from files(value)

    return list(files(listing))


def chapters(root: Path = ROOT) -> list[Chapter]:
    """All chapters: the .md files under book/<part>/ whose front matter has a ``chapter:`` block,
    in the order of book/plan.yml.

    Raises
    ------
    PressError : if the plan lacks a chapter, has it in another part, or names a text that is no
    chapter
    """
    found = {
        (path.parent.name, path.stem): Chapter(root, path.parent.name, path.stem)
        for path in sorted((root / "book").glob("*/*.md"))
        if path.parent.name != "coursework" and "chapter" in front_matter(path)
    }
    order = [
        (part, entry["name"]) for part, entries in plan.read(root).items() for entry in entries
    ]
    for part, name in sorted(set(found) - set(order)):
        other = next((there for there, planned in order if planned == name), None)
        if other:
            raise PressError(
                f"book/{part}/{name}.md is a chapter and book/plan.yml has it in {other}: move the"
                " one or the other."
            )
        raise PressError(
            f"book/{part}/{name}.md is a chapter and book/plan.yml does not name it: add it there."
        )
    for part, name in order:
        if (part, name) not in found and (root / f"book/{part}/{name}.md").is_file():
            raise PressError(
                f"book/plan.yml names {name}, and book/{part}/{name}.md has no chapter: block in"
                " its front matter: add it."
            )
    return [found[key] for key in order if key in found]


def chapter(name: str, root: Path = ROOT) -> Chapter:
    """The chapter called `name`.

    Raises
    ------
    PressError : if there is none, naming the nearest
    """
    return named("chapter", name, chapters(root))


def named(kind: str, name: str, there: list):
    """The one of `there` (things with a name) that is called `name`.

    Raises
    ------
    PressError : if there is none, naming the nearest; `kind` is what the sentence calls them
    """
    found = {thing.name: thing for thing in there}
    if name in found:
        return found[name]
    near = difflib.get_close_matches(name, found, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(found) or 'none yet'}."
    raise PressError(f"There is no {kind} {name!r}: {hint}")


def code_of(cells: list) -> list[tuple[tuple[str, ...], str]]:
    """(tags, code) of each code cell of a notebook, the bootstrap left out."""
    listed = [
        (tuple(cell["metadata"].get("tags", ())), cell["source"])
        for cell in cells
        if cell["cell_type"] == "code"
    ]
    return [
        (tags, text if isinstance(text, str) else "".join(text))
        for tags, text in listed
        if "bootstrap" not in tags
    ]


def tag(cell) -> str:
    """The one tag of the contract that a code cell carries ("" if none)."""
    return next((name for name in cell.metadata.get("tags", []) if name in TAGS), "")


def is_aside(cell) -> bool:
    """Whether the cell, code or Markdown, belongs to an aside."""
    return ASIDE in cell.metadata.get("tags", [])


def asides(cells: list) -> list[range]:
    """The asides among `cells`, as ranges of their places.

    An aside is a run of cells tagged so; a Markdown cell that begins with ``**Aside: …**`` starts
    another.
    """
    found: list[range] = []
    for place, cell in enumerate(cells):
        if not is_aside(cell):
            continue
        starts = cell.cell_type == "markdown" and ASIDE_HEAD.match(cell.source)
        if found and found[-1].stop == place and not starts:
            found[-1] = range(found[-1].start, place + 1)
        else:
            found.append(range(place, place + 1))
    return found
