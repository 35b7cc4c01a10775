"""The reader's own pictures, films and windows: the report, and the faults that would be silent."""

import numpy as np
import pytest
from conftest import DATA
from sentences import refused

from unlabeled import data
from unlabeled.data import films, load, windows


def pictures(n=40, m=20, shape=(16, 16), top=255, seed=0):
    rng = np.random.default_rng(seed)
    return dict(
        train_images=rng.integers(0, top + 1, (n, *shape)).astype(np.uint8),
        train_labels=np.arange(n) % 4,
        test_images=rng.integers(0, top + 1, (m, *shape)).astype(np.uint8),
        test_labels=np.arange(m) % 4,
    )


@pytest.fixture
def own(tmp_path):
    """Write arrays to an .npz; returns its path."""

    def save(**arrays):
        np.savez(tmp_path / "my.npz", **arrays)
        return str(tmp_path / "my.npz")

    return save


@pytest.fixture(autouse=True)
def nothing_shown(monkeypatch):
    """As in a fresh process, in which no report was printed yet."""
    monkeypatch.setattr(data, "_last_shown", None)


# Pictures


def test_the_report_says_what_is_there(own, capsys):
    assert (
        load(own(**pictures())).report() == "Data 'my': pictures of 16 x 16 pixels, grey\n"
        "  training: 40 pictures, 4 classes (0: 10, 1: 10, 2: 10, 3: 10)\n"
        "  test: 20 pictures, 4 classes (0: 5, 1: 5, 2: 5, 3: 5)\n"
        "  values: whole numbers, 0 to 255, divided by 255"
    )
    assert capsys.readouterr().out == load(own(**pictures())).report() + "\n"


def test_a_report_is_printed_once_though_each_seed_loads_again(own, capsys):
    path = own(**pictures(seed=9))
    for _ in range(3):
        load(path)
    assert capsys.readouterr().out.count("Data 'my'") == 1
    load(own(**pictures(m=24)))
    assert capsys.readouterr().out.count("24 pictures") == 1, "another file is another report"
    load("digits")
    assert capsys.readouterr().out == "", "only the reader's own file is reported"


def test_a_report_is_printed_again_when_the_cell_runs_again(own, capsys, monkeypatch):
    path = own(**pictures(seed=8))
    for cell in (4, 4, 5):
        monkeypatch.setattr(data, "_cell", lambda cell=cell: cell)
        load(path)
    assert capsys.readouterr().out.count("Data 'my'") == 2


@pytest.mark.parametrize("kind", [np.uint8, bool, np.int64])
def test_zeros_and_ones_are_taken_as_they_are(own, kind):
    arrays = pictures(top=1)
    read = load(
        own(**{name: a.astype(kind) if "images" in name else a for name, a in arrays.items()})
    )
    assert (
        np.array_equal(read.train_images, arrays["train_images"])
        and read.train_images.dtype == np.float32
    )
    assert "values: 0 and 1 alone, taken as they are (black and white)" in read.report()


def test_one_scale_serves_both_parts(own):
    arrays = pictures()
    arrays["test_images"] = arrays["test_images"] // 255  # dark pictures, 0 and 1 of 255
    assert load(own(**arrays)).test_images.max() == np.float32(1) / np.float32(255)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_first_are_turned_round_and_said(own, channels):
    arrays = pictures(shape=(channels, 16, 12))
    read = load(own(**arrays))
    assert (
        read.train_images.shape == (40, 16, 12, channels) and read.train_images.flags.c_contiguous
    )
    assert np.array_equal(
        read.test_images[3, 5, 7], arrays["test_images"][3, :, 5, 7].astype(np.float32) / 255
    )
    assert (
        read.report().count("channels first") == 2 and f"(40, {channels}, 16, 12)" in read.report()
    )


def test_leaks_copies_and_order_are_said(own):
    arrays = pictures()
    arrays["test_images"][:3] = arrays["train_images"][:3]
    arrays["train_images"][5] = arrays["train_images"][6]
    arrays["train_images"][7] = 200
    arrays["train_labels"] = np.sort(arrays["train_labels"])
    report = load(own(**arrays)).report()
    for words in (
        "3 test pictures also in the training part",
        "1 training picture more than once",
        "1 picture of one flat tone",
        "sorted by class",
    ):
        assert words in report


def put(name, value):
    return lambda arrays: arrays.__setitem__(name, value(arrays[name]))


