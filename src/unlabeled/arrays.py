"""The reader's own .npz files: pictures, films, sensor windows, looked at before they are used."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unlabeled.runtime import InputError
from unlabeled.tables import class_counts, count, lines

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
LARGEST = 2**29  # numbers in one file: 2 GiB once they are float32


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures, split for training and testing.

    Attributes
    ----------
    name : str
    train_images, test_images : float32 arrays of shape (n, height, width) or (n, height, width,
        channels), values in [0, 1]
    train_labels, test_labels : int64 arrays of shape (n,), classes numbered from 0
    notes : tuple of str, what was noticed while reading
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1

    def report(self) -> str:
        """What the pictures are, in a few lines."""
        return lines(
            f"Data {self.name!r}: pictures of {_layout(self.train_images.shape[1:])}",
            *(
                f"{word}: {count(len(labels), 'picture')}, "
                f"{class_counts(labels, range(self.classes))}"
                for word, labels in (("training", self.train_labels), ("test", self.test_labels))
            ),
            *self.notes,
        )

    def resplit(self, rng: np.random.Generator) -> Pictures:
        """Pool both parts and split them anew at random, with the same sizes."""
        images = np.concatenate([self.train_images, self.test_images])
        labels = np.concatenate([self.train_labels, self.test_labels])
        order = rng.permutation(len(labels))
        train, test = order[: len(self.train_labels)], order[len(self.train_labels) :]
        return replace(
            self,
            train_images=images[train],
            train_labels=labels[train],
            test_images=images[test],
            test_labels=labels[test],
        )


@dataclass(frozen=True)
class Films:
    """Films in colour, with the truth about each pixel.

    Attributes
    ----------
    name : str
    films : float32 array of shape (n, frames, height, width, 3), values in [0, 1]
    masks : boolean array of shape (n, frames, height, width), True where the thing is
    notes : tuple of str, what was noticed while reading
    """

    name: str
    films: np.ndarray
    masks: np.ndarray
    notes: tuple[str, ...] = ()

    def report(self) -> str:
        """What the films are, in a few lines."""
        n, frames, *shape = self.films.shape
        return lines(
            f"Data {self.name!r}: {count(n, 'film')} of {count(frames, 'frame')}, {_layout(shape)}",
            f"masks: {self.masks.mean():.1%} of the pixels",
            *self.notes,
        )


@dataclass(frozen=True)
class Windows:
    """Windows of sensor signals, recorded by several devices at once.

    Attributes
    ----------
    name : str
    windows : float32 array of shape (n, devices, steps, channels)
    labels : int64 array of shape (n,), classes numbered from 0
    users : int64 array of shape (n,), who wore the devices, numbered from 0
    notes : tuple of str, what was noticed while reading
    """

    name: str
    windows: np.ndarray
    labels: np.ndarray
    users: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1

    def report(self) -> str:
        """What the windows are, in a few lines."""
        n, devices, steps, channels = self.windows.shape
        return lines(
            f"Data {self.name!r}: {count(n, 'window')} x {count(devices, 'device')} x "
            f"{count(steps, 'step')} x {count(channels, 'channel')}",
            f"{class_counts(self.labels, range(self.classes))}; "
            f"{count(int(self.users.max()) + 1, 'user')}",
            f"values: {self.windows.min():.3g} to {self.windows.max():.3g}",
            *self.notes,
        )


def _layout(shape):
    colour = {(): "grey", (1,): "grey, one channel", (3,): "in colour"}[tuple(shape[2:])]
    return f"{shape[0]} x {shape[1]} pixels, {colour}"


# The file


def read_arrays(path: Path, needed: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays called `needed` of an .npz file; what else it holds is not read.

    Raises
    ------
    InputError : with one sentence that says what is wrong with the file
    """
    where = f"The dataset file {str(path)!r}"
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in needed if name not in file.files]
            size = sum(_size(path, name) for name in needed if name not in missing)
            if size > LARGEST:
                raise InputError(
                    f"{where} holds {size:,} numbers, more than {LARGEST:,}: keep fewer or "
                    "smaller ones."
                )
            arrays = {name: file[name] for name in needed if name not in missing}
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"There is no dataset file {str(path)!r}: check the path.") from None
    except MemoryError:
        raise InputError(
            f"{where} does not fit into memory: keep fewer or smaller arrays."
        ) from None
    except Exception:  # NumPy and zipfile raise many kinds
        raise InputError(
            f"{where} cannot be read as .npz: write it with numpy.savez, without Python objects."
        ) from None
    if missing:
        raise InputError(
            f"{where} lacks {' and '.join(missing)}: an .npz must hold {', '.join(needed)}."
        )
    return arrays


