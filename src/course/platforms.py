"""Grades and feedback in the forms that Canvas and Moodle take."""

from __future__ import annotations

import io
import zipfile

from course.assignment import Assignment
from course.names import Person
from course.table import safe


def canvas(assignment: Assignment, entries: list[dict], rows: list[dict]) -> list[dict]:
    """Rows of a table for Canvas's "Import grades": students by Canvas's own number."""
    column = safe(assignment.title)
    head = {
        "Student": "Points Possible",
        "ID": "",
        "SIS User ID": "",
        "SIS Login ID": "",
        "Section": "",
        column: assignment.points,
    }
    return [head] + [
        {
            "Student": safe(entry["name"]),
            "ID": entry["number"],
            "SIS User ID": "",
            "SIS Login ID": "",
            "Section": "",
            column: row["total"],
        }
        for entry, row in zip(entries, rows)
        if entry["platform"] == "Canvas"
    ]


def moodle(assignment: Assignment, entries: list[dict], rows: list[dict]) -> list[dict]:
    """Rows of a grading worksheet for Moodle's "Upload grading worksheet": students by the number
    in their folder's name.
    """
    return [
        {
            "Identifier": f"Participant {entry['number']}",
            "Full name": safe(entry["name"]),
            "Grade": row["total"],
            "Maximum Grade": assignment.points,
            "Feedback comments": row["reason"],
        }
        for entry, row in zip(entries, rows)
        if entry["platform"] == "Moodle"
    ]


def feedback_zip(entries: list[dict], pages: list[str]) -> bytes:
    """Feedback as Moodle's "Upload multiple feedback files in a zip" takes it: the folders that it
    has given out.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, page in zip(entries, pages):
            if entry["platform"] == "Moodle":
                folder = f"{entry['name']}_{entry['number']}_assignsubmission_file_".replace(
                    "/", "_"
                )
                archive.writestr(
                    zipfile.ZipInfo(f"{folder}/feedback.html", (2020, 1, 1, 0, 0, 0)),
                    page.encode("utf-8", "replace"),
                )
    return packed.getvalue()


def regraded(old: dict, new: dict, person: Person) -> list[dict]:
    """Tests whose points a new run has changed, and why: one row each, from an entry of the grade
    book and its successor.
    """
    rows = []
    was, now = old["record"].get("asked", {}), new["record"].get("asked", {})
    for test in dict.fromkeys((*was, *now)):
        before, after = (_points(entry, test) for entry in (old, new))
        if before != after:
            rows.append(
                {
                    "student": safe(person.name),
                    "number": person.number,
                    "test": test,
                    "before": before,
                    "after": after,
                    "why": _why(old["depends on"], new["depends on"], was.get(test), now.get(test)),
                    "key": person.key,
                }
            )
    return rows


def _points(entry, test):
    asked, outcome = entry["record"].get("asked", {}).get(test), entry["record"]["tests"].get(test)
    return "" if asked is None or outcome is None else asked[1] if outcome["passed"] else 0


def _why(was, now, asked_before, asked_now):
    if was["submission"] != now["submission"]:
        return "another notebook was handed in"
    if asked_before is None or asked_now is None:
        return "the test is new" if asked_before is None else "the test was taken out"
    if asked_before != asked_now:
        return (
            "the test was changed"
            if asked_before[0] != asked_now[0]
            else "the points of the test were changed"
        )
    if was["secret"] != now["secret"]:
        return "the course's secret was changed"
    return (
        "the rest of the assignment was changed"
        if was["assignment"] != now["assignment"]
        else "the grader was changed"
    )