def both(value):
    return lambda arrays: [put(f"{part}_images", value)(arrays) for part in ("train", "test")]


BAD = {
    "five channels": (
        both(lambda x: np.repeat(x[..., None], 5, -1)),
        "5 channels where pictures have 1 (grey) or 3 (colour)",
    ),
    "five channels first": (both(lambda x: np.repeat(x[:, None], 5, 1)), "5 channels"),
    "a transparency": (both(lambda x: np.repeat(x[..., None], 4, -1)), "drop the fourth"),
    "two channels": (both(lambda x: np.repeat(x[..., None], 2, -1)), "2 channels"),
    "rows of pixels": (both(lambda x: x.reshape(len(x), -1)), "perhaps reshape to (n, 16, 16)"),
    "a scale to 16": (both(lambda x: x // 16), "the largest whole number is 15"),
    "a scale to 2": (both(lambda x: x % 3), "the largest whole number is 2"),
    "divided twice": (both(lambda x: x / 255 / 255), "divided by 255 twice"),
    "whole numbers as decimals": (
        both(lambda x: x.astype(np.float32)),
        (
            "outside [0, 1], from 0 to 255: they are whole numbers, so convert them with "
            ".astype(numpy.uint8)"
        ),
    ),
    "standardised": (both(lambda x: (x - 127.0) / 74), "undo the standardisation"),
    "nothing to see": (both(lambda x: x * 0 + 7), "all pixels have the same value"),
    "one class": (
        lambda a: a.update(train_labels=a["train_labels"] * 0, test_labels=a["test_labels"] * 0),
        "one class only",
    ),
    "one class, not 0": (
        lambda a: a.update(train_labels=a["train_labels"] * 0 + 3),
        "one class only",
    ),
    "a column for each class": (
        put("train_labels", lambda y: np.eye(4, dtype=int)[y]),
        "take argmax(axis=1)",
    ),
    "one picture": (
        lambda a: a.update(train_images=a["train_images"][:1], train_labels=a["train_labels"][:1]),
        "one class only",
    ),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("error")
def test_a_silent_fault_is_refused(own, kind):
    spoil, words = BAD[kind]
    arrays = pictures()
    spoil(arrays)
    path = own(**arrays)
    with refused(words, repr(path)):
        load(path)


def test_a_huge_file_is_refused_before_it_is_unpacked(own, monkeypatch):
    path = own(**pictures(), extra=np.zeros(10**6))
    monkeypatch.setattr("unlabeled.arrays.LARGEST", 60 * 256 + 60)
    load(path)
    monkeypatch.setattr("unlabeled.arrays.LARGEST", 60 * 256 + 59)
    with refused("holds 15,420 numbers, more than 15,419"):
        load(path)


def test_real_faces_as_the_readers_own_pictures(own):
    path = DATA / "orl-faces.npz"
    if not path.is_file():
        pytest.skip(
            "UNLABELED_TEST_DATA holds no orl-faces.npz; pictures are tested on made-up ones only."
        )
    with np.load(path) as file:
        images, subjects = file["images"], file["subjects"] - file["subjects"].min()
    read = load(
        own(
            train_images=images,
            train_labels=subjects,
            test_images=images[:40],
            test_labels=subjects[:40],
        )
    )
    assert "112 x 92 pixels, grey" in read.report() and "40 classes of 10 to 10" in read.report()
    assert "40 test pictures also in the training part" in read.report()


# Films


def moving(n=6, frames=5, top=255, seed=1):
    rng = np.random.default_rng(seed)
    shots = rng.integers(0, top + 1, (n, frames, 12, 10, 3)).astype(np.uint8)
    return dict(films=shots, masks=rng.random((n, frames, 12, 10)) < 0.25)


def test_films_come_back_as_they_went_in(own, capsys):
    arrays = moving()
    read = films(own(**arrays))
    assert (
        np.array_equal(read.films, arrays["films"].astype(np.float32) / 255)
        and read.films.dtype == np.float32
    )
    assert np.array_equal(read.masks, arrays["masks"]) and read.masks.dtype == bool
    out = capsys.readouterr().out
    assert "Data 'my': 6 films of 5 frames, 12 x 10 pixels, in colour" in out and "masks: 2" in out
    for masks in (arrays["masks"].astype(np.uint8) * 255, arrays["masks"].astype(float)):
        assert np.array_equal(films(own(films=arrays["films"], masks=masks)).masks, arrays["masks"])


def test_films_are_looked_at(own):
    arrays = moving()
    arrays["films"][2] = arrays["films"][2, :1]
    arrays["masks"][4] = False
    turned = films(own(films=np.moveaxis(arrays["films"], -1, 2), masks=arrays["masks"]))
    assert np.array_equal(turned.films, films(own(**arrays)).films)
    for words in ("channels first", "1 film in which nothing moves", "1 film without a thing"):
        assert words in turned.report()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda a: a.pop("masks"), "lacks masks: an .npz must hold films, masks"),
        (lambda a: a.update(films=a["films"][..., 0]), "repeat grey films"),
        (lambda a: a.update(films=a["films"][..., :1]), "(n, frames, height, width, 3)"),
        (lambda a: a.update(films=np.concatenate([a["films"]] * 2, -1)[..., :4]), "4 channels"),
        (lambda a: a.update(masks=a["masks"][:-1]), "must be numbers of shape"),
        (lambda a: a.update(masks=a["masks"][..., None]), "must be numbers of shape"),
        (lambda a: a.update(masks=a["masks"] * 0), "false everywhere"),
        (lambda a: a.update(masks=a["masks"] | True), "true everywhere"),
        (lambda a: a.update(masks=np.where(a["masks"], np.nan, 0)), "NaN"),
        (lambda a: a.update(films=a["films"] / 255 + 1), "outside [0, 1]"),
        (lambda a: a.update(films=a["films"] * np.nan), "NaN"),
        (lambda a: a.update(films=a["films"] // 20), "largest whole number is 12"),
    ],
)
def test_bad_films_are_refused(own, spoil, words):
    arrays = moving()
    spoil(arrays)
    with refused(words):
        films(own(**arrays))


def test_a_chapter_asks_for_enough_films(own):
    films(own(**moving()), films=6, frames=5)
    for least in (dict(films=7), dict(frames=6)):
        with refused("6 films of 5 frames are too few"):
            films(own(**moving()), **least)
    with refused("use a path to an .npz file"):
        films("cats")


# Windows


def recorded(n=24):
    rng = np.random.default_rng(2)
    return dict(
        windows=rng.normal(size=(n, 3, 20, 6)),
        labels=np.arange(n) % 2,
        users=np.array(["ann", "bo", "cy"])[np.arange(n) % 3],
    )


def test_windows_come_back_as_they_went_in(own, capsys):
    arrays = recorded()
    read = windows(own(**arrays))
    assert np.array_equal(read.windows, arrays["windows"].astype(np.float32)) and read.classes == 2
    assert np.array_equal(read.labels, arrays["labels"]) and np.array_equal(
        read.users, np.arange(24) % 3
    )
    out = capsys.readouterr().out
    assert (
        "24 windows x 3 devices x 20 steps x 6 channels" in out
        and "2 classes (0: 12, 1: 12); 3 users" in out
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda a: a.pop("users"), "lacks users"),
        (lambda a: a.update(windows=a["windows"][:, 0]), "(n, devices, steps, channels)"),
        (lambda a: a.update(windows=a["windows"].swapaxes(2, 3)), "swap the last two"),
        (lambda a: a.update(windows=a["windows"] * np.nan), "NaN"),
        (lambda a: a.update(windows=a["windows"] * 1e60), "far too large"),
        (lambda a: a.update(labels=a["labels"] * 0), "one class only"),
        (lambda a: a.update(labels=a["labels"] * 2), "skip a class"),
        (lambda a: a.update(labels=a["labels"][:-1]), "one per window"),
        (lambda a: a.update(users=a["users"][:-1]), "one per window"),
    ],
)
def test_bad_windows_are_refused(own, spoil, words):
    arrays = recorded()
    spoil(arrays)
    with refused(words):
        windows(own(**arrays))


def test_a_chapter_asks_for_enough_devices_and_users(own):
    path = own(**recorded())
    windows(path, devices=3, users=3)
    with refused("windows are of 3 devices: at least 4 are needed"):
        windows(path, devices=4)
    with refused("windows are of 3 users: at least 4 are needed"):
        windows(path, users=4)
    arrays = recorded()
    arrays["windows"][:, 1] = 5
    assert "device 1 never changes within a window" in windows(own(**arrays)).report()
