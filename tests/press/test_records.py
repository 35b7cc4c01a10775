"""Records: every ledger makes a valid one, and what was cut, changed or misplaced is refused in one
sentence that names the file.
"""

import json

import jsonschema
import numpy as np
import pytest
from runs import run_of

from press import records
from press.dependencies import code_hash
from press.errors import PressError
from unlabeled import claims
from unlabeled.claims import Ledger

COST = dict(
    seconds=6.5,
    cpu_seconds=5.1,
    peak_mb=412.0,
    device="x86_64 CPU, 1 thread",
    packages={"numpy": "2.4.6"},
    code_hash="0123456789abcdef",
    run_hash="0123456789abcdef",
    reference_seconds=5.0,
    date="2026-01-31",
)
SCHEMA = json.loads(records.SCHEMA.read_text())


def ledger(n=5, **changes):
    """A ledger with every kind of test and a claim out of reach."""
    ours = Ledger(run_of(n, **changes))
    rng = np.random.default_rng(n)
    shift = ours.claim(
        "shift",
        "The mean is above zero.",
        name="It lies above",
        paper="5",
        where="Table 1",
        central=np.bool_(True),
        rival="noise",
        rival_test="low",
    )
    shift.greater("mean", "value", 5 + rng.standard_normal(n), margin=np.float64(1))
    shift.less(
        "low", "loss", rng.standard_normal(n), deterministic=np.bool_(False), late="after a look"
    )
    same = ours.claim("same", "Nothing changes.")
    same.equivalent("same", "difference", rng.standard_normal(n), margin=1, beside="shift/mean")
    same.exact("zero", "error", [0] * n, tolerance=0)
    ours.claim("far", "It is far above.").out_of_reach("No scale says what far is.")
    return ours


@pytest.fixture
def good(tiny):
    """A record that passes, as parsed JSON, and a way to read a spoiled one."""
    record = ledger().to_dict() | COST | {"code_hash": code_hash(tiny.chapter)}
    path = tiny.root / "tiny.json"

    def read(text):
        path.write_text(text)
        return records.read(tiny.chapter, path)

    read.path = path
    return json.loads(claims.dumps(record)), read


@pytest.mark.parametrize("n", [2, 4, 5, 20])
@pytest.mark.parametrize(
    "changes", [{}, dict(profile="full", dataset="my data.npz"), dict(control=True)]
)
def test_every_ledger_with_the_runs_cost_passes_the_schema(n, changes):
    record = json.loads(claims.dumps(ledger(n, **changes).to_dict() | COST))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(record, SCHEMA, cls=jsonschema.Draft202012Validator)


def test_ledgers_of_all_verdicts_pass_the_schema():
    up, down, both = [1, 2, 3, 2, 1.5], [-1, -2, -3, -2, -1.5], [1, -1, 2, -2, 0.1]
    ours = Ledger(ledger().run)
    for name, filed in {
        "reproduced": [up],
        "partly": [up, both],
        "mixed": [up, down],
        "not-reproduced": [down],
        "undecided": [both],
    }.items():
        claim = ours.claim(name, "A statement.", name=f"A claim {name}")
        for place, values in enumerate(filed):
            claim.greater(str(place), "a gain", values)
    ours.claim("out-of-reach", "A statement.", name="A claim beyond reach").out_of_reach(
        "Too small."
    )
    assert ours.verdicts() == {verdict.replace(" ", "-"): verdict for verdict in claims.VERDICTS}
    jsonschema.validate(
        json.loads(claims.dumps(ours.to_dict() | COST)), SCHEMA, cls=jsonschema.Draft202012Validator
    )


@pytest.mark.parametrize("name", sorted(SCHEMA["required"]))
def test_the_schema_misses_nothing(name):
    record = json.loads(claims.dumps(ledger().to_dict() | COST))
    with pytest.raises(jsonschema.ValidationError, match="Additional properties"):
        jsonschema.validate(record | {"mood": "good"}, SCHEMA)
    del record[name]
    with pytest.raises(jsonschema.ValidationError, match=f"'{name}' is a required property"):
        jsonschema.validate(record, SCHEMA)


def test_a_good_record_is_read_as_it_was_written(good):
    record, read = good
    assert read(json.dumps(record)) == record


def test_a_record_recomputed_elsewhere_may_differ_in_the_last_bits(good):
    record, read = good
    test = record["claims"][0]["tests"][0]
    test["low"] = float(np.nextafter(test["low"], 9))
    assert read(json.dumps(record)) == record


def claim(record, id="shift"):
    return next(claim for claim in record["claims"] if claim["id"] == id)


def sets(id, **changes):
    return lambda record: claim(record, id).update(changes)


def sets_test(place, **changes):
    return lambda record: claim(record)["tests"][place].update(changes)


