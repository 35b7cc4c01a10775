"""The chapter's contract, checked on its text: what must stand where before anything is run."""

from __future__ import annotations

import ast
import builtins
import re
from functools import lru_cache

from press import words
from press.errors import PressError
from press.names import Names as CellNames
from press.pair import pair
from press.source import (
    ASIDE,
    ASIDE_HEAD,
    CARD,
    MORE,
    PARAMETERS,
    SPINE,
    TAGS,
    Chapter,
    asides,
    is_aside,
    tag,
)

SECTIONS = (
    "Verdicts",
    "What to believe now",
    "What differs from the paper",
    "The negative control",
    "Exercises",
    "Further reading",
)
RUNNING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
KNOWN = set(dir(builtins)) | {"display", "get_ipython"}
FILES = {"greater", "less", "equivalent", "exact", "out_of_reach"}
Names = lru_cache(maxsize=None)(CellNames)  # a cell is asked for its names more than once
CHAPTER_LINES, CHAPTER_WORDS, METHOD_LINES, CELL_LINES = 800, 4000, 25, 30


def problems(chapter: Chapter, terms: set[str] | None = None) -> list[str]:
    """What breaks the contract in `chapter`, a sentence each, in the order in which an author would
    mend it.

    `terms` are those of the glossary, in small letters; if left out, they are read.
    """
    try:
        _ = chapter.card, chapter.title, chapter.takes
        pair(chapter)
    except PressError as error:
        return [str(error)]
    except SyntaxError:
        pass  # told below
    name = f"book/{chapter.part}/{chapter.name}.md"
    cells = [cell for cell in chapter.source.cells if cell.cell_type == "code"]
    found = [f"the code of cell {place} is no Python: {error}" for place, error in _syntax(chapter)]
    if found:
        return [f"{name}: {sentence}." for sentence in found]
    found += _front_matter(chapter.card)
    found += _tags(cells)
    found += _parameters(cells)
    found += _claims(cells)
    found += _methods(cells)
    found += _exercises(cells)
    found += _helpers(cells, chapter.root / "src/unlabeled")
    found += _asides(chapter.source.cells)
    found += _names(cells)
    found += _sections(chapter)
    found += _terms(chapter, words.terms(chapter.root) if terms is None else terms)
    found += _limits(chapter)
    found += _typed_results(chapter)
    found += _typed_outcomes(chapter)
    found += _unfinished(chapter)
    return [f"{name}: {sentence}." for sentence in found]


def _syntax(chapter):
    for place, cell in enumerate(chapter.source.cells):
        if cell.cell_type == "code":
            try:
                ast.parse(cell.source)
            except SyntaxError as error:
                yield place, error.msg


def _front_matter(card):
    for key in card:
        if key not in CARD | MORE:
            yield (
                f"the front matter's chapter.{key} is not used: drop it (there are"
                f" {', '.join(CARD | MORE)})"
            )
    for pair_ in card["symbols"]:
        if not (
            isinstance(pair_, list)
            and len(pair_) == 2
            and all(isinstance(text, str) for text in pair_)
        ):
            yield f"chapter.symbols holds {pair_!r}: write each as ['$symbol$', 'its meaning']"
    for rule, reason in card["exempt"].items():
        if not str(reason or "").strip():
            yield f"chapter.exempt.{rule} gives no reason: say why"


def _begins(cell):
    """The first line of a cell, to name it by."""
    return repr(next((line for line in cell.source.splitlines() if line.strip()), "")[:50])


