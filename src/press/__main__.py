"""The press's commands: `python -m press COMMAND`; the Makefile and the Snakefile call them."""

from __future__ import annotations

import argparse
import fcntl
import functools
import hashlib
import os
import subprocess
import sys
import traceback
from pathlib import Path

from press import source, surroundings
from press.errors import PressError
from press.source import PARAMETERS, ROOT


def flow(arguments) -> None:
    """Run Snakemake, one at a time."""
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PressError("Another build of this book is running: wait for it, or stop it first.") from None
        # The lock above falls with its process, so Snakemake's own, which outlives a kill, is not needed.
        command = [
            sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(ROOT), "--cores", str(arguments.cores or os.cpu_count()),
            "--nolock", "--rerun-incomplete", "--rerun-triggers", "mtime", "input", "--keep-going", "--quiet", "rules", "host", "reason", "--", *arguments.targets,
        ]
        surroundings.settle_dates(ROOT)
        # Children write to this terminal, in its own characters.
        spoken = {"PYTHONIOENCODING": f"{sys.stdout.encoding}:replace"}
        process = subprocess.Popen(
            command, env=surroundings.variables(ROOT) | spoken, stderr=subprocess.PIPE, encoding=sys.stdout.encoding, errors="replace",
        )
        try:
            log = _relay(process.stderr)
            code = process.wait()
        except KeyboardInterrupt:
            process.wait()
            raise PressError("Interrupted; what was finished is kept, and the same command goes on from there.") from None
    if code:
        if not any(line.startswith("press: ") for line in log):
            sys.stderr.writelines(log[-30:])
        raise PressError("The build stopped: mend what stands above and run the same command again.")


def _relay(lines) -> list[str]:
    """Show the press's own sentences and the count of steps; Snakemake's account of a failed step is long, so it is only kept."""
    log = []
    for line in lines:
        log.append(line)
        if line.startswith("press: ") or (line.startswith("  ") and not line.startswith("    ")) or "steps (" in line:
            sys.stderr.write(line)
            sys.stderr.flush()
    return log


def execute(arguments) -> None:
    """Run a chapter in its default form for the site, or its negative control, or on other seeds."""
    from press import records
    from press.execute import run

    chapter = source.chapter(arguments.name)
    if not arguments.control and not arguments.first_seed:
        run(chapter, {}, chapter.executed())
        return
    parameters = {"control": True} if arguments.control else {"first_seed": _whole("FIRST_SEED", arguments.first_seed, 0)}
    record = chapter.control() if arguments.control else chapter.on_seeds(parameters["first_seed"])
    run(chapter, parameters, record.with_suffix(".ipynb"))
    records.collect(chapter, record.with_suffix(".ipynb"), record)


def collect(arguments) -> None:
    """Write the record of a chapter's default run."""
    from press import records

    chapter = source.chapter(arguments.name)
    records.collect(chapter, chapter.executed(), chapter.record())


def chapter(arguments) -> None:
    """Run one chapter as asked; a default run feeds the site, any other goes to build/runs."""
    from unlabeled.ledger_view import as_text

    from press import pair, records, referee
    from press.execute import run

    name = arguments.name
    if not name:
        raise PressError(f"Name a chapter, such as make chapter NAME={source.chapters()[0].name}.")
    found = source.chapter(name)
    pair.write()
    asked = _parameters(arguments, found)
    if not asked:
        flow(argparse.Namespace(targets=[str(found.record().relative_to(ROOT)), str(found.control().relative_to(ROOT))], cores=arguments.cores))
        record = records.read(found, found.record())
    else:
        target = ROOT / "build/runs" / asked.get("profile", "quick") / _variant(asked) / f"{name}.ipynb"
        run(found, asked, target)
        record = records.collect(found, target, target.with_suffix(".json"))
        print(f"Kept in {target.parent.relative_to(ROOT)}/{name}.ipynb and .json")
    print(as_text(record))
    if not asked:
        referee.require(record)


