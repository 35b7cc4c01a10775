"""Grade a class: find what was handed in, run what is new or changed, keep a record of each, and write the tables."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from press import source
from course import build, handed_in, report, secret
from course.assignment import Assignment, assignment, assignments
from course.handed_in import File, Notebook, Student, Unreadable
from course.merge import Blank, belongs, merge
from course.sandbox import Limits, Sandbox, protections
from press.errors import PressError

ENDED = {
    "time": "The notebook ran for more than {seconds} seconds and was stopped.",
    "cell time": "A cell ran for more than {cell_seconds} seconds, could not be interrupted, and was stopped with the whole notebook.",
    "memory": "The notebook took more than {gigabytes:.1f} GB of memory and was stopped.",
    "flood": "The notebook wrote without end and was stopped.",
    "died": "The notebook ended its own process.",
    "lost": "The notebook broke the process that watches over it.",
}


@dataclass
class Submission:
    """What one student handed in for one assignment: the notebook that counts, or the reason why there is none."""

    student: str
    file: File | None = None
    notebook: Notebook | None = None
    status: str = ""
    reason: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def slug(self) -> str:
        return slug(self.student)


def slug(name: str) -> str:
    """A file name for a student: the name itself where it is one."""
    plain = re.sub(r"[^\w .,-]", "_", name).strip(" .") or "_"
    short = plain.encode()[:100].decode(errors="ignore")
    return short if short == name else f"{short}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def blank(found: Assignment) -> Blank:
    """Both notebooks of an assignment."""
    return Blank(found, build.instructor(found), build.release(found))


def sort(students: list[Student], blanks: dict[str, Blank], asked: str = "") -> dict[str, list[Submission]]:
    """The submissions by assignment. A student whose files belong to none gets a row in the one asked for, or in the commonest."""
    read = {student.name: _read(student, blanks) for student in students}
    count = {name: sum(name in notebooks for notebooks, _ in read.values()) for name in blanks}
    commonest = asked or max(blanks, key=lambda name: count[name])
    chosen = [asked] if asked else [name for name in blanks if count[name]] or [commonest]
    found: dict[str, list[Submission]] = {name: [] for name in chosen}
    for student in students:
        notebooks, problems = read[student.name]
        mine = [name for name in chosen if name in notebooks]
        for name in mine:
            found[name].append(_newest(student, notebooks[name], problems))
        if not mine:
            found[commonest].append(_without(student, notebooks, problems))
    return found


def _read(student, blanks):
    """The student's notebooks by assignment, (file, notebook) each, and what is wrong with the other files: (file, reason)."""
    notebooks: dict[str, list[tuple[File, Notebook]]] = {}
    problems = []
    for file in student.files:
        try:
            notebook = handed_in.read(file)
        except Unreadable as error:
            problems.append((file, str(error)))
            continue
        score = {name: belongs(notebook, blank) for name, blank in blanks.items()}
        best = max(score, key=lambda name: (score[name], notebook.assignment == name))
        if score[best]:
            notebooks.setdefault(best, []).append((file, notebook))
        else:
            problems.append((file, "it is a notebook of something else: no cell of it belongs to an assignment"))
    return notebooks, problems


def _newest(student, attempts, problems):
    attempts = sorted(attempts, key=lambda attempt: (attempt[0].time, attempt[0].name))
    file, notebook = attempts[-1]
    submission = Submission(student.name, file, notebook)
    if len(attempts) > 1:
        submission.notes.append(f"{len(attempts)} attempts were handed in; the newest counts ({file.name}).")
    submission.notes += [f"{other.name} was left aside: {why}." for other, why in problems if _looks_like_notebook(other)]
    submission.notes += student.problems
    return submission


def _looks_like_notebook(file):
    return file.name.lower().endswith((".ipynb", ".zip"))


def _without(student, notebooks, problems):
    submission = Submission(student.name, notes=list(student.problems))
    if notebooks:
        submission.status, submission.reason = "another assignment", f"The notebook belongs to the assignment {', '.join(sorted(notebooks))}."
    elif problems:
        file, why = max(problems, key=lambda problem: (_looks_like_notebook(problem[0]), problem[0].time))
        submission.status, submission.reason = "not a notebook", f"{file.name} was not graded: {why}."
    else:
        submission.status = "nothing handed in"
        submission.reason = submission.notes.pop(0) if submission.notes else "There is no file."
    return submission


