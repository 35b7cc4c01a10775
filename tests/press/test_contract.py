"""The contract's checks: the good chapter passes, and each way to break it is named."""

import pytest

from press.contract import problems


def test_the_good_chapter_passes(tiny):
    assert problems(tiny.chapter) == []


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("  paper: doe2020tiny\n", "", "chapter.paper must be"),
        ("# A tiny chapter", "A tiny chapter", "must begin with its title"),
        ("profile = \"quick\"", "profile = \"full\"", "the parameter profile must be 'quick'"),
        ("seeds = 5\n", "seeds = 4\n", "the parameter seeds must be 5 or more"),
        ("control = False\n", "control = False\nepochs = 3\n", "and no others"),
        ("control = False\n", "control = bool(0)\n", "plain assignments of literals only"),
        ("methods: [draw]", "methods: [draw, paint]", "no method cell defines: paint"),
        ("methods: [draw]", "methods: []", "methods lack: draw"),
        ('    """One normal number around `shift`."""\n', "", "the method draw has no docstring"),
        (":tags: [method]\n", ":tags: [method]\nprint(1)\n", "method cells only define"),
        (":tags: [solution]\n", ":tags: [check]\n", "'exercise', 'check', 'solution'"),
        (":tags: [figure]\n", ":tags: [picture]\n", "has the tags picture"),
        ('show(figure, alt="Dots, one for each seed, all of them far above zero.", caption="All dots lie above zero.")', "figure", "must end with show"),
        ("## Verdicts", "## Results", "'## Verdicts' is missing"),
        ("from unlabeled.figures import show, use_style", "from unlabeled.figures import show, use_style, sketch", "unlabeled.figures.sketch, which does not exist"),
        ("    return shift + rng", "    return shift + + * rng", "is no Python"),
        ("Everything.", "We measured 0.83 here.", "'0.83' in 'We measured 0.83 here.' looks like a result typed by hand"),
        ("Everything.", "It wins by 12 % or so.", "'12'"),
        ("Everything.", "The shift is 5.0, as declared; 95 % intervals; see Theorem 3.2 and `0.77`.\n\n| paper |\n|---|\n| 91.2 |", None),
        ("```{code-cell} ipython3\n:tags: [parameters]", "```{code-cell} ipython3\n1\n```\n\n```{code-cell} ipython3\n:tags: [parameters]", "before 'parameters' only pictures may stand"),
        ("ledger.claim(\"far\"", "ledger.out_of_reach\nledger.claim(\"far\"", None),
    ],
)
def test_each_breach_is_named(tiny, old, new, sentence):
    tiny.spoil(old, new)
    found = problems(tiny.chapter)
    if sentence is None:
        assert found == []
    else:
        assert any(sentence in problem for problem in found), found