def _variant(asked):
    """The folder's name of a run: its parameters; of a file of the reader's own, its name and what is in it."""
    parts = []
    for key, value in asked.items():
        if key == "dataset" and Path(value).suffix:
            with open(value, "rb") as file:
                value = f"{Path(value).stem}.{hashlib.file_digest(file, 'sha256').hexdigest()[:8]}"
        if key != "profile":
            parts.append(f"{key}={value}")
    return "-".join(parts) or "default"


def _parameters(arguments, chapter):
    """The parameters that differ from the notebook's own, checked as far as can be without running."""
    from unlabeled.runtime import InputError, check_parameters

    own = defaults(chapter)
    dataset = arguments.dataset
    if dataset and Path(dataset).suffix:
        dataset = str(Path(arguments.cwd, dataset).resolve())
    asked = {
        "profile": arguments.profile or own["profile"], "seeds": _whole("SEEDS", arguments.seeds, own["seeds"]),
        "first_seed": _whole("FIRST_SEED", arguments.first_seed, own["first_seed"]), "dataset": dataset or own["dataset"], "control": _switch(arguments.control),
    }
    try:
        check_parameters(chapter.name, **asked, takes=chapter.takes)
    except InputError as error:
        raise PressError(str(error)) from None
    return {key: value for key, value in asked.items() if value != own[key]}


def defaults(chapter) -> dict:
    """The values in the chapter's cell ``parameters``."""
    import ast

    cell = next(cell for cell in chapter.source.cells if source.tag(cell) == "parameters")
    return PARAMETERS | {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cell.source).body}


def _whole(name, text, default):
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise PressError(f"{name}={text} is not a whole number: write for instance {name}=10.") from None


def _switch(text):
    if text in ("", "0", "1"):
        return text == "1"
    raise PressError(f"CONTROL={text} is neither 0 nor 1: write CONTROL=1 for the negative control.")


def pairs(arguments) -> None:
    """Write stale notebooks and lists of chapters, or with --check only name them."""
    from press import pair, plan

    if own := pair.strangers():
        print(f"left alone, since no text belongs to it: {', '.join(str(path.relative_to(ROOT)) for path in own)}")
    if arguments.check:
        if stale := plan.stale(ROOT) + pair.stale():
            names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
            raise PressError(f"Not in step with the text: {names}; run make pair and commit the result.")
        return
    for path in plan.write(ROOT):
        print(f"listed the chapters in {path.relative_to(ROOT)}")
    for path in pair.write():
        print(f"{'paired' if path.is_file() else 'removed, since its text has gone:'} {path.relative_to(ROOT)}")


def check(arguments) -> None:
    """Check the sources of all chapters against the contract."""
    from press import stamps, words
    from press.contract import problems

    terms = words.terms()
    found = []
    for chapter in source.chapters():
        key = stamps.digest(stamps.of_contract(chapter), *sorted(terms))
        broken = stamps.known(ROOT, "contract", chapter.document, key)
        if broken is None:
            broken = problems(chapter, terms)
            stamps.remember(ROOT, "contract", chapter.document, key, broken)
        found += broken
    if found:
        raise PressError("The chapters break their contract:\n  " + "\n  ".join(found))


def passes(arguments) -> None:
    """Run the chapters again: on other seeds, and once more for byte-identical outputs."""
    from press import again

    chosen = again.chosen(arguments.chapters or source.config()["press"]["passes"])
    print(f"passes: {', '.join(chapter.name for chapter in chosen) or 'no chapter is touched'}", flush=True)
    if not chosen:
        return
    first = _whole("FIRST_SEED", arguments.first_seed, again.OTHER_SEED)
    targets = [str(chapter.on_seeds(first).relative_to(ROOT)) for chapter in chosen]
    flow(argparse.Namespace(targets=targets, cores=arguments.cores))
    again.require_no_flips(chosen, first)
    again.require_same_outputs([chapter.executed() for chapter in chosen], ROOT, int(arguments.cores or os.cpu_count()))


