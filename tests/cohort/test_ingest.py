"""Ingest: the good cases become a cohort, each bad one goes to quarantine with its code, and twice is as good as once."""

import gzip
import json
import os
import threading

import numpy as np
import pytest

from xmed import cohort
from xmed.cohort import case_inputs, ingest_cases, load_cohort
from xmed.cohort.store import Store
from xmed.errors import XmedError
from xmed.spec import load_dataset


@pytest.fixture
def reads(monkeypatch, unguarded):
    """The images that were really parsed, by file name."""
    names = []

    def counting(path, *asked):
        names.append(path.name)
        return reading_image(path, *asked)

    reading_image = case_inputs.read_image
    monkeypatch.setattr(case_inputs, "read_image", counting)
    return names


def codes(found):
    return {refusal.case: refusal.code for refusal in found.quarantined}


def test_good_cases_become_a_cohort_that_gives_back_what_was_written(clinic, home):
    found = ingest_cases(clinic.spec(), home)
    image, mask = clinic.ball(0)
    case = found.split("train")[0]
    assert [c.id for c in found.cases] == ["a", "b", "c"]
    assert [c.id for c in found.split("test")] == ["c"]
    np.testing.assert_array_equal(found.image(case).array, image)
    np.testing.assert_array_equal(found.label(case).array, mask)
    assert found.label(case).array.dtype == np.uint8
    assert found.image(case).modality == "MR"
    assert found.image(case).spacing == pytest.approx((1, 1, 2))
    assert found.label(case).grid.same(found.image(case).grid)


def test_load_gives_what_ingest_wrote(clinic, home):
    made = ingest_cases(clinic.spec(), home)
    assert load_cohort("clinic", home) == made
    assert load_cohort("some/folder/clinic.yaml", home) == made


def test_a_dataset_that_was_never_ingested_cannot_be_loaded(home):
    with pytest.raises(XmedError, match=r"error\[PATH_NOT_FOUND\]: found dataset 'clinic' has no manifest"):
        load_cohort("clinic", home)


def _empty(clinic):
    clinic.image("bad").write_bytes(b"")


def _truncated(clinic):
    whole = clinic.image("bad").read_bytes()
    clinic.image("bad").write_bytes(whole[: len(whole) // 2])


def _text(clinic):
    clinic.image("bad").write_text("not an image at all\n" * 40)


def _constant(clinic):
    clinic.write(clinic.image("bad"), np.full((12, 14, 10), 7, np.int16))


def _other_grid(clinic):
    clinic.write(clinic.label("bad"), clinic.ball(1)[1], spacing=(1.0, 1.0, 3.0))


def _unknown_value(clinic):
    clinic.write(clinic.label("bad"), clinic.ball(1)[1] * 9)


def _no_orientation(clinic):
    raw = bytearray(gzip.decompress(clinic.image("bad").read_bytes()))
    raw[252:256] = bytes(4)  # nifti1.h: qform_code and sform_code
    clinic.image("bad").write_bytes(gzip.compress(raw))


def _no_image(clinic):
    clinic.image("bad").unlink()


def _no_files(clinic):
    clinic.image("bad").unlink()
    clinic.label("bad").unlink()


def _pipe(clinic):
    clinic.image("bad").unlink()
    os.mkfifo(clinic.image("bad"))


def _link_out(clinic):
    elsewhere = clinic.root.parent / "elsewhere.nii.gz"
    clinic.image("bad").rename(elsewhere)
    clinic.image("bad").symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_empty, "EMPTY_FILE"),
        (_truncated, "GZIP_TRUNCATED"),
        (_constant, "CONSTANT"),
        (_other_grid, "GRID_MISMATCH"),
        (_unknown_value, "LABEL_VALUES"),
        (_no_orientation, "NO_ORIENTATION"),
        (_no_image, "IMAGE_MISSING"),
        (_no_files, "IMAGE_MISSING"),
        (_pipe, "PATH_UNSAFE"),
        (_link_out, "PATH_UNSAFE"),
        (_text, "NOT_DICOM"),
    ],
)
def test_a_bad_case_is_quarantined_with_its_code_while_the_others_go_on(clinic, home, spoil, code):
    clinic.add("bad", "train")
    spoil(clinic)
    found = ingest_cases(clinic.spec(), home)
    assert codes(found) == {"bad": code}
    assert [c.id for c in found.cases] == ["a", "b", "c"]
    record = json.loads((home / "quarantine/clinic/bad.json").read_text())
    assert record["code"] == code
    assert record["message"]
    assert record["since"].endswith("+00:00")


