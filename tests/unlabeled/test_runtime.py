"""A run's parameters, settings, seeds and threads."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sentences import refused

import unlabeled
from unlabeled.runtime import InputError, Run, check_parameters, seed_all, start

GOOD = dict(profile="quick", seeds=5, first_seed=0, dataset="", control=False)


@pytest.fixture(autouse=True)
def restored():
    """`start` sets threads, environment and determinism for the whole process: put them back."""
    before, threads = dict(os.environ), torch.get_num_threads()
    yield
    os.environ.clear()
    os.environ.update(before)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def test_a_run_holds_what_was_asked_for():
    run = start(
        "tiny",
        **GOOD | dict(first_seed=1000, control=True),
        takes=["digits"],
        default=("digits", "mnist"),
    )
    assert run == Run(
        "tiny", "quick", (1000, 1001, 1002, 1003, 1004), "digits", True, torch.device("cpu")
    )
    assert (
        start(
            "tiny",
            **GOOD | dict(profile="full"),
            takes=["digits", "mnist"],
            default=("digits", "mnist"),
        ).dataset
        == "mnist"
    )
    assert start("tiny", **GOOD).dataset == ""


@pytest.mark.parametrize("profile", ["slow", "Quick", "", None, ["quick"]])
def test_an_unknown_profile_is_refused(profile):
    with refused(f"Unknown profile {profile!r}: use 'quick' or 'full'"):
        start("tiny", **GOOD | dict(profile=profile))


@pytest.mark.parametrize("seeds", [1, 0, -5, True, 5.0, "5", None])
def test_seeds_that_are_no_number_of_two_or_more_are_refused(seeds):
    with refused("at least 2 seeds"):
        start("tiny", **GOOD | dict(seeds=seeds))


@pytest.mark.parametrize("first_seed", [-1, False, True, 0.0, "0", None])
def test_a_first_seed_that_is_no_whole_number_is_refused(first_seed):
    with refused("0 or larger"):
        start("tiny", **GOOD | dict(first_seed=first_seed))


def test_seeds_beyond_what_numpy_takes_are_refused():
    check_parameters("tiny", "quick", 5, 2**32 - 5, "", False)
    for seeds, first_seed in ((5, 2**32 - 4), (2, 10**30), (2**33, 0)):
        with refused("use smaller numbers"):
            start("tiny", **GOOD | dict(seeds=seeds, first_seed=first_seed))


@pytest.mark.parametrize("control", [0, 1, "False", None])
def test_a_control_that_is_neither_true_nor_false_is_refused(control):
    with refused("True or False"):
        start("tiny", **GOOD | dict(control=control))


@pytest.mark.parametrize(
    "dataset, takes, words",
    [
        (5, ["digits"], "in quotes"),
        (None, ["digits"], "in quotes"),
        ("digits", [], "makes its own data, so it takes no dataset"),
        (
            "digts",
            ["digits", "mnist", "npz"],
            "use 'digits', 'mnist' or a path to your own .npz file",
        ),
        ("mnist", ["digits"], "does not take the dataset 'mnist': use 'digits'"),
        ("npz", ["digits", "npz"], "does not take the dataset 'npz'"),
        ("my.npz", ["digits"], "does not take the dataset 'my.npz': use 'digits'"),
        ("my.csv", ["digits", "npz"], "is no .npz file"),
        ("my.txt", ["npz", "csv"], "is no .npz or .csv file"),
        ("nowhere/my.npz", ["digits", "npz"], "no dataset file 'nowhere/my.npz'"),
        ("nowhere/my.csv", ["csv"], "no dataset file 'nowhere/my.csv'"),
    ],
)
def test_a_dataset_that_the_chapter_does_not_take_is_refused_with_what_it_takes(
    dataset, takes, words
):
    with refused(words):
        start("tiny", **GOOD | dict(dataset=dataset), takes=takes)


def test_what_the_chapter_takes_passes(tmp_path):
    for name in ("my.npz", "MY.NPZ", "my.csv"):
        path = tmp_path / name
        path.touch()
        assert start(
            "tiny", **GOOD | dict(dataset=str(path)), takes=["digits", "npz", "csv"]
        ).dataset == str(path)
    assert (
        start("tiny", **GOOD | dict(dataset="digits"), takes=["digits", "npz"]).dataset == "digits"
    )
    with refused("no dataset file"):
        start("tiny", **GOOD | dict(dataset=str(tmp_path / "folder.npz")), takes=["npz"])


def test_a_refusal_changes_nothing():
    before = dict(os.environ), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with pytest.raises(InputError):
        start("tiny", **GOOD | dict(dataset="digits"))
    assert (
        dict(os.environ),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
    ) == before


def test_settings_pick_the_profiles_column():
    pairs = dict(epochs=(3, 300), width=(16, 512), shape=((1, 2), (3, 4)))
    quick, full = (
        start("tiny", **GOOD | dict(profile=profile)).settings(**pairs)
        for profile in ("quick", "full")
    )
    assert vars(quick) == dict(epochs=3, width=16, shape=(1, 2))
    assert vars(full) == dict(epochs=300, width=512, shape=(3, 4))


@pytest.mark.parametrize("pair", [3, [3, 300], (3,), (3, 30, 300), "ab"])
def test_a_setting_that_is_no_pair_is_refused(pair):
    with refused("'epochs' must be a pair"):
        start("tiny", **GOOD).settings(width=(1, 2), epochs=pair)


def draws(seed):
    rng = seed_all(seed)
    return (
        rng.standard_normal(3).tolist(),
        np.random.standard_normal(3).tolist(),
        np.random.randint(0, 10**6),
        torch.randn(3).tolist(),
        torch.randperm(50).tolist(),
        random.gauss(0, 1),
        random.random(),
    )


def test_a_seeds_draws_depend_on_that_seed_alone():
    expected = {seed: draws(seed) for seed in (0, 1, 2**32 - 1)}
    assert len({repr(value) for value in expected.values()}) == 3
    for seed in (1, 2**32 - 1, 0):
        # An odd number of normal draws leaves a second one waiting in the old generators.
        (
            np.random.standard_normal(),
            random.gauss(0, 1),
            torch.randn(7),
            torch.rand(1),
            random.shuffle([1, 2, 3]),
        )
        assert draws(seed) == expected[seed]


def test_a_numpy_number_is_a_seed_too():
    assert draws(np.int64(3)) == draws(3)


def test_the_generator_is_the_seeds_own():
    first, again = seed_all(4), seed_all(4)
    assert first.random() == again.random() == np.random.default_rng(4).random()


def test_an_input_error_is_shown_as_its_sentence():
    error = InputError("Say what to do.")
    assert isinstance(error, ValueError)
    assert error._render_traceback_() == ["InputError: Say what to do."]


def test_quick_runs_on_one_thread_whatever_is_loaded_later():
    code = (
        "import numpy as np, torch\n"
        "from unlabeled.runtime import start\n"
        "start('tiny', profile='quick', seeds=5, first_seed=0, dataset='', control=False)\n"
        "import scipy.linalg\n"
        "from threadpoolctl import threadpool_info\n"
        "print(torch.get_num_threads(), *(pool['num_threads'] for pool in threadpool_info()))\n"
        "print(torch.are_deterministic_algorithms_enabled())\n"
    )
    threads = {
        name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")
    }
    environment = threads | {"PYTHONPATH": str(Path(unlabeled.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    counts, deterministic = done.stdout.splitlines()
    assert set(counts.split()) == {"1"} and len(counts.split()) > 1
    assert deterministic == "True"


def test_each_seed_is_seeded_run_and_stacked():
    run = start("tiny", **GOOD | dict(first_seed=7))

    def one_seed(rng, scale, shift=0.0):
        draws = scale * rng.standard_normal(3) + shift
        return {
            "mean": draws.mean(),
            "draws": draws,
            "inner": {"torch": torch.rand(2), "name": f"n{len(draws)}"},
            "ragged": np.zeros(int(rng.integers(1, 9))),
        }

    results = run.each(one_seed, 2.0, shift=1.0)
    assert (
        results["mean"].shape == (5,)
        and results["draws"].shape == (5, 3)
        and results["inner"]["torch"].shape == (5, 2)
    )
    assert isinstance(results["ragged"], list) and list(results["inner"]["name"]) == ["n3"] * 5
    rng = seed_all(9)
    assert (results["draws"][2] == 2.0 * rng.standard_normal(3) + 1.0).all()
    alone = start("tiny", **GOOD | dict(first_seed=9, seeds=2)).each(one_seed, 2.0, shift=1.0)
    assert (alone["draws"] == results["draws"][2:4]).all() and (
        alone["inner"]["torch"] == results["inner"]["torch"][2:4]
    ).all(), "a seed's draws depend on that seed alone"
    assert [rng.random() for rng in run.rngs()] == [
        np.random.default_rng(seed).random() for seed in run.seeds
    ]


def test_a_run_knows_whose_data_it_is_on(tmp_path):
    path = tmp_path / "mine.npz"
    path.touch()
    assert start("tiny", **GOOD | dict(dataset=str(path)), takes=["npz"]).own
    assert (
        not start("tiny", **GOOD | dict(dataset="digits"), takes=["digits"]).own
        and not start("tiny", **GOOD).own
    )
