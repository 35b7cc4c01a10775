"""A run depends on code: what must, and what must not, make one outdated."""

import shutil

import pytest
from conftest import CHAPTER, ROOT

from press import pair, stamps
from press.dependencies import NOT_IN_NUMBERS, bare, code_hash, modules, run_hash

RUNS = {"published": {}, "control": {"control": True}, "overlap": {"first_seed": 3}}


@pytest.fixture
def book(tiny):
    """A tiny book with a copy of the helpers and two pins; `hashes()` are those of its runs and of
    its numbers.
    """
    (tiny.root / "src").unlink()
    shutil.copytree(
        ROOT / "src/unlabeled",
        tiny.root / "src/unlabeled",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (tiny.root / "requirements.txt").write_text("# Chapters\nnumpy==2.0.0\nscipy==1.0.0\n")

    def hashes():
        pair.write(tiny.root)
        chapter = tiny.chapter
        return {name: run_hash(chapter, asked) for name, asked in RUNS.items()} | {
            "numbers": code_hash(chapter)
        }

    def edit(name, old, new):
        path = tiny.root / name
        text = path.read_text()
        assert old in text, old
        path.write_text(text.replace(old, new, 1))

    tiny.hashes, tiny.edit = hashes, edit
    return tiny


TEXT = "book/foundations/tiny.md"
EVERYTHING = {"published", "control", "overlap", "numbers"}
CHANGES = {
    # name: (file, old, new, what is outdated after it)
    "a sentence": (TEXT, "Everything.", "Nearly everything.", set()),
    "a new paragraph": (TEXT, "Everything.", "Everything.\n\nAnd more.", set()),
    "a comment": (TEXT, "results = run.each", "# over the seeds\nresults = run.each", set()),
    "layout": (TEXT, "results = run.each(draw, ", "results = run.each(\n    draw, ", set()),
    "a docstring": (TEXT, "One normal number around", "A number around", set()),
    "the front matter": (TEXT, "larger than zero?", "above zero?", set()),
    "the code of the experiment": (TEXT, "shift + noise", "2 * shift + noise", EVERYTHING),
    "a claim's statement": (TEXT, "It is far above.", "It is very far above.", EVERYTHING),
    "the code of a figure": (TEXT, '"o")', '"x")', {"published"}),
    "a caption": (TEXT, "All dots lie above zero.", "Each dot lies above zero.", {"published"}),
    "a printed sentence": (TEXT, "The first value is", "First comes", {"published"}),
    "an exercise": (TEXT, "return 1 * x", "return x", {"published"}),
    "the code of an aside": (TEXT, "margin=3.0", "margin=4.0", EVERYTHING - {"control"}),
    "how many seeds": (TEXT, "seeds = 5", "seeds = 6", EVERYTHING - {"numbers"}),
    "a pin": ("requirements.txt", "numpy==2.0.0", "numpy==2.0.1", EVERYTHING - {"numbers"}),
    "a new pin": (
        "requirements.txt",
        "scipy==1.0.0\n",
        "scipy==1.0.0\ntorch==2.0.0\n",
        EVERYTHING - {"numbers"},
    ),
    "a pin of the tests": (
        "requirements.txt",
        "scipy==1.0.0\n",
        "scipy==1.0.0\n# Tests\npytest==9.0.0\n",
        set(),
    ),
    "a comment on a pin": ("requirements.txt", "# Chapters", "# What chapters need", set()),
    "the order of pins": (
        "requirements.txt",
        "numpy==2.0.0\nscipy==1.0.0",
        "scipy==1.0.0\nnumpy==2.0.0",
        set(),
    ),
    "a helper's code": (
        "src/unlabeled/runtime.py",
        "seed = int(seed)",
        "seed = int(seed) + 1",
        EVERYTHING,
    ),
    "the code of a helper's helper": (
        "src/unlabeled/claims.py",
        "LEVEL = 0.95",
        "LEVEL = 0.9",
        EVERYTHING,
    ),
    "a helper's docstring": (
        "src/unlabeled/runtime.py",
        "Whether the run is on",
        "If the run is on",
        set(),
    ),
    "a helper's comment": (
        "src/unlabeled/runtime.py",
        "# torch takes seconds",
        "# torch takes time",
        set(),
    ),
    "the wording of an error": (
        "src/unlabeled/runtime.py",
        "Unknown profile",
        "No such profile",
        set(),
    ),
    "the figures' style": ("src/unlabeled/figures.py", "(7.0, 3.8)", "(7.0, 4.0)", set()),
    "the ledger's look": ("src/unlabeled/ledger_view.py", '"Verdicts"', '"The verdicts"', set()),
    "an exercise's message": ("src/unlabeled/exercises.py", '"not tried"', '"to do"', set()),
    "the version": ("src/unlabeled/__init__.py", "__version__ =", "VERSION = __version__ =", set()),
    "a helper that is not imported": (
        "src/unlabeled/training.py",
        "import",
        "UNUSED = 1\nimport",
        set(),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_change_makes_outdated(book, change):
    name, old, new, outdated = CHANGES[change]
    before = book.hashes()
    assert len(set(before.values())) == 4
    book.edit(name, old, new)
    after = book.hashes()
    assert {run for run in before if before[run] != after[run]} == outdated
    (book.root / "build/stamps.json").unlink()
    assert book.hashes() == after, "the stamp says what the code says"


def test_a_file_that_is_only_touched_is_no_change(book):
    before = book.hashes()
    for path in [*book.root.rglob("*.py"), book.chapter.text, book.chapter.notebook]:
        path.touch()
    assert book.hashes() == before


def test_modules_are_followed_through_one_another(book):
    found = {path.stem for path in modules(book.chapter)}
    assert {"claims", "runtime", "figures", "exercises", "ledger_view"} <= found and not {
        "training",
        "networks",
    } & found
    assert NOT_IN_NUMBERS <= {path.stem for path in (book.root / "src/unlabeled").glob("*.py")}, (
        "each name left out is a module"
    )


def test_what_is_left_of_code_is_what_it_does():
    assert bare("x = 1  # one") == bare("x = (1)")
    assert bare('def f():\n    """Say."""\n    return 1') == bare("def f():\n    return 1")
    assert bare('raise ValueError(f"no {x}: try")') == bare('raise ValueError(f"never {x}: do")')
    assert bare('raise ValueError("no")') != bare('raise KeyError("no")')
    assert (
        bare('assert x == "a", "why"')
        == bare('assert x == "a", "how"')
        != bare('assert x == "b", "why"')
    )
    assert bare('"""Say."""\nx = "Say."') != bare('"""Say."""\nx = "So."')
    assert bare("x = (") == "x = (", "what is no Python is compared as it stands"


def test_the_name_of_a_run_says_what_was_asked(tiny, tmp_path):
    chapter, runs = tiny.chapter, tiny.root / "build/runs"
    assert chapter.run() == chapter.executed() and chapter.kept() == chapter.record()
    assert (
        chapter.run(control=True).with_suffix(".json")
        == chapter.control()
        == runs / "quick/control/tiny.json"
    )
    assert chapter.run(profile="full") == runs / "full/default/tiny.ipynb"
    assert (
        chapter.kept(seeds=6, first_seed=3, control=True)
        == runs / "quick/seeds=6-first_seed=3-control/tiny.json"
    )
    assert chapter.run(dataset="digits") == runs / "quick/dataset=digits/tiny.ipynb"
    first, second = tmp_path / "a/my data.npz", tmp_path / "b/my data.npz"
    for path in (first, second):
        path.parent.mkdir()
        path.write_bytes(b"one")
    assert chapter.run(dataset=str(first)) == chapter.run(dataset=str(second)), "the same content"
    second.write_bytes(b"two")
    assert chapter.run(dataset=str(first)) != chapter.run(dataset=str(second)), (
        "the same name is not the same data"
    )
    assert " " not in chapter.run(dataset=str(first)).parent.name


def test_the_tiny_chapter_has_what_is_changed_above():
    assert all(old in CHAPTER for name, old, _, _ in CHANGES.values() if name == TEXT)
    assert stamps.digest("a") != stamps.digest("b")