def _size(path, name):
    """How many numbers an array has by its header, before any of it is unpacked."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        return math.prod(header[version](member)[0])


# Pictures


def read_pictures(path: Path) -> Pictures:
    """Read the reader's own pictures; see `unlabeled.data.load`."""
    arrays, notes = read_arrays(path, ARRAYS), []
    parts = ("train_images", "test_images")
    for name in parts:
        images = arrays[name]
        if images.ndim not in (3, 4) or not images.size or images.dtype.kind not in "buif":
            side = math.isqrt(images.shape[1]) if images.ndim == 2 else 0
            flat = (
                f" (perhaps reshape to (n, {side}, {side}))"
                if side > 1 and side**2 == images.shape[1]
                else ""
            )
            raise InputError(
                f"In {str(path)!r} {name} has shape {images.shape} and type {images.dtype}: "
                "pictures "
                f"are numbers of shape (n, height, width[, channels]){flat}."
            )
        if images.ndim == 4:
            arrays[name] = _channels_last(path, name, images, 1, notes)
    train, test = (arrays[name].shape[1:] for name in parts)
    if train != test:
        raise InputError(
            f"In {str(path)!r} the training pictures have shape {train} and the test pictures "
            f"{test}: make them alike."
        )
    arrays |= dict(zip(parts, _scaled(path, {name: arrays[name] for name in parts}, notes)))
    for part in ("train", "test"):
        arrays[f"{part}_labels"] = _labels(
            path,
            f"{part}_labels",
            arrays[f"{part}_labels"],
            len(arrays[f"{part}_images"]),
            "picture",
        )
    _check_classes(path, "training labels", arrays["train_labels"])
    if arrays["test_labels"].max() > arrays["train_labels"].max():
        raise InputError(
            f"In {str(path)!r} the test labels hold a class that the training labels lack: give "
            "both the same classes."
        )
    keys = {name: [picture.tobytes() for picture in arrays[name]] for name in parts}
    known = set(keys["train_images"])
    if leaked := sum(key in known for key in keys["test_images"]):
        notes.append(f"note: {count(leaked, 'test picture')} also in the training part")
    if copies := len(keys["train_images"]) - len(known):
        notes.append(f"note: {count(copies, 'training picture')} more than once")
    flat = sum(
        int((np.ptp(arrays[name].reshape(len(arrays[name]), -1), axis=1) == 0).sum())
        for name in parts
    )
    if flat:
        notes.append(f"note: {count(flat, 'picture')} of one flat tone")
    steps = np.diff(arrays["train_labels"])
    if (steps >= 0).all():
        notes.append("note: the training part is sorted by class")
    return Pictures(path.stem, *(arrays[name] for name in ARRAYS), tuple(notes))


def _channels_last(path, name, images, axis, notes):
    """Grey or colour with the channels in the last axis; channels in `axis` are turned round."""
    if images.shape[-1] in (1, 3):
        return images
    if images.shape[axis] in (1, 3):
        note = f"note: {name} had channels first, {images.shape}, and was turned round"
        notes.append(note)
        return np.moveaxis(images, axis, -1)
    last, first = images.shape[-1], images.shape[axis]
    channels = first if first < last else last
    drop = "drop the fourth, the transparency" if channels == 4 else "pick or average channels"
    raise InputError(
        f"In {str(path)!r} {name} has shape {images.shape}, so it seems to have {channels} "
        "channels "
        f"where pictures have 1 (grey) or 3 (colour): {drop}."
    )