def blocks(arguments) -> None:
    """Run chapters on three other blocks of seeds and keep their verdicts for the scorecard."""
    from press import blocks, pair, records

    chosen = [source.chapter(arguments.name)] if arguments.name else source.chapters()
    pair.write()
    runs = {chapter: [chapter.on_seeds(first) for first in blocks.FIRST_SEEDS] for chapter in chosen}
    flow(argparse.Namespace(targets=[str(path.relative_to(ROOT)) for paths in runs.values() for path in paths], cores=arguments.cores))
    for chapter, paths in runs.items():
        kept = blocks.write(chapter, [records.read(chapter, path) for path in paths])
        print(f"blocks: {kept.relative_to(ROOT)}")


def names(arguments) -> None:
    """Print the names of all chapters, in the book's order."""
    print("\n".join(chapter.name for chapter in source.chapters()))


def new_chapter(arguments) -> None:
    """Make the skeleton of a chapter."""
    from press.new_chapter import create

    for path in create(arguments.name, arguments.part, arguments.paper):
        print(f"wrote {path.relative_to(ROOT)}")
    print("CONTRIBUTING.md, \"Write a chapter\", says how to go on; make check names what is still to do.")


def site(arguments) -> None:
    """Build the site from the executed notebooks."""
    from press.site import build

    print("site: rendering …", flush=True)
    print(f"site: done, open {build().relative_to(ROOT)}", flush=True)


def serve(arguments) -> None:
    """Serve the built site on this machine until Ctrl-C."""
    import http.server

    folder = ROOT / "build/site"
    if not (folder / "index.html").is_file():
        raise PressError("There is no site yet: run make book first.")
    port = _whole("PORT", arguments.port, 8000)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError):
        raise PressError(f"Port {port} is in use or not allowed: choose another, such as make serve PORT={port + 1 if port < 65535 else 8001}.") from None
    print(f"The book is at http://127.0.0.1:{port}/ (Ctrl-C stops it).", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="press", description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(function, name=None):
        sub = commands.add_parser(name or function.__name__, help=function.__doc__)
        sub.set_defaults(function=function)
        return sub

    sub = command(flow)
    sub.add_argument("targets", nargs="*")
    sub.add_argument("--cores", default="")
    sub = command(execute)
    sub.add_argument("name")
    sub.add_argument("--control", action="store_true")
    sub.add_argument("--first-seed", default="")
    command(collect).add_argument("name")
    sub = command(chapter)
    for option in ("name", "profile", "seeds", "first_seed", "dataset", "control", "cores"):
        sub.add_argument(f"--{option.replace('_', '-')}", default="")
    sub.add_argument("--cwd", default=os.getcwd())
    command(pairs, "pair").add_argument("--check", action="store_true")
    command(check)
    sub = command(blocks)
    for option in ("name", "cores"):
        sub.add_argument(f"--{option}", default="")
    sub = command(passes)
    for option in ("chapters", "first-seed", "cores"):
        sub.add_argument(f"--{option}", default="")
    command(names)
    sub = command(new_chapter, "new-chapter")
    for option in ("name", "part", "paper"):
        sub.add_argument(f"--{option}", default="")
    command(site)
    command(serve).add_argument("--port", default="")
    surroundings.settle_process()
    arguments = parser.parse_args(words)
    try:
        arguments.function(arguments)
    except PressError as error:
        print(f"press: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("press: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        print(f"press: {_unforeseen(error)}", file=sys.stderr)
        return 1
    return 0


def _unforeseen(error):
    """What to do about an error that nothing in the press expects, in one sentence; its traceback goes to build/logs."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(".")
    log = ROOT / "build/logs/press.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="replace")
    except OSError:
        return f"Nothing can be written to {log.parent} ({said}): put the book where you may write, and make room."
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be used ({error.strerror}): see to its rights, its disk and its place, and run the same command again."
    return f"An error of the press itself ({said}): report it with {log.relative_to(ROOT)}."


if __name__ == "__main__":
    sys.exit(main())
