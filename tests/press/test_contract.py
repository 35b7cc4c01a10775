"""The contract's checks: the good chapter passes, and each way to break it is named."""

import pytest
from conftest import CHAPTER

from press.contract import problems


def test_the_good_chapter_passes(tiny):
    assert problems(tiny.chapter) == []


CODE = "```{code-cell} ipython3\n"


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("  paper: doe2020tiny\n", "", "chapter.paper must be"),
        ("  prerequisites:", "  year: 2020\n  prerequisites:", "chapter.year is not used: drop it"),
        ("  - ['$\\mu$', 'the mean']", "  - '$x$'", "write each as"),
        ("  prerequisites:", "  cost: 3\n  prerequisites:", "chapter.cost must be a str"),
        ("# A tiny chapter", "A tiny chapter", "must begin with its title"),
        ('profile = "quick"', 'profile = "full"', "the parameter profile must be 'quick'"),
        ("seeds = 5\n", "seeds = 4\n", "the parameter seeds must be 5 or more"),
        ("control = False\n", "control = False\nepochs = 3\n", "and no others"),
        ("control = False\n", "control = bool(0)\n", "plain assignments of literals only"),
        ("control=control)", "control=control, takes=(1 + 1))", "write takes=(…)"),
        (
            '    """One normal number around `shift`, and the noise in it."""\n',
            "",
            "the method draw has no docstring",
        ),
        (":tags: [method]\n", ":tags: [method]\nprint(1)\n", "method cells only define"),
        (":tags: [solution]\n", ":tags: [check]\n", "'exercise', 'check', 'solution'"),
        ("def _check(single)", "def _other(single)", "uses '_check'"),
        (":tags: [figure]\n", ":tags: [picture]\n", "has the tags picture"),
        (
            (
                'show(figure, alt="Dots, one for each seed, all of them far above zero.",'
                ' caption="All dots lie above zero.")'
            ),
            "figure",
            "must end with show",
        ),
        ("## Verdicts", "## Results", "'## Verdicts' is missing"),
        (
            "## What to believe now\n\n```{code-cell} ipython3\n:tags: [prose]",
            "## What to believe now\n\n```{code-cell} ipython3",
            "needs a cell tagged 'prose'",
        ),
        (
            "## What differs from the paper\n\nEverything.\n\n## The negative control",
            "## The negative control\n\n## What differs from the paper\n\n",
            "must come in this order",
        ),
        (
            "from unlabeled.figures import show, use_style",
            "from unlabeled.figures import show, use_style, sketch",
            "unlabeled.figures.sketch, which does not exist",
        ),
        ("    noise = rng", "    noise = + * rng", "is no Python"),
        (
            "Everything.",
            "We measured 0.83 here.",
            "'0.83' in 'We measured 0.83 here.' looks like a result typed by hand",
        ),
        ("Everything.", "It wins by 12 % or so.", "'12'"),
        (
            "Everything.",
            (
                "The shift is 5.0, as declared; 95 % intervals; see Theorem 3.2 and `0.77`.\n\n|"
                " paper |\n|---|\n| 91.2 |"
            ),
            None,
        ),
        (
            CODE + ":tags: [parameters]",
            CODE + "1\n```\n\n" + CODE + ":tags: [parameters]",
            "before 'parameters' only pictures may stand",
        ),
        # claims
        (":tags: [claims]\n", "", "0 cells are tagged 'claims'"),
        (
            "## The method\n",
            CODE + ":tags: [claims]\nledger.table\n```\n",
            "2 cells are tagged 'claims'",
        ),
        ("ledger.table\n", "ledger\n", "must end with ledger.table"),
        (
            ":tags: [ledger]\nledger\n",
            ":tags: [ledger]\nshift.less('more', 'more', results['noise'])\nledger\n",
            "must be the one line ledger",
        ),
        ('name="It is far away"', 'name="far"', "the claim 'far' needs name"),
        (' rival_test="noise",\n', "\n", "the central claim 'shift' lacks rival_test"),
        ("central=True", "central=False", "no claim is central"),
        (
            "size = abs",
            "ledger.claim('late', 'Late.')\nsize = abs",
            "declares a claim: do that in the cell 'claims'",
        ),
        (
            CODE + ":tags: [aside]\nsize",
            CODE + ":tags: [aside, prose]\nsize",
            "a cell tagged 'prose' files a test",
        ),
        # who may read what
        (
            ':tags: [prose]\nMarkdown(f"The first',
            ':tags: [prose]\naxis\nMarkdown(f"The first',
            None,
        ),
        ("far.out_of_reach", "axis\nfar.out_of_reach", "reads 'axis' from a cell tagged 'figure'"),
        (
            '+++ {"tags": ["aside"]}\n\nThe aside ends',
            CODE + 'size\n```\n\n+++ {"tags": ["aside"]}\n\nThe aside ends',
            "reads 'size' from an aside",
        ),
        (
            "    return 2 * x",
            "    return 2 * x * len(results)",
            "uses 'results': exercises stand on imports",
        ),
        (
            "    return 2 * x",
            "    return 2 * x * (settings.shift > 0) * draw.__name__.count('d')",
            None,
        ),
        (
            "    noise = rng",
            "    noise = settings.shift * rng",
            "uses 'settings': a method may use imports and other methods",
        ),
        # asides
        (
            "**Aside: how large the noise is.**",
            "How large the noise is.",
            "instead of a Markdown cell whose first line is",
        ),
        ("The aside ends here.", "## A heading", "has a heading inside"),
        ('+++ {"tags": ["aside"]}\n\n**Aside', "+++\n\n**Aside", "stands outside an aside"),
        (":tags: [claims]", ":tags: [claims, aside]", "tagged 'claims' stands in an aside"),
        # outcomes and costs typed by hand
        (
            "It has a size, too.",
            "The shift beats the noise.",
            "'beats' in 'The shift beats the noise.' is an outcome typed by hand",
        ),
        ("It has a size, too.", "More shift does not help.", "'does not help'"),
        ("Everything.", "Whoever shifts wins.", "'wins'"),
        ("## The negative control\n", "## The shift helps\n\n## The negative control\n", "'helps'"),
        (
            "The first value is {",
            "The shift beats the first value, {",
            "'beats' in 'The shift beats the first value, ….'",
        ),
        ("The first value is {", "The shift {above.word(holds='beats')} the first value, {", None),
        (
            "Everything.",
            (
                "Does the shift beat the noise, and who wins?\nIf it wins, good.\nThe paper says"
                ' that it wins.\n"It wins" is a sentence.'
            ),
            None,
        ),
        ("Everything.", "The sum wins. <!-- outcome: an identity of sums -->", None),
        ("Everything.", "The sum wins. <!-- outcome: -->", "'wins'"),
        ("Means move", "It beats all others, they say; means move", None),
        ("### Exercise 1", "### Exercise 1\n\nShow that a sum wins.", None),
        ("## The negative control\n", "## Where it wins\n\n## The negative control\n", None),
        ("Means move", "This runs in 20 seconds; means move", "'20 seconds' in"),
        ("Everything.", "It took about twenty seconds and 3 GB.", "'twenty seconds'"),
        ("Everything.", "It took 3 GB.", "'3 GB'"),
        ("The first value is", "After half a minute the first value is", "'half a minute'"),
        (
            "Everything.",
            "A second shift; a film of two seconds. <!-- cost: the length of a film -->",
            None,
        ),
        # limits
        ("    noise = rng", "    1\n" * 25 + "    noise = rng", "has 29 lines, 25 at most"),
        ("size = abs", "1\n" * 30 + "size = abs", "has 32 lines, 30 at most"),
        (
            "  terms:",
            "  exempt: {size: 'one table'}\n  terms:",
            "chapter.exempt.size exempts nothing",
        ),
        ("Everything.", "Every thing. " * 2000, "words, 4000 at most"),
        ("Everything.", (CODE + "1\n2\n3\n```\n\n") * 300, "lines of code, 800 at most"),
        (
            "### Exercise 1",
            "### Exercise 1\n\n"
            + "".join(
                CODE + f":tags: [{role}]\ncheck()\n```\n\n"
                for role in ("exercise", "check", "solution")
            )
            * 3,
            "there are 7 exercises",
        ),
    ],
)
def test_each_breach_is_named(tiny, old, new, sentence):
    tiny.spoil(old, new)
    found = problems(tiny.chapter)
    if sentence is None:
        assert found == []
    else:
        assert any(sentence in problem for problem in found), found


def test_a_limit_may_be_exempted_with_a_reason(tiny):
    text = CHAPTER.replace("    noise = rng", "    1\n" * 25 + "    noise = rng")
    tiny.write(text.replace("  terms:", "  exempt: {draw: 'one formula, no seam in it'}\n  terms:"))
    assert problems(tiny.chapter) == []
    tiny.write(text.replace("  terms:", "  exempt: {draw: ''}\n  terms:"))
    assert any("gives no reason" in problem for problem in problems(tiny.chapter))
