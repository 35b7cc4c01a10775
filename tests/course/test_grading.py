"""A class hands in: every shape of submission, broken and hostile ones, reruns, and the tables that
come of it.
"""

import csv
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile

import pytest
from conftest import ROOT
from tinycourse import ASSIGNMENT, TinyCourse

from course import build, handed_in, jail, make
from course.grade import Course, Pool, blank
from course.jail import Limits
from press.errors import PressError

LIMITS = Limits(seconds=25, cell_seconds=2, memory=700 << 20, disk=64 << 20)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return TinyCourse(tmp_path_factory.mktemp("course") / "Kurs {ü} 1")


@pytest.fixture(scope="module")
def both(project):
    return blank(project.assignment)


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "handed-in"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def pool():
    with Pool(2, LIMITS) as running:
        yield running


def rows(project, place, tmp_path, pool, asked=""):
    """The rows of the tiny assignment's table by student, after grading `place`."""
    Course(project.root, tmp_path / "grades").grade(place, pool, asked)
    text = (tmp_path / "grades/tiny/grades.csv").read_text(encoding="utf-8-sig")
    return {row["student"]: row for row in csv.DictReader(io.StringIO(text))}


def with_answer(both, code, task="guess", before=None):
    """The solution, with `code` as the answer to `task` and a cell `before` it."""
    content = make.answered(both)
    place = next(
        number
        for number, cell in enumerate(content["cells"])
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == task
    )
    content["cells"][place]["source"] = code
    if before:
        content["cells"].insert(place, own(before))
    return content


def private(path):
    """Whether nobody but its owner can enter or read `path`."""
    return not stat.S_IMODE(path.stat().st_mode) & 0o077


def own(code):
    return {
        "cell_type": "code",
        "metadata": {},
        "source": code,
        "outputs": [],
        "execution_count": None,
    }


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


# Hostile

HOSTILE = {
    "an endless loop": ("while True:\n    pass", 3, "ran for more than 2 seconds"),
    "a loop that cannot be interrupted": (
        (
            "while True:\n    try:\n        while True:\n            pass\n    except"
            " BaseException:\n        pass"
        ),
        3,
        "ran for more than 2 seconds",
    ),
    "a fork bomb": (
        (
            "import os\nfor _ in range(2000):\n    try:\n        child = os.fork()\n    except"
            " OSError:\n        break\n    if child == 0:\n        while True: pass\nraise"
            " SystemExit"
        ),
        3,
        "",
    ),
    "huge output": ("while True:\n    print('x' * 1000)", 3, "ran for more than 2 seconds"),
    "a memory hog": ("hoard = bytearray(50 * 2**30)", 3, "MemoryError"),
    "a memory hog in parts": (
        (
            "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n        hoard ="
            " bytearray(200 * 2**20)\n        time.sleep(60)\ntime.sleep(60)"
        ),
        3,
        "memory",
    ),
    "a network call": (
        "import socket\nsocket.create_connection(('192.0.2.1', 80), 1)",
        3,
        "nreachable",
    ),
    "a name look-up": (
        "import urllib.request\nurllib.request.urlopen('https://example.org', timeout=1)",
        3,
        "The answer to guess stops",
    ),
    "a full disk": (
        "file = open('much', 'wb')\nwhile True:\n    file.write(b'x' * 2**20)",
        3,
        "OSError",
    ),
    "closed descriptors": ("import os\nos.closerange(0, 4096)", 3, "ended its own process"),
    "an exit": ("import os\nos._exit(0)", 3, "ended its own process"),
    "a crash": ("import ctypes\nctypes.string_at(0)", 3, "ended its own process"),
    "murder": ("import os\nos.kill(os.getppid(), 9)\nos.killpg(0, 9)\nos.kill(-1, 9)", 3, ""),
    "a daemon": (
        (
            "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n       "
            " os.execvp('sleep', ['sleep', '12345'])\n    os._exit(0)\nguess = True"
        ),
        5,
        "",
    ),
    "garbage for the grader": (
        (
            "import os\nfor number in range(3, 256):\n    try:\n        os.write(number,"
            " b'{\"end\": 0}\\n')\n    except OSError:\n        pass\nguess = True"
        ),
        3,
        "wrote into the grader's channel",
    ),
    "gigabytes for the grader": (
        (
            "import os\nwhile True:\n    for number in range(3, 256):\n        try:\n           "
            " os.write(number, b'x' * 2**20)\n        except (OSError, TimeoutError):\n           "
            " pass"
        ),
        3,
        "",
    ),
    "an exception that cannot be shown": (
        "class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd",
        3,
        "SystemExit",
    ),
}
WRITES = """
import glob, os
done = []
for place in {places!r}:
    try:
        open(os.path.join(place, "evil"), "w").close()
        done.append(place)
    except OSError:
        pass
seen = [path for path in {secrets!r} if os.path.exists(path) and os.access(path, os.R_OK)]
guess = not done and not seen
"""


