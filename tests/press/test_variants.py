"""A run's folder tells runs apart: by its parameters, and by what is in a file of the reader's own."""

from press.__main__ import _variant


def test_parameters_name_the_folder():
    assert _variant({}) == "default" and _variant({"profile": "full"}) == "default"
    asked = {"profile": "full", "seeds": 6, "dataset": "mnist", "control": True}
    assert _variant(asked) == "seeds=6-dataset=mnist-control=True"


def test_two_files_of_one_name_are_two_runs(tmp_path):
    for folder, content in (("d1", b"one"), ("d2", b"two"), ("d3", b"one")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my.npz").write_bytes(content)
    first, second, again = (_variant({"dataset": str(tmp_path / d / "my.npz")}) for d in ("d1", "d2", "d3"))
    assert first.startswith("dataset=my.") and first != second and first == again
    (tmp_path / "d1/my.npz").write_bytes(b"two")
    assert _variant({"dataset": str(tmp_path / "d1/my.npz")}) == second, "the same path, changed"