def _tags(cells):
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        roles = [name for name in tags if name != ASIDE]
        if len(roles) > 1 or set(roles) - set(TAGS):
            yield (
                f"a cell has the tags {', '.join(tags)}: give it at most one of {', '.join(TAGS)},"
                f" and {ASIDE} if it belongs to an aside"
            )
        if is_aside(cell) and tag(cell) in SPINE:
            yield (
                f"a cell tagged {tag(cell)!r} stands in an aside, and every run needs it: take the"
                f" tag {ASIDE} away"
            )
    for name in ("imports", "parameters", "settings", "claims", "ledger"):
        if (count := sum(tag(cell) == name for cell in cells)) != 1:
            yield f"{count} cells are tagged {name!r} instead of one"
    roles = [tag(cell) for cell in cells]
    if roles[:1] != ["imports"]:
        yield "the first code cell must be 'imports'"
    for first, second in (("parameters", "settings"), ("settings", "claims")):
        if first in roles and roles[roles.index(first) + 1 :][:1] != [second]:
            yield f"the cell {second!r} must follow {first!r}"
    if "parameters" in roles and (early := set(roles[1 : roles.index("parameters")]) - {"figure"}):
        yield (
            "before 'parameters' only pictures may stand (cells tagged 'figure'), not"
            f" {', '.join(repr(role) for role in sorted(early))}"
        )
    for cell in cells:
        last = ast.parse(cell.source).body[-1:] or [None]
        text = ast.unparse(last[0]) if last[0] is not None else ""
        if tag(cell) == "figure" and not re.match(r"show\(.*alt=.*caption=", text, re.DOTALL):
            yield "a cell tagged 'figure' must end with show(figure, alt=…, caption=…)"
        if tag(cell) == "prose" and not text.startswith("Markdown("):
            yield "a cell tagged 'prose' must end with Markdown(…)"
        if tag(cell) == "ledger" and cell.source.strip() != "ledger":
            yield (
                "the cell tagged 'ledger' must be the one line ledger: declare claims in the cell"
                " 'claims', and file each test where its number is born"
            )
        if tag(cell) == "claims" and text != "ledger.table":
            yield "the cell tagged 'claims' must end with ledger.table"


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
            yield (
                f"the cell 'parameters' must set {', '.join(PARAMETERS)} in this order, and no"
                " others"
            )
            continue
        for key, default in PARAMETERS.items():
            if key == "seeds" and type(values[key]) is int and values[key] >= 5:
                continue
            if values[key] != default or type(values[key]) is not type(default):
                yield (
                    f"the parameter {key} must be {default!r}{' or more' if key == 'seeds' else ''}"
                )


