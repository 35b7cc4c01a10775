# From notebooks to the site. Each step runs only when something that it depends on has changed.
import sys

sys.path.insert(0, "src")
from press import dependencies, source

PYTHON = sys.executable
CHAPTERS = {chapter.name: chapter for chapter in source.chapters()}


def files(pattern):
    from pathlib import Path

    return sorted(str(path) for path in Path(".").glob(pattern) if path.is_file())


def code(wildcards):
    """A run depends on its notebook and on the modules of `unlabeled` that this imports, one through another."""
    return dependencies.inputs(CHAPTERS[wildcards.chapter])


rule site:
    input:
        [f"build/executed/quick/{c.part}/{c.name}.ipynb" for c in CHAPTERS.values()],
        [f"build/results/quick/{name}.json" for name in CHAPTERS],
        [f"build/runs/quick/control/{name}.json" for name in CHAPTERS],
        files("book/**/*"),
        files("src/press/*"),
        files("src/press/templates/*"),
        "_config.yml",
        "_toc.yml",
    output:
        "build/site/index.html",
    shell:
        "{PYTHON:q} -m press site"


rule execute:
    input:
        code,
    output:
        "build/executed/quick/{part}/{chapter}.ipynb",
    shell:
        "{PYTHON:q} -m press execute {wildcards.chapter}"


rule collect:
    input:
        lambda wildcards: f"build/executed/quick/{CHAPTERS[wildcards.chapter].part}/{wildcards.chapter}.ipynb",
    output:
        "build/results/quick/{chapter}.json",
    shell:
        "{PYTHON:q} -m press collect {wildcards.chapter}"


rule control:
    input:
        code,
    output:
        "build/runs/quick/control/{chapter}.json",
    shell:
        "{PYTHON:q} -m press execute --control {wildcards.chapter}"


# The same chapter on seeds that nobody has looked at.
rule seeds:
    input:
        code,
    output:
        "build/runs/quick/first_seed={first}/{chapter}.json",
    shell:
        "{PYTHON:q} -m press execute --first-seed {wildcards.first} {wildcards.chapter}"
