"""The one list of the book: book/plan.yml orders parts and chapters; contents and README follow
from it.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from press import stamps
from press.aside import write_whole
from press.errors import PressError

START, END = "chapters of book/plan.yml, written by make pair", "end of the chapters"
KEYS = {"name", "paper", "question"}


def read(root: Path) -> dict[str, list[dict]]:
    """Part -> its chapters as dicts with name, paper and question, in the book's order.

    Raises
    ------
    PressError : if the file is no such list, or names a chapter twice
    """
    path = root / "book/plan.yml"
    try:
        plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PressError("book/plan.yml is missing: write the list of chapters there.") from None
    except yaml.YAMLError as error:
        raise PressError(f"book/plan.yml is no valid YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(plan, dict) or not all(
        isinstance(entries, list) for entries in plan.values()
    ):
        raise PressError("book/plan.yml must hold a list of chapters under each part.")
    seen: dict[str, str] = {}
    for part, entries in plan.items():
        for entry in entries:
            if (
                not isinstance(entry, dict)
                or set(entry) != KEYS
                or not all(isinstance(text, str) and text.strip() for text in entry.values())
            ):
                named = entry.get("name") if isinstance(entry, dict) else entry
                raise PressError(
                    f"book/plan.yml: the entry {named!r} of {part} must have a"
                    f" {', a '.join(sorted(KEYS))}, each with its text."
                )
            if (first := seen.setdefault(entry["name"], part)) != part or sum(
                other["name"] == entry["name"] for other in entries
            ) > 1:
                raise PressError(
                    f"book/plan.yml names {entry['name']} twice, in {first} and in {part}: keep"
                    " one."
                )
    return plan


def heading(part: str) -> str:
    """A part's name as pages show it."""
    return part.replace("-", " ").capitalize()


def written(root: Path) -> list[Path]:
    """The files that hold a list made from the plan."""
    return [root / "_toc.yml", root / "README.md"]


def stale(root: Path) -> list[Path]:
    """Files whose list is not what the plan gives."""
    texts = sorted((root / "book").glob("*/*.md"))
    key = stamps.content(
        root / "book/plan.yml", root / "book/references.bib", *written(root), *texts, Path(__file__)
    )
    if stamps.known(root, "plan", "lists", key):
        return []
    found = [
        path
        for path in written(root)
        if path.is_file() and path.read_text(encoding="utf-8") != updated(path, root)
    ]
    if not found:
        stamps.remember(root, "plan", "lists", key, True)
    return found


def write(root: Path) -> list[Path]:
    """Bring the lists up to date; return the files that changed."""
    changed = stale(root)
    for path in changed:
        write_whole(path, updated(path, root))
    return changed


def updated(path: Path, root: Path) -> str:
    """The text of `path` with its list, which stands between two marks, written anew.

    Raises
    ------
    PressError : if the marks are missing
    """
    text = path.read_text(encoding="utf-8")
    left, right, block = (
        ("# ", "", _contents(root)) if path.suffix == ".yml" else ("<!-- ", " -->", _table(root))
    )
    marks = re.compile(
        rf"({re.escape(left + START + right)}\n).*?(^[ ]*{re.escape(left + END + right)}$)",
        re.DOTALL | re.MULTILINE,
    )
    if not marks.search(text):
        raise PressError(
            f"{path.name} lacks the lines {left + START + right!r} and {left + END + right!r}: put"
            " them around the list of chapters."
        )
    return marks.sub(lambda found: f"{found[1]}{block}{found[2]}", text, count=1)


def _there(root):
    from press import source

    chapters = source.chapters(root)
    return {part: [chapter for chapter in chapters if chapter.part == part] for part in read(root)}


def _contents(root):
    lines = []
    for part, chapters in _there(root).items():
        opener = [f"book/{part}/index"] if (root / "book" / part / "index.md").is_file() else []
        if chapters:  # a part without a chapter is to come, as the roadmap says
            files = opener + [chapter.document for chapter in chapters]
            lines += [
                f"  - caption: {heading(part)}",
                "    chapters:",
                *(f"      - file: {file}" for file in files),
            ]
    return "\n".join(lines) + "\n" if lines else ""


def _table(root):
    from press.pair import cited, title

    lines = ["", "| Part | Chapter | Paper |", "|---|---|---|"]
    for part, chapters in _there(root).items():
        for place, chapter in enumerate(chapters):
            entry = cited(chapter, chapter.card["paper"])
            lines.append(
                f"| {heading(part) if place == 0 else ''} |"
                f" [{chapter.name}]({chapter.document}.ipynb) | *{title(entry)}*,"
                f" {entry.fields['year']} |"
            )
    return "\n".join(lines).replace("|  |", "| |") + "\n\n"


def add(root: Path, part: str, name: str, paper: str) -> None:
    """Put a chapter that nobody planned at the end of its part."""
    path = root / "book/plan.yml"
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    heads = [place for place, line in enumerate(lines) if re.match(r"[a-z]", line)]
    here = next(place for place in heads if re.match(rf"{re.escape(part)}\s*:", lines[place]))
    lines[here] = re.sub(r"\s*\[\s*\]\s*$", "", lines[here])  # an empty part
    end = next((place for place in heads if place > here), len(lines))
    lines[end:end] = [f"  - name: {name}", f"    paper: {paper}", "    question: 'TODO'"]
    write_whole(path, "\n".join(lines) + "\n")
