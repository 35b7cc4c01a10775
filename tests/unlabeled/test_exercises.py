"""Exercises tell how far an answer is, and never break the notebook."""

import pytest

from unlabeled.exercises import NotYet, check, strict


def twice_two(double):
    if double(2) != 4:
        # spelled out, as pytest adds lines to the text of an assert
        raise AssertionError("twice two is four")


def stub(x):
    raise NotImplementedError


class Odd(Exception):
    pass


def raising(error):
    def double(x):
        raise error

    return double


@pytest.mark.parametrize(
    "answer, outcome",
    [
        (lambda x: 2 * x, "passed"),
        (lambda x: x, "not yet: twice two is four"),
        (None, "not tried"),
        (..., "not tried"),
        (stub, "not tried"),
        (raising(Odd("odd")), "not yet: Odd: odd"),
        (
            raising(ZeroDivisionError("division by zero")),
            "not yet: ZeroDivisionError: division by zero",
        ),
        (raising(SystemExit(3)), "not yet: SystemExit: 3"),
        (raising(AssertionError()), "not yet"),
        (lambda: 4, "not yet: TypeError: "),
        ("no function", "not yet: TypeError: "),
    ],
)
def test_each_outcome_is_printed_and_raised_only_in_the_strict_form(answer, outcome, capsys):
    assert check("Exercise 1", answer, twice_two) is None
    printed = capsys.readouterr().out
    assert printed.startswith(f"Exercise 1: {outcome}") and printed.count("\n") == 1
    with strict():
        if outcome == "passed":
            check("Exercise 1", answer, twice_two)
        else:
            with pytest.raises(NotYet, match=f"^Exercise 1: {outcome.split(':')[0]}"):
                check("Exercise 1", answer, twice_two)


def test_an_endless_recursion_is_not_yet(capsys):
    def double(x):
        return double(x)

    check("Exercise 1", double, twice_two)
    assert "not yet: RecursionError" in capsys.readouterr().out


def test_the_reader_may_still_interrupt():
    with pytest.raises(KeyboardInterrupt):
        check("Exercise 1", raising(KeyboardInterrupt()), twice_two)


def test_an_answer_may_be_an_array(capsys):
    import numpy as np

    def test(answer):
        assert answer.sum() == 3

    check("Exercise 2", np.ones(3), test)
    check("Exercise 2", np.zeros(3), test)
    assert capsys.readouterr().out.startswith("Exercise 2: passed\nExercise 2: not yet")


def test_strict_ends_with_its_context_even_after_a_failure(capsys):
    with pytest.raises(NotYet), strict():
        with strict():
            check("Exercise 1", lambda x: 4, twice_two)
        check("Exercise 1", None, twice_two)
    check("Exercise 1", None, twice_two)
    assert capsys.readouterr().out.endswith("Exercise 1: not tried\n")