def run(blank: Blank, notebook: Notebook, seeds: dict[str, str], sandbox: Sandbox) -> dict:
    """Grade one notebook; the record has points by task, the outcome of each test, and what is to be said about it."""
    merged = merge(notebook, blank)
    job = {"cells": merged.cells, "seeds": seeds}
    reply = sandbox.run(job)
    if reply["ended"] == "lost":  # by the student, or because the machine was out of memory: a second run tells
        reply = sandbox.run(job)
    if reply["ended"] != "lost" and "mode" not in reply["facts"] and not reply["outcomes"]:
        raise PressError(f"The sandbox could not be set up for a submission ({reply['facts'].get('refused', 'it gave no answer')}); nothing was recorded, run the same command again.")
    limits = sandbox.limits
    reasons = [ENDED[reply["ended"]].format(seconds=limits.seconds, cell_seconds=limits.cell_seconds, gigabytes=limits.memory / 2**30)] if reply["ended"] in ENDED else []
    tests, remarks = {}, []
    for number, cell in enumerate(merged.cells):
        outcome = reply["outcomes"].get(str(number))
        if cell["kind"] == "test":
            tests[cell["id"]] = _outcome(outcome)
        elif outcome is not None and outcome["error"]:
            who = {"task": f"the answer to {cell['id']}", "extra": "a cell of the student's own", "given": f"the given cell {cell['id']}"}[cell["kind"]]
            if not (cell["kind"] == "task" and cell["id"] in merged.untouched):
                remarks.append({"where": who, "id": cell["id"], "error": outcome["error"], "output": outcome["output"]})
    reasons += [f"{remark['where'][0].upper()}{remark['where'][1:]} stops: {' '.join(remark['error'].split())[:150]}." for remark in remarks[:3]]
    if any("was stopped" in outcome["error"] for outcome in tests.values()):
        reasons.append(f"A test ran for more than {limits.cell_seconds} seconds and was stopped.")
    reasons += [f"Look at the code: {text}." for text in reply["odd"]]
    points = {
        task.id: sum(test.points for test in task.tests if tests[test.id]["passed"]) for task in blank.assignment.tasks if not task.written
    }
    status = "look at it" if reply["odd"] else "stopped" if reply["ended"] != "done" else "untouched" if len(merged.untouched) == len(blank.assignment.tasks) else "graded"
    if merged.missing:
        reasons.append(f"Missing: {', '.join(merged.missing)}.")
    return {
        "status": status, "reasons": reasons + merged.notes, "points": points, "tests": tests, "remarks": remarks, "untouched": merged.untouched,
        "answers": merged.answers, "code": merged.code, "cpu": reply["cpu"], "seconds": reply["seconds"],
    }


def _outcome(outcome):
    if outcome is None:
        return {"passed": False, "failed": "visible", "error": "it was not run, for the notebook had ended before", "output": ""}
    return {"passed": not outcome["error"], "failed": outcome.get("failed", ""), "error": outcome["error"], "output": outcome["output"]}


