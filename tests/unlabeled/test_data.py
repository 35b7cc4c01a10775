"""Data by name: digits, and the reader's own pictures."""

import pickle

import numpy as np
import pytest
from conftest import DATA
from sentences import refused

from unlabeled.data import ARRAYS, Pictures, load


def same(ours, theirs):
    return all(np.array_equal(getattr(ours, name), getattr(theirs, name)) for name in ARRAYS)


# Digits


def test_digits_have_the_promised_shapes_types_and_range():
    digits = load("digits")
    assert digits.name == "digits" and digits.classes == 10
    for part, n in (("train", 1400), ("test", 397)):
        images, labels = getattr(digits, f"{part}_images"), getattr(digits, f"{part}_labels")
        assert (
            images.shape == (n, 8, 8)
            and images.dtype == np.float32
            and images.min() == 0
            and images.max() == 1
        )
        assert labels.shape == (n,) and labels.dtype == np.int64
        assert np.bincount(labels).min() > 0.07 * n, (
            "every class is in both parts, none of them rare"
        )


def test_digits_are_the_same_each_time_whatever_the_seed():
    first = load("digits")
    np.random.seed(5)
    assert same(first, load("digits"))


def test_digits_are_scikit_learns_own_and_each_picture_is_in_one_part_only():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    digits = load("digits")
    ours = np.concatenate([digits.train_images, digits.test_images]).reshape(-1, 64)
    pairs = sorted(
        zip(
            map(bytes, (ours * 16).astype(np.uint8)),
            np.concatenate([digits.train_labels, digits.test_labels]),
        )
    )
    assert pairs == sorted(zip(map(bytes, images.astype(np.uint8)), labels))


def test_resplit_keeps_pictures_with_their_labels():
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    images = np.arange(30, dtype=np.float32).reshape(30, 1, 1) / 30
    before = Pictures("x", images[:20], labels[:20], images[20:], labels[20:])
    after = before.resplit(rng)
    assert len(after.train_labels) == 20 and len(after.test_labels) == 10 and after.name == "x"
    pooled = np.concatenate([after.train_images, after.test_images]).ravel() * 30
    assert sorted(pooled.round().astype(int)) == list(range(30))
    assert np.array_equal(
        pooled.round().astype(int) % 3, np.concatenate([after.train_labels, after.test_labels])
    )
    assert not np.array_equal(after.train_labels, before.train_labels)
    assert same(before.resplit(np.random.default_rng(1)), before.resplit(np.random.default_rng(1)))


@pytest.mark.parametrize("name", ["digts", "", "my.csv", "Digits"])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    with refused("use 'digits', 'mnist', 'fashion_mnist', 'cifar10' or a path to an .npz file"):
        load(name)


# The reader's own file


def good(channels=(), integer=True, n=12, m=5):
    rng = np.random.default_rng(3)

    def images(count):
        values = rng.integers(0, 256, (count, 6, 7, *channels))
        return values.astype(np.uint8) if integer else (values / 255).astype(np.float64)

    return dict(
        train_images=images(n),
        train_labels=np.arange(n) % 3,
        test_images=images(m),
        test_labels=np.arange(m) % 3,
    )


