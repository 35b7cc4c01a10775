"""What comes of grading: the table, a page for each student, the answers to read, and a summary of
the class.
"""

from __future__ import annotations

import base64
import html
import io
import os
import statistics
from pathlib import Path

from course import platforms
from course.assignment import Assignment
from course.jail import CANNOT
from course.names import Person
from course.policy import Policy
from course.table import BY_HAND, as_csv, replace, replace_and_keep, safe, short

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.55 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }} th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8886; vertical-align: top }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #8886; padding: .6rem; max-height: 30rem; overflow: auto }}
.number {{ text-align: right }} .passed::before {{ content: "✓ " }} .failed::before {{ content: "✗ " }} img {{ max-width: 100%; background: white }}
</style></head><body><main>
{body}
</main></body></html>
"""  # noqa: E501


def write(
    assignment: Assignment, entries: dict[str, dict], folder: Path, protections, policy: Policy
) -> list[dict]:
    """Write grades.csv, what platforms take, feedback/, answers.html and the summary into `folder`;
    return the table's rows.
    """
    shown = sorted(entries.values(), key=lambda entry: (entry["name"], entry["number"]))
    rows = [row_of(assignment, entry, policy) for entry in shown]
    replace_and_keep(folder / "grades.csv", as_csv(rows))
    people = [Person(entry["name"], entry["number"]) for entry in shown]
    pages = [
        feedback(assignment, person, entry["record"], row)
        for person, entry, row in zip(people, shown, rows)
    ]
    for person, page in zip(people, pages):
        _page(folder / "feedback" / f"{person.slug}.html", page)
    for platform, rows_for in (("Canvas", platforms.canvas), ("Moodle", platforms.moodle)):
        if any(entry["platform"] == platform for entry in shown):
            replace(folder / f"{platform.lower()}.csv", as_csv(rows_for(assignment, shown, rows)))
    if any(entry["platform"] == "Moodle" for entry in shown):
        replace(folder / "feedback-moodle.zip", platforms.feedback_zip(shown, pages))
    if any(task.written for task in assignment.tasks):
        _page(folder / "answers.html", _answers(assignment, shown))
    records = [entry["record"] for entry in shown]
    picture = _picture(assignment, records, rows)
    replace(folder / "summary.png", picture)
    _page(folder / "summary.html", _summary(assignment, records, rows, picture, protections))
    return rows


def _page(path, text):
    replace(path, text.encode("utf-8", "replace"))


def row_of(assignment: Assignment, entry: dict, policy: Policy | None = None) -> dict:
    """The row of one person in the table."""
    record = entry["record"]
    row = {"student": safe(entry["name"]), "number": entry["number"]}
    total, waiting = 0.0, False
    for task in assignment.tasks:
        if not task.written:
            row[task.id] = record["points"].get(task.id, 0)
            total += row[task.id]
            continue
        answered = task.id not in record["untouched"]
        points = entry["by hand"].get(task.id, "" if answered else 0)
        waiting |= points == ""
        row[task.id + BY_HAND] = short(points)
        total += points or 0
    reasons = [*entry["notes"], *record["reasons"]]
    if waiting:
        reasons.append("Written answers are still to be graded.")
    person = Person(entry["name"], entry["number"])
    policy = policy or Policy()
    days = policy.days(assignment.name, person, entry["late"])
    off = policy.off(total, days)
    if days:
        told = f"{short(days)} {'day' if days == 1 else 'days'} late" + (
            f": {short(off)} points are taken off." if off else "."
        )
        reasons.insert(0, told)
    elif entry["late"]:
        reasons.insert(0, "Marked as late by the platform, within the extra days.")
    return row | {
        "days late": short(days),
        "taken off": short(off),
        "total": short(round(total - off, 2)),
        "out of": assignment.points,
        "status": entry["status"] or record["status"],
        "reason": safe(
            " ".join(reasons)
            or ("All tests were run." if record["status"] == "graded" else "Nothing was filled in.")
        ),
        "key": person.key,
    }


def feedback(assignment: Assignment, person: Person, record: dict, row: dict) -> str:
    """One student's page. All text of the student's is escaped, and the page may load nothing."""
    say = html.escape
    body = [
        f"<h1>{say(assignment.title)}</h1>",
        (
            f"<p><strong>{say(person.shown)}</strong>: {row['total']} of {row['out of']} points."
            f" {say(row['reason'])}</p>"
        ),
    ]
    for task in assignment.tasks:
        gained = row[task.id + BY_HAND] if task.written else row[task.id]
        body.append(
            f"<h2>{say(task.title)}</h2><p>{'to be graded' if gained == '' else gained} of"
            f" {task.points} points</p>"
        )
        if task.written:
            body.append(
                f"<pre tabindex=0>{say(record['answers'].get(task.id) or 'No answer.')}</pre>"
            )
            continue
        if task.id in record["untouched"]:
            body.append("<p>Not answered.</p>")
            continue
        for remark in record["remarks"]:
            if remark["id"] == task.id:
                body.append(f"<p>Your cell stops: {say(remark['error'])}</p>")
        for test in task.tests:
            body.append(_test(test, record["tests"][test.id]))
    own = [
        remark for remark in record["remarks"] if remark["where"] == "a cell of the student's own"
    ]
    if own:
        body.append(
            "<h2>Cells of your own</h2>"
            + "".join(f"<p>One stops: {say(remark['error'])}</p>" for remark in own)
        )
    return PAGE.format(title=say(f"{assignment.title}: {person.shown}"), body="\n".join(body))


def _test(test, outcome):
    say = html.escape
    points = f"{test.points} {'point' if test.points == 1 else 'points'}"
    if outcome["passed"]:
        return f'<p class="passed">{say(test.id)} ({points})</p>'
    if outcome["failed"] == "hidden":
        hint = f" Hint: {say(test.hint)}." if test.hint else ""
        return (
            f'<p class="failed">{say(test.id)} ({points}): it passes the test that you see and'
            f" fails one with other numbers.{hint}</p>"
        )
    output = (
        f"<pre tabindex=0>{say(outcome['output'][:5000])}</pre>"
        if outcome["output"].strip()
        else ""
    )
    return f'<p class="failed">{say(test.id)} ({points}): {say(outcome["error"])}</p>{output}'


def _answers(assignment, entries):
    """All written answers beside their rubric, for whoever grades them."""
    say = html.escape
    body = [
        f"<h1>{say(assignment.title)}: written answers</h1>",
        (
            f"<p>Enter the points in grades.csv, in the columns that end with “{BY_HAND.strip()}”;"
            " grading again keeps them.</p>"
        ),
    ]
    for task in assignment.tasks:
        if not task.written:
            continue
        body.append(
            f"<h2>{say(task.title)} ({task.points} points)</h2>"
            f"<h3>Rubric</h3><pre tabindex=0>{say(task.rubric)}</pre>"
            f"<h3>Model answer</h3><pre tabindex=0>{say(task.source)}</pre>"
        )
        for entry in entries:
            answer = entry["record"]["answers"].get(task.id) or "No answer."
            body.append(
                f"<h3>{say(Person(entry['name'], entry['number']).shown)}</h3>"
                f"<pre tabindex=0>{say(answer)}</pre>"
            )
    return PAGE.format(title=say(assignment.title), body="\n".join(body))


def _failures(assignment, records):
    """(test, how many failed it), those failed most first."""
    counts = [
        (test, sum(not record["tests"][test.id]["passed"] for record in records))
        for test in assignment.tests
    ]
    return sorted(counts, key=lambda pair: -pair[1])


def _picture(assignment, records, rows):
    os.environ.setdefault("MPLBACKEND", "agg")
    from matplotlib.figure import Figure

    columns = [
        (task, [row[task.id + BY_HAND] if task.written else row[task.id] for row in rows])
        for task in assignment.tasks
    ]
    failures = _failures(assignment, records)
    figure = Figure(
        figsize=(9, 1.2 + 0.42 * len(columns) + 0.3 * len(failures)), dpi=110, layout="constrained"
    )
    upper, lower = figure.subplots(
        2, 1, height_ratios=[0.42 * len(columns) + 0.6, 0.3 * len(failures) + 0.6]
    )
    for place, (task, values) in enumerate(columns):
        known = [value / task.points for value in values if value != ""]
        counts: dict[float, int] = {}
        for value in known:
            counts[value] = counts.get(value, 0) + 1
        upper.plot([0, 1], [place, place], color="#BBBBBB", lw=1, zorder=0)
        upper.scatter(
            list(counts),
            [place] * len(counts),
            s=[30 + 500 * count / max(1, len(rows)) for count in counts.values()],
            color="#0072B2",
            alpha=0.8,
        )
        for value, count in counts.items():
            upper.annotate(
                str(count),
                (value, place),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if count > 0.15 * len(rows) else "black",
            )
    upper.set_yticks(range(len(columns)), [f"{task.id} ({task.points})" for task, _ in columns])
    upper.set(
        ylim=(len(columns) - 0.5, -0.5),
        xlim=(-0.08, 1.08),
        title="share of a task's points, and how many students have it",
    )
    lower.barh(range(len(failures)), [count for _, count in failures], color="#D55E00")
    lower.set_yticks(range(len(failures)), [test.id for test, _ in failures])
    lower.set(
        ylim=(len(failures) - 0.5, -0.5),
        xlim=(0, max(1, len(rows))),
        title=f"students (of {len(rows)}) who fail a test",
    )
    for axis in (upper, lower):
        axis.spines[["top", "right"]].set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _summary(assignment, records, rows, picture, protections):
    say = html.escape
    totals = sorted(float(row["total"]) for row in rows)
    middle = statistics.median(totals)
    image = base64.b64encode(picture).decode()
    alt = (
        "Upper part: for each task, dots at the shares of its points, larger where more students"
        " have it. Lower part: bars of how many students fail each test; both stand in the tables"
        " below."
    )
    body = [
        f"<h1>{say(assignment.title)}</h1>",
        f"<p>{len(rows)} submissions; median {short(middle)} of {assignment.points} points.</p>",
        f'<img alt="{alt}" src="data:image/png;base64,{image}">',
        "<h2>Tests, those failed most first</h2>"
        "<table><tr><th>test</th><th>task</th><th class=number>failed by</th></tr>",
        *(
            f"<tr><td>{say(test.id)}</td><td>{say(test.task)}</td>"
            f"<td class=number>{count}</td></tr>"
            for test, count in _failures(assignment, records)
        ),
        "</table>",
        "<h2>Submissions</h2><table><tr><th>student</th>"
        "<th class=number>points</th><th>status</th><th>reason</th></tr>",
        *(
            f"<tr><td>{say(row['student'])}</td><td class=number>{row['total']}</td>"
            f"<td>{say(row['status'])}</td><td>{say(row['reason'])}</td></tr>"
            for row in rows
        ),
        "</table>",
        protections_html(protections),
    ]
    return PAGE.format(title=say(assignment.title), body="\n".join(body))


def protections_html(protections) -> str:
    """The protections in force, and what no protection can do, as a section of a page."""
    say = html.escape
    if not protections:
        return "<h2>Protection</h2><p>Nothing was run this time.</p>"
    rows = [
        f"<tr><td>{say(name)}</td>"
        f"<td>{'in force' if there else '<strong>not in force</strong>'}</td>"
        f"<td>{say(text)}</td></tr>"
        for name, there, text in protections
    ]
    return (
        "<h2>Protection on this machine</h2><table>"
        + "".join(rows)
        + "</table>"
        + "".join(f"<p>{say(text)}</p>" for text in CANNOT)
    )
