"""The built site in Chromium, with the network off: every page, light on a desk and dark on a
phone.
"""

import itertools
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT
from playwright.sync_api import sync_playwright

from press import source
from unlabeled import claims

SITE = ROOT / "build/site"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
VIEWS = {"light-desk": ("light", 1280, 900), "dark-phone": ("dark", 390, 844)}


def pages():
    names = [f"{document}.html" for document in source.toc()]
    return ["404.html", "search.html", *names]


@pytest.fixture(scope="session")
def site():
    if not (SITE / "index.html").is_file():
        if os.environ.get("CI"):
            pytest.fail("There is no site: make test builds it first.")
        pytest.skip("There is no site yet: run make book.")
    return SITE


@pytest.fixture(scope="session")
def browser(chromium):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session", params=VIEWS)
def context(request, browser):
    scheme, width, height = VIEWS[request.param]
    context = browser.new_context(
        color_scheme=scheme,
        viewport={"width": width, "height": height},
        offline=True,
        reduced_motion="reduce",
    )
    yield context
    context.close()


@pytest.fixture
def opened(context, site):
    """A function that opens a page of the site and tells what it asked for and complained of."""
    page = context.new_page()
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on(
        "console",
        lambda message: page.complaints.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: page.complaints.append(str(error)))

    def open_page(name):
        page.goto((site / name).as_uri())
        page.wait_for_load_state("load")
        if page.locator(".math").count():
            # the first may be folded
            page.wait_for_selector("mjx-container", state="attached", timeout=20_000)
        return page

    yield open_page
    page.close()


