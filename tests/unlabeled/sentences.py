"""What every refusal must be: one error type, one sentence, on one line."""

import re
from contextlib import contextmanager

import pytest


@contextmanager
def refused(*words, error=None):
    """Expect `error` (InputError unless told) whose text holds each of `words` and is exactly one
    sentence.
    """
    from unlabeled.runtime import InputError

    with pytest.raises(error or InputError) as caught:
        yield
    text = str(caught.value)
    for part in words:
        assert part in text
    assert "\n" not in text and text.endswith(".")
    # a parameter's own name
    assert not text[0].islower() or text.startswith(
        ("seeds ", "first_seed ", "control ", "dataset ")
    )
    assert not re.search(r"[.!?] +[A-Z]", text), f"more than one sentence: {text}"
