"""What comes of grading: the table, a page for each student, the answers to read, and a summary of the class."""

from __future__ import annotations

import base64
import csv
import html
import io
import os
from pathlib import Path

from course.assignment import Assignment
from course.sandbox import CANNOT
from press.errors import PressError

BY_HAND = " (by hand)"
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
"""


def by_hand(assignment: Assignment, path: Path) -> dict[str, dict[str, float]]:
    """Points that were entered by hand in the table at `path`: student → task → points.

    Raises
    ------
    PressError : if what stands there is no number of points that the task can give
    """
    written = {task.id: task.points for task in assignment.tasks if task.written}
    if not path.is_file():
        return {}
    text = path.read_bytes().decode("utf-8-sig", "replace")
    header = text.split("\n", 1)[0]
    found: dict[str, dict[str, float]] = {}
    for row in csv.DictReader(io.StringIO(text), delimiter=";" if header.count(";") > header.count(",") else "\t" if "\t" in header else ","):
        student = row.get("student") or ""
        for name, most in written.items():
            entry = (row.get(name + BY_HAND) or "").strip().replace(",", ".")
            if not entry:
                continue
            try:
                points = float(entry)
            except ValueError:
                points = -1.0
            if not 0 <= points <= most:
                raise PressError(f"{path}: {student} has {entry!r} points for {name}, which must be a number from 0 to {most}.")
            found.setdefault(student, {})[name] = points
    return found


def write(blank, submissions, records, hand, folder: Path, protections) -> list[dict]:
    """Write grades.csv, feedback/, answers.html and the summary into `folder`; return the table's rows."""
    assignment = blank.assignment
    rows = [_row(assignment, submission, records[submission.student], hand) for submission in submissions]
    _atomically(folder / "grades.csv", _table(rows))
    names = {submission.slug for submission in submissions}
    for old in (folder / "feedback").glob("*.html"):
        if old.stem not in names:
            old.unlink()
    for submission, row in zip(submissions, rows):
        _atomically(folder / "feedback" / f"{submission.slug}.html", feedback(assignment, submission, records[submission.student], row))
    if any(task.written for task in assignment.tasks):
        _atomically(folder / "answers.html", _answers(assignment, submissions, records))
    picture = _picture(assignment, [records[submission.student] for submission in submissions], rows)
    _atomically(folder / "summary.png", picture)
    _atomically(folder / "summary.html", _summary(assignment, [records[submission.student] for submission in submissions], rows, picture, protections))
    return rows


def _atomically(path, content):
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    temporary.replace(path)


def _row(assignment, submission, record, hand):
    name = _safe(submission.student)
    given = hand.get(name, {})
    row = {"student": name}
    total, waiting = 0.0, False
    for task in assignment.tasks:
        if not task.written:
            row[task.id] = record["points"][task.id]
            total += row[task.id]
            continue
        answered = task.id not in record["untouched"]
        points = given.get(task.id, "" if answered else 0)
        waiting |= points == ""
        row[task.id + BY_HAND] = _short(points)
        total += points or 0
    reasons = [*record["reasons"], *submission.notes]
    if waiting:
        reasons.append("Written answers are still to be graded.")
    return row | {
        "total": _short(total), "out of": assignment.points, "status": record["status"],
        "reason": _safe(" ".join(reasons) or ("All tests were run." if record["status"] == "graded" else "Nothing was filled in.")),
    }


def _short(number):
    return int(number) if number != "" and number == int(number) else number


def _safe(text):
    """Text that a spreadsheet does not take for a formula, on one line."""
    text = " ".join(str(text).split())
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text


def _table(rows):
    stream = io.StringIO()
    table = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return "\ufeff" + stream.getvalue()  # with the mark, spreadsheets read names in any alphabet


def feedback(assignment: Assignment, submission, record: dict, row: dict) -> str:
    """One student's page. All text of the student's is escaped, and the page may load nothing."""
    say = html.escape
    body = [f"<h1>{say(assignment.title)}</h1>", f"<p><strong>{say(submission.student)}</strong>: {row['total']} of {row['out of']} points. {say(row['reason'])}</p>"]
    for task in assignment.tasks:
        gained = row[task.id + BY_HAND] if task.written else row[task.id]
        body.append(f"<h2>{say(task.title)}</h2><p>{'to be graded' if gained == '' else gained} of {task.points} points</p>")
        if task.written:
            body.append(f"<pre tabindex=0>{say(record['answers'].get(task.id) or 'No answer.')}</pre>")
            continue
        if task.id in record["untouched"]:
            body.append("<p>Not answered.</p>")
            continue
        for remark in record["remarks"]:
            if remark["id"] == task.id:
                body.append(f"<p>Your cell stops: {say(remark['error'])}</p>")
        for test in task.tests:
            body.append(_test(test, record["tests"][test.id]))
    own = [remark for remark in record["remarks"] if remark["where"] == "a cell of the student's own"]
    if own:
        body.append("<h2>Cells of your own</h2>" + "".join(f"<p>One stops: {say(remark['error'])}</p>" for remark in own))
    return PAGE.format(title=say(f"{assignment.title}: {submission.student}"), body="\n".join(body))


