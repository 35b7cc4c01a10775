"""CONTRIBUTING lists every place that deletes, moves or overwrites, with its guard; this finds them
and holds them against it.
"""

import ast
import re

from conftest import ROOT

CALLS = {
    "rmtree",
    "unlink",
    "rmdir",
    "removedirs",
    "rename",
    "renames",
    "move",
    "copyfile",
    "copyfileobj",
    "copy2",
    "copytree",
    "write_text",
    "write_bytes",
    "symlink_to",
    "hardlink_to",
    "link",
    "touch",
    "truncate",
    "ftruncate",
    "extractall",
    "extract",
    "utime",
    "chmod",
    "savez",
    "save",
    "savetxt",
    "to_csv",
}


def destroys(call):
    """Whether a call deletes, moves or overwrites a file, or may."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if name == "open":
        if "/dev/null" in ast.unparse(call) or "devnull" in ast.unparse(call):
            return False
        modes = [
            word.value
            for word in call.args + [key.value for key in call.keywords]
            if isinstance(word, ast.Constant) and isinstance(word.value, str)
        ]
        return (
            any(re.fullmatch(r"[rbt]*[wax+][rwaxbt+]*", mode) for mode in modes)
            or "O_WRONLY" in ast.unparse(call)
            or "O_RDWR" in ast.unparse(call)
        )
    if name == "replace":  # str.replace has two arguments, dataclasses.replace names its own
        return owner == "os" or (len(call.args) == 1 and not call.keywords)
    if name in ("remove", "copy"):
        return owner in ("os", "shutil")
    if name in ("write", "dump"):
        return owner in ("nbformat", "np", "pickle", "json", "yaml", "torch")
    return name in CALLS


def places():
    """Every "package/module.py function" in src that holds such a call."""
    found = set()
    for path in sorted((ROOT / "src").rglob("*.py")):

        def visit(node, function, path=path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                function = node.name
            if isinstance(node, ast.Call) and destroys(node):
                found.add(f"{path.relative_to(ROOT / 'src').as_posix()} {function}")
            for child in ast.iter_child_nodes(node):
                visit(child, function)

        visit(ast.parse(path.read_text(encoding="utf-8")), "<module>")
    return found


def listed():
    """The rows of the table in CONTRIBUTING.md: place, and the three cells beside it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## What deletes, moves or overwrites\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    return {name: row for row in rows for name in re.findall(r"`([^`]+)`", row[0])}


def test_every_place_that_destroys_is_listed_with_its_guard():
    assert {
        name for name in listed() if name.startswith(("press/", "course/", "unlabeled/"))
    } == places(), (
        'set the table "What deletes, moves or overwrites" in CONTRIBUTING.md right, with what'
        " guards each place"
    )
    for name, row in listed().items():
        assert len(row) == 3 and all(len(cell) > 3 for cell in row), f"{name} has no guard"


def test_the_search_finds_what_it_must():
    found = places()
    assert {
        "press/environment.py remove",
        "press/pair.py write",
        "press/site.py build",
        "press/aside.py write_whole",
    } <= found
    for text in (
        "os.remove(a)",
        "a.replace(b)",
        "open(a, 'w')",
        "open(a, mode='ab')",
        "shutil.copy(a, b)",
        "a.write_text('')",
        "os.open(a, os.O_RDWR)",
    ):
        assert destroys(ast.parse(text).body[0].value), text
    for text in (
        "a.replace('b', 'c')",
        "open(a)",
        "open(a, 'rb')",
        "a.remove(b)",
        "a.copy()",
        "replace(a, b=1)",
        "open(a, encoding='utf-8')",
    ):
        assert not destroys(ast.parse(text).body[0].value), text


def test_the_makefile_deletes_in_clean_alone():
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    deleting = {
        rule.split(":")[0]: recipe
        for rule, recipe in re.findall(
            r"^([a-z-]+:[^\n]*)\n((?:\t[^\n]*\n?)+)", rules, re.MULTILINE
        )
        if re.search(
            r"\b(rm|rmdir|mv|cp|ln|truncate|tee|git|sed -i)\b|-delete|(?<![=-])>\s*\S", recipe
        )
    }
    assert set(deleting) == {"clean"} and "make clean" in listed()
