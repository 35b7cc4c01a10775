"""Who is one person, who are two, and which file counts: the rules of "Teach with this book", a
test for each.
"""

import json
import zipfile

import pytest
from tinycourse import TinyCourse

from course import handed_in, make
from course.grade import LOOK, blank, sort
from course.names import Person, who

MOMENT = 1_700_000_000


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return blank(TinyCourse(tmp_path_factory.mktemp("course") / "project").assignment)


@pytest.fixture
def good(both):
    return json.dumps(make.answered(both))


@pytest.fixture
def bad(both):
    return json.dumps(make.answered(both, "a"))


def people(*entries, folders=()):
    return {
        entry: named.person
        for entry, named in who({entry: entry in folders for entry in entries}).items()
    }


def submissions(place, both):
    return sort(handed_in.students(place), {"tiny": both})["tiny"]


def test_the_platforms_number_tells_people_of_one_name_apart():
    folders = (
        "A B_111_assignsubmission_file_",
        "A B_222_assignsubmission_file_",
        "A B_111_assignsubmission_onlinetext_",
    )
    assert people(*folders, folders=folders) == {
        folders[0]: Person("A B", "111"),
        folders[1]: Person("A B", "222"),
        folders[2]: Person("A B", "111"),
    }
    flat = ("A B_111_assignsubmission_file_x.ipynb", "A B_222_assignsubmission_file_x.ipynb")
    assert set(people(*flat).values()) == {Person("A B", "111"), Person("A B", "222")}
    canvas = ("leex_22345_901_x.ipynb", "leex_33345_902_x.ipynb", "leex_LATE_33345_903_x-1.ipynb")
    assert list(people(*canvas).values()) == [
        Person("leex", "22345"),
        Person("leex", "33345"),
        Person("leex", "33345"),
    ]
    assert [named.late for named in who(dict.fromkeys(canvas, False)).values()] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "entries",
    [
        ("hw_1_17_x.ipynb", "hw_1_18_y.ipynb"),
        ("2024_05_01_x.ipynb", "2024_05_02_y.ipynb"),
        ("week_01_02_x.ipynb", "week_01_03_x.ipynb"),
        ("leex_22345_901_x.ipynb", "notes.ipynb"),
    ],
)
def test_numbers_in_file_names_make_nobody_one_person(entries):
    found = people(*entries)
    assert len(set(found.values())) == 2 and {person.number for person in found.values()} == {""}


def test_a_pattern_is_applied_only_if_the_whole_hand_in_follows_it():
    folders = ("A B_111_assignsubmission_file_", "C D")
    assert [person.name for person in people(*folders, folders=folders).values()] == list(folders)


def test_what_could_be_one_or_two_people_is_two_rows_that_name_both_files(tmp_path, both, good):
    for name in (
        "ann.ipynb",
        "ann (1).ipynb",
        "bob-Copy1.ipynb",
        "bob.ipynb",
        "cai.ipynb",
        "dee.ipynb",
    ):
        (tmp_path / name).write_text(good)
    (tmp_path / "dee").mkdir()
    (tmp_path / "dee/x.ipynb").write_text(good)
    found = submissions(tmp_path, both)
    assert [one.person.name for one in found] == [
        "ann",
        "ann (1)",
        "bob",
        "bob-Copy1",
        "cai",
        "dee",
        "dee.ipynb",
    ]
    assert [one.status for one in found] == [LOOK] * 4 + [""] + [LOOK] * 2
    assert "ann (1).ipynb and ann.ipynb may be of one person" in found[0].notes[0]
    assert all(one.notebook for one in found)


def attempts(place, both, *named):
    """What counts of one student's files: (name, content, seconds since 1970)."""
    import os

    (place / "ann").mkdir()
    for name, content, moment in named:
        (place / "ann" / name).write_text(content)
        os.utime(place / "ann" / name, (moment, moment))
    (found,) = submissions(place, both)
    return found


def test_the_newest_attempt_counts(tmp_path, both, good, bad):
    found = attempts(tmp_path, both, ("b.ipynb", good, MOMENT), ("a.ipynb", bad, MOMENT + 60))
    assert (
        found.file == "a.ipynb"
        and found.status == ""
        and "2 attempts were handed in; the newest counts (a.ipynb)" in found.notes[0]
    )


@pytest.mark.parametrize("first, second", [(MOMENT, MOMENT), (1, MOMENT), (MOMENT, 10**11), (0, 0)])
def test_attempts_whose_dates_do_not_tell_are_to_be_looked_at(
    tmp_path, both, good, bad, first, second
):
    found = attempts(tmp_path, both, ("x.ipynb", good, first), ("x (1).ipynb", bad, second))
    assert (
        found.status == LOOK
        and "x.ipynb" in found.notes[0]
        and "x (1).ipynb" in found.notes[0]
        and found.notebook
    )