def test_an_empty_label_map_is_a_mistake_unless_the_spec_says_otherwise(clinic, home):
    clinic.add("bare", "train", label=np.zeros_like(clinic.ball(0)[1]))
    refused = ingest_cases(clinic.spec(), home)
    assert codes(refused) == {"bare": "CONSTANT"}
    assert "layout.label_empty" in refused.quarantined[0].message
    layout = {"image": "image/{case}.nii.gz", "label": "label/{case}.nii.gz", "label_empty": True}
    allowed = ingest_cases(clinic.spec(layout=layout), home)
    assert codes(allowed) == {}
    bare = next(case for case in allowed.cases if case.id == "bare")
    assert not allowed.label(bare).array.any()
    assert codes(ingest_cases(clinic.spec(), home)) == {"bare": "CONSTANT"}  # also when the store already knows it


def test_a_case_leaves_quarantine_when_it_has_become_good(clinic, home):
    good = clinic.image("b").read_bytes()
    clinic.image("b").write_bytes(b"")
    assert codes(ingest_cases(clinic.spec(), home)) == {"b": "EMPTY_FILE"}
    clinic.image("b").write_bytes(good)
    assert codes(ingest_cases(clinic.spec(), home)) == {}
    assert not (home / "quarantine/clinic/b.json").exists()


def test_quarantine_remembers_since_when(clinic, home):
    clinic.image("b").write_bytes(b"")
    ingest_cases(clinic.spec(), home)
    before = (home / "quarantine/clinic/b.json").read_bytes()
    ingest_cases(clinic.spec(), home)
    assert (home / "quarantine/clinic/b.json").read_bytes() == before


def test_an_unforeseen_failure_of_a_reader_stops_one_case_only_and_quotes_nothing(clinic, home, monkeypatch, unguarded):
    def odd(path, *asked):
        if path.name.startswith("b"):
            raise RuntimeError("Doe^Jane")
        return real(path, *asked)

    real = case_inputs.read_image
    monkeypatch.setattr(case_inputs, "read_image", odd)
    found = ingest_cases(clinic.spec(), home)
    assert codes(found) == {"b": "READER_FAILED"}
    assert "RuntimeError" in found.quarantined[0].message
    assert "Jane" not in found.quarantined[0].message


def test_an_image_of_another_modality_than_the_spec_says_is_refused(clinic, home, monkeypatch, unguarded):
    real = case_inputs.read_image
    monkeypatch.setattr(
        case_inputs, "read_image", lambda path, modality, *asked: real(path, "CT" if "b" in path.name else modality)
    )
    assert codes(ingest_cases(clinic.spec(), home)) == {"b": "MODALITY_MISMATCH"}


def test_a_file_that_changes_while_it_is_read_is_refused(clinic, home, monkeypatch, unguarded):
    def slow(path, *asked):
        volume = real(path, *asked)
        if path.name.startswith("b"):
            path.write_bytes(path.read_bytes() + b"more")
        return volume

    real = case_inputs.read_image
    monkeypatch.setattr(case_inputs, "read_image", slow)
    assert codes(ingest_cases(clinic.spec(), home)) == {"b": "INPUT_CHANGED"}


