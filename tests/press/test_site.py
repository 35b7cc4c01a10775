"""From a tiny chapter to a site, and every way in which that must fail."""

import json
import re

import nbformat
import pytest

from press import pages, pair, records, site
from press.errors import PressError
from press.execute import run
from press.graft import grafted


def execute(tiny, **parameters):
    pair.write(tiny.root)
    return run(tiny.chapter, parameters)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A tiny book, executed and built once for all tests that only look at it."""
    from conftest import TinyBook

    tiny = TinyBook(tmp_path_factory.mktemp("built") / "book-project")
    execute(tiny)
    execute(tiny, control=True)
    tiny.index = site.build(tiny.root)
    return tiny


def page(tiny, name):
    return (tiny.root / "build/site" / name).read_text()


def test_the_site_shows_the_chapter_with_its_outputs_and_verdicts(built):
    text = page(built, "notebooks/foundations/tiny.html")
    assert "Dots, one for each seed" in text and "The first value is" in text
    assert 'id="claim-shift"' in text and "verdict-strip" in text and "reproduced" in text
    assert "import importlib, os, subprocess" not in text, "the bootstrap cell must not show"
    assert "Effect of the mechanism" in text, "the control's outcome stands on the page"


def test_setting_up_asides_and_answers_are_folds_and_methods_stand_open(built):
    text = page(built, "notebooks/foundations/tiny.html")
    body = text[text.index('<article class="bd-article"') :]
    folds = re.findall(
        r'<details class="fold (\w+)"><summary>(.*?)</summary>(.*?)</details>', body, re.DOTALL
    )
    assert [kind for kind, _, _ in folds] == ["setup", "setup", "aside", "rival"] + ["answer"] * 4
    assert (
        "use_style" in folds[0][2] and "first_seed" in folds[1][2] and "rival_test" in folds[1][2]
    )
    assert (
        folds[2][1] == "how large the noise is."
        and "It has a size, too." in folds[2][2]
        and "The aside ends here." in folds[2][2]
    )
    assert "**Aside" not in body and "Verdicts" not in folds[2][2]
    assert all("look again" in content and "<h" not in content for _, _, content in folds[4:])
    open_ = re.sub(r"<details.*?</details>", "", body, flags=re.DOTALL)
    assert (
        "One normal number around" in open_
        and "NotImplementedError" in open_
        and "The claims under test" in open_
    )
    assert "not tried" not in body and "NotImplementedError" not in "".join(
        content for _, _, content in folds
    )


def test_each_central_claim_has_its_rival_and_the_test_against_it_in_one_fold(built):
    text = " ".join(page(built, "notebooks/foundations/tiny.html").split())
    folds = re.findall(r'<details class="fold rival"><summary>(.*?)</summary>(.*?)</details>', text)
    assert [summary for summary, _ in folds] == ["What else could explain “The mean lies above”?"]
    assert (
        "Noise alone." in folds[0][1]
        and "<em>value - half the noise squared</em>" in folds[0][1]
        and "<strong>holds</strong>" in folds[0][1]
    )


def test_the_control_says_what_is_cut_what_was_lost_and_what_was_not(built):
    run_ = pages.load(built.chapter)
    text = " ".join(pages.control_table(run_).split())
    assert (
        "<strong>What is cut:</strong> The shift is left out. Of 1 central claim reproduced above,"
        " 1 loses that verdict." in text
    )
    kept = json.loads(json.dumps(run_.control))
    side = next(claim for claim in kept["claims"] if claim["id"] == "side")
    side.update(tests=run_.record["claims"][2]["tests"], verdict="reproduced", reason="")
    assert "Reproduced under the control too" in pages.control_table(
        pages.Run(run_.chapter, run_.record, kept, None)
    )
    side.update(tests=[], verdict="out of reach")
    text = pages.control_table(pages.Run(run_.chapter, run_.record, kept, None))
    assert (
        "Left out in the control" in text
        and "Noise stays rather small" in text
        and "Reproduced under the control too" not in text
    )


def test_late_tests_are_marked_on_the_scorecard_and_nothing_is_taken_for_markup(built):
    run_ = pages.load(built.chapter)
    record = json.loads(json.dumps(run_.record))
    record["claims"][0]["tests"][0]["late"] = "the first margin was <b>too wide</b>"
    text = pages.scorecard([pages.Run(run_.chapter, record, run_.control, None)])
    assert "set after a look: the first margin was &lt;b&gt;too wide&lt;/b&gt;" in text
    assert "set after a look" not in pages.scorecard([run_])


def test_scorecard_lists_every_claim_without_javascript(built):
    text = page(built, "book/scorecard.html")
    assert text.count('<details class="claim"') == 3
    assert "../notebooks/foundations/tiny.html#claim-shift" in text
    assert 'role="img" aria-label=' in text


def test_scorecard_downloads_agree_with_the_records(built):
    listed = json.loads(page(built, "book/scorecard.json"))
    assert [(record["chapter"], record["control"]) for record in listed] == [
        ("tiny", False),
        ("tiny", True),
    ]
    lines = page(built, "book/scorecard.csv").splitlines()
    assert (
        len(lines) == 5
        and all(",reproduced," in lines[place] for place in (1, 2, 4))
        and ",out of reach," in lines[3]
    )


def test_roadmap_names_what_is_to_come_and_nothing_that_exists(built):
    text = page(built, "book/roadmap.html")
    assert "When?" in text and "Now?" not in text


def test_a_parts_opener_lists_its_chapters_and_those_to_come(built):
    text = page(built, "book/foundations/index.html")
    assert (
        "tiny.html" in text
        and "Is a shifted mean larger than zero?" in text
        and "To come:" in text
        and "When?" in text
    )
    assert not (built.root / "build/site/book/discovery/index.html").exists()


def test_nothing_is_fetched_from_elsewhere(built):
    for path in (built.root / "build/site").rglob("*.html"):
        if not {"_static", "mathjax"} & set(path.parts):
            assert not re.search(
                r"<(?:script|img|iframe)[^>]+src=\"(?:https?:)?//", path.read_text()
            ), path


def test_the_notebook_for_download_has_no_outputs(built):
    notebook = nbformat.read(
        built.root / "build/site/_sources/notebooks/foundations/tiny.ipynb", as_version=4
    )
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")


def test_not_found_page_stands_alone(built):
    text = page(built, "404.html")
    assert (
        "https://ORG.github.io/REPO/index.html" in text
        and "<link" not in text
        and "<script" not in text
    )


def test_edit_link_opens_the_text(built):
    assert "github.com/ORG/REPO/edit/main/book/foundations/tiny.md" in page(
        built, "notebooks/foundations/tiny.html"
    )


def test_colab_link_opens_the_notebook(built):
    assert (
        "colab.research.google.com/github/ORG/REPO/blob/main/notebooks/foundations/tiny.ipynb"
        in page(built, "notebooks/foundations/tiny.html")
    )


def test_a_broken_link_is_named(built, tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html">b</a><a href="#there">c</a><p id="here">x</p><a href="#here">d</a>'
    )
    assert [problem.split(" links to ")[1] for problem in site.check(tmp_path)] == [
        "#there, and there is no such place on that page",
        "b.html, which does not exist",
    ]


def test_pages_with_tracebacks_pictures_without_alt_and_outside_files_are_named(tmp_path):
    (tmp_path / "a.html").write_text(
        '<img src="x.png"><script src="https://example.org/x.js"></script><pre>Traceback (most'
        " recent call last)</pre>"
    )
    found = "\n".join(site.check(tmp_path))
    assert (
        "without alt text" in found
        and "shows a traceback" in found
        and "fetches https://example.org/x.js" in found
    )


def test_a_failing_cell_leaves_nothing_but_the_failed_notebook(tiny):
    tiny.spoil("results = run", "raise RuntimeError('no luck')\nresults = run")
    with pytest.raises(PressError, match="RuntimeError: no luck"):
        execute(tiny)
    assert not tiny.chapter.executed().exists()
    assert (tiny.root / "build/failed/executed/quick/foundations/tiny.ipynb").is_file()


def test_an_input_error_is_told_in_its_own_sentence(tiny):
    pair.write(tiny.root)
    with pytest.raises(PressError, match="Unknown profile 'slow': use 'quick' or 'full'"):
        run(tiny.chapter, {"profile": "slow"})


def executed(built):
    return nbformat.read(built.chapter.executed(), as_version=4)


def test_a_page_without_outputs_is_refused(built, tmp_path):
    notebook = executed(built)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbformat.write(notebook, tmp_path / "empty.ipynb")
    with pytest.raises(PressError, match="has no outputs"):
        site.has_outputs(tmp_path / "empty.ipynb")


@pytest.mark.parametrize(
    "output, sentence",
    [
        (nbformat.v4.new_output("display_data", {"image/png": "AAAA"}), "without alt text"),
        (
            nbformat.v4.new_output("display_data", {"text/html": '<img src="x">'}),
            "without alt text",
        ),
        (
            nbformat.v4.new_output("error", ename="ValueError", evalue="x", traceback=[]),
            "shows a traceback",
        ),
        (nbformat.v4.new_output("stream", name="stderr", text="a warning"), "writes to stderr"),
    ],
)
def test_an_ugly_output_is_refused(built, tmp_path, output, sentence):
    notebook = executed(built)
    next(cell for cell in notebook.cells if cell.cell_type == "code").outputs.append(output)
    nbformat.write(notebook, tmp_path / "ugly.ipynb")
    with pytest.raises(PressError, match=sentence):
        site.has_outputs(tmp_path / "ugly.ipynb")
    site.has_outputs(built.chapter.executed())  # the good one passes


def test_a_chapter_without_ledger_is_refused(built, tmp_path):
    notebook = executed(built)
    for cell in notebook.cells:
        if "ledger" in cell.metadata.get("tags", []):
            cell.outputs = []
    nbformat.write(notebook, tmp_path / "none.ipynb")
    with pytest.raises(PressError, match="holds 0 ledgers"):
        records.collect(built.chapter, tmp_path / "none.ipynb", tmp_path / "none.json")
    assert not (tmp_path / "none.json").exists()


def test_a_claim_without_test_stops_the_run(tiny):
    tiny.spoil('far.out_of_reach("No scale says what far is.")\n', "")
    with pytest.raises(PressError, match="'far' has no test"):
        execute(tiny)


@pytest.fixture
def edited(built):
    """Grafts the kept outputs onto an edited text, which is put back afterwards."""
    text = built.chapter.text.read_text()

    def graft(old, new):
        assert old in text
        built.chapter.text.write_text(text.replace(old, new))
        return grafted(built.chapter, json.loads(built.chapter.record().read_text()))

    yield graft
    built.chapter.text.write_text(text)


@pytest.mark.parametrize(
    "old, new",
    [
        ("Everything.", "Everything else.\n\n+++\n\nAnd more."),
        ("results = run", "# All seeds\nresults = run"),
    ],
    ids=["words", "comment"],
)
def test_kept_outputs_are_grafted_onto_a_text_whose_words_have_changed(edited, built, old, new):
    notebook = edited(old, new)
    assert any(new.split("\n")[0] in cell.source for cell in notebook.cells)
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert outputs == [
        cell.outputs for cell in executed(built).cells if cell.cell_type == "code"
    ] and any(outputs)


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        (
            "shift + noise",
            "2 * shift + noise",
            (
                "tiny.ipynb was made from another code cell than that of .*tiny.md which begins"
                " 'def draw"
            ),
        ),
        (
            "# A tiny chapter",
            "# A tiny chapter\n\n```{code-cell} ipython3\n1\n```",
            "has 25 code cells, and .*tiny.md now has 26",
        ),
    ],
    ids=["changed", "added"],
)
def test_kept_outputs_of_other_code_are_refused(edited, old, new, sentence):
    with pytest.raises(PressError, match=sentence):
        edited(old, new)


def test_a_kept_notebook_that_is_foreign_broken_or_missing_is_refused(built):
    path, record = built.chapter.executed(), json.loads(built.chapter.record().read_text())
    text = path.read_text()
    try:
        for content, sentence in (
            (text.replace(record["run_hash"], "0" * 16), "of different runs"),
            (text[:99], "is no notebook"),
            (None, "There is no executed notebook"),
        ):
            path.unlink() if content is None else path.write_text(content)
            with pytest.raises(PressError, match=sentence) as caught:
                grafted(built.chapter, record)
            assert str(path) in str(caught.value)
    finally:
        path.write_text(text)


def test_a_warning_of_the_renderer_stops_the_build_and_keeps_the_old_site(built):
    welcome = built.root / "book/welcome.md"
    text, before = welcome.read_text(), built.index.read_bytes()
    try:
        welcome.write_text(text + "\n{term}`unheard of`\n")
        with pytest.raises(PressError, match="unheard of"):
            site.build(built.root)
    finally:
        welcome.write_text(text)
    assert built.index.read_bytes() == before


def test_a_page_without_its_place_is_refused(built):
    status = built.root / "book/status.md"
    text = status.read_text()
    try:
        status.write_text("# status\n")
        with pytest.raises(PressError, match="<!-- status -->"):
            site.build(built.root)
    finally:
        status.write_text(text)


def test_a_scorecard_never_lacks_a_chapter(tiny):
    pair.write(tiny.root)
    with pytest.raises(PressError, match="There is no record"):
        site.build(tiny.root)


def test_one_page_alone_is_the_page_of_the_site(built):
    path = site.page(built.chapter)
    there = (built.root / "build/site" / f"{built.chapter.document}.html").read_text()
    for piece in ("The first value is", "verdict reproduced", "Everything."):
        assert piece in path.read_text() and piece in there