def test_hostile_submissions_cost_their_authors_points_and_nobody_else_anything(
    project, both, place, tmp_path, pool
):
    names = ["Aino", "Žofie 王小明"]
    for name in names:
        save(place / f"{name}.ipynb", make.answered(both, "a" if name == "Aino" else None))
    alone = rows(project, place, tmp_path, pool)
    shutil.rmtree(tmp_path / "grades")

    told = {name: there for name, there, _ in pool.protections}
    hostile = HOSTILE
    if not told["processes of its own"]:
        # the one would end this very test, the other outlive it
        hostile = {
            name: case for name, case in HOSTILE.items() if name not in ("murder", "a daemon")
        }
    for name, (code, _, _) in hostile.items():
        save(place / f"{name}.ipynb", with_answer(both, code))
    grades = tmp_path / "grades"
    places = [
        str(place),
        str(grades),
        str(ROOT),
        str(ROOT / "src/unlabeled"),
        "/root",
        "/etc",
        "/usr/lib",
        os.path.expanduser("~"),
        sys.prefix,
    ]
    secrets = [
        str(project.root / "build/course/secret"),
        str(grades / "tiny/gradebook"),
        str(place / "Aino.ipynb"),
    ]
    if told["a file tree of its own"]:
        save(
            place / "writes everywhere.ipynb",
            with_answer(both, WRITES.format(places=places, secrets=secrets)),
        )
    together = rows(project, place, tmp_path, pool)

    for name in names:
        assert together[name] == alone[name]
    for name, (_, points, reason) in hostile.items():
        row = together[name]
        assert int(row["mean"]) + int(row["guess"]) == points, (name, row)
        assert reason in row["reason"] or (reason == "nreachable" and not told["no network"]), (
            name,
            row,
        )
        assert row["reason"] and row["reason"].endswith("."), (name, row)
    if told["a file tree of its own"]:
        assert together["writes everywhere"]["guess"] == "2", together["writes everywhere"]
    assert not list(tmp_path.rglob("evil"))
    if told["processes of its own"]:
        assert not [
            name for name in os.listdir("/proc") if name.isdigit() and b"12345" in _command(name)
        ]
    assert len(together) == len(list(place.iterdir()))
    for path in (grades / "tiny/gradebook").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.stat().st_size < 3_000_000


def _command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_protections_are_told_as_they_are(both, monkeypatch):
    probe = """
import os, socket
found = []
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except ConnectionRefusedError:
    found.append("loopback is up")
except OSError:
    pass
print(found, [name for _, name in socket.if_nameindex()], sorted(os.listdir("/")), sorted(os.environ))
"""  # noqa: E501
    monkeypatch.setenv("COURSE_SECRET", "hush")
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    with Pool(1, LIMITS) as pool:
        content = with_answer(
            both,
            "raise ValueError(str(said))",
            before=probe.replace("print(", "said = (").replace("\nimport", "import", 1),
        )
        record = make.graded(both, {"one": content}, {"mean-basic": "1"}, pool)["one"]
        told = {name: there for name, there, _ in pool.protections}
    said = record["remarks"][0]["error"]
    assert "COURSE_SECRET" not in said and "PYTHONOPTIMIZE" not in said and "HOME" in said
    assert told["limits"] and told["tests out of reach"]
    if told["no network"]:
        assert "loopback is up" in said and "['lo']" in said
    if told["a file tree of its own"]:
        assert "'root'" not in said or "/root" in sys.base_prefix