def test_only_a_test_case_needs_its_label(clinic, home):
    clinic.label("a").unlink()
    clinic.label("c").unlink()
    found = ingest_cases(clinic.spec(), home)
    assert codes(found) == {"c": "LABEL_MISSING"}
    case = found.split("train")[0]
    assert case.label is None
    with pytest.raises(XmedError, match="case a has no label"):
        found.label(case)


def test_when_nothing_is_left_ingest_says_why(clinic, home):
    for case in "abc":
        clinic.image(case).write_bytes(b"")
    with pytest.raises(
        XmedError, match=r"error\[NO_CASES\]: found clinic: all 3 cases refused, the first \(a\) with EMPTY_FILE"
    ):
        ingest_cases(clinic.spec(), home)
    assert not Store(home).dataset("clinic").exists()


def test_a_layout_that_finds_no_file_leaves_no_case(clinic, home):
    with pytest.raises(XmedError) as caught:
        ingest_cases(clinic.spec(layout={"image": "nowhere/{case}.nii"}, splits={"fraction": {"train": 1.0}}), home)
    assert caught.value.code == "NO_CASES"


def test_a_missing_folder_is_named_before_anything_is_written(clinic, home):
    with pytest.raises(XmedError, match=r"error\[PATH_NOT_FOUND\]: found dataset clinic: no folder"):
        ingest_cases(clinic.spec(), home, data_root=clinic.root / "nowhere")
    assert not home.exists()


def test_a_second_ingest_reads_nothing_and_finds_the_same(clinic, home, reads):
    first = ingest_cases(clinic.spec(), home)
    assert len(reads) == 3
    stamps = {path: path.stat().st_mtime_ns for path in Store(home).volumes.rglob("*.npy")}
    second = ingest_cases(clinic.spec(), home)
    assert len(reads) == 3
    assert second.fingerprint == first.fingerprint
    assert {path: path.stat().st_mtime_ns for path in Store(home).volumes.rglob("*.npy")} == stamps


def test_a_changed_file_gets_a_new_key_and_is_the_only_one_read(clinic, home, reads):
    before = {case.id: case.image for case in ingest_cases(clinic.spec(), home).cases}
    reads.clear()
    clinic.write(clinic.image("b"), clinic.ball(9)[0])
    after = ingest_cases(clinic.spec(), home)
    changed = {case.id for case in after.cases if case.image != before[case.id]}
    assert changed == {"b"}
    assert reads == ["b.nii.gz"]


def test_labels_of_another_meaning_get_new_keys(clinic, home):
    before = ingest_cases(clinic.spec(), home)
    after = ingest_cases(clinic.spec(labels={1: {"name": "sphere"}}), home)
    assert [case.image for case in before.cases] == [case.image for case in after.cases]
    assert not {case.label for case in before.cases} & {case.label for case in after.cases}


def test_a_damaged_entry_is_read_anew(clinic, home, reads):
    case = ingest_cases(clinic.spec(), home).cases[1]
    array = Store(home).folder(case.image) / "image.npy"
    array.write_bytes(array.read_bytes()[:-1] + b"!")
    reads.clear()
    again = ingest_cases(clinic.spec(), home)
    assert reads == ["b.nii.gz"]
    np.testing.assert_array_equal(again.image(case).array, clinic.ball(1)[0])


