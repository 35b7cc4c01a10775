"""Blocks of seeds: what is kept of them, how the scorecard tells it, and what is refused."""

import copy

import pytest
import torch

from press import __main__, blocks, flow, pair, records, source
from press.errors import PressError
from unlabeled.claims import Ledger
from unlabeled.runtime import Run


def record(first, low=1.0, code="0123456789abcdef", n=5):
    """A record of a claim with one test whose values begin at `low`, and of one out of reach."""
    ledger = Ledger(
        Run(
            chapter="tiny",
            profile="quick",
            seeds=tuple(range(first, first + n)),
            dataset="",
            control=False,
            device=torch.device("cpu"),
        )
    )
    ledger.claim("above", "It is above.").greater(
        "a", "a", [low + place / 10 for place in range(n)]
    )
    ledger.claim("far", "It is far.").out_of_reach("No scale.")
    return ledger.to_dict() | {"code_hash": code}


def test_what_is_written_is_read_and_compared(tiny):
    ours = record(0)
    written = blocks.write(
        tiny.chapter, [record(1000), record(2000, low=-0.2), record(3000, low=-9)]
    )
    assert written == tiny.root / "book/results/blocks/tiny.json"
    kept = blocks.read(tiny.chapter)
    found = blocks.agreement(ours, kept)
    assert found["above"] == dict(
        same=2, of=4, others={"2000": "undecided", "3000": "not reproduced"}, stale=False
    )
    assert (
        blocks.said(found["above"])
        == "same verdict in 2 of 4 blocks (undecided from seed 2000, not reproduced from seed 3000)"
    )
    assert blocks.said(found["far"]) == "same verdict in 4 of 4 blocks"


def test_the_command_runs_each_block_and_keeps_what_came_out(tiny, monkeypatch, capsys):
    """The runs themselves are left to others: records stand in for them."""
    asked = []
    monkeypatch.setattr(__main__, "ROOT", tiny.root)
    monkeypatch.setattr(source.chapters, "__defaults__", (tiny.root,))
    monkeypatch.setattr(pair, "write", list)
    monkeypatch.setattr(flow, "require", lambda runs, cores: asked.extend(runs))
    monkeypatch.setattr(
        records,
        "read",
        lambda chapter, path: record(int(path.parent.name.removeprefix("first_seed="))),
    )
    __main__.main(["blocks"])
    assert asked == [(tiny.chapter, {"first_seed": first}) for first in (1000, 2000, 3000)]
    assert list(blocks.read(tiny.chapter)["blocks"]) == ["1000", "2000", "3000"]
    assert capsys.readouterr().out == "blocks: book/results/blocks/tiny.json\n"


def test_blocks_of_older_code_are_called_stale(tiny):
    blocks.write(tiny.chapter, [record(1000, code="f" * 16)])
    assert blocks.said(blocks.agreement(record(0), blocks.read(tiny.chapter))["above"]).endswith(
        "; stale, the code has changed since"
    )


def test_without_blocks_nothing_is_said_and_a_new_claim_has_none(tiny):
    assert (
        blocks.read(tiny.chapter) is None
        and blocks.agreement(record(0), None) == {}
        and blocks.said(None) == ""
    )
    later = copy.deepcopy(record(0))
    later["claims"][0]["id"] = "new"
    assert blocks.said(blocks.agreement(later, blocks.summary([record(1000)]))["new"]) == ""


def test_blocks_of_different_code_or_size_are_refused(tiny):
    for other in (record(2000, code="f" * 16), record(2000, n=6)):
        with pytest.raises(PressError, match="run with different code or numbers of seeds"):
            blocks.write(tiny.chapter, [record(1000), other])
    assert not blocks.path(tiny.chapter).exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"version": 1, "chapter": "other", "code_hash": "x", "seeds": 5, "blocks": {}}',
        '{"version": 1, "chapter": "tiny", "blocks": {}}',
    ],
)
def test_a_file_that_holds_something_else_is_named(tiny, content):
    blocks.path(tiny.chapter).parent.mkdir(parents=True)
    blocks.path(tiny.chapter).write_text(content)
    with pytest.raises(
        PressError, match="blocks/tiny.json does not hold the verdicts of tiny: delete it"
    ):
        blocks.read(tiny.chapter)
