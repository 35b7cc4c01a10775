"""A tiny assignment for the tests of the coursework."""

from conftest import TinyBook

from course.assignment import Assignment

ASSIGNMENT = '''\
---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3, language: python}
coursework:
  chapter: tiny
  title: "Assignment: means"
  minutes: 40
  hand_in: this notebook.
---

# Assignment: means

As {cite:t}`doe2020tiny` say.

```{code-cell} ipython3
import numpy as np
```

```{code-cell} ipython3
:tags: [chapter]
draw
```

## 1. The mean

```{code-cell} ipython3
:tags: [task]
:id: mean
:minutes: 10
def mean(x):
    """The mean of the numbers x (n,)."""
    ### BEGIN SOLUTION
    total_of_all_numbers = np.sum(x)
    return total_of_all_numbers / len(x)
    ### END SOLUTION
```

```{code-cell} ipython3
:tags: [test]
:id: mean-basic
:points: 2
:hint: try numbers that are not whole
assert np.isclose(float(mean([1, 2, 3])), 2), "the mean of 1, 2, 3 is 2"
### BEGIN HIDDEN TESTS
numbers = secret_rng("mean-basic").normal(size=7)
assert abs(float(mean(numbers)) - numbers.mean()) < 1e-6, "another mean"
### END HIDDEN TESTS
```

```{code-cell} ipython3
:tags: [test]
:id: mean-single
:points: 1
assert mean([5.0]) == 5, "one number is its own mean"
```

```{code-cell} ipython3
:tags: [right]
:why: a loop over a list
def mean(x):
    total = 0
    for one in x:
        total += one
    return total / len(x)
```

```{code-cell} ipython3
:tags: [right]
:why: NumPy's own, as an array without dimensions
def mean(x):
    return np.array(np.mean(x))
```

```{code-cell} ipython3
:tags: [right]
:why: in single precision
def mean(x):
    return np.asarray(x, dtype=np.float32).mean()
```

```{code-cell} ipython3
:tags: [wrong]
:fails: [mean-basic]
:expects: 1
:why: it takes the first number
def mean(x):
    return x[0]
```

```{code-cell} ipython3
:tags: [wrong]
:fails: [mean-basic, mean-single]
:expects: 0
:group: b
:why: it repeats what the visible test shows
def mean(x):
    return 2
```

## 2. Predict

```{code-cell} ipython3
:tags: [task]
:id: guess
:minutes: 5
guess = None
### BEGIN SOLUTION
guess = draw(np.random.default_rng(0), 5)["value"] > 0
### END SOLUTION
```

```{code-cell} ipython3
:tags: [test]
:id: guess-right
:points: 2
assert guess in (True, False), "yes or no"
assert guess == (draw(np.random.default_rng(0), 5)["value"] > 0), "draw it and look"
```

```{code-cell} ipython3
:tags: [right]
:why: a word
guess = True
```

```{code-cell} ipython3
:tags: [right]
:why: a number
guess = 1
```

```{code-cell} ipython3
:tags: [right]
:why: one of NumPy's truths
guess = np.bool_(1)
```

```{code-cell} ipython3
:tags: [wrong]
:fails: [guess-right]
:expects: 0
:why: it is above zero
guess = False
```

## 3. Report

+++ {"tags": ["written"], "id": "report", "points": 4, "minutes": 20}

The model answer speaks of the law of large numbers.

+++ {"tags": ["rubric"]}

- 4 points: names the law.

+++
'''


class TinyCourse(TinyBook):
    """The tiny book with an assignment to its chapter, whose text a test may spoil."""

    def __init__(self, root):
        super().__init__(root)
        (root / "book/coursework").mkdir()
        self.assign(ASSIGNMENT)

    @property
    def assignment(self) -> Assignment:
        return Assignment(self.root, "tiny")

    def assign(self, text: str) -> None:
        (self.root / "book/coursework/tiny.md").write_text(text)