def _test(test, outcome):
    say = html.escape
    points = f"{test.points} {'point' if test.points == 1 else 'points'}"
    if outcome["passed"]:
        return f'<p class="passed">{say(test.id)} ({points})</p>'
    if outcome["failed"] == "hidden":
        hint = f" Hint: {say(test.hint)}." if test.hint else ""
        return f'<p class="failed">{say(test.id)} ({points}): it passes the test that you see and fails one with other numbers.{hint}</p>'
    output = f"<pre tabindex=0>{say(outcome['output'][:5000])}</pre>" if outcome["output"].strip() else ""
    return f'<p class="failed">{say(test.id)} ({points}): {say(outcome["error"])}</p>{output}'


def _answers(assignment, submissions, records):
    """All written answers beside their rubric, for whoever grades them."""
    say = html.escape
    body = [f"<h1>{say(assignment.title)}: written answers</h1>", f"<p>Enter the points in grades.csv, in the columns that end with “{BY_HAND.strip()}”; grading again keeps them.</p>"]
    for task in assignment.tasks:
        if task.written:
            body.append(f"<h2>{say(task.title)} ({task.points} points)</h2><h3>Rubric</h3><pre tabindex=0>{say(task.rubric)}</pre><h3>Model answer</h3><pre tabindex=0>{say(task.source)}</pre>")
            body += [f"<h3>{say(submission.student)}</h3><pre tabindex=0>{say(records[submission.student]['answers'].get(task.id) or 'No answer.')}</pre>" for submission in submissions]
    return PAGE.format(title=say(assignment.title), body="\n".join(body))


def _failures(assignment, records):
    """(test, how many failed it), those failed most first."""
    counts = [(test, sum(not record["tests"][test.id]["passed"] for record in records)) for test in assignment.tests]
    return sorted(counts, key=lambda pair: -pair[1])


def _picture(assignment, records, rows):
    os.environ.setdefault("MPLBACKEND", "agg")
    from matplotlib.figure import Figure

    columns = [(task, [row[task.id + BY_HAND] if task.written else row[task.id] for row in rows]) for task in assignment.tasks]
    failures = _failures(assignment, records)
    figure = Figure(figsize=(9, 1.2 + 0.42 * len(columns) + 0.3 * len(failures)), dpi=110, layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=[0.42 * len(columns) + 0.6, 0.3 * len(failures) + 0.6])
    for place, (task, values) in enumerate(columns):
        known = [value / task.points for value in values if value != ""]
        counts: dict[float, int] = {}
        for value in known:
            counts[value] = counts.get(value, 0) + 1
        upper.plot([0, 1], [place, place], color="#BBBBBB", lw=1, zorder=0)
        upper.scatter(list(counts), [place] * len(counts), s=[30 + 500 * count / max(1, len(rows)) for count in counts.values()], color="#0072B2", alpha=0.8)
        for value, count in counts.items():
            upper.annotate(str(count), (value, place), ha="center", va="center", fontsize=8, color="white" if count > 0.15 * len(rows) else "black")
    upper.set_yticks(range(len(columns)), [f"{task.id} ({task.points})" for task, _ in columns])
    upper.set(ylim=(len(columns) - 0.5, -0.5), xlim=(-0.08, 1.08), title="share of a task's points, and how many students have it")
    lower.barh(range(len(failures)), [count for _, count in failures], color="#D55E00")
    lower.set_yticks(range(len(failures)), [test.id for test, _ in failures])
    lower.set(ylim=(len(failures) - 0.5, -0.5), xlim=(0, max(1, len(rows))), title=f"students (of {len(rows)}) who fail a test")
    for axis in (upper, lower):
        axis.spines[["top", "right"]].set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _summary(assignment, records, rows, picture, protections):
    say = html.escape
    totals = sorted(float(row["total"]) for row in rows)
    middle = totals[len(totals) // 2] if len(totals) % 2 else (totals[len(totals) // 2 - 1] + totals[len(totals) // 2]) / 2
    image = base64.b64encode(picture).decode()
    alt = "Upper part: for each task, dots at the shares of its points, larger where more students have it. Lower part: bars of how many students fail each test; both stand in the tables below."
    body = [
        f"<h1>{say(assignment.title)}</h1>", f"<p>{len(rows)} submissions; median {_short(middle)} of {assignment.points} points.</p>",
        f'<img alt="{alt}" src="data:image/png;base64,{image}">',
        "<h2>Tests, those failed most first</h2><table><tr><th>test</th><th>task</th><th class=number>failed by</th></tr>",
        *(f"<tr><td>{say(test.id)}</td><td>{say(test.task)}</td><td class=number>{count}</td></tr>" for test, count in _failures(assignment, records)), "</table>",
        "<h2>Submissions</h2><table><tr><th>student</th><th class=number>points</th><th>status</th><th>reason</th></tr>",
        *(f"<tr><td>{say(row['student'])}</td><td class=number>{row['total']}</td><td>{say(row['status'])}</td><td>{say(row['reason'])}</td></tr>" for row in rows), "</table>",
        protections_html(protections),
    ]
    return PAGE.format(title=say(assignment.title), body="\n".join(body))


def protections_html(protections) -> str:
    """The protections in force, and what no protection can do, as a section of a page."""
    say = html.escape
    if not protections:
        return "<h2>Protection</h2><p>Nothing was run this time.</p>"
    rows = [f"<tr><td>{say(name)}</td><td>{'in force' if there else '<strong>not in force</strong>'}</td><td>{say(text)}</td></tr>" for name, there, text in protections]
    return "<h2>Protection on this machine</h2><table>" + "".join(rows) + "</table>" + "".join(f"<p>{say(text)}</p>" for text in CANNOT)
