"""Environment: a run's provenance names everything it takes to make it again, or says that it is not known."""

import hashlib
import json

from support.evaluated_runs import written
from xmed import report
from xmed.app import environment
from xmed.records.record import content
from xmed.report.sections.reproducibility.compute import reproducibility
from xmed.report.sources import Sources


def test_every_package_the_lock_and_the_machine_are_named():
    found = environment.repeat_conditions()
    assert found["packages"]["numpy"]
    assert set(found["system"]) == {"gpu", "cuda", "cudnn", "driver", "container"}
    assert all(isinstance(value, bool) for value in found["determinism"].values())
    json.dumps(found, allow_nan=False)


def test_outside_a_checkout_nobody_knows_whether_the_code_was_changed(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "CHECKOUT", tmp_path)
    found = environment.repeat_conditions()
    assert found["source_code"] == {"dirty": None, "diff_sha256": None}
    assert found["lock_sha256"] is None


def test_a_container_is_named_by_whoever_started_it(monkeypatch):
    monkeypatch.setenv(environment.CONTAINER, "sha256:abc")
    assert environment.repeat_conditions()["system"]["container"] == "sha256:abc"


def test_the_bill_of_materials_stands_beside_the_report_under_the_hash_that_it_names(tmp_path):
    run = written(tmp_path / "toy", patients=2)
    bill = environment.bill_of_materials(run)
    assert {"xmed", "torch", "prefect"} <= {one["name"] for one in bill["components"]}
    run.write("sbom", bill)
    report.write_report(run)
    named = content(report.read_report(run.report))["reproducibility"]["sbom_sha256"]
    assert hashlib.sha256((run.report / "sbom.cdx.json").read_bytes()).hexdigest() == named
    assert report.verify_report(run.folder) == report.verify_report(run.report) == []


def test_the_block_has_every_mandatory_key_and_names_what_is_missing(tmp_path):
    run = written(tmp_path / "toy", patients=2)
    run.write("environment", {**run.read("environment"), **environment.repeat_conditions()})
    block = reproducibility(Sources.of(run))
    assert set(block) >= {
        "git", "lock_sha256", "packages", "packages_sha256", "sbom_sha256", "system", "config", "seeds", "determinism", "data",
        "preparation_sha256", "weights", "metrics", "mlflow", "command", "started", "finished", "seconds", "sources",
    }  # fmt: skip
    assert block["data"]["target"]["merkle_root"]
    assert set(block["sources"]) >= {"rows.json", "protocol.json", "data.json"}
    named = {line.split(":")[0] for line in block["missing"]}
    assert {"sbom_sha256", "started", "finished", "seconds"} <= named
    assert "lock_sha256" not in named