@pytest.mark.parametrize("name", pages())
def test_page_is_quiet_fits_and_is_accessible(opened, name):
    page = opened(name)
    assert [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.complaints == []
    width = page.evaluate("document.documentElement.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, (
        "the page must not scroll sideways"
    )
    found = (
        Axe()
        .run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
        .response["violations"]
    )
    told = [
        f"{violation['id']}: {node['target']} {node['html'][:160]}"
        for violation in found
        for node in violation["nodes"]
    ]
    assert told == [], "\n".join(told[:20])


def test_mathematics_is_set_from_the_site_itself(opened):
    page = opened(f"{source.chapters()[0].document}.html")
    assert page.locator("mjx-container").count() > 3
    assert page.locator("mjx-merror").count() == 0


@pytest.mark.parametrize("chapter", source.chapters(), ids=lambda chapter: chapter.name)
def test_no_formula_of_a_chapter_is_broken(opened, chapter):
    page = opened(f"{chapter.document}.html")
    assert page.locator("mjx-merror, .math.error").count() == 0


def test_code_is_hidden_by_one_key_without_a_jump_and_stays_hidden(opened):
    page = opened(f"{source.chapters()[0].document}.html")
    switch, code = (
        page.locator("button.code-switch"),
        page.locator(".bd-article .cell:not(.tag_is-exercise) > .cell_input:visible"),
    )
    assert switch.inner_text() == "Hide code" and code.count() > 1
    stubs, text = (
        page.locator(".tag_is-exercise .cell_input:visible").count(),
        page.locator(".bd-article p:visible:not(.admonition-title)").count(),
    )
    page.evaluate("document.querySelector('#verdicts h2').scrollIntoView()")
    page.evaluate("window.scrollBy(0, -300)")
    place = "Math.round(document.querySelector('#verdicts h2').getBoundingClientRect().top)"
    switch.evaluate("button => button.focus({ preventScroll: true })")
    before = page.evaluate(place)
    page.keyboard.press("Enter")
    assert abs(page.evaluate(place) - before) <= 2, "what is read stays where it is"
    assert switch.inner_text() == "Show code" and code.count() == 0
    assert page.locator(".tag_is-exercise .cell_input:visible").count() == stubs >= 4
    assert (
        page.locator(".bd-article p:visible:not(.admonition-title)").count() == text
        and page.locator("table:visible").count() > 1
    )
    page.reload()
    assert page.locator("button.code-switch").inner_text() == "Show code" and code.count() == 0, (
        "remembered"
    )
    switch.focus()
    page.keyboard.press("Space")
    assert code.count() > 1


def test_scorecard_filters_and_its_filters_stand_in_the_address(opened, site):
    page = opened("book/scorecard.html")
    claims, shown = page.locator("details.claim"), page.locator("details.claim > summary:visible")
    total = claims.count()
    listed = json.loads((site / "book/scorecard.json").read_text(encoding="utf-8"))
    assert total == sum(len(record["claims"]) for record in listed if not record["control"])
    assert shown.count() == 0, "folded, a line for each chapter"
    assert page.locator("details.scorecard-chapter > summary:visible").count() > 0
    page.locator("#scorecard-filter select").nth(1).select_option("reproduced")
    assert 0 < shown.count() < total
    assert all("reproduced" in text for text in shown.all_inner_texts())
    search, told = page.locator("#scorecard-filter input"), "#scorecard-filter [role=status]"
    search.fill("no such words anywhere")
    assert shown.count() == 0
    assert page.locator(told).inner_text() == "Nothing found: take a filter away."
    search.fill("")
    button = page.locator("table.scorecard-counts tbody button").first
    count = int(button.inner_text())
    button.click()
    assert shown.count() == count, "a count is a filter"
    name = claims.first.locator(".name").inner_text()
    search.fill(name.lower().replace("-", "").replace(" ", ""))
    assert name in page.locator("#scorecard-filter ~ .scorecard").inner_text(), "hyphens aside"


def test_scorecard_links_lead_to_the_place_that_decides(opened):
    page = opened("book/scorecard.html")
    page.locator("details.scorecard-chapter > summary").first.click()
    page.locator("details.claim > summary:visible").first.click()
    link = page.locator("details.claim[open] a").first
    place = link.get_attribute("href").split("#")[1]
    link.click()
    page.wait_for_load_state("load")
    assert page.locator(f"#{place}").count() == 1


def cases(rng, count):
    """Tests of all kinds, at levels that readers can choose."""
    for _ in range(count):
        kind = rng.choice(["t", "equivalence", "exact"])
        direction = str(rng.choice(["greater", "less"])) if kind == "t" else "within"
        values = rng.normal(rng.normal(), rng.exponential(), rng.integers(2, 25))
        margin = float(rng.normal()) if kind == "t" else float(rng.exponential())
        level = float(rng.choice([0.8, 0.9, 0.95, 0.99]))
        yield [str(kind), direction, margin, values.tolist(), level]


def test_the_rule_on_the_page_is_the_rule_in_python(opened):
    page = opened("book/scorecard.html")
    asked = list(cases(np.random.default_rng(0), 3000))
    script = "cases => cases.map(one => window.bookRule.evaluate(...one))"
    for case, there in zip(asked, page.evaluate(script, asked), strict=True):
        here = claims.evaluate(*case)
        assert there["outcome"] == here["outcome"], case
        for key in ("estimate", "low", "high"):
            assert there[key] == (here[key] and pytest.approx(here[key], rel=1e-7, abs=1e-9)), case
    words = ["holds", "fails", "undecided"]
    sets = [list(one) for n in range(1, 6) for one in itertools.product(words, repeat=n)]
    there = page.evaluate("sets => sets.map(one => window.bookRule.verdict(one))", sets)
    assert there == [claims.verdict(one) for one in sets]


def test_a_test_of_a_chapter_opens_into_its_seeds(opened):
    page = opened(f"{source.chapters()[0].document}.html")
    button = page.locator(".ledger .touch-it").first
    button.focus()
    page.keyboard.press("Enter")
    panel = page.locator(".touch").first
    told, dots = panel.locator("[role=status]"), panel.locator("circle.seed")
    assert told.inner_text().endswith("as it is.") and dots.count() >= 5
    before = told.inner_text()
    dots.first.focus()
    page.keyboard.press("Space")
    assert dots.first.get_attribute("aria-pressed") == "false" and told.inner_text() != before
    slider = panel.locator("input[type=range]")
    said = set()
    for end in ("min", "max"):
        slider.fill(slider.get_attribute(end))
        said.add("the test holds" in told.inner_text())
    assert said == {True, False}, "a margin at one end is met, at the other it is not"
    panel.get_by_text("As it was").click()
    assert told.inner_text() == before


def test_text_is_there_without_javascript(browser, site):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((site / "book/scorecard.html").as_uri())
    assert page.locator("details.scorecard-chapter > summary:visible").count() > 0
    for chapter in source.chapters():
        page.goto((site / f"{chapter.document}.html").as_uri())
        assert page.locator("h2:visible, h1:visible").count() > 5
        assert (
            page.locator("table:visible").count() > 0
            and page.locator(".cell_input:visible").count() > 3
        )
    context.close()


def test_every_figure_says_what_it_shows(site):
    for chapter in source.chapters():
        text = (site / f"{chapter.document}.html").read_text(encoding="utf-8")
        figures = re.findall(r'<figure class="plate">.*?</figure>', text, re.DOTALL)
        assert figures, chapter.name
        for figure in figures:
            assert len(re.search(r'alt="([^"]*)"', figure)[1]) >= 40
            assert len(re.sub("<[^>]+>", "", figure).strip()) >= 20, (
                "a caption says what to look at"
            )


def test_edit_links_open_files_that_exist(site):
    for path in site.rglob("*.html"):
        for target in re.findall(
            r'github\.com/ORG/REPO/edit/main/([^"?]+)', path.read_text(encoding="utf-8")
        ):
            assert (ROOT / unquote(target)).is_file(), f"{path.name} offers to edit {target}"


def test_first_page_leads_to_the_welcome(opened):
    page = opened("index.html")
    page.wait_for_url(re.compile(r"book/welcome\.html"))
    assert page.locator("h1:visible").count() == 1


def test_site_is_small_enough_to_read_on_a_train(site):
    sizes = {
        path.name: path.stat().st_size / 2**20
        for path in site.rglob("*.html")
        if isinstance(path, Path)
    }
    assert max(sizes.values()) < 6, f"the largest page has {max(sizes.values()):.1f} MiB"