def test_folders_on_the_way_to_a_python_below_tmp_are_read_only(monkeypatch):
    monkeypatch.setattr(jail, "python_folders", lambda: ["/tmp/book/.venv", "/opt/python"])
    said = " ".join(jail.bwrap(1 << 20))
    assert said.index("--tmpfs /tmp/book ") < said.index("--ro-bind /tmp/book/.venv ")
    assert said.index("--ro-bind /opt/python ") < said.index("--remount-ro /tmp/book ")
    assert "/opt --" not in said, "what lies elsewhere is bound as it is"


@pytest.mark.parametrize("mode", ["bwrap", "plain"])
def test_each_jail_grades_alike(both, mode, monkeypatch):
    from course import jail

    if mode == "bwrap" and jail.options() is None:
        pytest.skip("bwrap does not work on this machine")
    if mode == "plain":  # as a user whom nobody else's id is given to
        monkeypatch.setattr(os, "getuid", lambda: 1000)
    contents = {
        "good": make.answered(both),
        "loop": with_answer(both, HOSTILE["a loop that cannot be interrupted"][0]),
        "again": make.answered(both),
    }
    with Pool(1, LIMITS, mode) as pool:
        records = make.graded(both, contents, {"mean-basic": "1"}, pool)
        told = {name: there for name, there, _ in pool.protections}
    assert told["no network"] == (mode == "bwrap")
    assert records["good"]["points"] == records["again"]["points"] == {"mean": 3, "guess": 2}
    assert records["loop"]["points"] == {"mean": 3, "guess": 0}


def test_where_no_other_user_could_read_python_the_sentence_names_the_umask(monkeypatch):
    from course import jail

    if os.getuid() != 0:
        pytest.skip("only root gives a submission a user of its own")
    monkeypatch.setattr(jail, "_readable_by_others", lambda *_: False)
    with pytest.raises(PressError, match="umask of 077"):
        jail.Jail(LIMITS, (), "plain").__enter__()


# Broken


