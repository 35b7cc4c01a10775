"""The data sets that are fetched: where from, verified how, under which licence; kept as arrays."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import pickle
import re
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unlabeled.runtime import InputError

TIMEOUT = 30  # seconds without a byte until the next mirror is tried


@dataclass(frozen=True)
class Source:
    """One file of the registry.

    Attributes
    ----------
    file : str, where it is kept below the data folder
    addresses : tuple of str, tried in this order
    checksum : str, "sha256:…" or "md5:…"
    size : int or None, bytes, if known
    origin : str, who published the checksum
    confirmed : bool, True once this project has compared the checksum with the canonical file
    """

    file: str
    addresses: tuple[str, ...]
    checksum: str
    size: int | None = None
    origin: str = ""
    confirmed: bool = False


@dataclass(frozen=True)
class Entry:
    """A data set: its files, how they become arrays, and what a reader should know of it.

    Attributes
    ----------
    files : tuple of Source
    read : callable that takes the paths of the files and returns a dict of arrays
    holds : str, what is in it
    licence, citation : str
    """

    files: tuple[Source, ...]
    read: Callable[..., dict]
    holds: str
    licence: str
    citation: str


# Reading the authors' formats


def _read_idx(*paths):
    # Four bytes each: magic number, rows and, for pictures, height and width; then the values.
    names = ("train_images", "train_labels", "test_images", "test_labels")
    raw = {name: gzip.decompress(path.read_bytes()) for name, path in zip(names, paths)}
    return {
        name: (
            np.frombuffer(content, np.uint8, offset=16).reshape(-1, 28, 28)
            if name.endswith("images")
            else np.frombuffer(content, np.uint8, offset=8)
        )
        for name, content in raw.items()
    }


def _read_cifar10(path):
    images, labels = {}, {}
    with tarfile.open(path) as archive:
        for member in sorted(archive.getnames()):
            if "data_batch" in member or "test_batch" in member:
                batch = pickle.load(
                    archive.extractfile(member), encoding="latin1"
                )  # the checksum vouches
                part = "train" if "data" in member else "test"
                images.setdefault(part, []).append(batch["data"])
                labels.setdefault(part, []).extend(batch["labels"])
    arrays = {}
    for part in ("train", "test"):
        stacked = np.concatenate(images[part]).reshape(-1, 3, 32, 32)
        arrays[f"{part}_images"] = np.ascontiguousarray(stacked.transpose(0, 2, 3, 1))
        arrays[f"{part}_labels"] = np.array(labels[part], np.uint8)
    return arrays


def _read_ag_news(train, test):
    texts, labels, parts = [], [], []
    for part, path in enumerate((train, test)):
        for label, title, description in csv.reader(
            io.StringIO(path.read_text("utf-8"), newline="")
        ):
            # A backslash stands where the articles had a new line.
            texts.append(f"{title} {description}".replace("\\", " "))
            labels.append(int(label) - 1)
            parts.append(bool(part))
    return _packed(texts, labels, parts, ["World", "Sports", "Business", "Sci/Tech"])


def _read_newsgroups(path):
    # Headers, signatures and quotations name the group; scikit-learn advises to remove them.
    from sklearn.datasets import _twenty_newsgroups as groups

    texts, names, parts = [], [], []
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            found = re.match(r"20news-bydate-(train|test)/([^/]+)/[^/]+$", member.name)
            if found and member.isfile():
                text = archive.extractfile(member).read().decode("latin1")
                for strip in ("header", "footer", "quoting"):
                    text = getattr(groups, f"strip_newsgroup_{strip}")(text)
                if text.strip():
                    texts.append(text.strip())
                    names.append(found[2])
                    parts.append(found[1] == "test")
    classes, labels = np.unique(names, return_inverse=True)
    return _packed(texts, labels, parts, classes)


def _read_optdigits(train, test):
    rows = np.concatenate([np.loadtxt(path, delimiter=",") for path in (train, test)])
    return {"features": rows[:, :-1], "labels": rows[:, -1].astype(np.int64)}


def _packed(texts, labels, test, classes):
    """Texts as one array of bytes and where each ends, beside labels, part and names."""
    raw = [text.encode() for text in texts]
    return {
        "bytes": np.frombuffer(b"".join(raw), np.uint8),
        "ends": np.cumsum([len(text) for text in raw]),
        "labels": np.array(labels, np.int64),
        "test": np.array(test, bool),
        "classes": np.array(classes, np.str_),
    }


def unpacked(arrays: dict) -> tuple[str, ...]:
    """The texts of a set of texts, as `arrays` returns it."""
    raw, ends = arrays["bytes"].tobytes(), arrays["ends"]
    return tuple(raw[start:end].decode() for start, end in zip([0, *ends[:-1]], ends))


# The registry. Checksums are those that the named place publishes; "confirmed" ones were compared
# with the file in its authors' repository. A file that does not match is refused, fresh or kept.


def _idx_sources(name, mirrors, rows, origin):
    files = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
    return tuple(
        Source(
            f"{name}/{file}",
            tuple(base + file for base in mirrors),
            checksum,
            size,
            origin,
            confirmed,
        )
        for file, (checksum, size, confirmed) in zip(files, rows)
    )


_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/optdigits/"
_AG_NEWS = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv/"

REGISTRY = {
    "mnist": Entry(
        _idx_sources(
            "mnist",
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            (
                (
                    "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                    9912422,
                    False,
                ),
                (
                    "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                    28881,
                    False,
                ),
                (
                    "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    1648877,
                    False,
                ),
                (
                    "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                    4542,
                    False,
                ),
            ),
            "torchvision",
        ),
        _read_idx,
        "70,000 pictures of 28 x 28, 10 classes",
        "CC BY-SA 3.0",
        "LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, "
        "1998",
    ),
    "fashion_mnist": Entry(
        _idx_sources(
            "fashion_mnist",
            (
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ),
            (
                (
                    "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                    26421880,
                    False,
                ),
                (
                    "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                    29515,
                    True,
                ),
                (
                    "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                    4422102,
                    False,
                ),
                (
                    "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                    5148,
                    True,
                ),
            ),
            "torchvision",
        ),
        _read_idx,
        "70,000 pictures of 28 x 28, 10 classes",
        "MIT",
        "Xiao, Rasul, Vollgraf, Fashion-MNIST: a novel image dataset, 2017",
    ),
    "cifar10": Entry(
        (
            Source(
                "cifar10/cifar-10-python.tar.gz",
                (
                    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                    _KERAS + "cifar-10-python.tar.gz",
                ),
                "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                170498071,
                "Keras",
            ),
        ),
        _read_cifar10,
        "60,000 pictures of 32 x 32 in colour, 10 classes",
        "none stated",
        "Krizhevsky, Learning multiple layers of features from tiny images, 2009",
    ),
    "optdigits": Entry(
        tuple(
            Source(f"optdigits/{file}", (_UCI + file,), checksum, size, "DataDeps and others")
            for file, checksum, size in (
                (
                    "optdigits.tra",
                    "sha256:e1b683cc211604fe8fd8c4417e6a69f31380e0c61d4af22e93cc21e9257ffedd",
                    563639,
                ),
                (
                    "optdigits.tes",
                    "sha256:6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8",
                    264712,
                ),
            )
        ),
        _read_optdigits,
        "a table of 5,620 rows, 64 columns, 10 classes",
        "CC BY 4.0",
        "Alpaydin, Kaynak, Optical recognition of handwritten digits, UCI repository, 1998",
    ),
    "ag_news": Entry(
        (
            Source(
                "ag_news/train.csv",
                (_AG_NEWS + "train.csv",),
                "md5:b1a00f826fdfbd249f79597b59e1dc12",
                29470338,
                "torchtext",
            ),
            Source(
                "ag_news/test.csv",
                (_AG_NEWS + "test.csv",),
                "sha256:521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699",
                1857427,
                "the repository",
                True,
            ),
        ),
        _read_ag_news,
        "127,600 texts, 4 classes",
        "research, not commercial",
        "Zhang, Zhao, LeCun, Character-level convolutional networks for text classification, 2015",
    ),
    "20newsgroups": Entry(
        (
            Source(
                "20newsgroups/20news-bydate.tar.gz",
                (
                    "https://ndownloader.figshare.com/files/5975967",
                    "https://people.csail.mit.edu/jrennie/20Newsgroups/20news-bydate.tar.gz",
                ),
                "sha256:8f1b2514ca22a5ade8fbb9cfa5727df95fa587f4c87b786e15c759fa66d95610",
                None,
                "scikit-learn",
            ),
        ),
        _read_newsgroups,
        "18,846 texts, 20 classes (fewer once headers, signatures and quotations are removed)",
        "none stated",
        "Lang, NewsWeeder: learning to filter netnews, 1995",
    ),
}


# Fetching


def data_folder() -> Path:
    """Where fetched data is kept: UNLABELED_DATA, or the user's cache folder."""
    import pooch

    chosen = os.environ.get("UNLABELED_DATA")
    return Path(chosen).expanduser() if chosen else Path(pooch.os_cache("unlabeled"))


