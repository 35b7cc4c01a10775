"""Build the site from build/stage, and refuse to publish a page that a reader would stumble
over.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import nbformat
from markdown_it import MarkdownIt

from press import flow, pages, source
from press.errors import PressError
from press.records import SCHEMA
from press.source import Chapter
from press.stage import stage, stage_page, write_notebooks
from press.surroundings import variables


def build(root: Path = source.ROOT) -> Path:
    """Stage, render and check the book; move it to build/site in one step and return its first
    page.

    Raises
    ------
    PressError : on any warning of the renderer and on any page that does not pass `check`
    """
    runs = pages.load_all(root)
    for run in runs:
        has_outputs(run.chapter.executed())
    folder = stage(root)
    _render(folder, root)
    new = folder / "_build/html"
    write_notebooks(new, root)
    _downloads(new, runs)
    (new / "404.html").write_text(not_found(root), encoding="utf-8")
    shutil.copytree(_mathjax(), new / "mathjax", ignore=shutil.ignore_patterns("sre", "a11y"))
    if problems := check(new):
        raise PressError("The site has errors:\n  " + "\n  ".join(problems))
    (new / flow.MADE_FROM).write_text(flow.site_key(root), encoding="utf-8")
    site, old = root / "build/site", root / "build/site.old"
    shutil.rmtree(old, ignore_errors=True)
    if site.exists():
        site.replace(old)
    new.replace(site)
    shutil.rmtree(old, ignore_errors=True)
    return site / "index.html"


def page(chapter: Chapter) -> Path:
    """Render one chapter's page alone, to look at while it is written, and return it; links to
    other pages lead nowhere.

    Raises
    ------
    PressError : if the renderer stops
    """
    folder = stage_page(chapter)
    _render(folder, chapter.root, strict=False)
    mathjax = folder / "_build/html/mathjax"
    if not mathjax.is_dir():
        shutil.copytree(_mathjax(), mathjax, ignore=shutil.ignore_patterns("sre", "a11y"))
    return folder / "_build/html" / f"{chapter.document}.html"


def _mathjax():
    return importlib.metadata.distribution("sphinx-mathjax-offline").locate_file(
        "sphinx-mathjax-offline/static/mathjax"
    )


def _render(folder, root, strict=True):
    command = [
        sys.executable,
        "-c",
        "from jupyter_book.cli.main import main; main()",
        "build",
        str(folder),
        "-q",
        *(["-W", "--keep-going", "-n"] if strict else []),
    ]
    environment = variables(root) | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, cwd=root, capture_output=True, encoding="utf-8", errors="replace", env=environment
    )
    output = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
    log = root / "build/logs/site.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(output, encoding="utf-8")
    warned = [
        line for line in output.splitlines() if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)
    ]
    if done.returncode or (strict and warned) or not (folder / "_build/html/index.html").is_file():
        shown = "\n  ".join(warned[:10]) or "\n  ".join(output.splitlines()[-15:])
        raise PressError(
            f"Jupyter Book is not content (all of it in {log.relative_to(root)}):\n  {shown}"
        )


def _downloads(site, runs):
    (site / "book").mkdir(exist_ok=True)
    (site / "book/scorecard.csv").write_text(pages.as_csv(runs), encoding="utf-8")
    (site / "book/scorecard.json").write_text(pages.as_json(runs), encoding="utf-8")
    shutil.copyfile(SCHEMA, site / "book/record.schema.json")


def not_found(root: Path) -> str:
    """The page for addresses that do not exist: it stands alone, since it is shown at any depth."""
    text = (root / "book/404.md").read_text(encoding="utf-8")
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    base = source.config(root)["html"]["baseurl"].rstrip("/")
    body = MarkdownIt("commonmark").render(
        text.replace("<!-- home -->", f"[Go to the first page]({base}/index.html).")
    )
    title = re.search(r"<h1>(.*?)</h1>", body)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport"'
        ' content="width=device-width, initial-scale=1">'
        f"<title>{title[1] if title else 'Not found'}</title><style>:root{{color-scheme:light"
        " dark}body{font:1.1rem/1.6 system-ui,sans-serif;max-width:38rem;margin:12vh"
        " auto;padding:0 1.2rem}"
        f"html{{background:#fff;color:#1c2430}}a{{color:#0b5cad}}@media(prefers-color-scheme:dark){{html{{background:#121212;color:#e8eaed}}a{{color:#8ab4f8}}}}</style></head><body><main>{body}</main></body></html>\n"
    )


# Checks


def has_outputs(path: Path) -> None:
    """Refuse an executed notebook that shows nothing, shows a traceback, or has a figure without
    alt text.
    """
    notebook = nbformat.read(path, as_version=4)
    outputs = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    if not outputs:
        raise PressError(f"{path} has no outputs: run the chapter again.")
    for output in outputs:
        if output.output_type == "error":
            raise PressError(
                f"{path} shows a traceback ({output.ename}): mend the cell and run the chapter"
                " again."
            )
        if output.output_type == "stream" and output.name == "stderr":
            raise PressError(
                f"{path} writes to stderr ({' '.join(output.text.split())[:120]}): readers would"
                " see it; silence its cause."
            )
        data = output.get("data", {})
        bare = re.search(r"<img(?![^>]*\balt=\"[^\"]{20,}\")", str(data.get("text/html", "")))
        if bare or any(kind.startswith("image/") for kind in data):
            raise PressError(
                f"{path} has a picture without alt text: end the cell with show(figure, alt=…,"
                " caption=…)."
            )


class _Page(HTMLParser):
    """What the checks need of a page: its anchors, links, resources and pictures."""

    def __init__(self):
        super().__init__()
        self.ids, self.links, self.resources, self.without_alt = set(), [], [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        if tag in ("script", "img", "iframe", "source") and attributes.get("src"):
            self.resources.append(attributes["src"])
        if (
            tag == "link"
            and attributes.get("rel") in ("stylesheet", "icon", "preload", "shortcut icon")
            and attributes.get("href")
        ):
            self.resources.append(attributes["href"])
        if tag == "img" and "alt" not in attributes:
            self.without_alt.append(attributes.get("src", "")[:60])


def check(site: Path) -> list[str]:
    """What is wrong with the pages of `site`: a sentence each."""
    parsed = {}
    problems = []
    for path in sorted(site.rglob("*.html")):
        if "_static" in path.parts or "mathjax" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        page = _Page()
        page.feed(text)
        parsed[path.resolve()] = page
        name = path.relative_to(site)
        problems += [
            f"{name} has a picture without alt text: {picture}" for picture in page.without_alt
        ]
        if "Traceback (most recent call last)" in text:
            problems.append(f"{name} shows a traceback")
        problems += [
            f"{name} fetches {address} from elsewhere"
            for address in page.resources
            if urlparse(address).scheme in ("http", "https") or address.startswith("//")
        ]
    for path, page in parsed.items():
        for link in page.links:
            target, anchor = urldefrag(link)
            if urlparse(link).scheme or link.startswith("//"):
                continue
            there = (path.parent / unquote(target)).resolve() if target else path
            if not there.exists():
                problems.append(
                    f"{path.relative_to(site.resolve())} links to {link}, which does not exist"
                )
            elif anchor and there in parsed and unquote(anchor) not in parsed[there].ids:
                problems.append(
                    f"{path.relative_to(site.resolve())} links to {link}, and there is no such"
                    " place on that page"
                )
    return sorted(set(problems))
