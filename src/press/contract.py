"""The chapter's contract, checked on its text: what must stand where before anything is run."""

from __future__ import annotations

import ast
import importlib
import inspect
import re

from press.errors import PressError
from press.pair import pair
from press.source import PARAMETERS, TAGS, Chapter, tag

SECTIONS = ("Verdicts", "What differs from the paper", "The negative control", "Exercises", "Further reading")
RUNNING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def problems(chapter: Chapter) -> list[str]:
    """What breaks the contract in `chapter`, a sentence each, in the order in which an author would mend it."""
    try:
        chapter.card, chapter.title
        pair(chapter)
    except PressError as error:
        return [str(error)]
    name = f"book/{chapter.part}/{chapter.name}.md"
    cells = [cell for cell in chapter.source.cells if cell.cell_type == "code"]
    found = [f"the code of cell {place} is no Python: {error}" for place, error in _syntax(chapter)]
    if found:
        return [f"{name}: {sentence}." for sentence in found]
    found += _tags(cells)
    found += _parameters(cells)
    found += _methods(cells, chapter.card["methods"])
    found += _exercises(cells)
    found += _helpers(cells)
    found += _sections(chapter)
    found += _typed_results(chapter)
    found += _unfinished(chapter)
    return [f"{name}: {sentence}." for sentence in found]


def _syntax(chapter):
    for place, cell in enumerate(chapter.source.cells):
        if cell.cell_type == "code":
            try:
                ast.parse(cell.source)
            except SyntaxError as error:
                yield place, error.msg


def _tags(cells):
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        if len(tags) > 1 or set(tags) - set(TAGS):
            yield f"a cell has the tags {', '.join(tags)}: give it at most one of {', '.join(TAGS)}"
    for name in ("imports", "parameters", "settings", "ledger"):
        if (count := sum(tag(cell) == name for cell in cells)) != 1:
            yield f"{count} cells are tagged {name!r} instead of one"
    roles = [tag(cell) for cell in cells]
    if roles[:1] != ["imports"]:
        yield "the first code cell must be 'imports'"
    if "parameters" in roles and roles[roles.index("parameters") + 1 :][:1] != ["settings"]:
        yield "the cell 'settings' must follow 'parameters'"
    if "parameters" in roles and (early := set(roles[1 : roles.index("parameters")]) - {"figure"}):
        yield f"before 'parameters' only pictures may stand (cells tagged 'figure'), not {', '.join(repr(role) for role in sorted(early))}"
    for cell in cells:
        last = ast.parse(cell.source).body[-1:] or [None]
        text = ast.unparse(last[0]) if last[0] is not None else ""
        if tag(cell) == "figure" and not re.match(r"show\(.*alt=.*caption=", text, re.DOTALL):
            yield "a cell tagged 'figure' must end with show(figure, alt=…, caption=…)"
        if tag(cell) == "prose" and not text.startswith("Markdown("):
            yield "a cell tagged 'prose' must end with Markdown(…)"
        if tag(cell) == "ledger" and text != "ledger":
            yield "the cell tagged 'ledger' must end with ledger"


def _parameters(cells):
    for cell in cells:
        if tag(cell) != "parameters":
            continue
        values = {}
        for node in ast.parse(cell.source).body:
            try:
                values[node.targets[0].id] = ast.literal_eval(node.value)
            except (AttributeError, ValueError, IndexError):
                yield "the cell 'parameters' may hold plain assignments of literals only"
        if list(values) != list(PARAMETERS):
            yield f"the cell 'parameters' must set {', '.join(PARAMETERS)} in this order, and no others"
            continue
        for key, default in PARAMETERS.items():
            if key == "seeds" and type(values[key]) is int and values[key] >= 5:
                continue
            if values[key] != default or type(values[key]) is not type(default):
                yield f"the parameter {key} must be {default!r}{' or more' if key == 'seeds' else ''}"


