"""The workflows are valid, and all of the GPU one but the GPU itself goes through on a CPU."""

import os
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def checked(path):
    """What the schema of workflows says of a file."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    return subprocess.run(
        [*command, "vendor.github-workflows", str(path)], capture_output=True, text=True
    )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_is_valid(path):
    done = checked(path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_invalid_workflow_is_caught(tmp_path):
    (tmp_path / "bad.yml").write_text("name: bad\non: push\njobs:\n  one:\n    steps: []\n")
    assert checked(tmp_path / "bad.yml").returncode == 1


def test_gpu_workflow_goes_through_on_a_cpu(tiny):
    """Every `run:` step, as written, on a tiny book; only `nvidia-smi` is left out."""
    for name in ("Makefile", "Snakefile"):
        (tiny.root / name).symlink_to(ROOT / name)
    workflow = yaml.safe_load((ROOT / ".github/workflows/gpu.yml").read_text())
    (job,) = workflow["jobs"].values()
    steps = {step["name"]: step["run"] for step in job["steps"] if "run" in step}
    assert steps.pop("See the GPU") == "nvidia-smi"
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    # The environment at hand stands in for the one that `make setup` would make; the rest is what
    # the workflow sets.
    environment |= {
        "VIRTUAL_ENV": sys.prefix,
        "PRESS_ROOT": str(tiny.root),
        "PROFILE": workflow["env"]["PROFILE"],
        "CHAPTERS": "",
        "SEEDS": "",
    }
    for name, script in steps.items():
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=tiny.root,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, name + done.stdout + done.stderr
    uploaded = next(
        step for step in job["steps"] if step.get("uses", "").startswith("actions/upload-artifact")
    )["with"]["path"].split()
    assert uploaded[0] == "build/runs/full"
    kept = sorted(path.name for path in (tiny.root / uploaded[0]).rglob("*") if path.is_file())
    assert kept == ["tiny.ipynb", "tiny.json"]


def test_nightly_workflow_opens_one_issue_when_a_test_flips(tmp_path):
    """The last step, as written, with a stand-in for gh that writes down how it is called."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text())
    script = next(
        step["run"] for step in workflow["jobs"]["seeds"]["steps"] if step.get("if") == "failure()"
    )
    gh = tmp_path / "gh"
    gh.write_text(
        '#!/usr/bin/env bash\necho "$@" >> calls\nif [ "$1 $2" = "issue list" ]; then cat open;'
        " fi\n"
    )
    gh.chmod(0o755)

    def calls(log, already_open):
        (tmp_path / "passes.log").write_text(log)
        (tmp_path / "open").write_text(already_open)
        (tmp_path / "calls").write_text("")
        environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=True)
        return [
            line
            for line in (tmp_path / "calls").read_text().splitlines()
            if line.startswith("issue create")
        ]

    flipped = (
        "press: A central test flips with the seeds:\n  tiny: shift/mean holds on seeds from 0 and"
        " fails on seeds from 1000\n"
    )
    assert len(calls(flipped, "0")) == 1
    assert calls(flipped, "1") == [], "one issue is enough"
    assert calls("press: tiny stopped: ValueError\n", "0") == [], "another failure is no flip"