def test_four_ingests_at_once_leave_one_result(clinic, home):
    results = []
    threads = [threading.Thread(target=lambda: results.append(ingest_cases(clinic.spec(), home))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({result.fingerprint for result in results}) == 1
    assert len(results) == 4
    assert not list(Store(home).volumes.glob(".part-*"))
    assert all(Store(home).intact(case.image) for case in results[0].cases)


def test_patients_in_no_split_are_counted_and_left_out(clinic, home):
    found = ingest_cases(clinic.spec(splits={"train": ["a"], "test": ["c"]}), home)
    assert [case.id for case in found.cases] == ["a", "c"]
    assert found.n_found == 3


def test_label_maps_alone_make_cases_without_images(clinic, home):
    found = ingest_cases(clinic.spec(layout={"label": "label/{case}.nii.gz"}), home)
    case = found.cases[0]
    assert case.image is None
    np.testing.assert_array_equal(found.label(case).array, clinic.ball(0)[1])
    with pytest.raises(XmedError) as caught:
        found.image(case)
    assert caught.value.code == "IMAGE_MISSING"


def test_progress_counts_every_case(clinic, home, monkeypatch):
    monkeypatch.setenv("XMED_DEID_KEY", "0" * 32)  # else it begins with the key that was made
    heard = []
    ingest_cases(clinic.spec(), home, progress=lambda *words: heard.append(words))
    assert heard[0] == ("ingest clinic", 0, 3, "a")
    assert heard[-1] == ("ingest clinic", 3, 3, "3 read, 0 in quarantine")


def test_a_phantom_is_generated_only_while_patients_are_lacking(clinic, home):
    asked = []
    spec = clinic.spec(phantom={"modality": "MR", "patients": 4})

    def generate(phantom, folder):
        asked.append((phantom.patients, folder))
        clinic.add("d")

    ingest_cases(spec, home, generate=generate)
    ingest_cases(spec, home, generate=generate)
    assert asked == [(4, clinic.root)]


def test_nothing_is_stored_but_voxels_geometry_frame_modality_and_permitted_facts(clinic, home):
    case = ingest_cases(clinic.spec(), home).cases[0]
    folder = Store(home).folder(case.image)
    assert sorted(path.name for path in folder.iterdir()) == ["image.npy", "meta.json"]
    assert set(json.loads((folder / "meta.json").read_text())) == {
        "shape", "spacing_mm", "affine", "frame", "modality", "fov", "sha256", "notes", "facts", "seal",
    }  # fmt: skip


def test_real_patients_are_ingested_from_nifti(xmed_data, home):
    spec = load_dataset("ibsi-sts-pet")
    small = spec.model_copy(update={"splits": type(spec.splits)(train=["STS_041"], test=["STS_025"])})
    found = ingest_cases(small, home)
    assert [case.id for case in found.cases] == ["STS_025", "STS_041"]
    assert found.quarantined == ()
    assert found.image(found.cases[0]).array.shape == (24, 26, 20)
    assert found.n_found == 20


def test_real_dicom_with_contours_equals_its_nifti_twin(xmed_data, home):
    spec = load_dataset("ibsi-sts-dicom-pet")
    small = spec.model_copy(update={"splits": type(spec.splits)(test=["STS_025"])})
    found = ingest_cases(small, home)
    assert found.quarantined == ()
    case = found.cases[0]
    twin = spec.model_copy(
        update={
            "name": "twin",
            "splits": small.splits,
            "layout": cohort_layout(spec, "{case}/nifti/PET_image.nii.gz", "{case}/nifti/PET_mask.nii.gz"),
        }
    )
    other = ingest_cases(twin, home)
    image, expected = found.image(case), other.image(other.cases[0])
    label, truth = found.label(case).array, other.label(other.cases[0]).array
    np.testing.assert_allclose(sorted_corners(image), sorted_corners(expected), atol=1e-2)
    assert float(image.array.max()) == pytest.approx(float(expected.array.max()), abs=1e-4)
    assert label.sum() == pytest.approx(truth.sum(), rel=0.06)


def cohort_layout(spec, image, label):
    return type(spec.layout)(image=image, label=label)


def sorted_corners(volume):
    corners = volume.grid.corners().round(3)
    return corners[np.lexsort(corners.T)]


def test_what_the_room_offers_is_what_the_others_import():
    assert {"Case", "Cohort", "QuarantinedCase", "ingest_cases", "load_cohort", "summarise_cohorts"} <= set(
        cohort.__all__
    )