def _methods(cells, listed):
    defined = set()
    for cell in cells:
        if tag(cell) == "method":
            for node in ast.parse(cell.source).body:
                if not isinstance(node, RUNNING):
                    yield f"a method cell runs {ast.unparse(node)[:60]!r}: method cells only define"
                elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                    defined.add(node.name)
                    if not node.name.startswith("_") and not ast.get_docstring(node):
                        yield f"the method {node.name} has no docstring: say what it does, with shapes"
    public = {name for name in defined if not name.startswith("_")}
    if not public:
        yield "no cell is tagged 'method'"
    if missing := sorted(set(listed) - public):
        yield f"the front matter names methods that no method cell defines: {', '.join(missing)}"
    if missing := sorted(public - set(listed)):
        yield f"method cells define what the front matter's methods lack: {', '.join(missing)}"


def _exercises(cells):
    roles = [tag(cell) for cell in cells if tag(cell) in ("exercise", "check", "solution")]
    if not roles:
        yield "there is no exercise"
    if roles != ["exercise", "check", "solution"] * (len(roles) // 3):
        yield "exercises must come as 'exercise', 'check', 'solution', one after the other"
    for cell in cells:
        if tag(cell) == "check" and "check(" not in cell.source:
            yield "a cell tagged 'check' does not call check(name, answer, test)"


def _helpers(cells):
    """Every name that the notebook takes from `unlabeled` exists, is public and documented."""
    for cell in cells:
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "press":
                yield "it imports the press, which readers do not have"
            if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "unlabeled":
                continue
            for alias in node.names:
                if alias.name.startswith("_"):
                    yield f"it imports the private {node.module}.{alias.name}"
                    continue
                try:
                    module = importlib.import_module(node.module)
                    thing = getattr(module, alias.name, None) or importlib.import_module(f"{node.module}.{alias.name}")
                except ImportError:
                    yield f"it imports {node.module}.{alias.name}, which does not exist"
                    continue
                if (inspect.isfunction(thing) or inspect.isclass(thing) or inspect.ismodule(thing)) and not inspect.getdoc(thing):
                    yield f"{node.module}.{alias.name} has no docstring"


def _sections(chapter):
    text = "\n".join(cell.source for cell in chapter.source.cells if cell.cell_type == "markdown")
    heads = re.findall(r"^## (.+?)\s*$", text, re.MULTILINE)
    for name in SECTIONS:
        if name not in heads:
            yield f"the section '## {name}' is missing"


NUMBER = re.compile(r"(?<![\w.])(\d*\.\d+|\d+(?:\.\d+)?(?=(?: |\u00a0|~)?(?:%|percent|per cent)))")

LEVELS = {95.0, 0.95, 2.5}  # the level of the book's intervals and the false-positive rate that goes with it


def _typed_results(chapter):
    """Decimals and percentages typed into prose, which a run should print.

    Allowed: those in tables (the paper's figures), and those that stand as literals in the chapter's own code (declared settings).
    """
    code = [cell.source for cell in chapter.source.cells if cell.cell_type == "code" and tag(cell) not in ("prose", "figure")]
    declared = {float(node.value) for node in ast.walk(ast.parse("\n".join(code))) if isinstance(node, ast.Constant) and type(node.value) in (int, float)}
    for cell in chapter.source.cells:
        if cell.cell_type != "markdown":
            continue
        text = re.sub(r"^(`{3,}).*?^\1", "", cell.source, flags=re.DOTALL | re.MULTILINE)
        text = re.sub(r"\]\([^)]*\)|https?://\S+|`[^`\n]*`", " ", text)
        text = re.sub(r"\b(?:Assumption|Theorem|Definition|Lemma|Corollary|Section|Table|Figure|Equation|version|Python)s?\s+[\d.]+|arXiv:\s*\d{4}\.\d+", " ", text)
        for line in text.splitlines():
            if line.lstrip().startswith("|"):
                continue
            for found in NUMBER.finditer(line):
                value = found[1]
                if not {float(value), float(value) / 100} & (declared | LEVELS):
                    yield f"{value!r} in {line.strip()[:70]!r} looks like a result typed by hand: print it from the run (tag 'prose'), or move the paper's figure to the table of claims"


def _unfinished(chapter):
    todo = [line.strip() for line in chapter.text.read_text(encoding="utf-8").splitlines() if re.search(r"\bTODO\b|\btodo-", line)]
    if todo:
        yield f"{len(todo)} lines are still to be filled, the first of them {todo[0][:60]!r}"
