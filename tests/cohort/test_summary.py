"""Summary: what the report shows of both cohorts, and every patient or picture that leaks into the test."""

import gzip
import json

import numpy as np
import pytest

from xmed.cohort import Cohort, describe_cohort, ingest_cases, summarise_cohorts
from xmed.cohort.summary import merkle_root
from xmed.records.record import content


def other(clinic, **changes):
    return clinic.spec(name="other", **changes)


def test_the_summary_says_what_there_is_and_what_was_refused(clinic, home):
    clinic.label("b").unlink()
    clinic.add("d")
    clinic.image("d").write_bytes(b"")
    source = ingest_cases(clinic.spec(licence="CC-BY-4.0"), home)
    found = content(summarise_cohorts(source, source))["source"]
    assert found["cases"][1] == {
        "case": "b", "patient": "b", "split": "train", "has_label": False, "shape": [12, 14, 10], "spacing_mm": [1.0, 1.0, 2.0],
        "notes": [], "facts": {}, "label_ml": {},
    }  # fmt: skip
    assert found["flow"] == {"found": 4, "readable": 3, "quarantined": 1, "train": 2, "select": 0, "test": 1}
    assert found["quarantined"][0]["code"] == "EMPTY_FILE"
    assert (found["structures"], found["licence"]) == (["ball"], "CC-BY-4.0")
    assert found["fingerprint"] == source.fingerprint
    json.dumps(found, allow_nan=False)


def test_disjoint_cohorts_leak_nothing(clinic, home):
    source = ingest_cases(clinic.spec(splits={"train": ["a"]}), home)
    target = ingest_cases(other(clinic, splits={"train": ["b"], "test": ["c"]}), home)
    leakage = content(summarise_cohorts(source, target))["leakage"]
    lists = {key: leakage[key] for key in leakage if key != "checks"}
    assert lists == {
        "patient_overlap": [], "study_overlap": [], "series_overlap": [], "pixel_overlap": [], "near_duplicates": [],
    }  # fmt: skip
    checks = {one["id"]: one for one in leakage["checks"]}
    assert (checks["patient_overlap"]["found"], checks["patient_overlap"]["n_learned"]) == (0, 2)
    assert checks["study_overlap"]["found"] is None  # a NIfTI names no study: nothing is proved, and it says so
    assert checks["study_overlap"]["reason"]
    assert checks["near_duplicates"]["closest"]["correlation"] < checks["near_duplicates"]["limit"]


def test_a_patient_of_the_source_in_the_target_test_is_found(clinic, home):
    source = ingest_cases(clinic.spec(splits={"train": ["a", "c"]}), home)
    target = ingest_cases(other(clinic, splits={"train": ["b"], "test": ["c"]}), home)
    leakage = content(summarise_cohorts(source, target))["leakage"]
    assert leakage["patient_overlap"] == ["c"]
    assert len(leakage["pixel_overlap"]) == 1


def test_a_renamed_and_repacked_copy_is_found_by_its_pixels(clinic, home):
    clinic.add("copy", "test", image=clinic.ball(0)[0])
    clinic.image("copy").write_bytes(gzip.compress(gzip.decompress(clinic.image("copy").read_bytes()), 9))
    source = ingest_cases(clinic.spec(splits={"train": ["a"]}), home)
    target = ingest_cases(other(clinic, splits={"train": ["b"], "test": ["copy"]}), home)
    leakage = content(summarise_cohorts(source, target))["leakage"]
    assert leakage["patient_overlap"] == []
    assert len(leakage["pixel_overlap"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda x: 3 * x + 50,
        lambda x: x + np.random.default_rng(5).normal(0, 3, x.shape).astype(np.float32),
        lambda x: np.round(x / 8) * 8,
    ],
    ids=["rescaled", "noisier", "coarsely quantised"],
)
def test_an_image_that_was_changed_a_little_is_found_by_its_likeness(clinic, home, change):
    clinic.add("copy", "test", image=change(clinic.ball(0)[0]))
    source = ingest_cases(clinic.spec(splits={"train": ["a"]}), home)
    target = ingest_cases(other(clinic, splits={"train": ["b"], "test": ["copy"]}), home)
    leakage = content(summarise_cohorts(source, target))["leakage"]
    assert leakage["pixel_overlap"] == []
    (pair,) = leakage["near_duplicates"]
    assert (pair["learned"], pair["dataset"], pair["tested"]) == ("a", "clinic", "copy")


def test_volumes_of_source_labels_are_kept_and_no_target_label_is_opened(clinic, home, monkeypatch):
    source = ingest_cases(clinic.spec(splits={"train": ["a"]}), home)
    target = ingest_cases(other(clinic, splits={"train": ["b"], "test": ["c"]}), home)
    opened = []
    label = Cohort.label
    monkeypatch.setattr(Cohort, "label", lambda self, case: opened.append(self.spec.name) or label(self, case))
    found = content(summarise_cohorts(source, target))
    assert opened == ["clinic"]
    assert found["source"]["cases"][0]["label_ml"]["ball"] == pytest.approx(clinic.ball(0)[1].sum() * 2 / 1000)
    assert {key: case["label_ml"] for case in found["target"]["cases"] for key in case if key == "label_ml"} == {
        "label_ml": {}
    }


def test_one_digest_stands_for_every_file_of_a_dataset(clinic, home):
    cohort = ingest_cases(clinic.spec(), home)
    found = content(describe_cohort(cohort))
    assert found["files"] == 6
    leaves = sorted(key for case in cohort.cases for key in (case.image, case.label))
    assert found["merkle_root"] == merkle_root(leaves) != merkle_root(leaves[1:])
    assert merkle_root([]) is None


def test_cases_that_two_tests_share_are_no_leak(clinic, home):
    source = ingest_cases(clinic.spec(splits={"train": ["a"], "test": ["c"]}), home)
    target = ingest_cases(other(clinic, splits={"train": ["b"], "test": ["c"]}), home)
    assert content(summarise_cohorts(source, target))["leakage"]["patient_overlap"] == []