def test_every_shape_of_submission_gets_its_points_or_a_reason(
    project, both, place, tmp_path, pool
):
    good = make.answered(both)
    text = json.dumps(good)
    save(place / "flat.ipynb", good)
    save(place / "folder/tiny.ipynb", good)
    save(place / "deep/tiny/attempt/x.ipynb", good)
    save(place / "Doe Jané_12345_assignsubmission_file_/Untitled3.ipynb", good)
    save(place / "wrongname/hand in (1).ipynb.txt", good)
    with zipfile.ZipFile(place / "zipped.zip", "w") as archive:
        archive.writestr("__MACOSX/._tiny.ipynb", b"\0\1")
        archive.writestr("tiny/tiny.ipynb", text)
    (place / "windows.ipynb").write_bytes(
        b"\xef\xbb\xbf" + json.dumps(with_lines(good)).encode().replace(b"\n", b"\r\n")
    )
    (place / "utf16.ipynb").write_bytes(text.encode("utf-16"))
    save(place / "attempts/first.ipynb", good)
    save(place / "attempts/second.ipynb", make.answered(both, "a"))
    os.utime(place / "attempts/first.ipynb", (1_700_000_000, 1_700_000_000))
    (place / "empty.ipynb").write_text("")
    (place / "nothing").mkdir()
    (place / "text.ipynb").write_text("Dear grader, my notebook does not open.")
    (place / "list.ipynb").write_text("[1, 2]")
    (place / "deepjson.ipynb").write_text("[" * 100_000)
    (place / "page.html").write_text("<!DOCTYPE html><html></html>")
    (place / "broken.zip").write_bytes(b"PK\x03\x04 nothing of use")
    save(
        place / "elsewhere.ipynb",
        {"cells": [own("1 + 1")], "metadata": {}, "nbformat": 4, "nbformat_minor": 5},
    )
    save(
        place / "mad.ipynb",
        {
            "cells": (
                [
                    None,
                    7,
                    {"cell_type": 3, "source": {"a": 1}},
                    {"cell_type": "code", "source": [1, None], "metadata": []},
                ]
                + good["cells"]
            ),
            "metadata": 3,
        },
    )
    save(place / "=cmd()|x.ipynb", good)
    (place / "link.ipynb").symlink_to(project.root / "build/course/secret")
    (place / "linked").mkdir()
    (place / "linked/tiny.ipynb").symlink_to("/etc/passwd")
    os.mkfifo(place / "pipe.ipynb")

    got = rows(project, place, tmp_path, pool)
    full = [
        "flat",
        "folder",
        "deep",
        "Doe Jané_12345_assignsubmission_file_",
        "wrongname",
        "zipped",
        "windows",
        "utf16",
        "mad",
        "'=cmd()|x",
    ]
    for name in full:
        assert (got[name]["mean"], got[name]["guess"]) == ("3", "2"), got[name]
    assert (
        got["attempts"]["mean"] == "1"
        and "newest counts (second.ipynb)" in got["attempts"]["reason"]
    )
    for name, why in {
        "empty": "empty",
        "nothing": "no file",
        "text": "no notebook",
        "list": "no notebook",
        "deepjson": "no notebook",
        "page": "HTML",
        "broken": "unpacked",
        "elsewhere": "no cell of it",
        "link": "links are not followed",
        "linked": "links are not followed",
        "pipe": "no plain file",
    }.items():
        assert got[name]["total"] == "0" and why in got[name]["reason"], got[name]
    assert len(got) == len(full) + 12
    for path in (tmp_path / "grades/tiny/feedback").iterdir():
        assert b"root:" not in path.read_bytes()


def with_lines(content):
    changed = json.loads(json.dumps(content))
    for cell in changed["cells"]:
        cell["source"] = [line + "\r\n" for line in cell["source"].split("\n")]
    return changed


def test_a_zip_of_the_class_is_taken_like_a_folder(project, both, tmp_path, pool):
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        archive.writestr("class/ann/tiny.ipynb", json.dumps(make.answered(both)))
        archive.writestr(
            "class/bob_77_assignsubmission_file_/tiny.ipynb", json.dumps(make.answered(both, "a"))
        )
        archive.writestr("class/cai.ipynb", json.dumps(make.answered(both)))
        archive.writestr("class/../../../evil.ipynb", "{}")
    got = rows(project, tmp_path / "class.zip", tmp_path, pool)
    assert {name: row["mean"] for name, row in got.items()} == {
        "ann": "3",
        "bob_77_assignsubmission_file_": "1",
        "cai": "3",
        "evil": "0",
    }
    assert not list(tmp_path.parent.glob("evil*"))


