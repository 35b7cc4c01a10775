"""What many tests need: a tiny book with one good chapter, and Chromium."""

import os
import shutil
from pathlib import Path

import pytest

from press import plan, source

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("UNLABELED_TEST_DATA", ROOT.parent / "shared/data"))

CHAPTER = '''\
---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3, language: python}
chapter:
  paper: doe2020tiny
  question: Is a shifted mean larger than zero?
  prerequisites: [means]
  control: the shift is left out
  terms: {shift: 'A number that is added to all others.'}
  symbols:
  - ['$\\mu$', 'the mean']
---

# A tiny chapter

Means move, as {cite:t}`doe2020tiny` say ({term}`mean`).
A {term}`shift` moves all.

:::{note}
Read on.
:::

```{code-cell} ipython3
:tags: [imports]
import matplotlib.pyplot as plt
from IPython.display import Markdown
from unlabeled.claims import Ledger
from unlabeled.exercises import check
from unlabeled.figures import show, use_style
from unlabeled.runtime import start

use_style()
```

```{code-cell} ipython3
:tags: [figure]
figure, axis = plt.subplots()
axis.plot([0, 1], [0, 5])
show(figure, alt="A line that rises from zero to five: this is a shift.", caption="A shift.")
```

```{code-cell} ipython3
:tags: [parameters]
profile = "quick"
seeds = 5
first_seed = 0
dataset = ""
control = False
```

```{code-cell} ipython3
:tags: [settings]
run = start("tiny", profile=profile, seeds=seeds, first_seed=first_seed, dataset=dataset, control=control)
settings = run.settings(shift=(5.0, 5.0))
```

```{code-cell} ipython3
:tags: [claims]
ledger = Ledger(run)
shift = ledger.claim(
    "shift", "The mean is above zero.", name="The mean lies above", paper="5", where="Table 1", central=True,
    rival="noise alone", rival_test="noise",
)
far = ledger.claim("far", "It is far above.", name="It is far away")
side = ledger.claim("side", "Noise is small.", name="Noise stays rather small")
ledger.table
```

## The method

```{code-cell} ipython3
:tags: [method]
def draw(rng, shift):
    """One normal number around `shift`, and the noise in it."""
    noise = rng.standard_normal()
    return {"value": shift + noise, "noise": noise}
```

```{code-cell} ipython3
results = run.each(draw, 0.0 if run.control else settings.shift)
above = shift.greater("mean", "value", results["value"])
shift.greater("noise", "value - half the noise squared", results["value"] - results["noise"] ** 2 / 2)
far.out_of_reach("No scale says what far is.")
```

```{code-cell} ipython3
:tags: [figure]
figure, axis = plt.subplots()
axis.plot(results["value"], "o")
show(figure, alt="Dots, one for each seed, all of them far above zero.", caption="All dots lie above zero.")
```

```{code-cell} ipython3
:tags: [prose]
Markdown(f"The first value is {results['value'][0]:.2f}.")
```

+++ {"tags": ["aside"]}

**Aside: how large the noise is.**

It has a size, too.

```{code-cell} ipython3
:tags: [aside]
size = abs(results["noise"])
side.less("size", "size of the noise", size, margin=3.0)
```

+++ {"tags": ["aside"]}

The aside ends here.

+++

## Verdicts

```{code-cell} ipython3
:tags: [ledger]
ledger
```

## What to believe now

```{code-cell} ipython3
:tags: [prose]
Markdown(f"The mean {above.word('lies above', 'lies below', 'is not clear of')} zero.")
```

## What differs from the paper

Everything.

## The negative control

The shift is left out.

## Exercises

### Exercise 1

```{code-cell} ipython3
:tags: [exercise]
def single(x):
    raise NotImplementedError
```

```{code-cell} ipython3
:tags: [check]
def _check(single):
    assert single(2) == 2, "look again"


check("Exercise 1", single, _check)
```

```{code-cell} ipython3
:tags: [solution]
def single(x):
    return 1 * x
```

### Exercise 2

```{code-cell} ipython3
:tags: [exercise]
def double(x):
    raise NotImplementedError
```

```{code-cell} ipython3
:tags: [check]
def _check(double):
    assert double(2) == 4, "look again"


check("Exercise 2", double, _check)
```

```{code-cell} ipython3
:tags: [solution]
def double(x):
    return 2 * x
```

### Exercise 3

```{code-cell} ipython3
:tags: [exercise]
def triple(x):
    raise NotImplementedError
```

```{code-cell} ipython3
:tags: [check]
def _check(triple):
    assert triple(2) == 6, "look again"


check("Exercise 3", triple, _check)
```

```{code-cell} ipython3
:tags: [solution]
def triple(x):
    return 3 * x
```

### Exercise 4

```{code-cell} ipython3
:tags: [exercise]
def fourfold(x):
    raise NotImplementedError
```

```{code-cell} ipython3
:tags: [check]
def _check(fourfold):
    assert fourfold(2) == 8, "look again"


check("Exercise 4", fourfold, _check)
```

```{code-cell} ipython3
:tags: [solution]
def fourfold(x):
    return 4 * x
```

## Further reading

Nothing more.
'''  # noqa: E501

