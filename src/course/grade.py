"""Grade a class: find what was handed in, run what is new or changed, keep a record of each, and
write the tables.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from course import build, handed_in, platforms, policy, report, secret, table
from course.assignment import Assignment, assignment, assignments
from course.forks import in_forks
from course.handed_in import File, Notebook, Student
from course.jail import Jail, Limits, protections
from course.judge import judge, modules, warm
from course.merge import Blank, belongs, merge
from course.names import COPY, Person
from press import source
from press.errors import PressError

LOOK = "to be looked at"
ENDED = {
    "time": "The notebook ran for more than {seconds} seconds and was stopped.",
    "cell time": (
        "A cell ran for more than {cell_seconds} seconds, could not be interrupted, and was stopped"
        " with the whole notebook."
    ),
    "memory": "The notebook took more than {gigabytes:.1f} GB of memory and was stopped.",
    "processes": (
        "The notebook started more than {processes} processes and threads and was stopped."
    ),
    "garbled": "The notebook wrote into the grader's channel and was stopped.",
    "died": "The notebook ended its own process.",
}


@dataclass
class Submission:
    """What one person handed in for one assignment: the notebook that counts, or the reason why
    there is none.
    """

    person: Person
    file: str = ""
    notebook: Notebook | None = None
    status: str = ""
    reason: str = ""
    late: bool = False
    platform: str = ""
    notes: list[str] = field(default_factory=list)


def blank(found: Assignment) -> Blank:
    """Both notebooks of an assignment."""
    return Blank(found, build.instructor(found), build.release(found))


def sort(
    students: list[Student], blanks: dict[str, Blank], asked: str = ""
) -> dict[str, list[Submission]]:
    """The submissions by assignment. A student whose files belong to none gets a row in the one
    asked for, or in the commonest.
    """
    read = {student.person: _by_assignment(student, blanks) for student in students}
    count = {name: sum(name in notebooks for notebooks in read.values()) for name in blanks}
    commonest = asked or max(blanks, key=lambda name: count[name])
    chosen = [asked] if asked else [name for name in blanks if count[name]] or [commonest]
    found: dict[str, list[Submission]] = {name: [] for name in chosen}
    for student in students:
        notebooks = read[student.person]
        mine = [name for name in chosen if name in notebooks]
        for name in mine:
            found[name].append(_newest(student, notebooks[name]))
        if not mine:
            found[commonest].append(_without(student, notebooks))
    return found


def _by_assignment(student, blanks):
    """The student's files that are notebooks of an assignment, by its name; the others get their
    reason.
    """
    notebooks: dict[str, list[File]] = {}
    for file in student.files:
        if file.notebook is None:
            continue
        score = {name: belongs(file.notebook, blank) for name, blank in blanks.items()}
        best = max(score, key=lambda name: (score[name], file.notebook.assignment == name))
        if score[best]:
            notebooks.setdefault(best, []).append(file)
        else:
            file.reason = (
                "it is a notebook of something else: no cell of it belongs to an assignment"
            )
    return notebooks


def _newest(student, attempts):
    """The attempt that counts: the newest by date; where dates do not tell, the last by name, and
    the row is to be looked at.
    """
    attempts = sorted(attempts, key=lambda file: (file.time or 0.0, _in_order(file.name)))
    chosen = attempts[-1]
    submission = Submission(
        student.person, chosen.name, chosen.notebook, late=student.late, platform=student.platform
    )
    others = [file for file in attempts if file.notebook.digest != chosen.notebook.digest]
    open_ones = [
        file
        for file in others
        if file.time is None or file.time == chosen.time or chosen.time is None
    ]
    if open_ones:
        submission.status = LOOK
        names = " and ".join(file.name for file in [*open_ones, chosen])
        submission.notes.append(
            f"{names} have no dates that tell which is newer; {chosen.name} was graded."
        )
    elif len(attempts) > 1:
        submission.notes.append(
            f"{len(attempts)} attempts were handed in; the newest counts ({chosen.name})."
        )
    submission.notes += [
        f"{file.name} was left aside: {file.reason}."
        for file in student.files
        if file.reason and _looks_like_notebook(file)
    ]
    return _doubted(submission, student)


def _doubted(submission, student):
    if student.doubts:
        submission.status = LOOK
        submission.notes = student.doubts + submission.notes
    return submission


def _in_order(name):
    """So that x comes before x (1), and x (2) before x (10)."""
    stem = re.sub(r"\.\w+$", "", name)
    copy = COPY.search(stem)
    number = int((re.findall(r"\d+", copy[0]) or ["1"])[-1]) if copy else 0
    parts = re.split(r"(\d+)", COPY.sub("", stem))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], number


def _looks_like_notebook(file):
    return file.name.lower().endswith((".ipynb", ".zip"))


def _without(student, notebooks):
    submission = Submission(student.person, late=student.late, platform=student.platform)
    if notebooks:
        submission.status, submission.reason = (
            "another assignment",
            f"The notebook belongs to the assignment {', '.join(sorted(notebooks))}.",
        )
    elif student.files:
        file = max(student.files, key=lambda file: (_looks_like_notebook(file), file.time or 0.0))
        submission.status, submission.reason = (
            "not a notebook",
            f"{file.name} was not graded: {file.reason}.",
        )
    else:
        submission.status, submission.reason = "nothing handed in", "There is no file."
    return _doubted(submission, student)


def run(blank: Blank, notebook: Notebook, seeds: dict[str, str], jail: Jail) -> dict:
    """Grade one notebook; the record has points by task, the outcome of each test, and what is to
    be said about it.
    """
    merged = merge(notebook, blank)
    reply = judge(merged.cells, seeds, jail)
    limits = jail.limits
    facts = {
        "seconds": limits.seconds,
        "cell_seconds": limits.cell_seconds,
        "processes": limits.processes,
        "gigabytes": limits.memory / 2**30,
    }
    reasons = [ENDED[reply["ended"]].format(**facts)] if reply["ended"] in ENDED else []
    tests, remarks = {}, []
    for number, cell in enumerate(merged.cells):
        outcome = reply["outcomes"].get(str(number))
        if cell["kind"] == "test":
            tests[cell["id"]] = _outcome(outcome)
        elif outcome is not None and outcome["error"]:
            who = {
                "task": f"the answer to {cell['id']}",
                "extra": "a cell of the student's own",
                "given": f"the given cell {cell['id']}",
            }[cell["kind"]]
            if not (cell["kind"] == "task" and cell["id"] in merged.untouched):
                remarks.append(
                    {
                        "where": who,
                        "id": cell["id"],
                        "error": outcome["error"],
                        "output": outcome["output"],
                        "source": cell["source"],
                    }
                )
    reasons += [
        f"{remark['where'][0].upper()}{remark['where'][1:]} stops:"
        f" {' '.join(remark['error'].split())[:150]}."
        for remark in remarks[:3]
    ]
    if any("was stopped" in outcome["error"] for outcome in tests.values()):
        reasons.append(f"A test ran for more than {limits.cell_seconds} seconds and was stopped.")
    points = {
        task.id: sum(test.points for test in task.tests if tests[test.id]["passed"])
        for task in blank.assignment.tasks
        if not task.written
    }
    untouched = len(merged.untouched) == len(blank.assignment.tasks)
    status = (
        LOOK
        if reply["ended"] == "garbled"
        else "stopped"
        if reply["ended"] != "done"
        else "untouched"
        if untouched
        else "graded"
    )
    if merged.missing:
        reasons.append(f"Missing: {', '.join(merged.missing)}.")
    return {
        "status": status,
        "reasons": reasons + merged.notes,
        "points": points,
        "asked": {test.id: _asked(test) for test in blank.assignment.tests},
        "tests": tests,
        "remarks": remarks,
        "untouched": merged.untouched,
        "answers": merged.answers,
        "code": merged.code,
        "cpu": reply["cpu"],
        "seconds": reply["seconds"],
        "clean": reply["clean"],
    }


def _asked(test):
    """A test as it was when it was run: a digest of it, and its points."""
    return [hashlib.sha256(f"{test.visible}\0{test.hidden}".encode()).hexdigest()[:16], test.points]


def _outcome(outcome):
    if outcome is None:
        return {
            "passed": False,
            "failed": "visible",
            "error": "it was not run, for the notebook had ended before",
            "output": "",
        }
    return {
        "passed": not outcome["error"],
        "failed": outcome.get("failed", ""),
        "error": outcome["error"],
        "output": outcome["output"],
    }


class Course:
    """Where a class's grades are kept, and what decides whether one is still good.

    Parameters
    ----------
    root : the project's folder
    place : where the results go; build/course/grades below `root` if left out
    class_name : a class of its own gets a folder of its own there
    """

    def __init__(self, root: Path = source.ROOT, place: Path | None = None, class_name: str = ""):
        if class_name and not re.fullmatch(r"\w[\w .-]*", class_name):
            raise PressError(
                f"CLASS={class_name} is no name for a folder: use letters, digits, dots and"
                " hyphens."
            )
        if class_name in [found.name for found in assignments(root)]:
            raise PressError(
                f"CLASS={class_name} is the name of an assignment: choose another for the class."
            )
        self.root = root
        self.place = (place or root / "build/course/grades") / class_name
        self.secret = secret.course_secret(root)

    def grade(self, submissions: Path, pool: Pool, asked: str = "") -> dict[str, list[dict]]:
        """Grade what `submissions` holds in the sandboxes of `pool`, and add it to the class;
        return the rows of each table.

        Raises
        ------
        PressError : if there is nothing to grade, or what is known of the class cannot be read
        """
        if asked:
            assignment(asked, self.root)
        students = handed_in.students(submissions)
        blanks = self._blanks(asked)
        sorted_ = sort(students, blanks, asked)
        tables = {}
        for name in sorted_:
            self._prepare(name)
        with self._alone():
            rules = policy.read(self.place / "policy.yml")
            books = {
                name: GradeBook(blanks[name].assignment, self.place / name, found)
                for name, found in sorted_.items()
            }
            for name, found in sorted_.items():
                self._grade_one(blanks[name], found, books[name], pool)
                unknown = rules.check(
                    name, [person_of(entry) for entry in books[name].entries.values()]
                )
                if unknown:
                    print(
                        f"{name}: policy.yml names {', '.join(unknown)}, who handed in nothing",
                        flush=True,
                    )
                tables[name] = report.write(
                    blanks[name].assignment,
                    books[name].entries,
                    self.place / name,
                    pool.protections,
                    rules,
                )
                if books[name].regraded:
                    table.replace_and_keep(
                        self.place / name / "regraded.csv", table.as_csv(books[name].regraded)
                    )
                    print(
                        f"{name}: points changed in a new run,"
                        f" {(self.place / name / 'regraded.csv')} says whose and why",
                        flush=True,
                    )
        return tables

    def _blanks(self, asked):
        """All assignments, by name; a broken one that was not asked for is left out, and said
        so.
        """
        blanks = {}
        for found in assignments(self.root):
            try:
                blanks[found.name] = blank(found)
            except PressError as error:
                if found.name == asked or not asked:
                    raise
                print(f"left out: {error}", flush=True)
        if not blanks:
            raise PressError("There is no assignment in book/coursework.")
        return blanks

    def _prepare(self, name):
        for folder in (
            self.place,
            self.place / name,
            self.place / name / "gradebook",
            self.place / name / "feedback",
        ):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)

    @contextmanager
    def _alone(self):
        """Nobody else grades this class at the same time."""
        with open(self.place / ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise PressError(
                    "This class is being graded already: wait for that run, or stop it first."
                ) from None
            yield

    def depends_on(self, blank: Blank, notebook: Notebook, limits: Limits) -> dict[str, str]:
        """What a grade depends on, as digests: the submission, the assignment, the secret, and the
        grader itself.
        """
        assigned = build.as_text(blank.full) + build.as_text(blank.student)
        parts = {
            "submission": notebook.digest.encode(),
            "assignment": assigned.encode(),
            "secret": self.secret,
            "grader": _engine() + repr(asdict(limits)).encode(),
        }
        return {
            name: hashlib.sha256(self.secret + part).hexdigest() for name, part in parts.items()
        }

    def _grade_one(self, blank, submissions, book, pool):
        """Bring the grade book up to date with `submissions`; only what is new or changed is
        run.
        """
        name, total = blank.assignment.name, len(submissions)
        seeds = secret.seeds(blank.assignment, self.secret)
        todo = []
        for submission in submissions:
            if submission.notebook is None:
                book.add(submission, {}, nothing_run(blank, submission.status, submission.reason))
                continue
            depends = self.depends_on(blank, submission.notebook, pool.limits)
            known = book.entries.get(submission.person.key)
            if known is None or known["depends on"] != depends:
                todo.append((submission, depends))
            else:
                book.add(submission, depends, known["record"])
        done = total - len(todo)
        if done:
            print(f"{name}: {done} of {total} need no new run", flush=True)
        for (submission, depends), record in pool.run(blank, todo, seeds):
            done += 1
            book.add(submission, depends, record)
            gained = sum(record["points"].values())
            print(
                f"{name}: {done} of {total}, {_printable(submission.person.shown)}: {gained} of"
                f" {blank.assignment.automatic} points",
                flush=True,
            )


class GradeBook:
    """What is known of a class in one assignment: a file for each person, points by hand included.

    Parameters
    ----------
    folder : where gradebook/ and grades.csv are
    submissions : those that are graded now, whose damaged files may be replaced

    Raises
    ------
    PressError : if the file of somebody else or the table cannot be read
    """

    def __init__(self, assignment: Assignment, folder: Path, submissions: list[Submission]):
        self.folder = folder / "gradebook"
        self.entries: dict[str, dict] = {}
        self.regraded: list[dict] = []
        new = {submission.person for submission in submissions}
        for path in sorted(self.folder.glob("*.json")):
            entry = _stored(path)
            if entry is not None:
                self.entries[person_of(entry).key] = entry
            elif path.stem not in {person.slug for person in new}:
                raise PressError(
                    f"{path} is damaged, and its submission is not among these: add it to them, or"
                    " delete the file to drop the row."
                )
        people = new | {person_of(entry) for entry in self.entries.values()}
        self.given = table.by_hand(
            assignment, folder / "grades.csv", sorted(people, key=lambda person: person.key)
        )
        for key, entry in self.entries.items():
            if key in self.given and self.given[key] != entry["by hand"]:
                entry["by hand"] = self.given[key]
                self._write(entry)

    def add(self, submission: Submission, depends: dict, record: dict) -> None:
        """Take in what came of a submission; one without a notebook never takes the place of a
        grade.
        """
        person, old = submission.person, self.entries.get(submission.person.key)
        notes = list(submission.notes)
        if old and old["depends on"] and not depends:
            entry = old | {
                "notes": (
                    [note for note in old["notes"] if note != submission.reason]
                    + [submission.reason]
                )
            }
        else:
            if (
                old
                and old["depends on"]
                and old["file"] != submission.file
                and old["depends on"]["submission"] != depends["submission"]
            ):
                notes.append(f"It takes the place of {old['file']}, which was graded before.")
            given = self.given.get(person.key, old["by hand"] if old else {})
            entry = {
                "name": person.name,
                "number": person.number,
                "file": submission.file,
                "status": submission.status,
                "late": submission.late,
                "platform": submission.platform,
                "notes": notes,
                "depends on": depends,
                "record": record,
                "by hand": given,
            }
        if old and old["depends on"] and entry["depends on"] != old["depends on"]:
            self.regraded += platforms.regraded(old, entry, person)
        if entry != old:
            self._write(entry)
        self.entries[person.key] = entry

    def _write(self, entry):
        text = json.dumps(entry, ensure_ascii=False, indent=1)
        table.replace(
            self.folder / f"{person_of(entry).slug}.json", text.encode("utf-8", "replace")
        )


def person_of(entry: dict) -> Person:
    """The person that an entry of the grade book is about."""
    return Person(entry["name"], entry["number"])


class Pool:
    """Several jails side by side, started when the first submission needs one. Use it as a
    context.
    """

    def __init__(self, workers: int = 0, limits: Limits | None = None, mode: str = ""):
        self.workers, self.limits, self.mode = (
            workers or min(4, os.cpu_count() or 1),
            limits or Limits(),
            mode,
        )
        self.jails: list[Jail] = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for jail in self.jails:
            jail.stop()

    @property
    def protections(self) -> list:
        """What is in force; [] before anything was run."""
        return protections(self.jails[0].mode, self.limits) if self.jails else []

    def run(
        self, blank: Blank, items: list[tuple], seeds: dict[str, str]
    ) -> Iterator[tuple[tuple, dict]]:
        """Grade the notebooks of `items`, each beginning with a submission; yields (item, record)
        as they come.

        A jail in which a submission left anything behind is thrown away, and so is one whose
        process ended early.
        """
        if not items:
            return
        wanted = modules(
            [cell.source for cell in blank.assignment.cells if cell.cell_type == "code"]
            + [cell.source for cell in blank.full.cells if cell.cell_type == "code"]
        )
        warm(wanted)
        for _ in range(min(self.workers, len(items)) - len(self.jails)):
            self.jails.append(Jail(self.limits, wanted, self.mode).__enter__())
        for jail in self.jails:
            jail.add(wanted)

        def work(item, jail):
            return run(blank, item[0].notebook, seeds, jail)

        again, tried = items, 0
        try:
            while again:
                now, again, tried = again, [], tried + 1
                for item, jail, record in in_forks(
                    work, now, self.jails[: self.workers], Jail.ready
                ):
                    if record is None or not record.pop("clean"):
                        jail.stop()
                    # the machine may have been out of memory: a second run tells
                    if record is None and tried < 2:
                        again.append(item)
                    else:
                        yield (
                            item,
                            record
                            or nothing_run(
                                blank, LOOK, "Grading it ended the grader's own process, twice."
                            ),
                        )
        except KeyboardInterrupt:
            raise PressError(
                "Interrupted; what was finished is kept, and the same command goes on from there."
            ) from None


def nothing_run(blank: Blank, status: str, reason: str) -> dict:
    """The record of a submission of which nothing was run."""
    tests = {
        test.id: {
            "passed": False,
            "failed": "visible",
            "error": "there was nothing to run",
            "output": "",
        }
        for test in blank.assignment.tests
    }
    tasks = blank.assignment.tasks
    return {
        "status": status,
        "reasons": [reason],
        "points": {task.id: 0 for task in tasks if not task.written},
        "tests": tests,
        "remarks": [],
        "untouched": [task.id for task in tasks],
        "answers": {},
        "code": {},
        "cpu": 0.0,
        "seconds": 0.0,
    }


def _stored(path):
    """An entry of the grade book, or None if the file is no whole one."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        person_of(entry)
        return (
            {"platform": "", "late": False}
            | entry
            | {
                name: entry[name]
                for name in ("record", "by hand", "depends on", "notes", "file", "status")
            }
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _engine():
    """Hash of the code that grades."""
    import unlabeled

    digest = hashlib.sha256(sys.version.encode())
    for folder in (Path(__file__).parent, Path(unlabeled.__file__).parent):
        for path in sorted(folder.glob("*.py")):
            # how a grade is shown does not change it
            if path.name not in (
                "report.py",
                "table.py",
                "names.py",
                "platforms.py",
                "policy.py",
                "__main__.py",
                "make.py",
            ):
                digest.update(path.read_bytes())
    return digest.digest()


def _printable(name):
    return "".join(letter if letter.isprintable() else "?" for letter in name)