def _scaled(path, arrays, notes):
    """The arrays as float32 in [0, 1]: the scale is read off all of them together, and noted."""
    for name, images in arrays.items():
        where = f"In {str(path)!r} {name}"
        if images.dtype.kind == "f":
            if not np.isfinite(images).all():
                raise InputError(f"{where} holds NaN or infinity: remove those pictures.")
            low, high = images.min(), images.max()
            if low < 0 or high > 1:
                whole = low >= 0 and high <= 255 and (images == np.round(images)).all()
                hint = (
                    "they are whole numbers, so convert them with .astype(numpy.uint8)"
                    if whole
                    else "undo the standardisation"
                    if low < 0
                    else "rescale the pictures"
                )
                raise InputError(
                    f"{where} has values outside [0, 1], from {low:.4g} to {high:.4g}: {hint}."
                )
        elif images.dtype.kind != "b" and (images.min() < 0 or images.max() > 255):
            raise InputError(f"{where} has values outside 0 to 255: rescale the pictures.")
    peak = {
        kind: max(
            (images.max() for images in arrays.values() if images.dtype.kind in kind), default=None
        )
        for kind in ("bui", "f")
    }
    where, scale = f"In {str(path)!r}", {"bui": 1, "f": 1}
    lowest = min(float(images.min()) for images in arrays.values())
    if all(images.min() == images.max() for images in arrays.values()):
        raise InputError(
            f"{where} all pixels have the same value: check how the pictures were written."
        )
    if peak["bui"] is not None:
        top = int(peak["bui"])
        if 1 < top < 64:
            raise InputError(
                f"{where} the largest whole number is {top}, so the scale does not seem to be 0 "
                "to 255: "
                "divide by the largest value possible and save the pictures as fractions."
            )
        if top > 1:
            scale["bui"] = 255
            notes.append(f"values: whole numbers, {lowest:.3g} to {top}, divided by 255")
        else:
            notes.append("values: 0 and 1 alone, taken as they are (black and white)")
    if peak["f"] is not None:
        top = float(peak["f"])
        if top <= 1.001 / 255:
            raise InputError(
                f"{where} the largest value is {top:.2g}, as if the pictures had been divided by "
                "255 "
                "twice: multiply them by 255."
            )
        notes.append(f"values: fractions, {lowest:.3g} to {top:.3g}, taken as they are")
    return [
        np.ascontiguousarray(
            images.astype(np.float32) / scale["f" if images.dtype.kind == "f" else "bui"]
        )
        for images in arrays.values()
    ]


def _labels(path, name, labels, n, thing):
    if labels.shape != (n,) or labels.dtype.kind not in "ui" or labels.min() < 0:
        hint = ""
        if labels.ndim == 2 and labels.shape[0] == n and labels.shape[1] > 1:
            hint = " (from one column for each class, take argmax(axis=1))"
        raise InputError(
            f"In {str(path)!r} {name} has shape {labels.shape} and type {labels.dtype}: labels are "
            f"{n} whole numbers from 0, one per {thing}{hint}."
        )
    return labels.astype(np.int64)


def _check_classes(path, what, labels):
    found = np.unique(labels)
    if len(found) == 1:
        raise InputError(f"In {str(path)!r} the {what} hold one class only: at least 2 are needed.")
    if labels.max() + 1 != len(found):
        raise InputError(
            f"In {str(path)!r} the {what} skip a class: number the classes 0, 1, 2, … without gaps."
        )


# Films and windows


