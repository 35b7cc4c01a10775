"""Data by name: what scikit-learn embeds, what is fetched once from its canonical address and verified, or the reader's own file."""

from __future__ import annotations

import gzip
import pickle
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unlabeled.runtime import InputError

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


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


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures, split for training and testing.

    Attributes
    ----------
    name : str
    train_images, test_images : float32 arrays of shape (n, height, width) or (n, height, width, channels), values in [0, 1]
    train_labels, test_labels : int64 arrays of shape (n,), classes numbered from 0
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1

    def resplit(self, rng: np.random.Generator) -> Pictures:
        """Pool both parts and split them anew at random, with the same sizes."""
        images = np.concatenate([self.train_images, self.test_images])
        labels = np.concatenate([self.train_labels, self.test_labels])
        order = rng.permutation(len(labels))
        train, test = order[: len(self.train_labels)], order[len(self.train_labels) :]
        return replace(self, train_images=images[train], train_labels=labels[train], test_images=images[test], test_labels=labels[test])


def load(name: str) -> Pictures:
    """Load pictures by name ("digits", "mnist", "cifar10") or from the reader's own ``.npz`` file.

    "digits" comes with scikit-learn (1797 pictures of 8 x 8, split 1400 / 397); the others are fetched once, verified and
    cached. An ``.npz`` must hold train_images, train_labels, test_images and test_labels: pictures as whole numbers from 0 to
    255 or as fractions in [0, 1], labels as whole numbers from 0.

    Raises
    ------
    InputError : with one sentence that says what is wrong with the name or the file
    """
    if name == "digits":
        return _digits()
    if name in REGISTRY:
        return {"mnist": _mnist, "cifar10": _cifar10}[name]()
    if name.lower().endswith(".npz"):
        return _own_pictures(Path(name))
    raise InputError(f"There is no dataset called {name!r}: use 'digits', {', '.join(map(repr, REGISTRY))} or a path to an .npz file.")


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


def _own_pictures(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ARRAYS if name not in file.files]
            arrays = {name: file[name] for name in ARRAYS if name in file.files}
    except FileNotFoundError:
        raise InputError(f"There is no dataset file {str(path)!r}: check the path.") from None
    except Exception:
        raise InputError(f"The dataset file {str(path)!r} cannot be read as .npz: write it with numpy.savez, without Python objects.") from None
    if missing:
        raise InputError(f"The dataset file {str(path)!r} lacks {' and '.join(missing)}: an .npz must hold {', '.join(ARRAYS)}.")
    for part in ("train", "test"):
        arrays[f"{part}_images"] = _checked_images(path, f"{part}_images", arrays[f"{part}_images"])
        arrays[f"{part}_labels"] = _checked_labels(path, f"{part}_labels", arrays[f"{part}_labels"], len(arrays[f"{part}_images"]))
    if arrays["train_images"].shape[1:] != arrays["test_images"].shape[1:]:
        raise InputError(
            f"In {str(path)!r} the training pictures have shape {arrays['train_images'].shape[1:]} and the test pictures "
            f"{arrays['test_images'].shape[1:]}: make them alike."
        )
    if arrays["train_labels"].max() + 1 != len(np.unique(arrays["train_labels"])):
        raise InputError(f"In {str(path)!r} the training labels skip a class: number the classes 0, 1, 2, … without gaps.")
    if arrays["test_labels"].max() > arrays["train_labels"].max():
        raise InputError(f"In {str(path)!r} the test labels hold a class that the training labels lack: give both the same classes.")
    return Pictures(path.stem, *(arrays[name] for name in ARRAYS))


def _checked_images(path, name, images):
    if images.ndim not in (3, 4) or not images.size or images.dtype.kind not in "uif":
        raise InputError(f"In {str(path)!r} {name} has shape {images.shape} and type {images.dtype}: pictures are numbers of shape (n, height, width[, channels]).")
    if not np.isfinite(images).all():
        raise InputError(f"In {str(path)!r} {name} holds NaN or infinity: remove those pictures.")
    integer = images.dtype.kind in "ui"
    with np.errstate(over="ignore"):  # what overflows is out of range, and refused below
        images = images.astype(np.float32) / (255 if integer else 1)
    if images.min() < 0 or images.max() > 1:
        raise InputError(f"In {str(path)!r} {name} has values outside {'0 to 255' if integer else '[0, 1]'}: rescale the pictures.")
    return images


def _checked_labels(path, name, labels, n):
    if labels.shape != (n,) or labels.dtype.kind not in "ui" or labels.min() < 0:
        raise InputError(f"In {str(path)!r} {name} has shape {labels.shape} and type {labels.dtype}: labels are {n} whole numbers from 0, one per picture.")
    return labels.astype(np.int64)