HAND = "was edited by hand"
SPOILED = {
    "verdict typed by hand": (sets("shift", verdict="reproduced"), HAND),
    "verdict taken away": (sets("same", verdict="undecided", reason="too early to say"), HAND),
    "verdict in place of out of reach": (sets("far", verdict="reproduced"), HAND),
    "reason added": (sets("shift", reason="trust us"), HAND),
    "out of reach without reason": (sets("far", reason=""), "has neither a test nor a reason"),
    "tests dropped": (
        sets("shift", tests=[], reason="", verdict="out of reach"),
        "has neither a test nor a reason",
    ),
    "tests dropped for a reason": (sets("same", tests=[], reason="x", verdict="reproduced"), HAND),
    "estimate": (sets_test(0, estimate=9.0), HAND),
    "estimate, slightly": (
        lambda record: claim(record)["tests"][0].update(
            estimate=claim(record)["tests"][0]["estimate"] * (1 + 1e-6)
        ),
        HAND,
    ),
    "lower end": (sets_test(1, low=0.5), HAND),
    "upper end": (sets_test(1, high=-0.5), HAND),
    "p": (sets_test(1, p=0.001), HAND),
    "interval taken away": (sets_test(0, low=None, high=None, p=None), HAND),
    "outcome": (sets_test(1, outcome="holds"), HAND),
    "a value": (lambda record: claim(record)["tests"][0]["values"].__setitem__(0, 6.0), HAND),
    "margin": (sets_test(0, margin=0.0), HAND),
    "level": (sets_test(0, level=0.9), HAND),
    "direction": (sets_test(0, direction="less"), HAND),
    "kind": (sets_test(0, kind="exact"), HAND),
    "a value left out": (
        lambda record: claim(record)["tests"][0]["values"].pop(),
        "4 values for 5 seeds",
    ),
    "another n": (sets_test(0, n=50), "values for 5 seeds"),
    "a seed left out": (lambda record: record["seeds"].pop(), "5 values for 4 seeds"),
    "claim twice": (
        lambda record: record["claims"].append(claim(record)),
        "two claims with the id 'shift'",
    ),
    "test twice": (
        lambda record: claim(record)["tests"].append(claim(record)["tests"][0]),
        "two tests with the id 'mean'",
    ),
    "another chapter's": (
        lambda record: record.update(chapter="other"),
        "belongs to the chapter 'other', not to 'tiny'",
    ),
    "old schema": (lambda record: record.update(schema=0), "has schema 0, not 2"),
    "no schema": (lambda record: record.pop("schema"), "has schema None, not 2"),
    "a field too few": (
        lambda record: record.pop("peak_mb"),
        "breaks the schema at the record: 'peak_mb' is a required property",
    ),
    "a field too many": (
        lambda record: claim(record).update(mood="good"),
        "breaks the schema at claims/0",
    ),
    "no claims": (lambda record: record.update(claims=[]), "breaks the schema at claims"),
    "an unknown verdict": (
        sets("shift", verdict="sort of"),
        "breaks the schema at claims/0/verdict",
    ),
    "a seed twice": (
        lambda record: record["seeds"].__setitem__(1, 0),
        "breaks the schema at seeds",
    ),
    "a value that is text": (
        lambda record: claim(record)["tests"][0]["values"].__setitem__(0, "6"),
        "breaks the schema at claims/0/tests/0/values/0",
    ),
    "values all the same": (sets_test(0, values=[6.0] * 5), HAND),
    "NaN": (sets_test(1, estimate=float("nan")), HAND),
    "infinite value": (
        lambda record: claim(record)["tests"][0]["values"].__setitem__(0, float("inf")),
        HAND,
    ),
}


@pytest.mark.parametrize("kind", SPOILED)
# infinite and equal values are put through the formula before they are refused
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_spoiled_record_is_refused_in_one_sentence_that_names_the_file(good, kind):
    record, read = good
    spoil, words = SPOILED[kind]
    spoil(record)
    with pytest.raises(PressError) as caught:
        read(json.dumps(record))
    text = str(caught.value)
    assert words in text and str(read.path) in text
    assert text.endswith(".") and "\n" not in text and ". " not in text.replace(str(read.path), "")


def test_a_truncated_or_empty_record_and_one_that_is_no_object_are_refused(good):
    record, read = good
    text = json.dumps(record)
    for broken in (text[:-1], text[: len(text) // 2], "", "nonsense"):
        with pytest.raises(PressError, match="is no valid JSON, perhaps cut short") as caught:
            read(broken)
        assert str(read.path) in str(caught.value)
    for broken in ("[]", "null", "5"):
        with pytest.raises(PressError, match="has schema None, not 2") as caught:
            read(broken)
        assert str(read.path) in str(caught.value)
    read.path.write_bytes(b"\xff\xfe")
    with pytest.raises(PressError, match="is no valid JSON"):
        records.read(None, read.path)


def test_a_missing_record_is_told_with_the_command_that_makes_it(tiny):
    with pytest.raises(
        PressError,
        match="There is no record .*none.json: run the chapter with make chapter NAME=tiny",
    ):
        records.read(tiny.chapter, tiny.root / "none.json")


def test_a_record_is_stale_once_the_code_behind_its_numbers_has_changed(good, tiny):
    record, _ = good
    assert not records.is_stale(record, tiny.chapter)
    tiny.spoil("Everything.", "Everything, and the words around it.")
    assert not records.is_stale(record, tiny.chapter), "words do not change numbers"
    tiny.spoil("shift + noise", "2 * shift + noise")
    assert records.is_stale(record, tiny.chapter)