def read_films(path: Path, least_films: int, least_frames: int) -> Films:
    """Read the reader's own films; see `unlabeled.data.films`."""
    arrays, notes = read_arrays(path, ("films", "masks")), []
    films, masks = arrays["films"], arrays["masks"]
    shapes = (
        f"In {str(path)!r} films {films.shape} and masks {masks.shape} must be numbers of shape "
        "(n, frames, height, width, 3) and (n, frames, height, width)"
    )
    if films.ndim != 5 or not films.size or {films.dtype.kind, masks.dtype.kind} - set("buif"):
        grey = " (repeat grey films along a last axis of 3)" if films.ndim == 4 else ""
        raise InputError(f"{shapes}{grey}.")
    films = _channels_last(path, "films", films, 2, notes)
    if films.shape[-1] != 3 or masks.shape != films.shape[:4]:
        raise InputError(f"{shapes}.")
    n, frames = films.shape[:2]
    if n < least_films or frames < least_frames:
        raise InputError(
            f"In {str(path)!r} {count(n, 'film')} of {count(frames, 'frame')} are too few: at "
            "least "
            f"{least_films} of {least_frames} are needed."
        )
    if masks.dtype.kind == "f" and not np.isfinite(masks).all():
        raise InputError(
            f"In {str(path)!r} masks hold NaN or infinity: write them as true and false."
        )
    masks = masks > 0
    if masks.all() or not masks.any():
        raise InputError(
            f"In {str(path)!r} masks are {'true' if masks.all() else 'false'} everywhere: they "
            "must be "
            "true where the thing is, false elsewhere."
        )
    (films,) = _scaled(path, {"films": films}, notes)
    still = int(sum((film == film[:1]).all() for film in films))
    if still:
        notes.append(f"note: {count(still, 'film')} in which nothing moves")
    if empty := int((~masks.any(axis=(1, 2, 3))).sum()):
        notes.append(f"note: {count(empty, 'film')} without a thing")
    return Films(path.stem, films, masks, tuple(notes))


def read_windows(path: Path, least_devices: int, least_users: int) -> Windows:
    """Read the reader's own windows; see `unlabeled.data.windows`."""
    arrays, notes = read_arrays(path, ("windows", "labels", "users")), []
    windows = arrays["windows"]
    if windows.ndim != 4 or not windows.size or windows.dtype.kind not in "uif":
        raise InputError(
            f"In {str(path)!r} windows have shape {windows.shape} and type {windows.dtype}: they "
            "are "
            "numbers of shape (n, devices, steps, channels)."
        )
    n, devices, steps, channels = windows.shape
    if channels > steps:
        raise InputError(
            f"In {str(path)!r} windows have {channels} channels and {count(steps, 'step')}: the "
            "axes "
            "must be (n, devices, steps, channels), so swap the last two."
        )
    if not np.isfinite(windows).all() or np.abs(windows).max() > 1e30:
        raise InputError(
            f"In {str(path)!r} windows hold NaN, infinity or far too large numbers: remove those "
            "windows."
        )
    labels = _labels(path, "labels", arrays["labels"], n, "window")
    _check_classes(path, "labels", labels)
    users = arrays["users"]
    if users.shape != (n,) or users.dtype.kind not in "uiU":
        raise InputError(
            f"In {str(path)!r} users have shape {users.shape} and type {users.dtype}: they are {n} "
            "whole numbers or names, one per window."
        )
    users = np.unique(users, return_inverse=True)[1].astype(np.int64)
    for what, found, least in (
        ("device", devices, least_devices),
        ("user", users.max() + 1, least_users),
    ):
        if found < least:
            raise InputError(
                f"In {str(path)!r} windows are of {count(found, what)}: at least {least} are "
                "needed."
            )
    windows = windows.astype(np.float32)
    for d in np.flatnonzero(np.ptp(windows, axis=2).max(axis=(0, 2)) == 0):
        notes.append(f"note: device {d} never changes within a window")
    return Windows(path.stem, windows, labels, users, tuple(notes))