BIB = """@article{doe2020tiny,
  title={A Tiny {T}ale of Means}, author={Doe, Jane and Roe, Richard and Po{\\'e}, Edgar}, journal={Journal of Means}, year={2020}, url={https://example.org/tiny}
}
"""  # noqa: E501


class TinyBook:
    """A project with one chapter, `tiny`, whose text and files a test may spoil."""

    def __init__(self, root: Path):
        self.root = root
        part = root / "book/foundations"
        part.mkdir(parents=True)
        (root / "notebooks/foundations").mkdir(parents=True)
        self.write(CHAPTER)
        (root / "book/references.bib").write_text(BIB)
        (root / "book/welcome.md").write_text("# Welcome\n\n<!-- tiles -->\n\n<!-- ticks -->\n")
        (root / "book/plan.yml").write_text(
            "foundations:\n  - {name: tiny, paper: doe2020tiny, question: 'Now?'}\n  - {name:"
            " later, paper: doe2020tiny, question: 'When?'}\ndiscovery: []\n"
        )
        (root / "book/glossary.md").write_text(
            "# Glossary\n\n```{glossary}\nmean\n  A sum, divided.\n```\n"
        )
        # the second has no chapter yet, so its opener is in no list
        for folder in ("foundations", "discovery"):
            (root / "book" / folder).mkdir(exist_ok=True)
            (root / "book" / folder / "index.md").write_text(
                f"# {folder.capitalize()}\n\nA part.\n\n<!-- chapters -->\n"
            )
        (root / "book/references.md").write_text("# References\n\n```{bibliography}\n```\n")
        (root / "book/404.md").write_text("# Not here\n\n<!-- home -->\n")
        for name, places in {
            "scorecard": ["scorecard"],
            "status": ["status"],
            "how-we-decide": ["simulation", "chance"],
            "roadmap": ["roadmap"],
            "notation": ["symbols"],
        }.items():
            (root / f"book/{name}.md").write_text(
                f"# {name}\n\n" + "\n\n".join(f"<!-- {place} -->" for place in places) + "\n"
            )
        (root / "book/_static").mkdir()
        (root / "book/_static/book.css").write_text("figure.plate { margin: 0 }\n")
        shutil.copy(ROOT / "book/logo.svg", root / "book/logo.svg")
        (root / "_config.yml").write_text((ROOT / "_config.yml").read_text())
        names = [
            "glossary",
            "notation",
            "references",
            "scorecard",
            "status",
            "how-we-decide",
            "roadmap",
        ]
        files = "".join(f"      - file: book/{name}\n" for name in names)
        marks = f"# {plan.START}\n# {plan.END}\n"
        (root / "_toc.yml").write_text(
            f"format: jb-book\nroot: book/welcome\nparts:\n{marks}  - caption: At the end\n   "
            f" chapters:\n{files}"
        )
        (root / "README.md").write_text(f"# Tiny\n\n<!-- {plan.START} -->\n<!-- {plan.END} -->\n")
        (root / "src").symlink_to(ROOT / "src")
        plan.write(root)

    @property
    def chapter(self) -> source.Chapter:
        """The chapter as it now stands (parsed anew each time)."""
        return source.Chapter(self.root, "foundations", "tiny")

    def write(self, text: str) -> None:
        """Replace the chapter's text."""
        (self.root / "book/foundations/tiny.md").write_text(text)

    def spoil(self, old: str, new: str) -> None:
        """Replace a piece of the good text, which must be there exactly once or more."""
        assert old in CHAPTER
        self.write(CHAPTER.replace(old, new))


@pytest.fixture
def tiny(tmp_path):
    return TinyBook(tmp_path / "book-project")


@pytest.fixture(scope="session")
def chromium():
    """Path of Debian's Chromium; on CI its absence is a failure, elsewhere a clear skip."""
    path = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing: .ci/run must install it.")
        pytest.skip("Chromium is not installed; the pages are not opened.")
    return path
