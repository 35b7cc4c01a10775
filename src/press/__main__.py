"""The press's commands: `python -m press COMMAND`; the Makefile and the Snakefile call them."""

from __future__ import annotations

import argparse
import functools
import os
import sys
import traceback
from pathlib import Path

from press import source, surroundings
from press.errors import PressError
from press.source import ROOT


def book(arguments) -> None:
    """Pair, check, run what is outdated, and build the site."""
    from press import flow

    pairs(argparse.Namespace(check=arguments.check))
    check(arguments)
    flow.require(flow.published(source.chapters()), site=True, cores=arguments.cores)
    print(f"The book is at {flow.SITE}.")


def outdated(arguments) -> None:
    """Run what is outdated and build the site, without a look at the texts."""
    from press import flow

    flow.require(flow.published(source.chapters()), site=True, cores=arguments.cores)


def run(arguments) -> None:
    """Run one chapter without further ado; the Snakefile calls this."""
    from press import execute

    asked = {"control": True} if arguments.control == "1" else {}
    if arguments.first_seed:
        asked["first_seed"] = _whole("FIRST_SEED", arguments.first_seed, 0)
    execute.run(source.chapter(arguments.name), asked)


def chapter(arguments) -> None:
    """Run one chapter as asked; a default run feeds the site, any other goes to build/runs."""
    from press import control, execute, flow, pair, records, referee, reference

    name = arguments.name
    if not name:
        raise PressError(f"Name a chapter, such as make chapter NAME={source.chapters()[0].name}.")
    found = source.chapter(name)
    pair.write(only=found)
    asked = _parameters(arguments, found)
    if not asked:
        flow.require(flow.published([found]), cores=arguments.cores)
    elif records.is_current(found, asked):
        print("Nothing that this run depends on has changed since it was made.")
    else:
        execute.run(found, asked)
    record = records.read(found, found.kept(**asked))
    if asked:
        print(f"Kept in {found.run(**asked).relative_to(ROOT)} and {found.kept(**asked).name}")

    from unlabeled.ledger_view import as_text

    print(as_text(record))
    if not asked:
        referee.require(record)
        rows = control.require(record, records.read(found, found.control()))
        print(control.as_text(rows))
        print(
            f"cost: {record['reference_seconds']:.0f} reference seconds"
            f" ({record['cpu_seconds']:.0f} CPU-seconds here)"
        )
        if said := reference.over(record, found.card.get("cost")):
            print(said)


def _parameters(arguments, chapter):
    """The parameters that differ from the notebook's own, checked as far as can be without
    running.
    """
    from unlabeled.runtime import InputError, check_parameters

    own = chapter.defaults
    dataset = arguments.dataset
    if dataset and Path(dataset).suffix:
        dataset = str(Path(arguments.cwd, dataset).resolve())
    asked = {
        "profile": arguments.profile or own["profile"],
        "seeds": _whole("SEEDS", arguments.seeds, own["seeds"]),
        "first_seed": _whole("FIRST_SEED", arguments.first_seed, own["first_seed"]),
        "dataset": dataset or own["dataset"],
        "control": _switch(arguments.control),
    }
    try:
        check_parameters(chapter.name, **asked, takes=chapter.takes)
    except InputError as error:
        raise PressError(str(error)) from None
    return {key: value for key, value in asked.items() if value != own[key]}


def _whole(name, text, default):
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise PressError(
            f"{name}={text} is not a whole number: write for instance {name}=10."
        ) from None


def _switch(text):
    if text in ("", "0", "1"):
        return text == "1"
    raise PressError(
        f"CONTROL={text} is neither 0 nor 1: write CONTROL=1 for the negative control."
    )


def pairs(arguments) -> None:
    """Write stale notebooks and lists of chapters, or with --check only name them."""
    from press import pair, plan

    if own := pair.strangers():
        print(
            "left alone, since no text belongs to it:"
            f" {', '.join(str(path.relative_to(ROOT)) for path in own)}"
        )
    if arguments.check:
        if stale := plan.stale(ROOT) + pair.stale():
            names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
            raise PressError(
                f"Not in step with the text: {names}; run make pair and commit the result."
            )
        return
    for path in plan.write(ROOT):
        print(f"listed the chapters in {path.relative_to(ROOT)}")
    for path in pair.write():
        print(
            f"{'paired' if path.is_file() else 'removed, since its text has gone:'}"
            f" {path.relative_to(ROOT)}"
        )