def test_a_zip_bomb_is_not_unpacked(project, both, place, tmp_path, pool):
    with zipfile.ZipFile(place / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(15):
            archive.writestr(f"{number}.ipynb", bytes(handed_in.LARGEST + 1))
    save(place / "good.ipynb", make.answered(both))
    got = rows(project, place, tmp_path, pool)
    assert (
        got["good"]["mean"] == "3" and got["bomb"]["total"] == "0" and "MB" in got["bomb"]["reason"]
    )


def test_changed_cells_are_restored(project, both, place, tmp_path, pool):
    def named(content, name):
        return next(
            cell
            for cell in content["cells"]
            if cell["metadata"].get("nbgrader", {}).get("grade_id") == name
        )

    easy = make.answered(both, "b")  # a wrong mean, and the tests made to pass
    named(easy, "mean-basic")["source"] = "assert True"
    named(easy, "mean-single")["source"] = "pass"
    save(place / "edited.ipynb", easy)
    gone = make.answered(both)
    gone["cells"] = [
        cell
        for cell in gone["cells"]
        if not cell["metadata"]
        .get("nbgrader", {})
        .get("grade_id", "")
        .startswith(("given", "mean-"))
    ]
    save(place / "deleted.ipynb", gone)
    half = make.answered(both)
    half["cells"].remove(named(half, "guess"))
    save(place / "unanswered.ipynb", half)
    twice = make.answered(both)
    twice["cells"].insert(
        0, json.loads(json.dumps(next(cell for cell in both.student.cells if cell.id == "mean")))
    )
    twice["cells"].append(json.loads(json.dumps(named(twice, "mean"))))
    twice["cells"][-1]["source"] = "# Task: mean\ndef mean(x):\n    return 0"
    save(place / "duplicated.ipynb", twice)
    back = make.answered(both)
    back["cells"].reverse()
    save(place / "reversed.ipynb", back)
    bare = make.answered(both)
    for cell in bare["cells"]:
        cell["metadata"] = {"id": "colab"}
    bare["metadata"] = {}
    save(place / "bare.ipynb", bare)
    fake = with_answer(
        both,
        "guess = draw(np.random.default_rng(0), 5)['value'] > 0\nnp.sum, draw = None, None",
        before="mean_of = None",
    )
    save(place / "overwrites.ipynb", fake)

    got = rows(project, place, tmp_path, pool)
    assert {name: (row["mean"], row["guess"]) for name, row in got.items()} == {
        "edited": ("0", "2"),
        "deleted": ("3", "2"),
        "unanswered": ("3", "0"),
        "duplicated": ("0", "2"),
        "reversed": ("3", "2"),
        "bare": ("3", "2"),
        "overwrites": ("3", "2"),
    }
    assert "2 cells that were given have been changed" in got["edited"]["reason"]
    assert "4 cells that were given" in got["deleted"]["reason"]
    assert "Missing: guess" in got["unanswered"]["reason"]
    assert "is there 2 times; the last one counts" in got["duplicated"]["reason"]
    assert "out of order" in got["reversed"]["reason"]


def test_own_cells_run_where_they_stood(project, both, place, tmp_path, pool):
    before = with_answer(
        both,
        "# Task: mean\ndef mean(x):\n    return add(x) / len(x)",
        "mean",
        before="def add(x):\n    return sum(x)",
    )
    save(place / "before.ipynb", before)
    after = with_answer(both, "# Task: mean\ndef mean(x):\n    return add(x) / len(x)", "mean")
    position = next(
        number for number, cell in enumerate(after["cells"]) if "return add(x)" in cell["source"]
    )
    after["cells"].insert(position + 1, own("def add(x):\n    return sum(x)"))
    save(place / "after.ipynb", after)
    first = with_answer(both, "# Task: mean\ndef mean(x):\n    return add(x) / len(x)", "mean")
    first["cells"].insert(0, own("def add(x):\n    return np.sum(x)"))
    save(place / "first.ipynb", first)
    save(
        place / "shell.ipynb",
        with_answer(
            both,
            "# Task: guess\nguess = True",
            before="!echo one two\n%matplotlib inline\n%pip --version",
        ),
    )
    got = rows(project, place, tmp_path, pool)
    assert {name: row["mean"] for name, row in got.items()} == {
        "before": "3",
        "after": "3",
        "first": "3",
        "shell": "3",
    }
    assert got["shell"]["guess"] == "2"


def test_another_assignment_is_told_apart(tmp_path, both, pool):
    project = TinyCourse(tmp_path / "project")
    other = (
        ASSIGNMENT.replace("id: mean", "id: average")
        .replace("mean-", "average-")
        .replace("id: guess", "id: hunch")
        .replace("guess-right", "hunch-right")
    )
    other = (
        other.replace('"id": "report"', '"id": "essay"')
        .replace("chapter: tiny", "chapter: second")
        .replace('secret_rng("mean', 'secret_rng("average')
    )
    (project.root / "book/coursework/second.md").write_text(other)
    chapter = (project.root / "book/foundations/tiny.md").read_text()
    (project.root / "book/foundations/second.md").write_text(chapter)
    plan = project.root / "book/plan.yml"
    plan.write_text(
        plan.read_text().replace(
            "foundations:\n",
            "foundations:\n  - {name: second, paper: doe2020tiny, question: 'Then?'}\n",
        )
    )
    from course.assignment import Assignment

    place = tmp_path / "in"
    save(place / "ann/a.ipynb", make.answered(both))
    save(place / "ann/b.ipynb", make.answered(blank(Assignment(project.root, "second"))))
    save(place / "bob.ipynb", make.answered(blank(Assignment(project.root, "second"))))
    save(place / "cai.ipynb", make.answered(both))
    tables = Course(project.root, tmp_path / "grades").grade(place, pool)
    assert {name: [row["student"] for row in table] for name, table in tables.items()} == {
        "tiny": ["ann", "cai"],
        "second": ["ann", "bob"],
    }
    got = rows(project, place, tmp_path, pool, asked="tiny")
    assert (
        got["bob"]["status"] == "another assignment"
        and "second" in got["bob"]["reason"]
        and got["bob"]["total"] == "0"
    )


# Again


def test_a_rerun_grades_what_changed_keeps_points_by_hand_and_survives_a_kill(
    project, both, place, tmp_path, pool, capsys
):
    for name in ("ann", "bob", "cai"):
        save(place / f"{name}.ipynb", make.answered(both))
    rows(project, place, tmp_path, pool)
    assert "3 of 3" in capsys.readouterr().out
    table = tmp_path / "grades/tiny/grades.csv"
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    assert lines[1].startswith("ann,,3,2,,0,0,5,9")
    table.write_text(
        "\n".join([lines[0], lines[1].replace("ann,,3,2,,", "ann,,3,2,3.5,"), *lines[2:]])
    )
    save(place / "bob.ipynb", make.answered(both, "a"))
    broken = tmp_path / "grades/tiny/gradebook/cai.json"
    # as a kill in the middle of a write never leaves it, but a full disk might
    broken.write_text(broken.read_text()[:100])
    got = rows(project, place, tmp_path, pool)
    said = capsys.readouterr().out
    assert (
        "1 of 3 need no new run" in said and "bob" in said and "cai" in said and "ann:" not in said
    )
    assert (
        got["ann"]["total"] == "8.5"
        and got["ann"]["report (by hand)"] == "3.5"
        and got["bob"]["mean"] == "1"
        and got["cai"]["total"] == "5"
    )
    rows(project, place, tmp_path, pool)
    assert "3 of 3 need no new run" in capsys.readouterr().out

    table.write_text(table.read_text(encoding="utf-8-sig").replace("3.5", "40"))
    with pytest.raises(
        PressError, match="ann has '40' points for report, which must be a number from 0 to 4"
    ):
        rows(project, place, tmp_path, pool)


def test_a_killed_run_goes_on_where_it_was(project, both, place, tmp_path, pool):
    for number in range(3):
        save(place / f"quick{number}.ipynb", make.answered(both))
    save(place / "zz slow.ipynb", with_answer(both, "import time\ntime.sleep(1.5)\nguess = True"))
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); from pathlib import Path; from"
        " course.grade import Course, Pool; from course.jail import Limits;"
        f" Course(Path({str(project.root)!r}),"
        f" Path({str(tmp_path / 'grades')!r})).grade(Path({str(place)!r}), Pool(1,"
        f" Limits(**{vars(LIMITS)!r})).__enter__())"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in running.stdout:
        if "3 of 4" in line:
            break
    running.kill()
    running.wait()
    running.stdout.close()
    kept = sorted(path.stem for path in (tmp_path / "grades/tiny/gradebook").glob("*.json"))
    assert kept == ["quick0", "quick1", "quick2"]
    before = {
        name: (tmp_path / f"grades/tiny/gradebook/{name}.json").stat().st_mtime_ns for name in kept
    }
    got = rows(project, place, tmp_path, pool)
    assert got["zz slow"]["guess"] == "2" and len(got) == 4
    assert before == {
        name: (tmp_path / f"grades/tiny/gradebook/{name}.json").stat().st_mtime_ns for name in kept
    }


