"""Data by name: what libraries bring along, what is fetched and verified, or the reader's own file.

Every loader prints a short report when the file is the reader's own: what it holds, how it was
read, and what looks odd about it. What cannot be used is refused in one sentence.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from unlabeled.arrays import (
    ARRAYS,
    Films,
    Pictures,
    Windows,
    read_films,
    read_pictures,
    read_windows,
)
from unlabeled.photographs import (  # noqa: F401  (chapters import them from here)
    PHOTOGRAPHS,
    patches,
    photographs,
)
from unlabeled.registry import (
    REGISTRY,
    arrays,
    arrays_path,
    data_folder,
    intact,
    read_kept,
    unpacked,
)
from unlabeled.runtime import InputError
from unlabeled.tables import Table, Texts, read_table, read_texts

# What scikit-learn brings along: what it holds, its licence, its citation.
EMBEDDED = {
    "digits": (
        "1,797 pictures of 8 x 8, or a table of 64 columns, 10 classes",
        "CC BY 4.0",
        "Alpaydin, Kaynak, Optical recognition of handwritten digits, UCI repository, 1998",
    ),
    "wine": (
        "a table of 178 rows, 13 columns, 3 classes",
        "CC BY 4.0",
        "Aeberhard, Forina, Wine, UCI repository, 1992",
    ),
    "breast_cancer": (
        "a table of 569 rows, 30 columns, 2 classes",
        "CC BY 4.0",
        "Wolberg, Mangasarian, Street, Breast cancer Wisconsin (diagnostic), UCI repository, 1993",
    ),
    "iris": (
        "a table of 150 rows, 4 columns, 3 classes",
        "CC BY 4.0",
        "Fisher, The use of multiple measurements in taxonomic problems, 1936",
    ),
}
# What the registry holds, by the loader that reads it.
PICTURES = ("mnist", "fashion_mnist", "cifar10")
TABLES = ("optdigits",)
TEXTS = ("ag_news", "20newsgroups")


def load(name: str) -> Pictures:
    """Pictures by name ("digits", "mnist", "fashion_mnist", "cifar10") or from an own ``.npz``.

    "digits" comes with scikit-learn (1797 pictures of 8 x 8, split 1400 / 397); the others are
    fetched once, verified and cached. An ``.npz`` must hold train_images, train_labels, test_images
    and test_labels: pictures of shape (n, height, width) or (n, height, width, 1 or 3) as whole
    numbers from 0 to 255 or as fractions in [0, 1], labels as whole numbers from 0. Channels that
    come first are turned round, and whole numbers of 0 and 1 alone are taken as they are.

    Raises
    ------
    InputError : with one sentence that says what is wrong with the name or the file
    """
    if name == "digits":
        return _digits()
    if name in PICTURES:
        return _fetched_pictures(name)
    if name.lower().endswith(".npz"):
        return _reported(read_pictures(Path(name)))
    raise InputError(
        f"There is no dataset called {name!r}: use 'digits', {', '.join(map(repr, PICTURES))} or a "
        "path to an .npz file."
    )


def table(name: str, *, classes: int = 2, rows_per_class: int = 2, columns: int = 1) -> Table:
    """A table by name or from the reader's own ``.csv``.

    "digits", "wine", "breast_cancer" and "iris" come with scikit-learn; "optdigits" (5620 rows, of
    which "digits" are the last 1797) is fetched once, verified and kept.

    A ``.csv`` has a header, the classes in a column called ``label`` and numbers everywhere else.
    Fields may be parted by commas, semicolons or tabs, numbers may have decimal commas. Columns
    that are the same in every row or copy another one are left out, and the report says so;
    columns that count the rows or give the class away are refused.

    Parameters
    ----------
    classes, rows_per_class, columns : the least that the chapter can work with

    Raises
    ------
    InputError : with one sentence that says what is wrong with the name or the file
    """
    if name in EMBEDDED:
        return _embedded_table(name)
    if name in TABLES:
        found = arrays(name)
        columns = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
        return Table(name, found["features"], found["labels"], columns, tuple("0123456789"))
    if name.lower().endswith(".csv"):
        return _reported(read_table(Path(name), classes, rows_per_class, columns))
    known = ", ".join(map(repr, [*EMBEDDED, *TABLES]))
    raise InputError(f"There is no table called {name!r}: use {known} or a path to a .csv file.")


def texts(name: str, *, classes: int = 2, rows_per_class: int = 2) -> Texts:
    """Texts by name ("ag_news", "20newsgroups") or from the reader's own ``.csv``.

    A ``.csv`` has the columns ``text`` and ``label``. AG News comes as title and description; of 20
    Newsgroups headers, signatures and quotations are removed, and texts of which nothing is left.

    Parameters
    ----------
    classes, rows_per_class : the least that the chapter can work with

    Raises
    ------
    InputError : with one sentence that says what is wrong with the name or the file
    """
    if name in TEXTS:
        found = arrays(name)
        names = tuple(map(str, found["classes"]))
        return Texts(name, unpacked(found), found["labels"], names, found["test"])
    if name.lower().endswith(".csv"):
        return _reported(read_texts(Path(name), classes, rows_per_class))
    known = ", ".join(map(repr, TEXTS))
    raise InputError(f"There are no texts called {name!r}: use {known} or a path to a .csv file.")


def films(name: str, *, films: int = 1, frames: int = 2) -> Films:
    """Films from the reader's own ``.npz`` with the arrays ``films`` and ``masks``.

    ``films`` has shape (n, frames, height, width, 3), whole numbers from 0 to 255 or fractions in
    [0, 1]; ``masks`` (n, frames, height, width) is true where the thing is.

    Parameters
    ----------
    films, frames : the least that the chapter can work with

    Raises
    ------
    InputError : with one sentence that says what is wrong with the name or the file
    """
    if name.lower().endswith(".npz"):
        return _reported(read_films(Path(name), films, frames))
    raise InputError(f"There are no films called {name!r}: use a path to an .npz file.")


def windows(name: str, *, devices: int = 1, users: int = 1) -> Windows:
    """Sensor windows from the reader's own ``.npz`` with ``windows``, ``labels`` and ``users``.

    ``windows`` has shape (n, devices, steps, channels), the same moment on every device; ``labels``
    (n,) are whole numbers from 0; ``users`` (n,) are whole numbers or names.

    Parameters
    ----------
    devices, users : the least that the chapter can work with

    Raises
    ------
    InputError : with one sentence that says what is wrong with the name or the file
    """
    if name.lower().endswith(".npz"):
        return _reported(read_windows(Path(name), devices, users))
    raise InputError(f"There are no windows called {name!r}: use a path to an .npz file.")


_last_shown = None


def _reported(data):
    """`data`, its report printed unless it was printed just before, for another seed."""
    global _last_shown
    text, cell = data.report(), _cell()
    if (text, cell) != _last_shown:
        try:
            print(text)
        except UnicodeEncodeError:  # a terminal that knows fewer characters than the file's names
            print(text.encode("ascii", "backslashreplace").decode("ascii"))
        _last_shown = text, cell
    return data


def _cell():
    """The number of the notebook's cell that runs, None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell.execution_count if shell else None


