"""The coursework's commands: `python -m course build` and `grade`; the Makefile calls them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from press import surroundings
from press.errors import PressError
from press.source import ROOT

# set where this runs in the book's surroundings, whatever the user has set for other work
OWN = "COURSE_SURROUNDINGS"


def build(arguments) -> None:
    """Build the assignments: what students get, and the instructor's folder."""
    from course.make import make

    if arguments.secrets and not arguments.secrets.isdecimal():
        raise PressError(
            f"SECRETS={arguments.secrets} is not a whole number: write for instance SECRETS=10."
        )
    for path in make(asked=arguments.name, more=int(arguments.secrets or 0)):
        print(f"course: wrote {path.relative_to(ROOT)}")


def grade(arguments) -> None:
    """Grade what a class has handed in."""
    from course.grade import Course, Pool

    if not arguments.submissions:
        raise PressError("Say where the submissions are, such as make grade SUBMISSIONS=handed-in.")
    with Pool() as pool:
        course = Course(class_name=arguments.class_name)
        tables = course.grade(
            Path(arguments.cwd, arguments.submissions), pool, arguments.assignment
        )
    for name in tables:
        print(
            f"grade: open {(course.place / name).relative_to(ROOT)}/summary.html; the table is"
            " grades.csv beside it"
        )


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="course", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for function, options in (
        (build, ("name", "secrets")),
        (grade, ("submissions", "assignment", "class-name")),
    ):
        sub = commands.add_parser(function.__name__, help=function.__doc__)
        sub.set_defaults(function=function, cwd=os.getcwd())
        for option in options:
            sub.add_argument(f"--{option}", default="")
    arguments = parser.parse_args(words)
    try:
        arguments.function(arguments)
    except PressError as error:
        print(f"course: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("course: interrupted.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    if OWN not in os.environ:
        command = [sys.executable, "-m", "course", *sys.argv[1:]]
        os.execve(sys.executable, command, surroundings.variables(ROOT, "quick") | {OWN: "1"})
    surroundings.settle_process()
    sys.exit(main())