def _claims(cells):
    """Every claim is declared in the cell 'claims', in full; tests are filed where the hash of the
    code sees them.
    """
    claims = [cell for cell in cells if tag(cell) == "claims"]
    if len(claims) != 1:
        return
    central = 0
    for node in ast.walk(ast.parse(claims[0].source)):
        if not (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "claim"
        ):
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        id = ast.unparse(node.args[0]) if node.args else "?"
        words = given["name"].value if isinstance(given.get("name"), ast.Constant) else ""
        if not 2 <= len(str(words).split()) <= 5:
            yield f'the claim {id} needs name="…", the claim in two to five words'
        if "central" in given and ast.unparse(given["central"]) == "True":
            central += 1
            if missing := [key for key in ("rival", "rival_test") if key not in given]:
                yield (
                    f"the central claim {id} lacks {' and '.join(missing)}: name what else could"
                    " explain it, and the test that speaks against that"
                )
    if not central:
        yield "no claim is central: mark with central=True what the negative control must break"
    handles = Names(claims[0].source).bound | {"ledger"}
    for cell in cells:
        for node in ast.walk(ast.parse(cell.source)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            holder = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            if holder == "ledger" and node.func.attr == "claim" and tag(cell) != "claims":
                yield (
                    f"the cell that begins {_begins(cell)} declares a claim: do that in the cell"
                    " 'claims'"
                )
            if holder in handles and node.func.attr in FILES and tag(cell) not in ("", "claims"):
                yield (
                    f"a cell tagged {tag(cell)!r} files a test: file it in a cell without a tag,"
                    " since a change of this one would leave the record as it is"
                )


def _methods(cells):
    public = False
    for cell in cells:
        if tag(cell) == "method":
            for node in ast.parse(cell.source).body:
                if not isinstance(node, RUNNING):
                    yield f"a method cell runs {ast.unparse(node)[:60]!r}: method cells only define"
                elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                    public |= not node.name.startswith("_")
                    if not node.name.startswith("_") and not ast.get_docstring(node):
                        yield (
                            f"the method {node.name} has no docstring: say what it does, with"
                            " shapes"
                        )
    if not public:
        yield "no cell is tagged 'method'"


def _exercises(cells):
    roles = [tag(cell) for cell in cells if tag(cell) in ("exercise", "check", "solution")]
    if not 4 <= roles.count("exercise") <= 6:
        yield f"there are {roles.count('exercise')} exercises: give four to six"
    if roles != ["exercise", "check", "solution"] * (len(roles) // 3):
        yield "exercises must come as 'exercise', 'check', 'solution', one after the other"
    for cell in cells:
        if tag(cell) == "check" and "check(" not in cell.source:
            yield "a cell tagged 'check' does not call check(name, answer, test)"


def _asides(cells):
    for aside in asides(cells):
        first = cells[aside.start]
        if first.cell_type != "markdown" or not ASIDE_HEAD.match(first.source):
            yield (
                f"an aside begins with {_begins(first)} instead of a Markdown cell whose first line"
                " is **Aside: one line that says what is inside.**"
            )
        for place in aside:
            if cells[place].cell_type == "markdown" and re.search(
                r"^#{1,6} ", _unfenced(cells[place].source), re.MULTILINE
            ):
                yield (
                    f"the aside that begins {_begins(first)} has a heading inside: start the next"
                    " section with a line +++"
                )
    for cell in cells:
        if cell.cell_type == "markdown" and not is_aside(cell) and ASIDE_HEAD.search(cell.source):
            yield (
                f"{ASIDE_HEAD.search(cell.source)[0].strip()[:60]!r} stands outside an aside: put"
                ' +++ {"tags": ["aside"]} before it'
            )


def _names(cells):
    """Who may read what: numbers depend on nothing that the code's hash or the control leaves out,
    and exercises stand alone.
    """
    owner: dict[str, object] = {}
    base = set(KNOWN)  # what exercises may use of the chapter
    methods = set(KNOWN)  # what a method may use
    for cell in cells:
        if tag(cell) in ("imports", "parameters", "settings", "method") and not is_aside(cell):
            base |= Names(cell.source).bound
        if tag(cell) in ("imports", "method"):
            methods |= Names(cell.source).bound
    own: set[str] = set()
    for cell in cells:
        role, names = tag(cell), Names(cell.source)
        reader = f"the {role or 'code'} cell that begins {_begins(cell)}"
        exercise = role in ("exercise", "check", "solution")
        for name in sorted(names.needed):
            maker = owner.get(name)
            if role == "method":
                if name not in (methods if is_aside(cell) else methods & base):
                    yield (
                        f"{reader} uses {name!r}: a method may use imports and other methods (of an"
                        " aside only within asides), so make it an argument"
                    )
            elif exercise:
                if name not in base | own:
                    yield (
                        f"{reader} uses {name!r}: exercises stand on imports, settings, methods and"
                        " their own cells alone, so make it there"
                    )
            elif maker is None:
                continue
            elif (
                tag(maker) == "prose"
                and role != "prose"
                or tag(maker) == "figure"
                and role not in ("figure", "prose")
            ):
                yield (
                    f"{reader} reads {name!r} from a cell tagged {tag(maker)!r}, which the code's"
                    f" hash leaves out: bind {name!r} in a cell without that tag"
                )
            elif is_aside(maker) and not is_aside(cell):
                yield (
                    f"{reader} reads {name!r} from an aside, which the negative control leaves out:"
                    f" bind {name!r} outside of it"
                )
        if exercise:
            own |= names.bound
        owner |= dict.fromkeys(names.bound, cell)


def _helpers(cells, package):
    """Every name that the notebook takes from `unlabeled` exists, is public and documented; the
    helpers are read, not loaded.
    """
    for cell in cells:
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "press":
                yield "it imports the press, which readers do not have"
            if (
                not isinstance(node, ast.ImportFrom)
                or (node.module or "").split(".")[0] != "unlabeled"
            ):
                continue
            for alias in node.names:
                if alias.name.startswith("_"):
                    yield f"it imports the private {node.module}.{alias.name}"
                    continue
                documented = _documented(package.parent.joinpath(*node.module.split("."))).get(
                    alias.name
                )
                if documented is None:
                    yield f"it imports {node.module}.{alias.name}, which does not exist"
                elif not documented:
                    yield f"{node.module}.{alias.name} has no docstring"


def _documented(path):
    """Name -> whether it has a docstring (or needs none), for all that a module or package of
    helpers offers at its top.
    """
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not file.is_file():
        return {}
    names = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] = bool(ast.get_docstring(node))
        for target in [*getattr(node, "targets", []), getattr(node, "target", None)]:
            if target is not None:
                names |= dict.fromkeys(Names(ast.unparse(target) + " = 0").bound, True)
    if path.is_dir():
        names |= {
            other.stem: bool(ast.get_docstring(ast.parse(other.read_text(encoding="utf-8"))))
            for other in path.glob("*.py")
        }
    return names


def _sections(chapter):
    sections: dict[str, list] = {}
    here: list = []
    for cell in chapter.source.cells:
        if cell.cell_type == "markdown":
            for head in re.findall(r"^## (.+?)\s*$", _unfenced(cell.source), re.MULTILINE):
                here = sections.setdefault(head, [])
        else:
            here.append(tag(cell))
    for name in SECTIONS:
        if name not in sections:
            yield f"the section '## {name}' is missing"
    if "prose" not in sections.get("What to believe now", ["prose"]):
        yield (
            "'## What to believe now' needs a cell tagged 'prose': three sentences whose words come"
            " from the outcomes"
        )
    there = [name for name in sections if name in SECTIONS]
    if set(there) == set(SECTIONS) and there != list(SECTIONS):
        yield f"the closing sections must come in this order: {', '.join(SECTIONS)}"


def _terms(chapter, known):
    used = {}
    for cell in chapter.source.cells:
        if cell.cell_type == "markdown":
            for shown, target in re.findall(r"\{term\}`([^`<]+?)\s*(?:<([^`>]+)>)?`", cell.source):
                used.setdefault(" ".join((target or shown).split()), None)
    for term in used:
        if term.casefold() not in known:
            yield (
                f"the glossary lacks the term {term!r}: define it under chapter.terms in the front"
                " matter"
            )


def _unfenced(text):
    """Markdown without its code blocks."""
    return re.sub(r"^(`{3,}).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)


def code_lines(text: str) -> int:
    """Lines of code that are not blank; comments and docstrings are read too, so they count."""
    return sum(bool(line.strip()) for line in text.splitlines())


def count_words(chapter: Chapter) -> int:
    """Words of the chapter's Markdown, code blocks and display formulas left out."""
    text = "\n".join(
        _unfenced(cell.source) for cell in chapter.source.cells if cell.cell_type == "markdown"
    )
    return len(re.findall(r"\S*\w\S*", re.sub(r"\$\$.*?\$\$", "", text, flags=re.DOTALL)))


def _limits(chapter):
    exempt = dict(chapter.card["exempt"])

    def over(rule, text):
        if exempt.pop(rule, None) is None:
            yield f"{text}, or say why not with exempt: {{{rule}: '…'}} in the front matter"

    total = 0
    for cell in chapter.source.cells:
        if cell.cell_type != "code":
            continue
        total += (lines := code_lines(cell.source))
        limit = METHOD_LINES if tag(cell) == "method" else CELL_LINES
        # a list of declarations, and folded on the page
        if lines > limit and tag(cell) != "claims":
            defined = re.search(r"^(?:def|class) (\w+)|^(\w+)", cell.source, re.MULTILINE)
            rule = (defined[1] or defined[2]) if defined else "cell"
            yield from over(
                rule,
                f"the cell that begins {_begins(cell)} has {lines} lines, {limit} at most: split"
                " it, or move what any paper needs to unlabeled",
            )
    if total > CHAPTER_LINES:
        yield from over(
            "code",
            f"it has {total} lines of code, {CHAPTER_LINES} at most: cut side claims, or move what"
            " any paper needs to unlabeled",
        )
    if (count := count_words(chapter)) > CHAPTER_WORDS:
        yield from over(
            "words",
            f"it has {count} words, {CHAPTER_WORDS} at most: cut what is no part of the one line of"
            " thought",
        )
    for rule in exempt:
        if rule not in ELSEWHERE:
            yield f"chapter.exempt.{rule} exempts nothing: drop it"


ELSEWHERE: tuple[str, ...] = ()  # rules that other checks look up


NUMBER = re.compile(r"(?<![\w.])(\d*\.\d+|\d+(?:\.\d+)?(?=(?: |\u00a0|~)?(?:%|percent|per cent)))")

# the level of the book's intervals and the false-positive rate that goes with it
LEVELS = {95.0, 0.95, 2.5}


def _typed_results(chapter):
    """Decimals and percentages typed into prose, which a run should print.

    Allowed: those in tables (the paper's figures), and those that stand as literals in the
    chapter's own code (declared settings).
    """
    code = [
        cell.source
        for cell in chapter.source.cells
        if cell.cell_type == "code" and tag(cell) not in ("prose", "figure")
    ]
    declared = {
        float(node.value)
        for node in ast.walk(ast.parse("\n".join(code)))
        if isinstance(node, ast.Constant) and type(node.value) in (int, float)
    }
    for cell in chapter.source.cells:
        if cell.cell_type != "markdown":
            continue
        text = _unfenced(cell.source)
        text = re.sub(r"\]\([^)]*\)|https?://\S+|`[^`\n]*`", " ", text)
        text = re.sub(
            r"\b(?:Assumption|Theorem|Definition|Lemma|Corollary|Section|Table|Figure|Equation|version|Python)s?\s+[\d.]+|arXiv:\s*\d{4}\.\d+",
            " ",
            text,
        )
        for line in text.splitlines():
            if line.lstrip().startswith("|"):
                continue
            for found in NUMBER.finditer(line):
                value = found[1]
                if not {float(value), float(value) / 100} & (declared | LEVELS):
                    yield (
                        f"{value!r} in {line.strip()[:70]!r} looks like a result typed by hand:"
                        " print it from the run (tag 'prose'), or move the paper's figure to the"
                        " table of claims"
                    )


# Words that tell how a comparison ended; a run on other seeds may end it otherwise.
OUTCOME = re.compile(
    r"\b(?:beats?|beaten|outperforms?|outperformed|wins|won|loses|ties with|draws? level|comes?"
    r" out|helps(?! (?:us|you|to))|hurts"
    r"|reproduces (?:the (?:paper|claim|result)|it\b)|(?:does not|do not|did not|doesn't)"
    r" (?:help|reproduce|hurt|matter)|(?:is|are|was|were) (?:not )?reproduced"
    r"|makes? no difference|has no effect|no better than|as good as)\b",
    re.IGNORECASE,
)
# Sentences that tell of no outcome of ours: the paper's word, theory, conditions.
NOT_OURS = re.compile(
    r"\b(?:papers?|authors?|theorems?|theory|lemma|suppose|if|whether|unless|would|could|should|might|may|can|expect|must|to"
    r" beat)\b|\{cite",
    re.IGNORECASE,
)
COST = re.compile(
    r"\b(?:\d[\d.,]*|half an?|two|three|four|five|six|eight|ten|twelve|fifteen|twenty|thirty"
    r"|forty|fifty|sixty|ninety|hundred|few|several)"
    r"[ \u00a0-](?:(?:CPU|GPU|reference|more|whole)[ \u00a0-])?"
    r"(?:seconds?|minutes?|hours?|milliseconds|[MG]i?B)\b|\b(?:a|one) (?:minute|hour)\b",
    re.IGNORECASE,
)
SAID = {
    "outcome": re.compile(r"<!--\s*outcome:\s*\S.*?-->"),
    "cost": re.compile(r"<!--\s*cost:\s*\S.*?-->"),
}


def _typed_outcomes(chapter):
    """Words of outcome and costs that are typed where a run on other seeds, or another machine, may
    say otherwise.
    """
    for text, ours in _prose(chapter):
        for line in text.splitlines():
            plain = re.sub(
                r'\]\([^)]*\)|`[^`\n]*`|"[^"\n]*"|“[^”\n]*”|\*\*Aside: .*?\*\*', " ", line
            )
            if line.lstrip().startswith("|") or re.match(
                r"#+ (?:\d+\. )?(?:When|Where|Why|What|Who|How|Which|Whether)\b", line
            ):
                continue
            if (found := COST.search(plain)) and not SAID["cost"].search(line):
                yield (
                    f"{found[0]!r} in {line.strip()[:70]!r} looks like a cost typed by hand: the"
                    " card says what a run costs; if it is none, end the line with <!-- cost: why"
                    " it stands here -->"
                )
            for sentence in re.split(r"(?<=[.!?])\s+", plain):
                found = OUTCOME.search(sentence)
                if (
                    ours
                    and found
                    and not sentence.rstrip().endswith("?")
                    and not NOT_OURS.search(sentence)
                    and not SAID["outcome"].search(line)
                ):
                    yield (
                        f"{found[0]!r} in {line.strip()[:70]!r} is an outcome typed by hand: print"
                        " it with test.word(…) from a cell tagged 'prose', or, if no seed can"
                        " change it, end the line with <!-- outcome: why -->"
                    )


def _prose(chapter):
    """Pieces of prose, and whether outcomes of ours may stand in them: from the claims to the
    exercises.
    """
    ours = False
    for cell in chapter.source.cells:
        if cell.cell_type == "markdown":
            for piece in re.split(r"^(?=## )", _unfenced(cell.source), flags=re.MULTILINE):
                if head := re.match(r"## (.+)", piece):
                    ours = ours and head[1].strip() not in ("Exercises", "Further reading")
                yield piece, ours
        elif tag(cell) == "claims":
            ours = True
        elif tag(cell) == "prose":
            yield "".join(_typed(ast.parse(cell.source))), ours


def _typed(tree):
    """The literal text of a cell that prints a sentence; what is put in from the run becomes …, and
    calls' arguments are left out.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                "".join(
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                )
                + "\n"
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value + "\n"
        elif isinstance(node, ast.Call) and not (
            isinstance(node.func, ast.Name) and node.func.id == "Markdown"
        ):
            continue
        else:
            yield from _typed(node)


def _unfinished(chapter):
    todo = [
        line.strip()
        for line in chapter.text.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bTODO\b|\btodo-", line)
    ]
    if todo:
        yield f"{len(todo)} lines are still to be filled, the first of them {todo[0][:60]!r}"
