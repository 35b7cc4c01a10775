"""The registry: fetched once, verified, kept; a sentence for all that network or disk may do."""

import gzip
import hashlib
import io
import multiprocessing
import os
import pickle
import struct
import sys
import tarfile
import tempfile
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests  # noqa: F401  (before a test gives up its rights to read it)
from sentences import refused

from unlabeled import data, registry
from unlabeled.arrays import ARRAYS
from unlabeled.data import load, table, texts
from unlabeled.registry import REGISTRY, Source, fetch

RIGHT = bytes(range(256)) * 400


class Server:
    """A web server on this machine alone, behaves as told and remembers what it was asked for.

    `files` maps a path to bytes to serve, a status to answer, or a function of the handler.
    """

    def __init__(self):
        self.files, self.asked, self.patience = {}, [], threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                what = outer.files.get(self.path, 404)
                if callable(what):
                    what(self)
                    return
                self.head(
                    what if isinstance(what, int) else 200,
                    len(what) if isinstance(what, bytes) else 0,
                )
                self.wfile.write(what if isinstance(what, bytes) else b"")

            def head(self, status, length, **headers):
                self.send_response(status)
                for name, value in ({"Content-Length": str(length)} | headers).items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def address(self, path):
        return f"http://127.0.0.1:{self.http.server_address[1]}{path}"

    def source(self, *paths, content=RIGHT, file="set/file.bin"):
        return Source(
            file, tuple(map(self.address, paths)), "sha256:" + hashlib.sha256(content).hexdigest()
        )

    def truncate(self, handler):
        handler.head(200, len(RIGHT))
        handler.wfile.write(RIGHT[:5000])
        handler.wfile.flush()
        handler.connection.close()

    def stall(self, handler):
        handler.head(200, len(RIGHT))
        handler.wfile.write(RIGHT[:5000])
        handler.wfile.flush()
        self.patience.wait(20)

    def silent(self, handler):
        self.patience.wait(20)

    def redirect(self, to):
        return lambda handler: handler.head(302, 0, Location=to)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.patience.set()
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty data folder in place of the user's."""
    monkeypatch.setenv("UNLABELED_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "data"


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# What is registered


def test_the_registry_is_complete_and_claims_no_check_that_was_not_made():
    for name, entry in REGISTRY.items():
        assert entry.licence and entry.citation and entry.holds, name
        for source in entry.files:
            kind, digest = source.checksum.split(":")
            assert len(digest) == hashlib.new(kind).digest_size * 2 and int(digest, 16) >= 0
            assert source.addresses and source.file.startswith(f"{name}/") and source.origin
            assert source.addresses[0].startswith("https://")
            assert not source.confirmed or kind == "sha256"
    confirmed = [
        source.file for entry in REGISTRY.values() for source in entry.files if source.confirmed
    ]
    assert confirmed == [
        "fashion_mnist/train-labels-idx1-ubyte.gz",
        "fashion_mnist/t10k-labels-idx1-ubyte.gz",
        "ag_news/test.csv",
    ], "name a file here once its checksum was compared with the canonical file"
    files = [source.file for entry in REGISTRY.values() for source in entry.files]
    assert len(set(files)) == len(files), "no set overwrites another's file"


def test_scikit_learn_knows_the_same_newsgroups():
    from sklearn.datasets import _twenty_newsgroups

    (source,) = REGISTRY["20newsgroups"].files
    assert source.checksum == "sha256:" + _twenty_newsgroups.ARCHIVE.checksum
    assert source.addresses[0] == _twenty_newsgroups.ARCHIVE.url


# Fetching


def test_a_file_is_fetched_once_verified_and_kept(server, cache, capfd):
    server.files = {"/a": RIGHT}
    for _ in range(2):
        path = fetch(server.source("/a"))
        assert path == cache / "set/file.bin" and path.read_bytes() == RIGHT
    assert server.asked == ["/a"] and left(cache) == ["set/file.bin"]
    assert capfd.readouterr() == (
        "",
        "",
    ), "nothing is printed: a notebook would show this machine's paths"


def test_without_the_variable_the_users_cache_is_used(server, tmp_path, cache, monkeypatch):
    monkeypatch.delenv("UNLABELED_DATA")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    server.files = {"/a": RIGHT}
    assert fetch(server.source("/a")) == tmp_path / "cache/unlabeled/set/file.bin"


def test_the_variable_may_start_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UNLABELED_DATA", "~/my data")
    assert data.data_folder() == tmp_path / "my data"


BROKEN = {
    "tampered": (lambda server: RIGHT[:-1] + b"!", "another file than expected"),
    "cut short": (lambda server: server.truncate, "broke off"),
    "a page in its place": (lambda server: b"<html>Please log in", "another file than expected"),
    "empty": (lambda server: b"", "another file than expected"),
    "404": (lambda server: 404, "answers 404"),
    "500": (lambda server: 500, "answers 500"),
    "stalls": (lambda server: server.stall, "no answer for 0.5 s"),
    "silent": (lambda server: server.silent, "no answer for 0.5 s"),
    "redirects without end": (lambda server: server.redirect("/a"), "redirects without end"),
    "redirects to nowhere": (lambda server: server.redirect("/gone"), "answers 404"),
    "redirects to nobody": (
        lambda server: server.redirect("http://127.0.0.1:9/a"),
        "no connection",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_a_server_may_do_is_one_sentence_and_leaves_nothing(server, cache, monkeypatch, kind):
    monkeypatch.setattr(registry, "TIMEOUT", 0.5)
    behave, why = BROKEN[kind]
    server.files = {"/a": behave(server)}
    with refused(
        "Could not fetch file.bin",
        f"/a ({why})",
        "check the network, or put the verified file into",
        str(cache / "set"),
    ):
        fetch(server.source("/a"))
    assert left(cache) == []


@pytest.mark.parametrize("kind", BROKEN)
def test_the_next_mirror_helps(server, cache, monkeypatch, kind):
    monkeypatch.setattr(registry, "TIMEOUT", 0.5)
    server.files = {"/a": BROKEN[kind][0](server), "/b": RIGHT, "/c": RIGHT}
    assert fetch(server.source("/a", "/b", "/c")).read_bytes() == RIGHT
    assert server.asked[-1] == "/b" and left(cache) == ["set/file.bin"]


def test_a_redirect_is_followed(server, cache):
    server.files = {"/a": server.redirect("/b"), "/b": RIGHT}
    assert fetch(server.source("/a")).read_bytes() == RIGHT


def test_when_no_mirror_helps_one_sentence_names_each(server, cache):
    server.files = {"/b": b"wrong"}
    with refused(
        server.address("/a")
        + " (answers 404), "
        + server.address("/b")
        + " (another file than expected)"
    ):
        fetch(server.source("/a", "/b"))
    assert server.asked == ["/a", "/b"]


def test_without_a_network_one_sentence_says_so(server, cache):
    source = server.source("/a")
    server.http.shutdown()
    server.http.server_close()
    with refused("(no connection); check the network"):
        fetch(source)


def test_a_kept_file_that_was_corrupted_is_never_used(server, cache):
    (cache / "set").mkdir(parents=True)
    (cache / "set/file.bin").write_bytes(b"corrupt")
    with refused("Could not fetch file.bin"):
        fetch(server.source("/a"))
    server.files = {"/a": RIGHT}
    assert fetch(server.source("/a")).read_bytes() == RIGHT, "as soon as the network is back"
    assert (cache / "set/file.bin.not-verified").read_bytes() == b"corrupt", "perhaps somebody's"


def test_a_verified_file_put_in_by_hand_needs_no_network(server, cache):
    (cache / "set").mkdir(parents=True)
    (cache / "set/file.bin").write_bytes(RIGHT)
    assert fetch(server.source("/a")).read_bytes() == RIGHT and server.asked == []


def _fetch_in_child(source, results):
    try:
        results.put(hashlib.sha256(fetch(source).read_bytes()).hexdigest())
    except BaseException as error:  # told to the parent
        results.put(repr(error))


def test_processes_that_fetch_at_once_all_get_the_whole_file(server, cache):
    def slowly(handler):
        handler.head(200, len(RIGHT))
        for start in range(0, len(RIGHT), 20_000):
            handler.wfile.write(RIGHT[start : start + 20_000])
            time.sleep(0.02)

    server.files = {"/a": slowly}
    source, context = server.source("/a"), multiprocessing.get_context("fork")
    results = context.Queue()
    children = [context.Process(target=_fetch_in_child, args=(source, results)) for _ in range(4)]
    for child in children:
        child.start()
    found = {results.get(timeout=60) for _ in children}
    for child in children:
        child.join()
    assert found == {hashlib.sha256(RIGHT).hexdigest()} and left(cache) == ["set/file.bin"]


def test_a_process_killed_while_it_fetches_leaves_no_half_file(server, cache):
    server.files = {"/a": server.stall}
    source, context = server.source("/a"), multiprocessing.get_context("fork")
    child = context.Process(target=_fetch_in_child, args=(source, context.Queue()))
    child.start()
    while not left(cache) and child.is_alive():
        time.sleep(0.01)
    child.kill()
    child.join()
    assert not (cache / "set/file.bin").exists()
    server.files = {"/a": RIGHT}
    assert fetch(source).read_bytes() == RIGHT


# The folder


@pytest.fixture
def nobody():
    """Without the rights of root, to whom no folder is read-only."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared(cache, monkeypatch):
    """A data folder that everybody can reach, as those of pytest cannot be."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setenv("UNLABELED_DATA", folder)
        yield Path(folder)
        for path in Path(folder).iterdir():
            path.chmod(0o755)


def test_a_folder_that_may_only_be_read_is_one_sentence(server, shared, request):
    (shared / "set").mkdir(0o555)
    server.files = {"/a": RIGHT}
    request.getfixturevalue("nobody")
    with refused(
        "Could not keep file.bin in the data folder",
        "it may not be written",
        "set UNLABELED_DATA to another folder",
    ):
        fetch(server.source("/a"))


def test_from_a_folder_that_may_only_be_read_kept_data_is_used(
    server, shared, request, monkeypatch
):
    train, test = np.arange(3 * 784).reshape(3, 28, 28) % 256, np.zeros((2, 28, 28), int)
    contents = dict(zip(MNIST, map(idx, (train, np.arange(3), test, np.arange(2)))))
    register(server, monkeypatch, "mnist", contents)
    for source in REGISTRY["mnist"].files:
        fetch(source)
    server.files = {}
    (shared / "mnist").chmod(0o555)
    request.getfixturevalue("nobody")
    assert len(load("mnist").train_images) == 3
    assert len(left(shared)) == 4, "the arrays could not be kept, and that is no reason to stop"


def test_something_else_in_the_folders_place_is_one_sentence(server, cache):
    cache.write_text("not a folder")
    with refused("Could not keep file.bin in the data folder", "set UNLABELED_DATA"):
        fetch(server.source("/a"))


def _fetch_into_little_room(source, results):
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # what a full disk does to a file
    _fetch_in_child(source, results)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(server, cache):
    server.files = {"/a": RIGHT}
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_fetch_into_little_room, args=(server.source("/a"), results))
    child.start()
    told = results.get(timeout=60)
    child.join()
    assert (
        told.startswith("InputError")
        and "Could not keep file.bin in the data folder" in told
        and "make room there" in told
    )
    assert left(cache) == []


def test_a_full_disk_stops_no_run_once_the_files_are_there(server, cache, monkeypatch):
    register(
        server,
        monkeypatch,
        "mnist",
        dict(
            zip(
                MNIST,
                map(
                    idx, (np.zeros((3, 28, 28)), np.arange(3), np.zeros((2, 28, 28)), np.arange(2))
                ),
            )
        ),
    )

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert len(load("mnist").test_labels) == 2 and len(left(cache)) == 4


# The authors' formats, and the arrays made from them


MNIST = [source.file.split("/")[1] for source in REGISTRY["mnist"].files]


def idx(array):
    """The IDX format of MNIST's authors: type and number of axes, the axes' lengths, bytes."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def register(server, monkeypatch, name, files):
    """Let the registry's set `name` consist of `files` (name to content), served by `server`."""
    server.files = {f"/{file}": content for file, content in files.items()}
    sources = tuple(
        server.source(f"/{file}", content=content, file=f"{name}/{file}")
        for file, content in files.items()
    )
    monkeypatch.setitem(REGISTRY, name, replace(REGISTRY[name], files=sources))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_mnist_is_read_from_its_authors_format_and_kept_as_arrays(server, cache, monkeypatch, name):
    rng = np.random.default_rng(0)
    made = (
        rng.integers(0, 256, (12, 28, 28)),
        np.arange(12) % 10,
        rng.integers(0, 256, (10, 28, 28)),
        np.arange(10),
    )
    register(server, monkeypatch, name, dict(zip(MNIST, map(idx, made))))
    fresh = load(name)
    assert len(server.asked) == 4 and fresh.name == name and fresh.classes == 10
    server.files = {}
    kept = load(name)
    assert len(server.asked) == 4, "kept arrays need no network"
    for array, found in zip(ARRAYS, made):
        scaled = found.astype(np.float32) / 255 if found.ndim == 3 else found
        for pictures in (fresh, kept):
            assert np.array_equal(getattr(pictures, array), scaled)
            assert getattr(pictures, array).dtype == (np.float32 if found.ndim == 3 else np.int64)
            assert getattr(pictures, array).flags.writeable


def test_damaged_arrays_are_made_anew_from_verified_files(server, cache, monkeypatch):
    rng = np.random.default_rng(0)
    made = (
        rng.integers(0, 256, (12, 28, 28)),
        np.arange(12) % 10,
        rng.integers(0, 256, (10, 28, 28)),
        np.arange(10),
    )
    register(server, monkeypatch, "mnist", dict(zip(MNIST, map(idx, made))))
    good = load("mnist")
    path = registry.arrays_path("mnist")
    whole = path.read_bytes()
    for damaged in (whole[:-50], b"", whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:]):
        path.write_bytes(damaged)
        assert np.array_equal(load("mnist").train_images, good.train_images)
        assert registry.read_kept(path) is not None, "and put in their place"
    path.unlink()
    (cache / "mnist" / MNIST[3]).write_bytes(b"corrupt")
    server.files = {}
    with refused("Could not fetch t10k-labels-idx1-ubyte.gz"):
        load("mnist")


def test_another_checksum_makes_other_arrays(server, cache, monkeypatch):
    for n in (3, 4):
        register(
            server,
            monkeypatch,
            "mnist",
            dict(
                zip(
                    MNIST,
                    map(
                        idx,
                        (np.zeros((n, 28, 28)), np.arange(n), np.ones((2, 28, 28)), np.arange(2)),
                    ),
                )
            ),
        )
        assert len(load("mnist").train_labels) == n


class Python2(pickle._Pickler):
    """Pickles as Python 2 wrote CIFAR-10: text as bytes, NumPy by its old names."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_text(self, text):
        raw = text if isinstance(text, bytes) else text.encode("latin1")
        self.write(
            b"U" + bytes([len(raw)]) + raw
            if len(raw) < 256
            else b"T" + struct.pack("<i", len(raw)) + raw
        )
        self.memoize(text)

    dispatch[bytes] = dispatch[str] = save_text

    def reducer_override(self, value):
        return (
            (np.dtype, ("u1", 0, 1), value.__reduce__()[2])
            if isinstance(value, np.dtype)
            else NotImplemented
        )


def cifar_batch(pictures, labels):
    """Rows of 3072 bytes: all reds row by row, then all greens, then all blues."""
    rows = np.stack(
        [picture[..., colour].ravel() for picture in pictures for colour in range(3)]
    ).reshape(len(pictures), 3072)
    file = io.BytesIO()
    content = {
        "batch_label": "a batch",
        "labels": labels.tolist(),
        "data": rows.astype(np.uint8),
        "filenames": ["a.png"] * len(labels),
    }
    Python2(file, 2).dump(content)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def archived(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.filterwarnings("error")
def test_cifar10_is_read_from_its_authors_format(server, cache, monkeypatch):
    rng = np.random.default_rng(0)
    pictures, labels = rng.integers(0, 256, (18, 32, 32, 3)), np.arange(18) % 10
    batches = [(f"data_batch_{k + 1}", slice(3 * k, 3 * k + 3)) for k in (1, 0, 4, 3, 2)] + [
        ("test_batch", slice(15, 18))
    ]
    files = {name: cifar_batch(pictures[part], labels[part]) for name, part in batches}
    files = {"batches.meta": b"not read", "readme.html": b"<p>"} | files
    archive = archived({f"cifar-10-batches-py/{name}": content for name, content in files.items()})
    register(server, monkeypatch, "cifar10", {"cifar-10-python.tar.gz": archive})
    expected = pictures.astype(np.float32) / 255
    for _ in range(2):
        cifar = load("cifar10")
        assert np.array_equal(cifar.train_images, expected[:15]) and np.array_equal(
            cifar.test_images, expected[15:]
        )
        assert np.array_equal(cifar.train_labels, labels[:15]) and np.array_equal(
            cifar.test_labels, labels[15:]
        )
        assert cifar.train_images.dtype == np.float32 and cifar.train_labels.dtype == np.int64
        assert cifar.train_images.flags.c_contiguous and cifar.name == "cifar10"
    assert len(server.asked) == 1


def test_optdigits_are_read_from_their_authors_format(server, cache, monkeypatch):
    rng = np.random.default_rng(0)
    rows = np.hstack([rng.integers(0, 17, (25, 64)), rng.permutation(25)[:, None] % 10])
    lines = [",".join(map(str, row)) + "\n" for row in rows]
    files = {"optdigits.tra": "".join(lines[:15]), "optdigits.tes": "".join(lines[15:])}
    files = {name: text.encode() for name, text in files.items()}
    register(server, monkeypatch, "optdigits", files)
    for _ in range(2):
        digits = table("optdigits")
        assert np.array_equal(digits.features, rows[:, :64]) and digits.features.dtype == np.float64
        assert np.array_equal(digits.labels, rows[:, 64]) and digits.labels.dtype == np.int64
        assert (
            digits.columns == table("digits").columns and digits.classes == table("digits").classes
        )
    assert len(server.asked) == 2


def test_ag_news_is_read_from_its_authors_format(server, cache, monkeypatch):
    train = b'"3","Money, ""hard"" to get","A long\\text"\n"1","Caf\xc3\xa9","Talks"\n'
    test = b'"4","Chips","Fast"\n"2","Match","Won"\n'
    register(server, monkeypatch, "ag_news", {"train.csv": train, "test.csv": test})
    for _ in range(2):
        news = texts("ag_news")
        assert news.texts == (
            'Money, "hard" to get A long text',
            "Café Talks",
            "Chips Fast",
            "Match Won",
        )
        assert news.classes == ("World", "Sports", "Business", "Sci/Tech")
        assert news.labels.tolist() == [2, 0, 3, 1] and news.test.tolist() == [
            False,
            False,
            True,
            True,
        ]
    assert "test part: 2 of them" in news.report() and server.asked == ["/train.csv", "/test.csv"]


def test_20_newsgroups_are_read_without_what_names_the_group(server, cache, monkeypatch):
    def post(text):
        return f"From: a@b\nSubject: c\n\n{text}\n".encode("latin1")

    files = {
        "20news-bydate-train/sci.space/2": post("Orbits.\n\nJohn writes:\n> quoted"),
        "20news-bydate-train/alt.atheism/1": post("Caf\xe9 talk."),
        "20news-bydate-test/sci.space/3": post("Moons."),
        "20news-bydate-test/sci.space/4": post("> all quoted"),
    }
    register(server, monkeypatch, "20newsgroups", {"20news-bydate.tar.gz": archived(files)})
    for _ in range(2):
        news = texts("20newsgroups")
        assert dict(zip(news.texts, (news.classes[c] for c in news.labels))) == {
            "Orbits.": "sci.space",
            "Café talk.": "alt.atheism",
            "Moons.": "sci.space",
        }
        assert [news.texts[i] for i in np.flatnonzero(news.test)] == ["Moons."]


def test_an_unknown_name_is_refused_with_the_known_texts():
    with refused("use 'ag_news', '20newsgroups' or a path to a .csv file"):
        texts("mnist")


# The bar and the command line


def test_a_bar_shows_where_somebody_watches(server, cache, monkeypatch, capfd):
    pytest.importorskip("tqdm", reason="the bar is an extra: the wheel does without tqdm")
    server.files = {"/a": RIGHT}
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fetch(replace(server.source("/a"), size=len(RIGHT)))
    shown = capfd.readouterr().err
    assert "file.bin" in shown and "100%" in shown or "102k" in shown
    assert str(cache) not in shown


def test_the_command_line_lists_fetches_and_verifies(server, cache, monkeypatch, capsys):
    made = np.zeros((3, 28, 28)), np.arange(3), np.ones((2, 28, 28)), np.arange(2)
    register(server, monkeypatch, "mnist", dict(zip(MNIST, map(idx, made))))
    assert data.main([]) == 0
    out = capsys.readouterr().out
    for name in ("digits", "wine", "breast_cancer", "iris", *REGISTRY):
        assert f"\n{name}: " in out
    for entry in REGISTRY.values():
        assert entry.licence in out and entry.citation in out
        assert all(
            source.checksum in out and all(a in out for a in source.addresses)
            for source in entry.files
        )
    assert data.main(["verify", "mnist"]) == 0 and capsys.readouterr().out == "mnist: not fetched\n"
    assert (
        data.main(["fetch", "mnist"]) == 0
        and capsys.readouterr().out == "mnist: fetched and verified\n"
    )
    assert data.main(["verify", "mnist"]) == 0 and capsys.readouterr().out == "mnist: verified\n"
    (cache / "mnist" / MNIST[0]).write_bytes(b"corrupt")
    assert data.main(["verify", "mnist"]) == 1
    assert capsys.readouterr().out == f"mnist: damaged: {MNIST[0]} (fetch it again)\n"
    registry.arrays_path("mnist").unlink()
    assert data.main(["fetch", "mnist"]) == 0 and data.main(["verify", "mnist"]) == 0, (
        "fetched again"
    )
    with pytest.raises(SystemExit) as stopped:
        data.main(["fetch", "mnits"])
    assert stopped.value.code == 2 and "unknown data set 'mnits'" in capsys.readouterr().err


def test_the_command_line_tells_what_could_not_be_fetched(server, cache, monkeypatch, capsys):
    register(server, monkeypatch, "cifar10", {"cifar-10-python.tar.gz": b"x"})
    server.files = {}
    assert data.main(["fetch", "cifar10", "digits"]) == 1
    assert "cifar10: Could not fetch cifar-10-python.tar.gz" in capsys.readouterr().err