def test_equal_attempts_leave_no_doubt(tmp_path, both, good):
    found = attempts(tmp_path, both, ("x.ipynb", good, MOMENT), ("x (1).ipynb", good, MOMENT))
    assert found.status == "" and found.notebook


@pytest.mark.parametrize(
    "date",
    [
        (1980, 0, 1, 0, 0, 0),
        (2024, 1, 1, 0, 0, 60),
        (2099, 1, 1, 0, 0, 0),
        (1980, 1, 1, 0, 0, 0),
        (2024, 15, 31, 30, 62, 62),
    ],
)
def test_a_date_that_cannot_be_costs_nothing(tmp_path, both, good, date):
    with zipfile.ZipFile(tmp_path / "ann.zip", "w") as archive:
        info = zipfile.ZipInfo("tiny.ipynb")
        info.date_time = date
        archive.writestr(info, good)
    (found,) = submissions(tmp_path, both)
    assert found.notebook and found.status == ""


def test_a_notebook_full_of_outputs_is_read_without_them(tmp_path, both, good):
    content = json.loads(good)
    content["cells"][1]["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": "x" * 41_000_000}
    ]
    content["metadata"]["widgets"] = {"state": "x" * 1_000_000}
    (tmp_path / "ann.ipynb").write_text(json.dumps(content))
    (tmp_path / "bob.ipynb").write_text(good)
    one, other = submissions(tmp_path, both)
    assert one.notebook.digest == other.notebook.digest


@pytest.mark.parametrize(
    "content, why",
    [
        (b"", "empty"),
        (b'{"cells": [{"cell_type": "code", "source": "x = ', "cut off"),
        (b'{"cells": [', "cut off"),
        (b"%PDF-1.7", "a PDF"),
        (b"<!DOCTYPE html><html></html>", "an HTML page"),
        (b"[1]", "something else in JSON"),
        (b"Dear grader", "something else"),
        (b"\xff\xfe", "empty"),
    ],
)
def test_what_is_no_notebook_gets_its_reason(content, why):
    with pytest.raises(handed_in.Unreadable, match=why):
        handed_in.read(content)


# Which cell is the answer


def merged(both, change):
    """What is run after `change` was made to the cells of a good notebook."""
    from course.merge import merge

    content = make.answered(both)
    change(content["cells"])
    return merge(make.as_handed_in(content), both)


def cell_of(cells, name):
    return next(
        cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("grade_id") == name
    )


@pytest.mark.parametrize(
    "head",
    [
        "%%time\n",
        "# my answer\n\n",
        "#@title Answer\n%%time\n",
        "import math\n",
        "\n  \n",
        '"""Mine."""\n',
    ],
)
def test_the_mark_counts_wherever_it_stands(both, head):
    def change(cells):
        for cell in cells:
            cell["source"] = (
                head + cell["source"]
                if cell["cell_type"] == "code" and "# Task: mean" in cell["source"]
                else cell["source"]
            )
            cell["metadata"] = {}

    found = merged(both, change)
    assert not found.missing and "total_of_all_numbers" in found.code["mean"]


def test_the_mark_is_read_as_people_write_it(both):
    def change(cells):
        cell = cell_of(cells, "mean")
        cell["source"], cell["metadata"] = (
            cell["source"].replace("# Task: mean", "#task : Mean"),
            {},
        )

    assert not merged(both, change).missing


def test_the_last_copy_of_an_answer_counts_and_it_is_said(both):
    def change(cells):
        good = cell_of(cells, "mean")
        copy = json.loads(json.dumps(good))
        good["source"] = "# Task: mean\ndef mean(x):\n    return 0"
        cells.append(copy)

    found = merged(both, change)
    assert (
        "total_of_all_numbers" in found.code["mean"]
        and "The answer to mean is there 2 times; the last one counts." in found.notes
    )


def test_an_untouched_copy_does_not_count(both):
    def change(cells):
        cells.append(
            json.loads(json.dumps(next(cell for cell in both.student.cells if cell.id == "mean")))
        )

    found = merged(both, change)
    assert "total_of_all_numbers" in found.code["mean"] and not [
        note for note in found.notes if "times" in note
    ]


def test_a_split_answer_runs_whole(both):
    def change(cells):
        first = cell_of(cells, "mean")
        second = json.loads(json.dumps(first))
        second["source"] = "def helper(x):\n    return x"
        cells.insert(cells.index(first) + 1, second)

    found = merged(both, change)
    assert "total_of_all_numbers" in found.code["mean"] and any(
        "helper" in cell.get("source", "") for cell in found.cells
    )


def test_two_answers_in_one_cell_are_two_answers(both):
    def change(cells):
        first, second = cell_of(cells, "mean"), cell_of(cells, "guess")
        first["source"] += "\n" + second["source"]
        cells.remove(second)

    found = merged(both, change)
    assert (
        not found.missing and "guess" in found.code["guess"] and "guess" not in found.code["mean"]
    )


