"""The reader's own tables and texts: read, noted or refused with the true cause."""

import numpy as np
import pandas as pd
import pytest
from conftest import DATA
from sentences import refused
from sklearn import datasets

from unlabeled.data import table, texts


@pytest.fixture
def own(tmp_path):
    """Write a .csv from a string, bytes or a data frame; returns its path."""

    def save(content, **options):
        path = tmp_path / "my.csv"
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, **{"index": False} | options)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding=options.get("encoding", "utf-8"))
        return str(path)

    return save


@pytest.fixture(autouse=True)
def nothing_shown(monkeypatch):
    """As in a fresh process, in which no report was printed yet."""
    monkeypatch.setattr("unlabeled.data._last_shown", None)


def frame(n=30, seed=0):
    """Two measured columns and three classes, as a reader may have them."""
    rng = np.random.default_rng(seed)
    columns = {"width": rng.normal(size=n).round(3), "height": rng.normal(5, 2, n).round(3)}
    return pd.DataFrame(columns | {"label": np.array(["fir", "oak", "elm"])[np.arange(n) % 3]})


def check(read, df):
    assert read.columns == ("width", "height") and read.classes == ("elm", "fir", "oak")
    assert np.array_equal(read.features, df[["width", "height"]].to_numpy())
    assert read.features.dtype == np.float64 and read.labels.dtype == np.int64
    assert [read.classes[c] for c in read.labels] == df["label"].tolist()


# Read as meant


def test_a_plain_table_comes_back_as_it_went_in(own, capsys):
    df = frame()
    read = table(own(df))
    check(read, df)
    assert read.name == "my" and read.notes == ()
    assert (
        read.report()
        == "Data 'my': a table of 30 rows, 2 columns, 3 classes (elm: 10, fir: 10, oak: 10)\n"
        "  columns: width, height"
    )
    assert capsys.readouterr().out == read.report() + "\n", (
        "the report is printed at once, without a path"
    )


@pytest.mark.parametrize(
    "options, note",
    [
        (dict(sep=";"), "parted by semicolons"),
        (dict(sep="\t"), "parted by tabs"),
        (dict(sep="|"), "parted by '|'"),
        (dict(sep=";", decimal=","), "decimal commas"),
        (dict(sep="\t", decimal=","), "decimal commas"),
        (dict(decimal=","), "decimal commas"),  # within quotation marks
        (dict(encoding="utf-16"), ""),
        (dict(encoding="utf-16-le"), ""),
        (dict(encoding="utf-8-sig"), ""),
        (dict(lineterminator="\r\n"), ""),
        (dict(quoting=1), ""),
    ],
)
def test_what_spreadsheets_write_is_read(own, options, note):
    df = frame()
    read = table(own(df, **options))
    check(read, df)
    assert note in read.report()


@pytest.mark.parametrize("name", ["Label", " label", "LABEL ", "\u00a0label"])
def test_the_label_may_be_in_capitals_or_have_spaces(own, name):
    read = table(own(frame().rename(columns={"label": name})))
    check(read, frame())
    assert ("taken as 'label'" in read.report()) == (name.strip() != "label")


def test_what_a_spreadsheet_adds_at_the_ends_is_no_data(own):
    text = frame().to_csv(index=False)
    check(table(own("sep=,\n" + text)), frame())
    check(table(own(text.replace("\n", ",\n"))), frame())
    check(
        table(
            own("\n".join([text.split("\n")[0], *(line + "," for line in text.split("\n")[1:-1])]))
        ),
        frame(),
    )
    check(table(own(text + "\n,,\n \n")), frame())


@pytest.mark.parametrize("odd", ["NA", "None", "nan", "null", "N/A", "-", "0"])
def test_a_class_may_be_called_anything(own, odd):
    df = frame()
    df["label"] = df["label"].replace("oak", odd)
    assert odd in table(own(df)).classes


def test_classes_that_are_numbers_are_in_the_order_of_numbers(own):
    df = frame(44)
    df["label"] = np.arange(44) % 11
    assert table(own(df)).classes == tuple(map(str, range(11)))


def test_true_and_false_are_numbers(own):
    df = frame()
    df["wet"] = np.arange(30) % 4 == 0
    assert np.array_equal(table(own(df)).features[:, 2], df["wet"])


