"""Verify: whatever is changed after the fact, in the report or in what it was made from, is found."""

import dataclasses
import html
import json
import re
import shutil

import numpy as np
import pytest

from support.evaluated_runs import written
from xmed import report
from xmed.errors import XmedError
from xmed.files.digest import digest, folder_digest
from xmed.html.traced_numbers import shown_problems
from xmed.records.record import content
from xmed.report.build_report import MANIFEST, manifest
from xmed.report.cases_csv import cases_csv
from xmed.report.compose_report import completed, compose_report, identity
from xmed.report.sources import Sources
from xmed.run import Run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A built report with its run, made once."""
    run = written(tmp_path_factory.mktemp("whole") / "toy", patients=4, seeds=(0,), names=("prostate",), kept=True)
    report.write_report(run)
    return run


@pytest.fixture
def run(whole, tmp_path):
    """A copy of it, to be tampered with."""
    shutil.copytree(whole.folder, tmp_path / "toy")
    return Run(tmp_path / "toy")


def rewrite(path, change):
    document = json.loads(path.read_text())
    path.write_text(json.dumps(change(document) or document))


def remanifest(folder):
    (folder / MANIFEST).write_text(manifest(folder))


# --- nothing was changed


def test_a_fresh_report_agrees_with_its_run_and_so_does_a_copy_of_it_elsewhere(run, tmp_path):
    assert report.verify_report(run.folder) == report.verify_report(run.report) == []
    shutil.copytree(run.report, tmp_path / "elsewhere" / "toy")
    assert report.verify_report(tmp_path / "elsewhere" / "toy") == []


def test_a_model_that_is_not_the_one_that_was_trained_is_named(run):
    folder = run.arm("adapted", 0)
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text('{"structures": [{"name": "prostate"}]}')
    rewrite(folder / "train.json", lambda trained: trained | {"model_sha256": folder_digest(folder / "model")})
    report.write_report(run)
    assert report.verify_report(run.folder) == []
    (folder / "model" / "model.json").write_text('{"structures": [{"name": "bladder"}]}')
    assert report.verify_report(run.folder) == ["adapted, seed 0: the model is not the one that was trained"]


def test_the_manifest_is_one_that_sha256sum_reads(run):
    lines = (run.report / MANIFEST).read_text().splitlines()
    assert {line.split("  ")[1] for line in lines} >= {"report.json", "report.html", "cases.csv", "protocol.json"}
    assert all(re.fullmatch(r"[0-9a-f]{64}  \S+", line) for line in lines)


def test_a_folder_without_a_report_is_named(tmp_path):
    with pytest.raises(XmedError, match=r"error\[RUN_NOT_FOUND\]: found no report below"):
        report.verify_report(tmp_path)


def as_older(run, change=lambda document: None):
    """The report of a run as version 0.1.0 would have left it: no edition, other sentences, another page."""

    judged_then = dataclasses.replace(Sources.of(run), edition=1)
    (run.report / "cases.csv").write_text(cases_csv(completed(judged_then).rows, 1))

    def old(document):
        document.clear()
        document |= json.loads(json.dumps(compose_report(judged_then)))
        del document["edition"]
        document["headline"]["sentence"] = "In other words, the same numbers."
        document["limitations"]["machine"] = document["headline"]["limitations"] = ["One sentence in place of three."]
        for one in document["headline"]["strip"]:
            if one["id"] == "volume_bias_ml":
                one["value"] = abs(one["value"])
        change(document)
        document["report_id"] = identity(document)

    rewrite(run.report / "report.json", old)
    page = run.report / "report.html"
    text = page.read_text().replace("<h3>The worst cases</h3>", "<h3>Worst</h3>")
    page.write_text(re.sub(r'(<span data-json-path="/headline/strip/4/value">)[+−]', r"\1", text))
    remanifest(run.report)


def test_a_report_in_the_words_of_an_older_version_still_agrees_with_its_run(run, tmp_path):
    as_older(run)
    assert report.verify_report(run.folder) == report.verify_report(run.report) == []
    shutil.copytree(run.report, tmp_path / "elsewhere")
    assert report.verify_report(tmp_path / "elsewhere") == []


def test_and_an_edited_number_or_code_of_it_is_found(run, tmp_path):
    def worse(document):
        better(document)
        document["criteria"][0]["holds"] = None
        document["failures"]["by_arm"]["adapted"]["prostate"]["n_failed"] = 3
        document["cases"][0]["status"] = "empty_prediction"

    as_older(run, worse)
    shutil.copytree(run.report, tmp_path / "elsewhere")
    for folder in (run.folder, tmp_path / "elsewhere"):
        found = "\n".join(report.verify_report(folder))
        assert all(path in found for path in ("dice.mean", "criteria[0].holds", "n_failed", "cases[0].status"))


# --- what it was made from was changed


def test_masks_swapped_between_two_patients_are_found(run):
    path = run.arm("adapted", 0) / "labels.npz"
    maps = dict(np.load(path))
    maps["case.us-0-0"], maps["case.us-1-0"] = maps["case.us-1-0"], maps["case.us-0-0"]
    np.savez_compressed(path, **maps)
    problems = report.verify_report(run.folder)
    assert len(problems) == 2
    assert all("the prediction is not the one that was measured" in line for line in problems)


def test_a_flipped_axis_is_found(run):
    path = run.arm("adapted", 0) / "labels.npz"
    maps = dict(np.load(path))
    np.savez_compressed(path, **{**maps, "case.us-2-0": maps["case.us-2-0"][::-1]})
    assert report.verify_report(run.folder) == [
        "adapted, seed 0, us-2-0: the prediction is not the one that was measured"
    ]


def test_a_dropped_prediction_is_found_as_file_and_as_row(run):
    path = run.arm("adapted", 0) / "labels.npz"
    maps = dict(np.load(path))
    maps.pop("case.us-3-0")
    np.savez_compressed(path, **maps)
    assert report.verify_report(run.folder) == ["adapted, seed 0, us-3-0: the prediction that was measured is gone"]
    rewrite(run.folder / "rows.json", lambda rows: [r for r in rows if (r["arm"], r["case"]) != ("adapted", "us-3-0")])
    assert any("summary.adapted.prostate.dice.mean" in line for line in report.verify_report(run.folder))
    report.write_report(run)  # and whoever builds it anew gets a failure, not a better mean
    cell = content(report.read_report(run.report))["summary"]["adapted"]["prostate"]["dice"]
    assert (cell["n_cases"], cell["n_failed"], cell["min"]) == (4, 1, 0.0)


def test_a_patient_duplicated_across_partitions_is_found_and_fails_the_study(run):
    before = content(report.read_report(run.report))["verdict"]

    def duplicate(data):
        copy = {
            **next(case for case in data["target"]["cases"] if case["split"] == "test"),
            "split": "train",
            "case": "us-t9",
        }
        data["target"]["cases"].append(copy)

    rewrite(run.folder / "data.json", duplicate)
    assert any("leakage.patient_overlap" in line for line in report.verify_report(run.folder))
    report.write_report(run)
    after = content(report.read_report(run.report))
    assert (before, after["verdict"]) == ("pass", "fail")
    assert after["data"]["leakage"]["patient_overlap"] == ["patient-000"]


def test_a_row_given_to_another_patient_or_counted_twice_is_found(run):
    def change(rows):
        return [*({**r, "patient": "patient-001"} if r["case"] == "us-0-0" else r for r in rows), rows[-1]]

    rewrite(run.folder / "rows.json", change)
    report.write_report(run)
    problems = report.verify_report(run.folder)
    assert "rows: us-0-0 is of patient-000, not of patient-001" in problems
    assert any("stands there twice" in line for line in problems)


def test_an_edited_row_is_found(run):
    def change(rows):
        rows[0]["dice"] = 0.99

    rewrite(run.folder / "rows.json", change)
    assert report.verify_report(run.folder)


# --- the protocol


def laxer(document):
    document["protocol"]["accept"]["gap_closed"] = 0.01


@pytest.mark.parametrize("hashed", [False, True], ids=["as it is", "hashed anew"])
def test_a_protocol_changed_later_is_visible_and_the_study_becomes_exploratory(run, hashed):
    for name in ("protocol", "study"):
        rewrite(run.folder / f"{name}.json", laxer)
    card = {"protocol_sha256": json.loads((run.folder / "protocol.json").read_text())["sha256"]}
    model = run.arm("adapted", 0) / "model"
    model.mkdir()
    (model / "model.json").write_text(json.dumps(card))  # what training wrote of the protocol it knew
    if hashed:
        fixed = {key: value for key, value in run.read("protocol").items() if key not in ("sha256", "fixed_at")}
        run.write("protocol", {**fixed, "sha256": digest(fixed), "fixed_at": "2026-01-01T00:00:00+00:00"})
    assert report.verify_report(run.folder)
    report.write_report(run)
    found = content(report.read_report(run.report))
    assert (found["verdict"], found["exploratory"]) == ("fail", True)
    assert found["banner"]["reasons"][0].startswith("EXPLORATORY")


# --- the report was changed


def better(document):
    document["summary"]["adapted"]["prostate"]["dice"]["mean"] = 0.99


def test_an_edited_number_is_found_beside_the_run_and_far_from_it(run, tmp_path):
    rewrite(run.report / "report.json", better)
    there = report.verify_report(run.folder)
    assert any(line.startswith("report.summary.adapted.prostate.dice.mean: 0.99 stands there") for line in there)
    assert any(line.startswith("report.json: is not the file") for line in there)
    shutil.copytree(run.report, tmp_path / "elsewhere")
    assert any("dice.mean: 0.99 stands there" in line for line in report.verify_report(tmp_path / "elsewhere"))


def test_whoever_edits_a_number_and_every_digest_is_found_by_the_case_table(run, tmp_path):
    def change(document):
        better(document)
        document["report_id"] = identity(document)

    shutil.copytree(run.report, tmp_path / "elsewhere")
    rewrite(tmp_path / "elsewhere" / "report.json", change)
    remanifest(tmp_path / "elsewhere")
    assert [line for line in report.verify_report(tmp_path / "elsewhere") if "dice.mean" in line]


def test_an_edited_page_is_found_beside_the_run_and_far_from_it(run, tmp_path):
    page, path = run.report / "report.html", "/summary/adapted/prostate/dice/mean"
    text = page.read_text()
    shown = re.search(rf'<span data-json-path="{path}">([^<]*)</span>', text)
    page.write_text(text.replace(shown.group(), shown.group().replace(shown[1], "0.99")))
    problems = report.verify_report(run.folder)
    assert "report.html: differs from the one that its files give" in problems
    assert f"report.html: is not the file that {MANIFEST} names" in problems
    shutil.copytree(run.report, tmp_path / "elsewhere")
    remanifest(tmp_path / "elsewhere")  # with every digest made to fit, the number itself still does not
    assert any(
        line.startswith(f"report.html: {path} is shown as 0.99, and is 0.")
        for line in report.verify_report(tmp_path / "elsewhere")
    )


@pytest.mark.parametrize(
    ("said", "value", "agrees"),
    [
        ("0.82", 0.8249, True), ("0.82", 0.826, False), ("82 %", 0.8249, True), ("−1.5", -1.46, True), ("−1.5", 1.46, False),
        ("0.10 to 0.20", [0.1, 0.2], True), ("0.10 to 0.30", [0.1, 0.2], False), ("–", None, True), ("bridge", "bridge", True),
        ("1.2e-05", 1.23e-5, True), ("< 0.001", 0.0003, True), ("< 0.001", 0.003, False), ("8", 8, True), ("9", 8, False), ("", 0.5, False),
    ],
)  # fmt: skip
def test_a_number_may_be_shown_with_fewer_digits_and_no_other_way(said, value, agrees):
    page = f'<span data-json-path="/a/0/b~1c">{html.escape(said)}</span>'
    assert (shown_problems(page, {"a": [{"b/c": value}]}) == []) is agrees


@pytest.mark.parametrize("name", ["cases.csv", "protocol.json"])
def test_an_edited_file_is_found_by_its_hash(run, name):
    path = run.report / name
    path.write_text(path.read_text().replace("0.", "1.", 1))
    assert any(line.startswith(f"{name}: ") for line in report.verify_report(run.folder))


def test_files_added_or_gone_are_found(run):
    (run.report / "extra.txt").write_text("x")
    (run.report / "cases.csv").unlink()
    problems = report.verify_report(run.folder)
    assert f"extra.txt: there, and not named by {MANIFEST}" in problems
    assert f"cases.csv: named by {MANIFEST}, and not there" in problems
    (run.report / MANIFEST).unlink()
    assert f"{MANIFEST}: missing" in report.verify_report(run.folder)


def test_a_report_that_is_no_document_any_more_is_told_as_such(run):
    rewrite(run.report / "report.json", lambda document: {"schema": document["schema"]})
    assert report.verify_report(run.folder)
    (run.report / "report.json").write_text("{")
    assert report.verify_report(run.folder)[0].startswith("report.json: ")


def test_a_sign_off_is_no_tampering_once_the_report_is_built_with_it(run):
    before = content(report.read_report(run.report))["report_id"]
    (run.report / "SIGNOFF.json").write_text(
        json.dumps([{"by": "A. Reader", "decision": "approved", "at": "2026-01-01T00:00:00+00:00"}])
    )
    report.write_report(run)
    assert report.verify_report(run.folder) == []
    found = content(report.read_report(run.report))
    assert found["signoff"][0]["by"] == "A. Reader"
    assert found["report_id"] == before
