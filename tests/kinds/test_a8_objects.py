"""A8: objects written for poor series: what is missing is named before any work, and what may be filled is filled."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from highdicom.seg import segread
from pydicom.uid import UltrasoundMultiFrameImageStorage, generate_uid

from support.dicom_conformance import faults
from support.synthetic_dicom import enhanced, film, oblique, save, slices, texture
from xmed.app.predict_image import predict_file
from xmed.errors import XmedError
from xmed.io import read_label, read_series, write_nifti
from xmed.io.notes import collect_notes
from xmed.labels import LabelTable, Structure
from xmed.records.model_card import ModelOrigin
from xmed.volume import Volume

SHAPE = (12, 9, 7)
TABLE = LabelTable((Structure(1, "prostate", "123037004", "41216001"),))
MASK = np.zeros(SHAPE, np.uint8)
MASK[2:6, 2:5, 1:4] = 1


@pytest.fixture
def predicted(monkeypatch, tmp_path):
    """Runs `predict_file` on data sets: (document or XmedError, how often the model was asked)."""

    def run(datasets, modality="MR", table=TABLE, source=None):
        asked = []
        known = SimpleNamespace(
            modality=modality, structures=table, origin=ModelOrigin(study="bridge"), weights_sha256="ab" * 32
        )

        def infer(_, image):
            asked.append(image)
            return image.with_array(MASK[:, :, : image.array.shape[2]])

        monkeypatch.setattr("xmed.app.predict_image.fetch", lambda *_: Path())
        monkeypatch.setattr("xmed.app.predict_image.Model", SimpleNamespace(load=lambda _: known))
        monkeypatch.setattr("xmed.app.predict_image.predict", infer)
        source = source or save(datasets, tmp_path / "source")
        try:
            found = predict_file(
                "m", source, tmp_path / "seg.dcm", "dicom-seg", False, tmp_path / "home", sr=tmp_path / "sr.dcm"
            )
        except XmedError as problem:
            found = problem
        return found, len(asked)

    return run


def series(change=None, modality="MR"):
    made = slices(texture(SHAPE), oblique(), modality)
    for n, ds in enumerate(made):
        if change:
            change(ds, n)
    return made


def drop(keyword):
    return lambda ds, n: ds.__delattr__(keyword)


def put(**values):
    def change(ds, n):
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return change


def whole(tmp_path, source):
    """The objects conform, and others read them as they were meant."""
    assert faults(tmp_path / "seg.dcm") == faults(tmp_path / "sr.dcm") == []
    assert list(segread(tmp_path / "seg.dcm").segment_numbers) == [1]
    with collect_notes():
        image = read_series(source)
        label = read_label(tmp_path / "seg.dcm", image, TABLE)
    np.testing.assert_array_equal(label.array, MASK[:, :, : image.array.shape[2]])
    return pydicom.dcmread(tmp_path / "seg.dcm")


# what cannot be referred to
REFUSED = {
    "StudyInstanceUID": drop("StudyInstanceUID"),
    "FrameOfReferenceUID": drop("FrameOfReferenceUID"),
    "SOPInstanceUID": drop("SOPInstanceUID"),
    "SeriesInstanceUID": drop("SeriesInstanceUID"),
}


@pytest.mark.parametrize("keyword", REFUSED)
@pytest.mark.parametrize("how", ["missing", "empty", "missing in one image"])
def test_a_missing_identifier_is_named_before_inference(predicted, tmp_path, keyword, how):
    def change(ds, n):
        if how == "empty":
            setattr(ds, keyword, "")
        elif how == "missing" or n == 3:
            delattr(ds, keyword)

    found, asked = predicted(series(change))
    assert isinstance(found, XmedError)
    assert asked == 0
    assert found.code != "READER_FAILED"
    if how != "missing in one image":  # then it is another series, frame or study, and the reader says so
        assert keyword in str(found)
    assert not (tmp_path / "seg.dcm").exists()


def test_all_that_is_missing_is_named_at_once(predicted):
    def change(ds, n):
        del ds.StudyInstanceUID, ds.FrameOfReferenceUID, ds.SOPInstanceUID

    found, asked = predicted(series(change))
    assert asked == 0
    assert all(keyword in str(found) for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"))


@pytest.mark.parametrize("shared", [range(7), (2, 5)])
def test_one_identifier_on_several_images_is_refused_before_inference(predicted, shared):
    uid = generate_uid()

    def change(ds, n):
        if n in shared:
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid

    found, asked = predicted(series(change))
    assert isinstance(found, XmedError)
    assert asked == 0
    assert found.code != "READER_FAILED"
    assert "SOPInstanceUID" in str(found)
    assert "share" in str(found)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "FrameOfReferenceUID"])
@pytest.mark.parametrize("value", ["1.2.abc", "1.2..3", "1." + "2" * 80, "../../x"])
def test_what_is_no_uid_is_refused_before_inference(predicted, keyword, value):
    found, asked = predicted(series(lambda ds, n: setattr(ds, keyword, value)))
    assert isinstance(found, XmedError)
    assert asked == 0
    assert found.code in ("NOT_REFERABLE", "UID_INVALID")


def test_an_image_of_a_private_kind_is_refused_before_inference(predicted):
    def change(ds, n):
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.3.12.2.1107.5.9.1.77"

    found, asked = predicted(series(change))
    assert isinstance(found, XmedError)
    assert asked == 0
    assert found.code != "READER_FAILED"


def test_structures_without_codes_are_refused_before_inference(predicted):
    found, asked = predicted(series(), table=LabelTable((Structure(1, "prostate"),)))
    assert (found.code, asked) == ("SPEC_INVALID", 0)


def test_a_nifti_cannot_be_referred_to(predicted, tmp_path):
    write_nifti(Volume(texture(SHAPE), oblique()), tmp_path / "x.nii.gz")
    found, asked = predicted(None, source=tmp_path / "x.nii.gz")
    assert isinstance(found, XmedError)
    assert (asked, found.code) == (0, "NOT_DICOM")


def test_a_patient_id_that_no_object_may_carry_is_refused(predicted):
    found, asked = predicted(series(put(PatientID="X" * 80)))
    assert isinstance(found, XmedError)
    assert asked == 0
    assert "PatientID" in str(found)


# what the standard lets us fill
FILLED = {
    "ACR dates": (put(StudyDate="2024.01.02", StudyTime="10:11:12"), {"StudyDate": "20240102", "StudyTime": "101112"}),
    "a date with dashes": (put(StudyDate="2024-01-02"), {"StudyDate": "20240102"}),
    "a date that is none": (put(PatientBirthDate="unknown"), {"PatientBirthDate": ""}),
    "a day that is none": (put(PatientBirthDate="19801332"), {"PatientBirthDate": ""}),
    "a time that is none": (put(StudyTime="noon"), {"StudyTime": ""}),
    "a sex in words": (put(PatientSex="female"), {"PatientSex": "F"}),
    "a sex in a small letter": (put(PatientSex="m"), {"PatientSex": "M"}),
    "a sex that is none": (put(PatientSex="U"), {"PatientSex": ""}),
    "a study id too long": (put(StudyID="A STUDY ID THAT IS LONGER THAN SIXTEEN"), {"StudyID": ""}),
    "an accession number too long": (put(AccessionNumber="X" * 40), {"AccessionNumber": ""}),
    "no accession number": (drop("AccessionNumber"), {"AccessionNumber": ""}),
    "no birth date": (drop("PatientBirthDate"), {"PatientBirthDate": ""}),
    "no name": (drop("PatientName"), {"PatientName": ""}),
    "no study id": (drop("StudyID"), {"StudyID": ""}),
    "no study date": (drop("StudyDate"), {"StudyDate": ""}),
    "no physician": (drop("ReferringPhysicianName"), {"ReferringPhysicianName": ""}),
    "a name too long": (put(PatientName="N" * 90), {"PatientName": ""}),
    "an age that is none": (put(PatientAge="forty"), {}),
    "a comment too long": (put(OtherPatientNames="N" * 90), {}),
}


@pytest.mark.parametrize("what", FILLED)
def test_what_may_be_filled_is_filled_and_said(predicted, tmp_path, what):
    change, expected = FILLED[what]
    with pydicom.config.disable_value_validation():
        datasets = series(change)
        found, asked = predicted(datasets)
    assert not isinstance(found, XmedError), str(found)
    assert asked == 1
    ds = whole(tmp_path, tmp_path / "source")
    for keyword, value in expected.items():
        assert str(ds[keyword].value or "") == value
        assert any(keyword in made.text for made in found["notes"])
    assert any(made.code == "OBJECT_FILLED" for made in found["notes"])


@pytest.mark.parametrize("value", ["abc", "-5000", "2147483647"])
def test_a_series_number_that_cannot_be_counted_on(predicted, tmp_path, value):
    with pydicom.config.disable_value_validation():
        found, _ = predicted(series(lambda ds, n: ds.add_new(0x00200011, "IS", value)) if value != "abc" else series())
    assert not isinstance(found, XmedError), str(found)
    whole(tmp_path, tmp_path / "source")


@pytest.mark.parametrize(("charset", "name"), [("ISO_IR 100", "Müller^Jürgen"), ("ISO_IR 192", "Иванов^Пётр"), ("ISO_IR 144", "Иванов^Пётр"),
                                               (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎")])  # fmt: skip
def test_names_keep_their_letters(predicted, tmp_path, charset, name):
    found, _ = predicted(series(put(SpecificCharacterSet=charset, PatientName=name)))
    assert not isinstance(found, XmedError), str(found)
    assert str(whole(tmp_path, tmp_path / "source").PatientName) == name
    assert str(pydicom.dcmread(tmp_path / "sr.dcm").PatientName) == name


def test_a_name_in_bytes_of_no_character_set_is_left_empty(predicted, tmp_path):
    datasets = series(put(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen"))
    folder = save(datasets, tmp_path / "source")
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b"ISO_IR 192"))
    found, _ = predicted(None, source=folder)
    assert not isinstance(found, XmedError), str(found)
    assert str(whole(tmp_path, folder).PatientName) == ""


# what is whole stays as it is
WHOLE = {
    "MR": lambda: series(),
    "CT": lambda: series(modality="CT"),
    "enhanced MR": lambda: [enhanced(texture(SHAPE), oblique())],
    "film": lambda: [film(texture((7, 9, 12)).astype(np.uint8))],
}


@pytest.mark.parametrize("what", WHOLE)
def test_a_whole_series_gets_its_objects_without_a_word(predicted, tmp_path, what):
    modality = {"CT": "CT", "film": "US"}.get(what, "MR")
    found, asked = predicted(WHOLE[what](), modality)
    assert not isinstance(found, XmedError), str(found)
    assert asked == 1
    assert [made for made in found["notes"] if made.code == "OBJECT_FILLED"] == []
    ds = whole(tmp_path, tmp_path / "source")
    assert (ds.PatientID, str(ds.PatientName), ds.StudyDate) == ("ZZ-4711", "Zz^Secret", "20240101")


def test_a_film_needs_no_frame_of_reference(predicted, tmp_path):
    ds = film(texture((7, 9, 12)).astype(np.uint8))
    assert ds.SOPClassUID == UltrasoundMultiFrameImageStorage
    del ds.FrameOfReferenceUID
    found, _ = predicted([ds], "US")
    assert not isinstance(found, XmedError), str(found)
    whole(tmp_path, tmp_path / "source")