def test_windows_1252_is_read_and_said(own):
    df = frame().replace("elm", "Kätzchen")
    read = table(own(df.to_csv(index=False).encode("cp1252")))
    assert "Kätzchen" in read.classes and "Windows-1252" in read.report()


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_real_tables_are_taken_whole(own, name):
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    df = bunch.data.assign(label=bunch.target.map(lambda c: f"kind {c}"))
    shuffled, embedded = df.sample(frac=1, random_state=0), table(name)
    read = table(own(shuffled))
    assert embedded.classes == tuple(map(str, bunch.target_names)) and embedded.columns == tuple(
        bunch.data.columns
    )
    assert np.array_equal(embedded.features, bunch.data.to_numpy()) and np.array_equal(
        embedded.labels, bunch.target
    )
    kept = [c for c in bunch.data if bunch.data[c].nunique() > 1]
    assert read.columns == tuple(kept) and np.array_equal(read.features, shuffled[kept].to_numpy())
    assert ("the same in every row" in read.report()) == (len(kept) < bunch.data.shape[1])
    assert table(own(df)).columns == tuple(kept), "sorted by class it is the same table"


# Left out or noted


def test_what_carries_nothing_is_left_out_and_said(own):
    df = frame().assign(unit=1.0, blank="")
    df["again"] = df["width"]
    read = table(own(df))
    check(read, frame())
    assert "left out, the same in every row: unit\n" in read.report() + "\n"
    assert (
        "left out, copies: again (of width)" in read.report()
        and "left out, empty: blank" in read.report()
    )


def test_what_looks_odd_is_said(own):
    df = pd.concat([frame(), frame().head(2), frame().head(1).assign(label="oak")])
    assert (
        "3 rows are copies of earlier ones, 1 of them with another class" in table(own(df)).report()
    )
    df = frame().replace("oak", "Fir")
    assert "differ in capitals alone: Fir, fir" in table(own(df)).report()
    df = frame().assign(case=np.random.default_rng(0).permutation(100)[:30])
    assert "case has another whole number in every row" in table(own(df)).report()


def test_rows_sorted_by_a_column_are_said(own):
    df = frame(40).assign(batch=np.arange(40) // 4)
    assert "note: the rows are sorted by batch" in table(own(df)).report()
    assert "sorted" not in table(own(df.sample(frac=1, random_state=0))).report()


def test_a_report_stays_short_and_on_its_lines(own, capsys):
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(60, 50)), columns=[f"c{i}" * 30 + "\n" for i in range(50)])
    report = table(own(wide.assign(label=np.arange(60) % 30))).report()
    assert report.count("\n") == 1 and "and 42 more" in report and "30 classes of 2 to 2" in report
    assert max(map(len, report.split("\n"))) < 420


def test_a_sample_is_drawn_at_random_and_said(own):
    read = table(own(frame(300)))
    part = read.sample(100)
    assert part.features.shape == (100, 2) and "100 of 300 rows, drawn at random" in part.report()
    rows = [np.flatnonzero((read.features == row).all(axis=1))[0] for row in part.features]
    assert rows == sorted(rows) and rows != list(range(100)) and len(set(rows)) == 100
    assert [part.classes[c] for c in part.labels] == [read.classes[read.labels[r]] for r in rows]
    assert read.sample(300) is read


# Refused


def index_cases():
    n = 60
    by_class = frame(n).sort_values("label", kind="stable").reset_index(drop=True)
    shuffled = frame(n).sample(frac=1, random_state=1)
    half = frame(2 * n).sample(n, random_state=2)
    return {
        "saved with its index": (frame(n).reset_index(), "'index'"),
        "without a name": (
            frame(n).reset_index().rename(columns={"index": ""}),
            "'unnamed column 1'",
        ),
        "counts from 1": (frame(n).assign(nr=np.arange(1, n + 1)), "'nr'"),
        "counts down": (frame(n).assign(rank=np.arange(n)[::-1]), "'rank'"),
        "counts in tens": (frame(n).assign(t=10.0 * np.arange(n)), "'t'"),
        "counts in tenths": (frame(n).assign(t=np.arange(n) / 10), "'t'"),
        "a table of six rows": (frame(6).reset_index(), "'index'"),
        "sorted by class, then saved": (by_class.reset_index(), "'index'"),
        "saved, then sorted by class": (frame(n).reset_index().sort_values("label"), "'index'"),
        "saved, sorted by class, then shuffled": (
            by_class.reset_index().sample(frac=1, random_state=3),
            "'index'",
        ),
        "shuffled": (shuffled.reset_index(), "'index'"),
        "rows dropped": (frame(n).reset_index().drop(index=[5, 17, 40]), "'index'"),
        "many rows dropped, in order": (
            half.sort_index().reset_index(names="patient"),
            "'patient'",
        ),
        "a sample of the rows": (half.reset_index(), "'index'"),
        "Unnamed: 0": (half.reset_index(names="Unnamed: 0"), "'Unnamed: 0'"),
        "anew in each class": (by_class.assign(k=by_class.groupby("label").cumcount()), "'k'"),
        "a time stamp": (
            frame(n).assign(time=np.cumsum(np.random.default_rng(0).random(n))),
            "'time'",
        ),
        "the class itself": (frame(n).assign(code=np.arange(n) % 3 * 5), "'code'"),
    }


