# From notebooks to the site. A run is made anew when its code has changed, whatever the dates of files say.
import sys

sys.path.insert(0, "src")
from press import dependencies, flow, source

PYTHON = sys.executable
CHAPTERS = source.chapters()
SEEDS = [int(seed) for seed in str(config.get("first_seeds", "")).split(",") if seed]


def here(path):
    return str(path.relative_to(source.ROOT))


rule site:
    input:
        [here(path) for c in CHAPTERS for path in (c.executed(), c.record(), c.control())],
    output:
        "build/site/index.html",
    params:
        key=flow.pages_key(source.ROOT),
    shell:
        "{PYTHON:q} -m press site"


# Each chapter as it stands, as its negative control, and on other seeds.
for chapter in CHAPTERS:
    for asked in ({}, {"control": True}, *({"first_seed": seed} for seed in SEEDS)):

        rule:
            name:
                " ".join([chapter.name, *(f"{key} {int(value)}" for key, value in asked.items())])
            input:
                ancient(here(chapter.notebook)),
            output:
                here(chapter.run(**asked)),
                here(chapter.kept(**asked)),
            params:
                key=dependencies.run_hash(chapter, asked),
                name=chapter.name,
                asked=" ".join(f"--{key.replace('_', '-')} {int(value)}" for key, value in asked.items()),
            shell:
                "{PYTHON:q} -m press run {params.name} {params.asked}"
