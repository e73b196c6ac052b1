"""Summary: what the report shows of both cohorts, and every patient or picture that leaks into the test."""

import gzip
import json

from xmed.cohort import ingest, summary


def other(clinic, **changes):
    return clinic.spec(name="other", **changes)


def test_the_summary_says_what_there_is_and_what_was_refused(clinic, home):
    clinic.label("b").unlink()
    clinic.add("d")
    clinic.image("d").write_bytes(b"")
    source = ingest(clinic.spec(licence="CC-BY-4.0"), home)
    found = summary(source, source)["source"]
    assert found["cases"][1] == {
        "case": "b", "patient": "b", "split": "train", "has_label": False, "shape": [12, 14, 10], "spacing_mm": [1.0, 1.0, 2.0],
        "notes": [],
    }  # fmt: skip
    assert found["flow"] == {"found": 4, "readable": 3, "quarantined": 1, "train": 2, "select": 0, "test": 1}
    assert found["quarantined"][0]["code"] == "EMPTY_FILE"
    assert (found["structures"], found["licence"]) == (["ball"], "CC-BY-4.0")
    assert found["fingerprint"] == source.fingerprint
    json.dumps(found, allow_nan=False)


def test_disjoint_cohorts_leak_nothing(clinic, home):
    source = ingest(clinic.spec(splits={"train": ["a"]}), home)
    target = ingest(other(clinic, splits={"train": ["b"], "test": ["c"]}), home)
    assert summary(source, target)["leakage"] == {"patient_overlap": [], "pixel_overlap": []}


def test_a_patient_of_the_source_in_the_target_test_is_found(clinic, home):
    source = ingest(clinic.spec(splits={"train": ["a", "c"]}), home)
    target = ingest(other(clinic, splits={"train": ["b"], "test": ["c"]}), home)
    leakage = summary(source, target)["leakage"]
    assert leakage["patient_overlap"] == ["c"]
    assert len(leakage["pixel_overlap"]) == 1


def test_a_renamed_and_repacked_copy_is_found_by_its_pixels(clinic, home):
    clinic.add("copy", "test", image=clinic.ball(0)[0])
    clinic.image("copy").write_bytes(gzip.compress(gzip.decompress(clinic.image("copy").read_bytes()), 9))
    source = ingest(clinic.spec(splits={"train": ["a"]}), home)
    target = ingest(other(clinic, splits={"train": ["b"], "test": ["copy"]}), home)
    leakage = summary(source, target)["leakage"]
    assert leakage["patient_overlap"] == []
    assert len(leakage["pixel_overlap"]) == 1


def test_cases_that_two_tests_share_are_no_leak(clinic, home):
    source = ingest(clinic.spec(splits={"train": ["a"], "test": ["c"]}), home)
    target = ingest(other(clinic, splits={"train": ["b"], "test": ["c"]}), home)
    assert summary(source, target)["leakage"]["patient_overlap"] == []
