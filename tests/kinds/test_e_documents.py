"""E: every document of a run is a record: it validates against the record's schema, and is written again byte by byte."""

import json

import pytest
from jsonschema import Draft202012Validator

from support.forged_runs import honest
from xmed import monitor
from xmed.app.environment import environment, errors
from xmed.errors import XmedError
from xmed.files.json_numbers import as_json
from xmed.records.record import content, read_record
from xmed.records.schemas import kinds, schemas
from xmed.records.training import Training
from xmed.run import Run

NO_RECORD = {"study.json", "sbom.json", "report.json", "sbom.cdx.json"}
"""A spec, CycloneDX's own, and the report, whose schema is its own."""
INDENT = {"judged.json": None}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    from datetime import UTC, datetime

    home, run = honest(tmp_path_factory.mktemp("documents"), steps=2)
    monitor.keep(run, home)
    run.write(environment(run, datetime.now(UTC)))
    run.write(errors(run))
    return run


def documents(run):
    return [path for path in sorted(run.folder.rglob("*.json")) if path.name not in NO_RECORD]


def test_every_document_of_a_run_validates_against_the_schema_of_its_record(run):
    known, seen = schemas(), set()
    for path in documents(run):
        problems = list(Draft202012Validator(known[path.name]).iter_errors(json.loads(path.read_text())))
        assert problems == [], f"{path}: {problems[:1]}"
        seen.add(path.name)
    assert seen >= {
        "data.json", "protocol.json", "train.json", "model.json", "findings.json", "selection.json", "judged.json", "rows.json",
        "metrics.json", "reference.json", "monitor.json", "environment.json", "errors.json",
    }  # fmt: skip


def test_a_record_that_is_read_and_written_keeps_its_bytes(run):
    for path in documents(run):
        record = read_record(kinds()[path.name], path)
        assert as_json(content(record), indent=INDENT.get(path.name, 1)) == path.read_text(encoding="utf-8"), path


def test_what_a_later_version_adds_is_kept(run, tmp_path):
    document = run.read("selection") | {"later": {"than": "this"}}
    (tmp_path / "selection.json").write_text(json.dumps(document))
    assert content(read_record(kinds()["selection.json"], tmp_path / "selection.json")) == document


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda d: d.pop("weights_sha256"), "lacks 'weights_sha256'"),
        (lambda d: d.update(seconds="12"), "seconds"),
        (lambda d: d.update(target_labels_used=1), "target_labels_used"),
        (lambda d: d["selection"].pop("rule"), "lacks 'selection.rule'"),
    ],
)
def test_damage_is_one_coded_error_that_names_the_place(run, tmp_path, change, what):
    document = json.loads((run.arm("adapted", 0) / "train.json").read_text())
    change(document)
    (tmp_path / "train.json").write_text(json.dumps(document))
    with pytest.raises(XmedError) as caught:
        read_record(Training, tmp_path / "train.json")
    assert caught.value.code == "DOCUMENT_INVALID"
    assert what in str(caught.value)


def test_every_schema_is_one_and_says_what_its_fields_are():
    for name, schema in schemas().items():
        Draft202012Validator.check_schema(schema)
        assert schema["description"], name