@pytest.fixture
def own(tmp_path):
    """Write arrays to an .npz; afterwards the folder must hold that file alone, unchanged."""
    path = tmp_path / "my.npz"
    written = []

    def save(**arrays):
        np.savez(path, **arrays)
        written.append(path.read_bytes())
        return str(path)

    yield save
    assert [found.name for found in tmp_path.iterdir()] == [
        "my.npz"
    ] and path.read_bytes() == written[-1]


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize("integer", [True, False])
def test_the_readers_own_file_comes_back_as_it_went_in(own, channels, integer):
    arrays = good(channels, integer)
    pictures = load(own(**arrays, something_else=np.zeros(3)))
    assert pictures.name == "my" and pictures.classes == 3
    for part in ("train", "test"):
        images, labels = getattr(pictures, f"{part}_images"), getattr(pictures, f"{part}_labels")
        assert images.dtype == np.float32 and labels.dtype == np.int64
        assert np.array_equal(labels, arrays[f"{part}_labels"])
        assert images.shape == arrays[f"{part}_images"].shape
        scale = 255 if integer else 1
        assert np.array_equal(
            images, arrays[f"{part}_images"].astype(np.float32) / np.float32(scale)
        )
        assert np.array_equal(
            (images * 255).round(), (arrays[f"{part}_images"] * (255 // scale)).round()
        )


def test_any_type_of_whole_numbers_will_do(own):
    arrays = good()
    arrays |= dict(
        train_labels=arrays["train_labels"].astype(np.uint8),
        test_images=arrays["test_images"].astype(np.int64),
    )
    assert same(load(own(**arrays)), load(own(**good())))


def test_the_files_ending_may_be_in_capitals_and_a_test_class_may_be_missing(tmp_path):
    arrays = good() | dict(test_labels=np.zeros(5, int))
    with open(tmp_path / "MY.NPZ", "wb") as file:
        np.savez(file, **arrays)
    assert load(str(tmp_path / "MY.NPZ")).classes == 3


def changed(name, value):
    return lambda arrays: arrays.__setitem__(name, value(arrays[name]))


def spoiled(array, value):
    array = array.astype(float) / 255 if np.asarray(value).dtype.kind == "f" else array.astype(int)
    array[1, 2, 3] = value
    return array


BAD = {
    "object arrays": (
        changed("train_labels", lambda y: np.array(list(map(str, y)), dtype=object)),
        "cannot be read as .npz",
    ),
    "an array missing": (lambda arrays: arrays.pop("test_labels"), "lacks test_labels"),
    "two arrays missing": (
        lambda arrays: (arrays.pop("test_labels"), arrays.pop("train_images")),
        "lacks train_images and test_labels",
    ),
    "flat pictures": (
        changed("train_images", lambda x: x.reshape(len(x), -1)),
        "pictures are numbers of shape (n, height, width[, channels])",
    ),
    "one axis too many": (
        changed("train_images", lambda x: x[..., None, None]),
        "pictures are numbers of shape",
    ),
    "a single number": (
        changed("train_images", lambda x: np.float32(0)),
        "pictures are numbers of shape",
    ),
    "pictures as text": (
        changed("test_images", lambda x: x.astype(str)),
        "pictures are numbers of shape",
    ),
    "complex pictures": (
        changed("test_images", lambda x: x.astype(complex)),
        "pictures are numbers of shape",
    ),
    "no pictures": (
        lambda arrays: arrays.update(
            train_images=arrays["train_images"][:0], train_labels=arrays["train_labels"][:0]
        ),
        "pictures are numbers of shape",
    ),
    "no test pictures": (
        lambda arrays: arrays.update(
            test_images=arrays["test_images"][:0], test_labels=arrays["test_labels"][:0]
        ),
        "test_images has shape (0, 6, 7)",
    ),
    "pictures of no height": (
        changed("train_images", lambda x: x[:, :0]),
        "train_images has shape (12, 0, 7)",
    ),
    "sizes that differ": (
        changed("test_images", lambda x: x[:, :5]),
        "the training pictures have shape (6, 7) and the test pictures (5, 7)",
    ),
    "channels that differ": (changed("test_images", lambda x: x[..., None]), "make them alike"),
    "NaN": (changed("train_images", lambda x: spoiled(x, np.nan)), "holds NaN or infinity"),
    "infinity": (changed("test_images", lambda x: spoiled(x, np.inf)), "holds NaN or infinity"),
    "fractions above 1": (changed("train_images", lambda x: spoiled(x, 1.01)), "outside [0, 1]"),
    "fractions below 0": (changed("train_images", lambda x: spoiled(x, -0.01)), "outside [0, 1]"),
    "fractions beyond float32": (
        changed("train_images", lambda x: spoiled(x, 1e300)),
        "outside [0, 1]",
    ),
    "0 to 255 as fractions": (changed("train_images", lambda x: x.astype(float)), "outside [0, 1]"),
    "whole numbers above 255": (
        changed("train_images", lambda x: spoiled(x, 256)),
        "outside 0 to 255",
    ),
    "whole numbers below 0": (
        changed("train_images", lambda x: spoiled(x, -1)),
        "outside 0 to 255",
    ),
    "a label too few": (
        changed("train_labels", lambda y: y[1:]),
        "labels are 12 whole numbers from 0, one per picture",
    ),
    "a label too many": (
        changed("test_labels", lambda y: np.append(y, 0)),
        "labels are 5 whole numbers from 0, one per picture",
    ),
    "labels in a column": (
        changed("test_labels", lambda y: y[:, None]),
        "labels are 5 whole numbers",
    ),
    "float labels": (
        changed("train_labels", lambda y: y.astype(float)),
        "type float64: labels are 12 whole numbers",
    ),
    "labels as text": (
        changed("train_labels", lambda y: y.astype(str)),
        "labels are 12 whole numbers",
    ),
    "labels below 0": (changed("train_labels", lambda y: y - 1), "whole numbers from 0"),
    "labels from 1": (changed("train_labels", lambda y: y + 1), "skip a class"),
    "labels with a gap": (changed("train_labels", lambda y: y * 2), "skip a class"),
    "a huge label": (changed("train_labels", lambda y: np.where(y == 2, 2**50, y)), "skip a class"),
    "a class in the test alone": (
        changed("test_labels", lambda y: y + 1),
        "a class that the training labels lack",
    ),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("error")
def test_a_bad_file_is_refused_in_one_sentence_that_names_it(own, kind):
    spoil, words = BAD[kind]
    arrays = good()
    spoil(arrays)
    path = own(**arrays)
    with refused(words, repr(path)):
        load(path)


def test_what_is_no_npz_is_refused(tmp_path):
    def check(path, words):
        with refused(words, repr(str(path))):
            load(str(path))

    check(tmp_path / "nowhere.npz", "There is no dataset file")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npz").write_text("train_images")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(good()))
    np.savez(tmp_path / "short.npz", **good())
    (tmp_path / "short.npz").write_bytes((tmp_path / "short.npz").read_bytes()[:900])
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, good()["train_images"])
    for name in ("folder", "empty", "text", "pickle", "short", "array"):
        check(tmp_path / f"{name}.npz", "cannot be read as .npz")
    assert len(list(tmp_path.iterdir())) == 6


# Real files


def real(name):
    path = DATA / name
    if not path.is_file():
        pytest.skip(
            f"UNLABELED_TEST_DATA holds no {name}; own files are tested on made-up pictures only."
        )
    return path


@pytest.mark.parametrize(
    "name, train, test, mean",
    [
        ("mnist.npz", (60000, 28, 28), (10000, 28, 28), 0.1307),
        ("cifar10-small.npz", (10000, 32, 32, 3), (2000, 32, 32, 3), 0.4734),
    ],
)
def test_real_pictures_as_the_readers_own_file(name, train, test, mean):
    path = real(name)
    before = path.stat().st_mtime_ns
    pictures = load(str(path))
    assert (
        pictures.train_images.shape == train
        and pictures.test_images.shape == test
        and pictures.classes == 10
    )
    assert (
        pictures.train_images.dtype == np.float32
        and pictures.train_images.min() == 0
        and pictures.train_images.max() == 1
    )
    assert abs(pictures.train_images.mean(dtype=np.float64) - mean) < 0.01, (
        "the mean brightness that is reported of this data everywhere"
    )
    counts = np.bincount(pictures.train_labels, minlength=10)
    assert counts.min() > 0.09 * len(pictures.train_labels) and counts.max() < 0.115 * len(
        pictures.train_labels
    )
    with np.load(path) as file:
        assert np.array_equal(
            (pictures.test_images * 255).round().astype(np.uint8), file["test_images"]
        )
        assert np.array_equal(pictures.test_labels, file["test_labels"])
    assert path.stat().st_mtime_ns == before
