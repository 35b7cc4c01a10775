"""policy.yml in a class's folder: what lateness costs, who was how late, and who has days to spare.

Dates of files only order attempts, so lateness is what the platform has marked (one day) or what
stands here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from course.names import Person
from press.errors import PressError

NUMBERS = {"off_per_day": (0, 100), "at_most": (0, 100)}


@dataclass(frozen=True)
class Policy:
    """What policy.yml says; without one nothing is taken off.

    Attributes
    ----------
    off_per_day, at_most : percent of the points gained that a day late costs, and that lateness
    costs at most
    days_late : days by assignment and student
    extra_days : days by student that cost nothing, in each assignment
    """

    off_per_day: float = 0.0
    at_most: float = 100.0
    days_late: dict[str, dict[str, float]] = field(default_factory=dict)
    extra_days: dict[str, float] = field(default_factory=dict)
    path: Path = Path("policy.yml")

    def days(self, assignment: str, person: Person, marked: bool) -> float:
        """How many days late count for `person`; `marked` if the platform calls the hand-in
        late.
        """
        late = _of(self.days_late.get(assignment, {}), person, float(marked))
        return max(0.0, late - _of(self.extra_days, person, 0.0))

    def off(self, points: float, days: float) -> float:
        """What lateness takes off `points`, to two digits; a day that has begun counts."""
        share = min(self.at_most, self.off_per_day * math.ceil(days)) / 100
        return round(points * share, 2)

    def check(self, assignment: str, people: list[Person]) -> list[str]:
        """The names that nobody of `people` has.

        Raises
        ------
        PressError : if a name belongs to several
        """
        names = {**self.days_late.get(assignment, {}), **self.extra_days}
        unknown = []
        for name in names:
            meant = [person for person in people if name in _names(person)]
            if len(meant) > 1:
                raise PressError(
                    f"{self.path}: {name} may be {' or '.join(person.shown for person in meant)}:"
                    " write the number too, as in the table."
                )
            unknown += [] if meant else [name]
        return unknown


def _names(person):
    return person.key, person.shown, person.name


def _of(given, person, otherwise):
    return next((given[name] for name in _names(person) if name in given), otherwise)


def read(path: Path) -> Policy:
    """The policy in the file at `path`, or one without cost if there is none.

    Raises
    ------
    PressError : if it says what no policy says
    """
    if not path.is_file():
        return Policy()
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PressError(
            f"{path} is no valid YAML: {' '.join(str(error).split())[:150]}."
        ) from None
    keys = {*NUMBERS, "days_late", "extra_days"}
    if not isinstance(said, dict) or set(said) - keys:
        raise PressError(f"{path} may say {', '.join(sorted(keys))}, and nothing else.")
    for name, (least, most) in NUMBERS.items():
        if not _is_number(said.get(name, least), most):
            raise PressError(f"{path}: {name} must be a number from {least} to {most}.")
    tables = (
        [*(said.get("days_late") or {}).values(), said.get("extra_days") or {}]
        if isinstance(said.get("days_late") or {}, dict)
        else [None]
    )
    for table in tables:
        if not isinstance(table, dict) or not all(
            isinstance(name, str) and _is_number(days, 1000) for name, days in table.items()
        ):
            raise PressError(
                f"{path}: give days as name: number, those late under the assignment's name."
            )
    return Policy(**{name: value for name, value in said.items() if value is not None}, path=path)


def _is_number(value, most):
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