def _fetched_pictures(name):
    found = arrays(name)
    scaled = {
        key: array.astype(np.float32) / 255 if key.endswith("images") else array.astype(np.int64)
        for key, array in found.items()
    }
    return Pictures(name, *(scaled[key] for key in ARRAYS))


def _embedded_table(name):
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, f"load_{name}")()
    return Table(
        name,
        np.asarray(bunch.data, np.float64),
        np.asarray(bunch.target, np.int64),
        tuple(map(str, bunch.feature_names)),
        tuple(map(str, bunch.target_names)),
    )


def _digits():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    # The file is ordered by writer; a fixed shuffle keeps both parts alike.
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = (
        (images[order] / 16).astype(np.float32).reshape(-1, 8, 8),
        labels[order].astype(np.int64),
    )
    return Pictures("digits", images[:1400], labels[:1400], images[1400:], labels[1400:])


# The command line


def main(arguments: list[str] | None = None) -> int:
    """Run ``python -m unlabeled.data [list | fetch | verify] [name …]``: exit status."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m unlabeled.data",
        description="The book's data sets: list them, fetch them, verify what was fetched.",
    )
    parser.add_argument("what", nargs="?", choices=("list", "fetch", "verify"), default="list")
    parser.add_argument("names", nargs="*", metavar="name", help="data sets; all if left out")
    given = parser.parse_args(arguments)
    known = [*EMBEDDED, *REGISTRY]
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"unknown data set {unknown[0]!r}: there are {', '.join(known)}")
    names, failed = given.names or known, False
    if given.what == "list":
        print(_listing(names))
        return 0
    for name in names:
        if name in EMBEDDED:
            print(f"{name}: comes with scikit-learn")
        elif given.what == "fetch":
            try:
                arrays(name)
                print(f"{name}: fetched and verified")
            except InputError as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed = True
        else:
            state = _state(name, thorough=True)
            print(f"{name}: {state}")
            failed |= "damaged" in state
    return int(failed)


def _listing(names):
    found = [f"Data folder: {data_folder()}"]
    for name in names:
        if name in EMBEDDED:
            holds, licence, citation = EMBEDDED[name]
            state, files = "comes with scikit-learn", ()
        else:
            entry = REGISTRY[name]
            holds, licence, citation = entry.holds, entry.licence, entry.citation
            state, files = _state(name), entry.files
        found += ["", f"{name}: {holds}", f"  {state}; licence: {licence}", f"  {citation}"]
        for source in files:
            size = f"{source.size:,} bytes" if source.size else "size unconfirmed"
            by = "confirmed" if source.confirmed else f"unconfirmed, published by {source.origin}"
            found.append(f"  {source.file}: {size}, {source.checksum} ({by})")
            found += [f"    {address}" for address in source.addresses]
    return "\n".join(found)


def _state(name, thorough=False):
    """Whether a set is there; `thorough` reads every byte."""
    kept = arrays_path(name)
    sources = REGISTRY[name].files
    there = [source for source in sources if (data_folder() / source.file).is_file()]
    if thorough:
        paths = [(source, data_folder() / source.file) for source in there]
        bad = [path.name for source, path in paths if not intact(source, path)]
        if kept.is_file() and read_kept(kept) is None:
            bad.append(kept.name)
        if bad:
            return f"damaged: {', '.join(bad)} (fetch it again)"
    if len(there) == len(sources) or kept.is_file():
        return "verified" if thorough else "fetched"
    return "fetched in part" if there else "not fetched"


if __name__ == "__main__":
    sys.exit(main())
