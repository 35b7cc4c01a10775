"""Data by name: what comes with the libraries, what is fetched once and verified, or the reader's own file.

Every loader prints a short report when the file is the reader's own: what it holds, how it was
read, and what looks odd about it. What cannot be used is refused in one sentence.
"""

from __future__ import annotations

import gzip
import pickle
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unlabeled.arrays import ARRAYS, Films, Pictures, Windows, read_films, read_pictures, read_windows
from unlabeled.runtime import InputError
from unlabeled.tables import Table, Texts, read_table, read_texts


@dataclass(frozen=True)
class Source:
    """One file of the registry: its addresses in the order in which they are tried, its checksum and where that comes from."""

    file: str
    addresses: tuple[str, ...]
    checksum: str
    confirmed: bool = False  # True once the checksum has been compared with the canonical file itself


# The checksums are those that torchvision publishes; none has been compared with the canonical file by this project yet,
# so they are marked unconfirmed. A file that does not match is refused, fresh or cached.
_MNIST = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
REGISTRY = {
    "mnist": {
        "licence": "CC BY-SA 3.0",
        "files": tuple(
            Source(name, tuple(base + name for base in _MNIST), "md5:" + md5)
            for name, md5 in (
                ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
                ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
                ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
            )
        ),
    },
    "cifar10": {
        "licence": "none stated; free for research (Krizhevsky, 2009)",
        "files": (
            Source(
                "cifar-10-python.tar.gz",
                ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
                "md5:c58f30108f718f92721af3b95e74349a",
            ),
        ),
    },
}

EMBEDDED = ("digits", "wine", "breast_cancer", "iris")  # tables that scikit-learn brings along


def load(name: str) -> Pictures:
    """Pictures by name ("digits", "mnist", "cifar10") or from the reader's own ``.npz`` file.

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
    if name in REGISTRY:
        return {"mnist": _mnist, "cifar10": _cifar10}[name]()
    if name.lower().endswith(".npz"):
        return _reported(read_pictures(Path(name)))
    raise InputError(
        f"There is no dataset called {name!r}: use 'digits', {', '.join(map(repr, REGISTRY))} or a "
        f"path to an .npz file."
    )


def table(name: str, *, classes: int = 2, rows_per_class: int = 2, columns: int = 1) -> Table:
    """A table by name ("digits", "wine", "breast_cancer", "iris") or from the reader's own ``.csv``.

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
    if name.lower().endswith(".csv"):
        return _reported(read_table(Path(name), classes, rows_per_class, columns))
    raise InputError(
        f"There is no table called {name!r}: use {', '.join(map(repr, EMBEDDED))} or a path to a "
        f".csv file."
    )


def texts(name: str, *, classes: int = 2, rows_per_class: int = 2) -> Texts:
    """Texts from the reader's own ``.csv`` with the columns ``text`` and ``label``.

    Parameters
    ----------
    classes, rows_per_class : the least that the chapter can work with

    Raises
    ------
    InputError : with one sentence that says what is wrong with the name or the file
    """
    if name.lower().endswith(".csv"):
        return _reported(read_texts(Path(name), classes, rows_per_class))
    raise InputError(f"There are no texts called {name!r}: use a path to a .csv file.")


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
    """`data`, its report printed unless that was the last thing printed (chapters load for each seed)."""
    global _last_shown
    text, cell = data.report(), _cell()
    if (text, cell) != _last_shown:
        try:
            print(text)
        except UnicodeEncodeError:  # a terminal that knows fewer characters than the file's names
            print(text.encode(sys.stdout.encoding or "ascii", "backslashreplace").decode("ascii", "replace"))
        _last_shown = text, cell
    return data


def _cell():
    """The number of the notebook's cell that runs, None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell.execution_count if shell else None


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
    images, labels = (images[order] / 16).astype(np.float32).reshape(-1, 8, 8), labels[order].astype(np.int64)
    return Pictures("digits", images[:1400], labels[:1400], images[1400:], labels[1400:])


def fetch(source: Source) -> Path:
    """Return the cached file of `source`, downloading it from the first address that answers; verified both ways.

    Raises
    ------
    InputError : if no address answers or the file that came is not the expected one
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")  # its messages would put this machine's paths into the notebook
    folder = Path(pooch.os_cache("unlabeled"))
    reasons = []
    for address in source.addresses:
        try:
            return Path(pooch.retrieve(address, known_hash=source.checksum, fname=source.file, path=folder))
        except Exception as error:  # network and checksum errors of many kinds: the next mirror may do
            reasons.append(f"{address} ({type(error).__name__})")
    raise InputError(
        f"Could not fetch {source.file}: tried {', '.join(reasons)}; check the network, or put the verified file into {folder}."
    )


def _mnist():
    arrays = []
    for source in REGISTRY["mnist"]["files"]:
        raw = gzip.decompress(fetch(source).read_bytes())
        if "images" in source.file:
            arrays.append(np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28).astype(np.float32) / 255)
        else:
            arrays.append(np.frombuffer(raw, np.uint8, offset=8).astype(np.int64))
    return Pictures("mnist", *arrays)


def _cifar10():
    images, labels = {}, {}
    (source,) = REGISTRY["cifar10"]["files"]
    with tarfile.open(fetch(source)) as archive:
        for member in sorted(archive.getnames()):
            if "data_batch" in member or "test_batch" in member:
                batch = pickle.load(archive.extractfile(member), encoding="latin1")  # the checksum vouches for it
                part = "train" if "data" in member else "test"
                images.setdefault(part, []).append(batch["data"])
                labels.setdefault(part, []).extend(batch["labels"])

    def pictures(part):
        return np.concatenate(images[part]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).astype(np.float32, order="C") / 255

    return Pictures("cifar10", pictures("train"), np.array(labels["train"], np.int64), pictures("test"), np.array(labels["test"], np.int64))
