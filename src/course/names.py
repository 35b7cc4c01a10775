"""Who handed in what: the names that learning platforms and people give to files, and what may be
said about them.

A platform's pattern is applied only if every entry of the hand-in follows it; otherwise the entry's
own name is the student's. Entries with the same name and the same number of a platform are one
person, all others are as many people as there are entries.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field

ENDINGS = re.compile(r"(\.ipynb|\.zip)?\.\w{1,6}$")
COPY = re.compile(r"(\s*\(\d+\)| - Copy( \(\d+\))?| copy( \d+)?|-Copy\d+)$")
MOODLE = re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_[a-z]+(_(?P<file>.*))?")
CANVAS = re.compile(
    r"(?P<name>[^\W\d_][^\W_]*)(?P<late>_LATE|_late)?_(?P<number>\d{3,})_\d{3,}_(?P<file>.+)"
)


@dataclass(frozen=True)
class Person:
    """A student as far as a hand-in tells: the name, and the platform's number ("" without a
    platform).
    """

    name: str
    number: str = ""

    @property
    def shown(self) -> str:
        return f"{self.name} ({self.number})" if self.number else self.name

    @property
    def key(self) -> str:
        """What the tables know this person by; no spreadsheet can damage it."""
        return "s-" + hashlib.sha256(f"{self.name}\0{self.number}".encode()).hexdigest()[:10]

    @property
    def slug(self) -> str:
        """A file name for this person: the name itself where it is one."""
        whole = f"{self.name}_{self.number}" if self.number else self.name
        plain = re.sub(r"[^\w .,-]", "_", whole).strip(" .") or "_"
        short = plain.encode()[:100].decode(errors="ignore")
        return short if short == whole else f"{short}-{self.key[2:]}"


@dataclass
class Named:
    """What the name of one entry says."""

    person: Person
    platform: str = ""
    late: bool = False
    doubts: list[str] = field(default_factory=list)


def who(entries: dict[str, bool]) -> dict[str, Named]:
    """Name the person behind each entry; `entries` tells of each whether it is a folder."""
    for platform, pattern in (("Moodle", MOODLE), ("Canvas", CANVAS)):
        found = {entry: pattern.fullmatch(entry) for entry in entries}
        # Canvas hands out files only, and a file of Moodle's carries its own name after the
        # pattern.
        fits = all(
            match and (folder == (not match["file"]))
            for match, folder in zip(found.values(), entries.values())
        )
        if entries and fits:
            return {
                entry: Named(
                    Person(clean(match["name"]), match["number"]),
                    platform,
                    bool(match.groupdict().get("late")),
                )
                for entry, match in found.items()
            }
    return _as_they_stand(entries)


def _as_they_stand(entries):
    stems = {
        entry: clean(entry if folder else ENDINGS.sub("", entry) or entry)
        for entry, folder in entries.items()
    }
    alike: dict[str, list[str]] = {}
    for entry, stem in stems.items():
        alike.setdefault(COPY.sub("", stem) or stem, []).append(entry)
    named = {}
    for group in alike.values():
        for entry in group:
            others = [stems[other] for other in group if other != entry]
            named[entry] = Named(Person(clean(entry) if stems[entry] in others else stems[entry]))
            if others:
                listed = " and ".join(sorted(group))
                named[entry].doubts.append(
                    f"{listed} may be of one person or of several: each has a row, and you decide"
                    " which counts."
                )
    return named


def clean(name: str) -> str:
    """A name on one line, in Unicode's composed form."""
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8", "replace"))
    return re.sub(r"[\x00-\x1f\x7f]", "?", name).strip() or "(no name)"