def intact(source: Source, path: Path) -> bool:
    """Whether the file at `path` is the one that `source` names."""
    kind, _, digest = source.checksum.partition(":")
    found = hashlib.new(kind)
    with open(path, "rb") as file:
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest() == digest


def fetch(source: Source) -> Path:
    """Return the kept file of `source`, downloading it from the first address that gives it whole.

    The file is verified whether it is fresh or was kept; it takes its place in one step, so that
    processes that fetch at the same time, or are killed, leave no half of it.

    Raises
    ------
    InputError : if no address gives the expected file, or the data folder cannot hold it
    """
    import pooch
    import requests

    # Its messages would put this machine's paths into the notebook.
    pooch.get_logger().setLevel("ERROR")
    path = data_folder() / source.file
    reasons = []
    try:
        if path.is_file() and intact(source, path):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        for address in source.addresses:
            downloader = pooch.HTTPDownloader(progressbar=_bar(source), timeout=TIMEOUT)
            try:
                fresh = Path(
                    pooch.retrieve(
                        address,
                        source.checksum,
                        fname=f"{path.name}.{os.getpid()}",
                        path=path.parent,
                        downloader=downloader,
                    )
                )
                fresh.chmod(0o644)  # a folder may be shared by a class
                if path.exists() and not intact(source, path):  # perhaps somebody's own
                    os.replace(path, f"{path}.not-verified")
                os.replace(fresh, path)
                return path
            except (requests.RequestException, ValueError) as error:  # the next mirror may do
                reasons.append(f"{address} ({_why(error)})")
    except OSError as error:
        why = "it may not be written" if isinstance(error, PermissionError) else error.strerror
        raise InputError(
            f"Could not keep {path.name} in the data folder {str(path.parent)!r} ({why}): make "
            "room there, or set UNLABELED_DATA to another folder."
        ) from None
    raise InputError(
        f"Could not fetch {path.name}: tried {', '.join(reasons)}; check the network, or put the "
        f"verified file into {path.parent}."
    )