@pytest.mark.parametrize("kind", index_cases())
def test_a_column_that_gives_the_class_away_is_refused_by_name(own, kind):
    df, name = index_cases()[kind]
    with refused(name, "drop it"):
        table(own(df))


def spoiled(column, row, value):
    df = frame().astype({column: object})
    df.loc[row, column] = value
    return df


BAD = {
    "empty": ("", "is empty"),
    "blank": ("\n \n", "is empty"),
    "header alone": ("width,height,label\n", "no rows"),
    "one row": ("width,label\n1,a\n", "one row"),
    "no label": (
        frame().rename(columns={"label": "tree"}),
        "no column 'label' among width, height, tree: give the column",
    ),
    "class for label": (frame().rename(columns={"label": "Class"}), "rename 'Class'"),
    "labels for label": (frame().rename(columns={"label": "labels"}), "rename 'labels'"),
    "no header": (frame().assign(label=1).to_csv(index=False, header=False), "has no header"),
    "two labels": (frame().assign(Label=1), "two columns that could be 'label'"),
    "two columns of one name": (
        frame().to_csv(index=False).replace("height", "width"),
        "more than one column called 'width'",
    ),
    "one class": (frame().assign(label="fir"), "one class only ('fir')"),
    "a measurement as label": (
        frame().assign(label=np.random.default_rng(0).normal(size=30)),
        "not a measurement",
    ),
    "no class in a row": (spoiled("label", 4, ""), "no class in line 6"),
    "a gap": (
        spoiled("height", 2, np.nan),
        "missing values in column 'height' (1 of 30, the first in line 4)",
    ),
    "NA": (spoiled("height", 2, "NA"), "missing values in column 'height'"),
    "a question mark": (
        spoiled("width", 0, "?"),
        "missing values in column 'width' (1 of 30, the first in line 2)",
    ),
    "nan in capitals": (spoiled("width", 29, "NaN"), "the first in line 31"),
    "infinity": (
        spoiled("width", 7, np.inf),
        "infinite or far too large number in column 'width', line 9",
    ),
    "too large for float32": (spoiled("width", 7, 1e39), "far too large"),
    "a word": (spoiled("width", 3, "wide"), "not numeric (width with 'wide')"),
    "a column of words": (
        frame().assign(colour=["red", "blue"] * 15),
        "not numeric (colour with 'red')",
    ),
    "a unit": (frame().assign(w=[f"{i % 7} cm" for i in range(30)]), "not numeric (w with '0 cm')"),
    "dates": (frame().assign(day="2024-05-01"), "not numeric (day with '2024-05-01')"),
    "points and commas": (spoiled("width", 3, "1,5"), "read in two ways"),
    "thousands": (frame().assign(price=[f"{i + 1},000" for i in range(30)]), "read in two ways"),
    "thousands and decimals": (
        frame().assign(p=[f"{i + 1}.000,5" for i in range(30)]).to_csv(index=False, sep=";"),
        "read in two ways",
    ),
    "bare decimal commas": (
        frame().to_csv(index=False).replace(".", ","),
        "save with semicolons if its numbers have decimal commas",
    ),
    "a field too few": (
        frame().to_csv(index=False) + "1,2\n",
        "2 fields in line 32 where its header has 3",
    ),
    "row names": (
        "a,b,label\n" + "".join(f"r{i},{i % 7},{i % 5},{i % 2}\n" for i in range(20)),
        "row names",
    ),
    "all the same": (frame().assign(width=1, height=2), "has 0 columns of numbers that differ"),
    "label alone": (frame()[["label"]], "has 0 columns"),
    "parted by spaces": ("a b label\n1 2 x\n2 4 y\n3 1 x\n", "parted by spaces"),
    "two tables in one": (frame().to_csv(index=False) * 2, "repeats its header in line 32"),
    "an open quotation mark": ('a,label\n"1,x\n2,y\n3,x\n', "quotation mark"),
    "a spreadsheet": (b"PK\x03\x04" + bytes(50), "a spreadsheet"),
    "compressed": (b"\x1f\x8b" + bytes(50), "unpack it"),
    "bytes": (bytes(range(256)) * 4, "not a text file"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("error")
def test_a_bad_table_is_refused_with_the_true_cause(own, kind):
    content, words = BAD[kind]
    path = own(content)
    with refused(words, repr(path)):
        table(path)


def test_what_a_chapter_needs_is_asked_for(own):
    path = own(frame())
    table(path, classes=3, rows_per_class=10, columns=2)
    with refused("has 3 classes: at least 4 are needed"):
        table(path, classes=4)
    with refused("has 10 rows of class 'elm': each class needs 11 or more"):
        table(path, rows_per_class=11)
    with refused(
        "has 2 columns of numbers that differ from row to row: at least 3 beside the label"
    ):
        table(path, columns=3)


def test_a_table_that_is_not_there_or_too_large(own, tmp_path, monkeypatch):
    with refused("There is no dataset file"):
        table(str(tmp_path / "nowhere.csv"))
    (tmp_path / "folder.csv").mkdir()
    with refused("cannot be read (IsADirectoryError)"):
        table(str(tmp_path / "folder.csv"))
    with refused("use 'digits', 'wine', 'breast_cancer', 'iris', 'optdigits' or a path"):
        table("irises")
    monkeypatch.setattr("unlabeled.tables.LARGEST", 100)
    with refused("draw a sample of its rows"):
        table(own(frame()))


# Texts


def documents(n=12):
    return pd.DataFrame(
        {
            "text": [f'Word {i}, and\n"more"; tab\there' for i in range(n)],
            "label": ["good", "bad"] * (n // 2),
        }
    )


@pytest.mark.parametrize("sep", [",", ";", "\t"])
def test_texts_come_back_as_they_went_in(own, sep, capsys):
    read = texts(own(documents(), sep=sep))
    assert read.texts == tuple(documents()["text"]) and read.classes == ("bad", "good")
    assert read.labels.tolist() == [1, 0] * 6 and not read.test.any()
    assert "12 texts of 6 to 6 words, 2 classes (bad: 6, good: 6)" in capsys.readouterr().out


def test_texts_between_tabs_may_begin_with_a_quotation_mark(own):
    read = texts(own('text\tlabel\n"No" he said\tx\nwell, "yes"\tx\na\ty\n"b"\ty\n'))
    assert read.texts == ('"No" he said', 'well, "yes"', "a", '"b"')


def test_a_text_may_be_long(own):
    df = documents()
    df.loc[0, "text"] = "word " * 50_000
    assert len(texts(own(df)).texts[0].split()) == 50_000


def test_texts_are_looked_at(own):
    df = documents().assign(author="x", date=1)
    assert "left out: author, date" in texts(own(df)).report()
    df = pd.concat([documents(), documents().head(1).assign(label="bad")])
    assert (
        "1 text is a copy of an earlier one, 1 of them with another class"
        in texts(own(df)).report()
    )
    for spoil, words in [
        (dict(columns={"text": "review"}), "no column 'text' among review, label"),
        (dict(columns={"text": "Texts"}), "rename 'Texts'"),
        (dict(columns={"label": "target"}), "rename 'target'"),
    ]:
        with refused(words):
            texts(own(documents().rename(**spoil)))
    df = documents()
    df.loc[3, "text"] = " "
    with refused("no text in line"):
        texts(own(df))
    with refused("one class only"):
        texts(own(documents().assign(label="good")))


def test_real_news_as_the_readers_own_texts(own):
    path = DATA / "ag-news-test.csv"
    if not path.is_file():
        pytest.skip(
            "UNLABELED_TEST_DATA holds no ag-news-test.csv; texts are tested on made-up ones only."
        )
    df = pd.read_csv(path)
    read = texts(own(df.assign(text=df["title"] + ". " + df["description"])))
    assert len(read.texts) == 7600 and np.bincount(read.labels).tolist() == [1900] * 4
    assert read.classes == ("0", "1", "2", "3") and "left out: title, description" in read.report()
    with refused("no column 'text' among label, title, description"):
        texts(str(path))
