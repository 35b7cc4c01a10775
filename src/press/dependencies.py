"""What a chapter's run depends on: the modules of `unlabeled` that it imports, and a hash of the code behind its numbers."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import nbformat

from press.source import Chapter

NOT_IN_NUMBERS = {"figures"}  # a picture's looks do not make a record stale


def imported(code: str, package: Path) -> set[Path]:
    """Modules of the package folder that `code` imports, directly or through one another."""
    found: set[Path] = set()
    waiting = _names(ast.parse(code))
    while waiting:
        name = waiting.pop()
        path = package / f"{name}.py"
        if path.is_file() and path not in found:
            found.add(path)
            waiting |= _names(ast.parse(path.read_text(encoding="utf-8")))
    return found


def _names(tree):
    names = {"__init__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("unlabeled.")}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "unlabeled":
                names |= {alias.name for alias in node.names}
            elif node.module.startswith("unlabeled."):
                names.add(node.module.split(".")[1])
    return names


def chapter_code(notebook: nbformat.NotebookNode) -> str:
    """All code of a notebook as one text."""
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def inputs(chapter: Chapter) -> list[str]:
    """Paths that the chapter's run depends on: its notebook and the modules of `unlabeled` that it imports."""
    notebook = nbformat.read(chapter.notebook, as_version=4)
    modules = imported(chapter_code(notebook), chapter.root / "src/unlabeled")
    return [str(path.relative_to(chapter.root)) for path in [chapter.notebook, *sorted(modules)]]


def code_hash(chapter: Chapter) -> str:
    """Hash of the syntax trees behind the chapter's numbers.

    They are the code cells' and those of the modules of `unlabeled` that these import; docstrings, comments, layout, cells
    that only draw or print prose, exercises, and the module `figures` do not count.
    """
    from press.source import tag

    skipped = {"figure", "prose", "exercise", "check", "solution", "parameters"}
    cells = [cell.source for cell in chapter.source.cells if cell.cell_type == "code" and tag(cell) not in skipped]
    modules = imported("\n".join(cells), chapter.root / "src/unlabeled")
    texts = cells + [path.read_text(encoding="utf-8") for path in sorted(modules) if path.stem not in NOT_IN_NUMBERS]
    trees = (ast.dump(_without_docstrings(ast.parse(text))) for text in texts)
    return hashlib.sha256("\n".join(trees).encode()).hexdigest()[:16]


def _without_docstrings(tree):
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            if isinstance(body[0].value.value, str):
                node.body = body[1:] or [ast.Pass()]
    return tree