def test_an_interrupted_run_ends_at_once_and_records_nothing_unfinished(
    project, both, place, tmp_path
):
    save(place / "slow.ipynb", with_answer(both, "!sleep 23456"))
    # Where tests run in the background, SIGINT is ignored from the start; whoever presses Ctrl-C
    # has it set.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        f" sys.path.insert(0, {str(ROOT / 'src')!r})\nfrom pathlib import Path; from course.grade"
        f" import Course, Pool\nwith Pool(1) as pool: Course(Path({str(project.root)!r}),"
        f" Path({str(tmp_path / 'grades')!r})).grade(Path({str(place)!r}), pool)"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not _sleeping() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert _sleeping(), "the submission never ran"
    begun = time.monotonic()
    running.send_signal(signal.SIGINT)
    running.wait(30)
    assert time.monotonic() - begun < 20
    assert list((tmp_path / "grades/tiny/gradebook").iterdir()) == []
    while _sleeping() and time.monotonic() - begun < 30:
        time.sleep(0.2)
    assert not _sleeping()


def _sleeping():
    """Whether the submission is there that has said so in its command line."""
    return any(
        b"23456" in _command(pid) and b"sleep" in _command(pid)
        for pid in filter(str.isdigit, os.listdir("/proc"))
    )


def test_what_the_user_has_set_for_other_work_changes_no_grade(project, both, place, tmp_path):
    """The command itself, asserts switched off, a umask of 077, a HOME that is not there, another
    locale and back end.
    """
    save(place / "good.ipynb", make.answered(both))
    save(
        place / "same.ipynb",
        with_answer(both, "# Task: mean\ndef mean(x):\n    return 12345", "mean"),
    )
    hostile = {
        "PYTHONOPTIMIZE": "2",
        "PYTHONWARNINGS": "error",
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONHASHSEED": "7",
        "MPLBACKEND": "nonsense",
        "HOME": str(tmp_path / "none"),
        "LC_ALL": "tr_TR.ISO-8859-9",
        "IPYTHONDIR": str(tmp_path / "none"),
        "PRESS_ROOT": str(project.root),
        "COURSE_SECRET": "hush",
    }
    done = subprocess.run(
        [
            "sh",
            "-c",
            'umask 077; exec "$@"',
            "sh",
            sys.executable,
            "-m",
            "course",
            "grade",
            "--submissions",
            str(place),
            "--class-name",
            "hostile",
        ],
        env={"PATH": os.environ["PATH"]} | hostile,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    text = (project.root / "build/course/grades/hostile/tiny/grades.csv").read_text(
        encoding="utf-8-sig"
    )
    assert {
        row["student"]: (row["mean"], row["guess"]) for row in csv.DictReader(io.StringIO(text))
    } == {"good": ("3", "2"), "same": ("0", "2")}


# What comes of it


def test_feedback_escapes_and_names_visible_tests_but_not_hidden_ones(
    project, both, place, tmp_path, pool
):
    content = make.answered(both, "a")
    for cell in content["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "report":
            cell["source"] = "<!-- Task: report -->\n<script>alert(1)</script> & 'more'"
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "mean":
            cell["source"] = "# Task: mean\ndef mean(x):\n    return 2 if x == [1, 2, 3] else 5"
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "guess":
            cell["source"] = "raise ValueError('<b>bold</b>')"
    save(place / "<i>x.ipynb", content)
    got = rows(project, place, tmp_path, pool)
    (page,) = (tmp_path / "grades/tiny/feedback").glob("*.html")
    text = page.read_text()
    assert (
        "<script>" not in text
        and "&lt;script&gt;alert(1)" in text
        and "<b>bold" not in text
        and "<i>x" not in text
    )
    assert (
        "passes the test that you see and fails one with other numbers. Hint: try numbers that are"
        " not whole" in text
    )
    assert "another mean" not in text and "default_rng" not in text
    assert "default-src 'none'" in text and "http://" not in text and "https://" not in text
    assert (
        list(got) == ["<i>x"] and "<b>" not in (tmp_path / "grades/tiny/summary.html").read_text()
    )
    answers = (tmp_path / "grades/tiny/answers.html").read_text()
    assert "names the law" in answers and "<script>" not in answers
    picture = (tmp_path / "grades/tiny/summary.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n" and len(picture) > 5000
    assert private(tmp_path / "grades")


def test_make_course_writes_what_students_and_instructors_need(project, pool, tmp_path):
    (path,) = make.make(project.root, place=tmp_path / "made", pool=pool)
    assert path == tmp_path / "made/release/tiny/tiny.ipynb" and path.with_suffix(".zip").is_file()
    folder = tmp_path / "made/instructor/tiny"
    about = (folder / "README.md").read_text()
    for words in (
        "CPU-seconds",
        "names the law",
        "it takes the first number",
        "mean-basic",
        "Protection on this machine",
        "hidden tests run in the grader's process",
    ):
        assert words in about
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "tiny-solution.ipynb",
        "tiny-wrong-a.ipynb",
        "tiny-wrong-b.ipynb",
    }
    assert "another mean" in (folder / "tiny-solution.ipynb").read_text() and private(folder)
    secret = project.root / "build/course/secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600 and len(secret.read_text().strip()) == 64


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        (":points: 1\n", ":points: two\n", "its points must be given as a int"),
        (
            "### END SOLUTION\n```\n\n```{code-cell} ipython3\n:tags: [test]\n:id: mean-basic",
            "```\n\n```{code-cell} ipython3\n:tags: [test]\n:id: mean-basic",
            "END SOLUTION",
        ),
        (
            ":fails: [mean-basic]\n:expects: 1",
            ":fails: [mean-basic]\n:expects: 2",
            "it expects 2 points, but",
        ),
        (":id: mean-single", ":id: mean-basic", "given twice"),
        (
            'assert mean([5.0]) == 5, "one number is its own mean"',
            "mean([5.0])",
            "no visible assert",
        ),
        (":hint: try numbers that are not whole\n", "", "no hint"),
        ("minutes: 40", "minutes: 4", "promises 4"),
        ("draw\n```", "nobody\n```", "no method cell"),
        (":group: b\n", "", "two wrong answers"),
        ("chapter: tiny", "chapter: elsewhere", "the file is called tiny.md"),
        ("return x[0]", "return sum(x) / len(x)", "pass the test mean-basic"),
        (
            "    return total_of_all_numbers / len(x)",
            "    return 0",
            "the solution fails the test mean-basic",
        ),
        ('+++ {"tags": ["rubric"]}', "+++", "has no rubric"),
    ],
)
def test_a_source_that_breaks_the_format_is_refused_in_one_sentence(
    tmp_path, pool, old, new, sentence
):
    project = TinyCourse(tmp_path / "project")
    assert old in ASSIGNMENT
    project.assign(ASSIGNMENT.replace(old, new))
    with pytest.raises(PressError) as caught:
        make.make(project.root, place=tmp_path / "made", pool=pool)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_a_solution_that_shows_elsewhere_is_refused(tmp_path):
    project = TinyCourse(tmp_path / "project")
    project.assign(
        ASSIGNMENT.replace(
            "## 2. Predict", "Use `total_of_all_numbers = np.sum(x)`.\n\n## 2. Predict"
        )
    )
    with pytest.raises(PressError, match="the student's notebook would show"):
        build.release(project.assignment)


@pytest.mark.parametrize(
    "words, sentence",
    [
        ((), "Say where the submissions are"),
        (("--submissions", "nowhere-at-all"), "There is no folder or zip"),
        (("--submissions", "src", "--assignment", "nonsense"), "There is no assignment 'nonsense'"),
    ],
)
def test_bad_commands_are_answered_in_one_sentence(words, sentence):
    done = subprocess.run(
        [sys.executable, "-m", "course", "grade", *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "COURSE_SECRET": "x"},
        capture_output=True,
        text=True,
    )
    assert (
        done.returncode == 1
        and sentence in done.stderr
        and len(done.stderr.strip().splitlines()) == 1
    )