# What editors and platforms make of a notebook


def format_3(content):
    cells = [
        {
            "cell_type": cell["cell_type"],
            "language": "python",
            "collapsed": False,
            "outputs": [],
            ("input" if cell["cell_type"] == "code" else "source"): cell["source"],
        }
        for cell in content["cells"]
    ]
    return {
        "metadata": {"name": ""},
        "nbformat": 3,
        "nbformat_minor": 0,
        "worksheets": [{"cells": cells, "metadata": {}}],
    }


def format_4_0(content):
    cells = [
        {
            "cell_type": cell["cell_type"],
            "metadata": {},
            "source": cell["source"].splitlines(keepends=True),
        }
        for cell in content["cells"]
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 0}


def colab(content):
    cells = [
        cell
        | {
            "metadata": {
                "id": f"x{number}",
                "colab": {"base_uri": "https://localhost:8080/"},
                "outputId": "0-a",
            }
        }
        for number, cell in enumerate(content["cells"])
    ]
    return content | {
        "cells": cells,
        "metadata": {
            "colab": {"provenance": [], "toc_visible": True},
            "kernelspec": {"name": "python3"},
            "accelerator": "GPU",
        },
    }


def vs_code(content):
    cells = [cell | {"metadata": {"vscode": {"languageId": "python"}}} for cell in content["cells"]]
    return content | {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": ".venv", "name": "python3"},
            "language_info": {"version": "3.13.0"},
        },
    }


def widgets(content):
    return content | {
        "metadata": {
            "widgets": {
                "application/vnd.jupyter.widget-state+json": {
                    "state": {"a": {"model_name": "HBoxModel"}}
                }
            }
        }
    }


@pytest.mark.parametrize("form", [format_3, format_4_0, colab, vs_code, widgets])
@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
    ],
)
def test_every_form_of_a_notebook_is_graded_alike(both, form, encode):
    from course.merge import merge

    content = make.answered(both)
    asked = merge(make.as_handed_in(content), both)
    read = handed_in.read(encode(json.dumps(form(json.loads(json.dumps(content))), indent=1)))
    found = merge(read, both)
    assert (found.code, found.answers, found.missing, found.notes) == (
        asked.code,
        asked.answers,
        [],
        [],
    )


def test_nothing_of_a_broken_hand_in_touches_the_others(tmp_path, both, good):
    """A class with every kind of mess: a row with its reason for each, and the good ones as if
    alone.
    """
    import io

    def zipped(**members):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name.replace("__", "/"), data)
        return stream.getvalue()

    mess = {
        "cut": good.encode()[: len(good) // 2],
        "pdf": b"%PDF-1.7 ...",
        "html": b"<html><body>Sign in</body></html>",
        "empty": b"",
        "image": b"\x89PNG\r\n\x1a\n",
        "word": zipped(word__document="<w/>"),
        "nested": zipped(a=zipped(b=zipped(c=zipped(d=good)))),
        "bomb": zipped(**{f"{n}.ipynb": bytes(handed_in.LARGEST + 1) for n in range(4)}),
    }
    for number in range(30):
        (tmp_path / f"Ann Lee_{number}_assignsubmission_file_").mkdir()
        (tmp_path / f"Ann Lee_{number}_assignsubmission_file_" / "Untitled.ipynb").write_text(good)
    for number, (name, data) in enumerate(mess.items(), start=100):
        (tmp_path / f"{name}_{number}_assignsubmission_file_").mkdir()
        (
            tmp_path
            / f"{name}_{number}_assignsubmission_file_"
            / ("x.zip" if name in ("word", "nested", "bomb") else "x.ipynb")
        ).write_bytes(data)
    (tmp_path / "link_200_assignsubmission_file_").mkdir()
    (tmp_path / "link_200_assignsubmission_file_/x.ipynb").symlink_to("/etc/passwd")
    (tmp_path / "none_201_assignsubmission_file_").mkdir()
    found = {one.person.shown: one for one in submissions(tmp_path, both)}
    assert len(found) == 40 and all(
        found[f"Ann Lee ({number})"].notebook and not found[f"Ann Lee ({number})"].notes
        for number in range(30)
    )
    reasons = {name.split()[0]: one.reason for name, one in found.items() if not one.notebook}
    for name, why in {
        "cut": "cut off",
        "pdf": "a PDF",
        "html": "HTML",
        "empty": "empty",
        "image": "no notebook",
        "word": "no notebook",
        "nested": "zips in zips",
        "bomb": "MB",
        "link": "links are not followed",
        "none": "no file",
    }.items():
        assert why in reasons[name] and reasons[name].endswith("."), (name, reasons[name])