def _why(error):
    """Why an address gave no file, in a few words."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answers {error.response.status_code}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer for {TIMEOUT} s"
    if isinstance(error, requests.TooManyRedirects):
        return "redirects without end"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.RequestException):
        return type(error).__name__
    return "another file than expected"


def _bar(source):
    """A plain progress bar where somebody may be watching: in a terminal or a notebook."""
    ipython = sys.modules.get("IPython")
    watched = sys.stderr is not None and sys.stderr.isatty()
    if not watched and not (ipython and ipython.get_ipython()):
        return False
    try:
        from tqdm import tqdm
    except ImportError:
        return False
    name = Path(source.file).name
    return tqdm(
        total=source.size or 1, desc=name, unit="B", unit_scale=True, leave=False, ascii=True
    )


def arrays_path(name: str) -> Path:
    """Where the arrays of a data set are kept; another checksum in the registry is another file."""
    key = hashlib.sha256(" ".join(source.checksum for source in REGISTRY[name].files).encode())
    return data_folder() / name / f"arrays-{key.hexdigest()[:12]}.npz"


def arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of a set of the registry, made from the verified files and kept for the next time.

    Kept arrays carry a checksum of their own (that of the zip format); damaged ones are made anew.

    Raises
    ------
    InputError : if the files cannot be had
    """
    path = arrays_path(name)
    if (kept := read_kept(path)) is not None:
        return kept
    made = REGISTRY[name].read(*map(fetch, REGISTRY[name].files))
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        with open(handle, "wb") as file:
            np.savez(file, **made)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError:  # a folder that is full or may only be read: do without
        if temporary:
            Path(temporary).unlink(missing_ok=True)
    return made


def read_kept(path: Path) -> dict[str, np.ndarray] | None:
    """The kept arrays, or None if there are none or they are damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception:  # NumPy and zipfile raise many kinds
        return None