class Course:
    """Where grades are kept, and what decides whether one is still good.

    Parameters
    ----------
    root : the project's folder
    place : where the results go; build/course/grades below `root` if left out
    """

    def __init__(self, root: Path = source.ROOT, place: Path | None = None):
        self.root = root
        self.place = place or root / "build/course/grades"
        self.secret = secret.course_secret(root)

    def grade(self, submissions: Path, pool: Pool, asked: str = "") -> dict[str, list[dict]]:
        """Grade what `submissions` holds in the sandboxes of `pool`; return the rows of each assignment's table.

        Raises
        ------
        PressError : if there is nothing to grade, or points given by hand cannot be read
        """
        if asked:
            assignment(asked, self.root)
        students = handed_in.students(submissions)
        blanks = self._blanks(asked)
        sorted_ = sort(students, blanks, asked)
        by_hand = {name: report.by_hand(blanks[name].assignment, self.place / name / "grades.csv") for name in sorted_}
        tables = {}
        for name, found in sorted_.items():
            self._prepare(name)
            records = self._records(blanks[name], found, pool)
            tables[name] = report.write(blanks[name], found, records, by_hand[name], self.place / name, pool.protections)
        return tables

    def _blanks(self, asked):
        """All assignments, by name; a broken one that was not asked for is left out, and said so."""
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
        for folder in (self.place, self.place / name, self.place / name / "gradebook", self.place / name / "feedback"):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)

    def key(self, blank: Blank, data: bytes, limits: Limits) -> str:
        """What a grade depends on: the submission, the assignment, the secret, and the grader itself."""
        digest = hashlib.sha256()
        parts = [data, build.as_text(blank.full).encode(), build.as_text(blank.student).encode(), self.secret, _engine(), repr(asdict(limits)).encode()]
        for part in parts:
            digest.update(hashlib.sha256(part).digest())
        return digest.hexdigest()

    def _records(self, blank, submissions, pool):
        """The record of each submission, from the grade book where it is still good."""
        name, total = blank.assignment.name, len(submissions)
        seeds = secret.seeds(blank.assignment, self.secret)
        records: dict[str, dict] = {}
        todo = []
        for submission in submissions:
            if submission.notebook is None:
                records[submission.student] = _empty(blank, submission)
                continue
            key = self.key(blank, submission.file.data, pool.limits)
            known = _stored(self._path(name, submission), key)
            if known is None:
                todo.append((submission, key))
            else:
                records[submission.student] = known
        if len(records):
            print(f"{name}: {len(records)} of {total} need no new run", flush=True)
        done = len(records)
        lock = threading.Lock()

        def one(item):
            nonlocal done
            submission, key = item
            record = {"key": key, "student": submission.student} | pool.run(blank, submission.notebook, seeds)
            _write(self._path(name, submission), json.dumps(record, ensure_ascii=False, indent=1))
            with lock:
                done += 1
                records[submission.student] = record
                print(f"{name}: {done} of {total}, {_printable(submission.student)}: {sum(record['points'].values())} of {blank.assignment.automatic} points", flush=True)

        pool.each(one, todo)
        return records

    def _path(self, name, submission):
        return self.place / name / "gradebook" / f"{submission.slug}.json"


class Pool:
    """Several sandboxes side by side, started when the first submission needs one. Use it as a context."""

    def __init__(self, workers: int = 0, limits: Limits | None = None):
        self.workers, self.limits = workers or min(4, os.cpu_count() or 1), limits or Limits()
        self.idle: queue.SimpleQueue = queue.SimpleQueue()
        self.all: list[Sandbox] = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sandbox in self.all:
            sandbox.__exit__()

    @property
    def protections(self) -> list:
        """What is in force; [] before anything was run."""
        return protections(self.all[0]) if self.all else []

    def each(self, function, items):
        """Call `function` on each of `items`, several at a time; the first error stops what has not begun."""
        if not items:
            return
        for _ in range(min(self.workers, len(items)) - len(self.all)):
            sandbox = Sandbox(limits=self.limits)
            sandbox.__enter__()
            self.all.append(sandbox)
            self.idle.put(sandbox)
        with ThreadPoolExecutor(len(self.all)) as threads:
            futures = [threads.submit(function, item) for item in items]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                for sandbox in self.all:
                    sandbox.interrupt()
                raise

    def run(self, blank, notebook, seeds):
        sandbox = self.idle.get()
        try:
            return run(blank, notebook, seeds, sandbox)
        finally:
            self.idle.put(sandbox)


def _empty(blank, submission):
    tests = {test.id: {"passed": False, "failed": "visible", "error": "there was nothing to run", "output": ""} for test in blank.assignment.tests}
    tasks = blank.assignment.tasks
    return {
        "status": submission.status, "reasons": [submission.reason], "points": {task.id: 0 for task in tasks if not task.written}, "tests": tests,
        "remarks": [], "untouched": [task.id for task in tasks], "answers": {}, "code": {}, "cpu": 0.0, "seconds": 0.0,
    }


def _stored(path, key):
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("key") == key else None


def _write(path, text):
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, encoding="utf-8", errors="replace")
    temporary.chmod(0o600)
    temporary.replace(path)


def _engine():
    """Hash of the code that grades."""
    import unlabeled

    digest = hashlib.sha256(sys.version.encode())
    for folder in (Path(__file__).parent, Path(unlabeled.__file__).parent):
        for path in sorted(folder.glob("*.py")):
            if path.name != "report.py":  # how a grade is shown does not change it
                digest.update(path.read_bytes())
    return digest.digest()


def _printable(name):
    return "".join(letter if letter.isprintable() else "?" for letter in name)
