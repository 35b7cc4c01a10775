"""All refusals of the press and the helpers: a sentence, its cause, and a remedy; nobody sees a
traceback.
"""

import ast
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from unlabeled.claims import Ledger
from unlabeled.runtime import InputError, start

# Refusals that list what was found: the head ends with a colon, and each line below it is a
# sentence by rules of its own.
LISTS = {
    "A referee would stop at",
    "The chapters break their contract",
    "The linter complains",
    "A central test flips with the seeds",
    "The site has errors",
    "A second run differs",
    "A seed's values depend on more than the seed",
    "Jupyter Book is not content",
}
# What to do stands behind a colon, semicolon, comma or conjunction; or the sentence says what must
# hold.
VERBS = (
    "add check choose cut declare delete divide drop end file find give keep leave make mark mend"
    " move multiply name number pass put remove report rescale run say see set silence state test"
    " try unset use wait write compare"
)
REMEDY = re.compile(
    r"(?:[:;,] |\b(?:and|or|so) )(?:or,? )?(?:with data of your own,"
    rf" )?(?:{VERBS.replace(' ', '|')}|it must|both must|only|there are|did you mean|pictures"
    r" are|labels are|they are|an \.npz must|the same command|the chapter)\b"
    r"|\bmust\b|\b(?:needs?|are needed)\b|^(Name|Say)\b|: …\.?$"
)


def refusals():
    """(file:line, text) of every InputError and PressError raised in src, with … for what is filled
    in.
    """
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        if "course" in path.parts:  # coursework has a scan of its own
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Raise)
                and isinstance(node.exc, ast.Call)
                and ast.unparse(node.exc.func) in ("InputError", "PressError")
            ):
                place = f"{path.relative_to(ROOT / 'src')}:{node.lineno}"
                found += [(place, text) for text in texts(node.exc.args[0])]
    return found


def texts(node):
    """What the expression of a message can say."""
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    if isinstance(node, ast.Constant):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return [
            "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        ]
    if isinstance(node, ast.BinOp):
        return [left + right for left in texts(node.left) for right in texts(node.right)]
    return ["…"]  # another refusal's own sentence, passed on


def test_the_scan_finds_what_it_must():
    found = refusals()
    assert len(found) > 90 and {place.split("/")[0] for place, _ in found} == {"press", "unlabeled"}


@pytest.mark.parametrize("place, text", [pytest.param(*entry, id=entry[0]) for entry in refusals()])
def test_each_refusal_is_one_sentence_with_a_remedy(place, text):
    if not re.search(r"\w+ \w+ \w+ \w+", text):  # all of it is filled in
        assert text.endswith((".", "…"))
        return
    head = text.split("\n")[0]
    if any(head.startswith(start) for start in LISTS):
        assert head.rstrip().endswith(":")
        return
    assert "\n" not in text and "Traceback" not in text
    assert text.endswith((".", "…")), text
    assert not re.search(r"[.!?] +[A-Z]", text), f"more than one sentence: {text}"
    assert (
        text[0].isupper()
        or text[0] == "…"
        or re.match(r"(seeds|first_seed|control|dataset|passes|book/)", text)
    ), text
    assert REMEDY.search(text), f"says what is wrong and not what to do: {text}"
    assert not re.search(
        r"\bsee the file\b|\bsee above\b|\binvalid\b|\bfailed to\b|\bunable\b", text
    ), text


FOR_AUTHORS = re.compile(
    r"\b(exact|margin|ledger|seed where|file one|declare|the cell|author|identities)\b"
)


@pytest.mark.parametrize(
    "values",
    [[np.nan, 1, 2, 3, 4], [np.inf] * 5, [0.5] * 5],
    ids=["NaN", "infinite", "all the same"],
)
def test_a_reader_with_own_data_gets_no_advice_for_authors(values, tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x=1)
    said = []
    for dataset in ("", str(path)):
        run = start(
            "any",
            profile="quick",
            seeds=5,
            first_seed=0,
            dataset=dataset,
            control=False,
            takes=("digits", "npz"),
            default=("digits", "digits"),
        )
        claim = Ledger(run).claim("better", "It is better.", name="Better by far")
        with pytest.raises(InputError) as caught:
            claim.greater("gain", "gain", values)
        said.append(str(caught.value))
    assert FOR_AUTHORS.search(said[0]) and not FOR_AUTHORS.search(said[1]), said
    assert "this data" in said[1] and "try " in said[1]


def press(root, *words):
    return subprocess.run(
        [sys.executable, "-m", "press", *words],
        cwd=root,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PRESS_ROOT": str(root)},
    )


def one_line(done):
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("press: ") and line.endswith(".")
    return line


def test_an_error_that_nobody_expects_is_one_sentence_too(tiny):
    """A configuration that is no YAML, one that cannot be read, and a file where a folder must
    be.
    """
    (tiny.root / "_config.yml").write_text("chapters: [")
    said = one_line(press(tiny.root, "passes"))
    assert "report it with build/logs/press.log" in said
    assert "Traceback" in (tiny.root / "build/logs/press.log").read_text()
    (tiny.root / "_config.yml").unlink()
    assert "_config.yml cannot be used" in one_line(press(tiny.root, "passes"))
    (tiny.root / "build/logs/press.log").unlink()
    (tiny.root / "build/logs").rmdir()
    (tiny.root / "build").rmdir()
    (tiny.root / "build").write_text("a file")
    assert "Nothing can be written to" in one_line(press(tiny.root, "passes"))


def test_a_pipe_that_is_closed_is_no_error(tiny):
    command = f'"{sys.executable}" -m press names | true; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tiny.root,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PRESS_ROOT": str(tiny.root)},
    )
    assert done.stdout.strip() == "0" and done.stderr == ""
