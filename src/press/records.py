"""Records: what a run claims, checked before anything is believed, and recomputed where it can
be.
"""

from __future__ import annotations

import json
from pathlib import Path

from press.dependencies import code_hash, run_hash
from press.errors import PressError
from press.source import Chapter, tag

SCHEMA = Path(__file__).with_name("record.schema.json")
# relative; a recomputed interval may differ in the last bits between versions of SciPy
TOLERANCE = 1e-9


def collect(chapter: Chapter, executed: Path, target: Path) -> dict:
    """Take the ledger out of an executed notebook, check it, add what the run cost, and write the
    record to `target`.
    """
    import nbformat

    from unlabeled import claims

    notebook = nbformat.read(executed, as_version=4)
    ledgers = [
        output.data[claims.MIME]
        for cell in notebook.cells
        if cell.cell_type == "code" and tag(cell) == "ledger"
        for output in cell.outputs
        if claims.MIME in output.get("data", {})
    ]
    if len(ledgers) != 1:
        raise PressError(
            f"{chapter.name}: the executed notebook holds {len(ledgers)} ledgers instead of one:"
            " end the cell tagged 'ledger' with the ledger."
        )
    record = dict(ledgers[0]) | dict(notebook.metadata["run"]) | {"code_hash": code_hash(chapter)}
    check(record, executed, chapter)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    temporary.write_text(claims.dumps(record), encoding="utf-8")
    temporary.replace(target)
    return record


def is_current(chapter: Chapter, asked: dict) -> bool:
    """Whether the notebook and the record of a run are kept, and made by the code and the
    requirements as they now stand.
    """
    if not chapter.run(**asked).is_file():
        return False
    try:
        record = json.loads(chapter.kept(**asked).read_text(encoding="utf-8"))
        return record["run_hash"] == run_hash(chapter, asked)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read(chapter: Chapter, path: Path) -> dict:
    """Read and check a record of `chapter`.

    Raises
    ------
    PressError : if the file is missing, no JSON, of another schema or chapter, or if a verdict or
        statistic in it does not follow from its values
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PressError(
            f"There is no record {path}: run the chapter with make chapter NAME={chapter.name}."
        ) from None
    except ValueError:
        raise PressError(
            f"The record {path} is no valid JSON, perhaps cut short: delete it and run the chapter"
            " again."
        ) from None
    check(record, path, chapter)
    return record


def check(record: dict, path: Path, chapter: Chapter) -> None:
    """Refuse a record that is not what it says it is; the sentence names the file."""
    import jsonschema

    from unlabeled import claims

    if not isinstance(record, dict) or record.get("schema") != claims.SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else None
        raise PressError(
            f"The record {path} has schema {found!r}, not {claims.SCHEMA}: run the chapter again."
        )
    problem = jsonschema.exceptions.best_match(_validator().iter_errors(record))
    if problem:
        place = "/".join(map(str, problem.absolute_path)) or "the record"
        raise PressError(
            f"The record {path} breaks the schema at {place}:"
            f" {problem.message.splitlines()[0][:200]}; run the chapter again."
        )
    if record["chapter"] != chapter.name:
        raise PressError(
            f"The record {path} belongs to the chapter {record['chapter']!r}, not to"
            f" {chapter.name!r}: put it in its place."
        )
    _unique(
        [claim["id"] for claim in record["claims"]], f"The record {path} has two claims with the id"
    )
    n = len(record["seeds"])
    for claim in record["claims"]:
        where = f"{claim['id']} in {path}"
        _unique(
            [test["id"] for test in claim["tests"]], f"The claim {where} has two tests with the id"
        )
        for test in claim["tests"]:
            if test["n"] != len(test["values"]) or (test["kind"] != "exact" and test["n"] != n):
                raise PressError(
                    f"The test {test['id']} of {where} has {len(test['values'])} values for {n}"
                    " seeds: run the chapter again."
                )
            again = claims.evaluate(
                test["kind"], test["direction"], test["margin"], test["values"], test["level"]
            )
            if any(not _same(test[key], value) for key, value in again.items()):
                raise PressError(
                    f"The test {test['id']} of {where} does not follow from its values: it was"
                    " edited by hand; run the chapter again."
                )
        if not claim["tests"] and not claim["reason"]:
            raise PressError(
                f"The claim {where} has neither a test nor a reason why it is out of reach: run the"
                " chapter again."
            )
        if (claim["verdict"], claim["reason"]) != claims.decide(claim):
            raise PressError(
                f"The verdict on {where} does not follow from its tests: it was edited by hand; run"
                " the chapter again."
            )


def is_stale(record: dict, chapter: Chapter) -> bool:
    """Whether the code behind the record's numbers has changed since."""
    return record["code_hash"] != code_hash(chapter)


def _same(ours, theirs):
    if isinstance(ours, float | int) and isinstance(theirs, float | int):
        return abs(ours - theirs) <= TOLERANCE * max(1e-12, abs(ours), abs(theirs))
    return ours == theirs


def _unique(ids, sentence):
    for id in ids:
        if ids.count(id) > 1:
            raise PressError(f"{sentence} {id!r}: give each an id of its own.")


def _validator():
    import jsonschema

    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