def check(arguments) -> None:
    """Check the sources of all chapters against the contract, and all code by the linter."""
    from press import lint, stamps, words
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
    found += [
        f"The glossary defines {term!r}, which no page uses: use it, or drop the entry."
        for term in words.unused()
    ]
    if wrong := lint.problems(ROOT):
        raise PressError(
            "The linter complains; `ruff format src tests` mends the layout, the rest is yours:\n  "
            + "\n  ".join(wrong)
        )
    if found:
        raise PressError("The chapters break their contract:\n  " + "\n  ".join(found))


def passes(arguments) -> None:
    """Run chapters again on seeds of which the first two are the published ones; all of them also
    for identical outputs; with FIRST_SEED once more, on seeds of which none is published.
    """
    from press import again, flow

    everything = source.chapters()
    setting = arguments.chapters or source.config()["press"]["passes"]
    chosen = again.chosen(setting)
    print(
        f"passes: {', '.join(chapter.name for chapter in chosen) or 'no chapter is touched'}",
        flush=True,
    )
    if not chosen:
        return
    first = _whole("FIRST_SEED", arguments.first_seed, None)
    overlapping = [(chapter, chapter.overlap) for chapter in chosen]
    fresh = [] if first is None else [(chapter, {"first_seed": first}) for chapter in chosen]
    flow.require(flow.published(everything) + overlapping + fresh, cores=arguments.cores)
    again.require_same_start(overlapping)
    again.require_no_flips(overlapping + fresh)
    if setting == "all":
        again.require_same_outputs(
            [chapter.executed() for chapter in chosen], ROOT, int(arguments.cores or os.cpu_count())
        )


def blocks(arguments) -> None:
    """Run chapters on three other blocks of seeds and keep their verdicts for the scorecard."""
    from press import blocks, flow, pair, records

    chosen = [source.chapter(arguments.name)] if arguments.name else source.chapters()
    pair.write()
    flow.require(
        [(chapter, {"first_seed": first}) for chapter in chosen for first in blocks.FIRST_SEEDS],
        cores=arguments.cores,
    )
    for chapter in chosen:
        kept = blocks.write(
            chapter,
            [records.read(chapter, chapter.kept(first_seed=first)) for first in blocks.FIRST_SEEDS],
        )
        print(f"blocks: {kept.relative_to(ROOT)}")


def names(arguments) -> None:
    """Print the names of all chapters, in the book's order."""
    print("\n".join(chapter.name for chapter in source.chapters()))


def new_chapter(arguments) -> None:
    """Make the skeleton of a chapter."""
    from press.new_chapter import create

    for path in create(arguments.name, arguments.part, arguments.paper):
        print(f"wrote {path.relative_to(ROOT)}")
    print(
        'CONTRIBUTING.md, "Write a chapter", says how to go on; make check names what is still'
        " to do."
    )


def site(arguments) -> None:
    """Build the site from the executed notebooks."""
    from press.site import build

    print("site: rendering …", flush=True)
    print(f"site: done, open {build().relative_to(ROOT)}", flush=True)


def page(arguments) -> None:
    """Run a chapter if it is outdated, and render its page alone."""
    from press import flow, pair, site

    if not arguments.name:
        raise PressError("Name a chapter, such as make page NAME=self-training.")
    found = source.chapter(arguments.name)
    pair.write(only=found)
    flow.require(flow.published([found]))
    print(f"page: {site.page(found).relative_to(ROOT)}")


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
        raise PressError(
            f"Port {port} is in use or not allowed: choose another, such as make serve"
            f" PORT={port + 1 if port < 65535 else 8001}."
        ) from None
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

    sub = command(book)
    sub.add_argument("--check", action="store_true")
    sub.add_argument("--cores", default="")
    command(outdated, "flow").add_argument("--cores", default="")
    sub = command(run)
    sub.add_argument("name")
    sub.add_argument("--control", default="")
    sub.add_argument("--first-seed", default="")
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
    command(page).add_argument("--name", default="")
    command(serve).add_argument("--port", default="")
    surroundings.settle_process()
    arguments = parser.parse_args(words)
    try:
        arguments.function(arguments)
        sys.stdout.flush()
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
    """What to do about an error that nothing in the press expects, in one sentence; its traceback
    goes to build/logs.
    """
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(".")
    log = ROOT / "build/logs/press.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(
            "".join(traceback.format_exception(error)), encoding="utf-8", errors="replace"
        )
    except OSError:
        return (
            f"Nothing can be written to {log.parent} ({said}): put the book where you may write,"
            " and make room."
        )
    if isinstance(error, OSError) and error.filename is not None:
        return (
            f"{error.filename} cannot be used ({error.strerror}): see to its rights, its disk and"
            " its place, and run the same command again."
        )
    return f"An error of the press itself ({said}): report it with {log.relative_to(ROOT)}."


if __name__ == "__main__":
    sys.exit(main())
