"""A2: what must be constant in a series is compared (PS3.3 C.7.1.1, C.7.2.1, C.7.3.1, C.7.4.1, C.7.5.1)."""

import numpy as np
import pytest
from pydicom.uid import PositronEmissionTomographyImageStorage, SegmentationStorage, generate_uid

from support.numbered_slices import item, numbered, stack, tried
from support.synthetic_dicom import enhanced, image, save, texture
from xmed.errors import XmedError
from xmed.io import inspect, read_label, read_series
from xmed.labels import LabelTable, Structure

FIRST, SECOND = 2.0 * np.arange(6), 2.0 * np.arange(6) + 12


def two(**second):
    """Two stacks, one behind the other, under one series identifier; the second with other attributes."""
    return numbered(stack(FIRST, 1, PatientBirthDate="19500102", PatientSex="F") + stack(SECOND, 2, **second))


BASE = {"PatientBirthDate": "19500102", "PatientSex": "F"}
OTHER = {
    "PatientID": {"PatientID": "ZZ-0815"},
    "PatientName": {"PatientName": "Other^Person"},
    "PatientBirthDate": {"PatientBirthDate": "19610203"},
    "PatientSex": {"PatientSex": "M"},
    "IssuerOfPatientID": {"IssuerOfPatientID": "B"},
    "StudyInstanceUID": {"StudyInstanceUID": "1.2.3.9"},
    "Modality": {"Modality": "PT", "SOPClassUID": PositronEmissionTomographyImageStorage},
    "FrameOfReferenceUID": {"FrameOfReferenceUID": "1.2.3.8"},
    "Manufacturer": {"Manufacturer": "Somebody Else"},
    "DeviceSerialNumber": {"DeviceSerialNumber": "2"},
    "Laterality": {"Laterality": "R"},
    "PatientPosition": {"PatientPosition": "FFS"},
    "PatientID and nothing else given": {
        "PatientID": "ZZ-0815", "PatientName": "", "PatientBirthDate": "", "PatientSex": "",
    },
    "everything": {
        "PatientID": "P2", "PatientName": "Other^Person", "PatientSex": "M", "StudyInstanceUID": "1.2.3.9",
    },
}  # fmt: skip


def made(name):
    datasets = two(**{**BASE, **OTHER[name]})
    if name == "Laterality":
        for ds in datasets[:6]:
            ds.Laterality = "L"
    if name == "IssuerOfPatientID":
        for ds in datasets[:6]:
            ds.IssuerOfPatientID = "A"
    for ds in datasets:
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    return datasets


@pytest.mark.parametrize("name", OTHER)
def test_two_identities_are_never_one_volume(tmp_path, name):
    found, code = tried(made(name), tmp_path)
    if found is None:
        assert code != "READER_FAILED"
    else:
        assert all(len({mark // 100 for mark in volume}) == 1 for volume in found)


@pytest.mark.parametrize("name", ["PatientID", "StudyInstanceUID", "PatientSex"])
def test_inspect_says_so_with_a_code_and_names_nobody(tmp_path, name):
    save(made(name), tmp_path)
    found = inspect(tmp_path)
    assert all(f.code for f in found) or len(found) == 2
    for word in ("ZZ-", "0815", "4711", "Secret", "19500102", "1.2.3.9"):
        assert word not in repr(found)


def test_two_patients_at_alternating_places_are_never_one_volume(tmp_path):
    mixed = numbered(stack(4 * np.arange(6), 1) + stack(4 * np.arange(6) + 2.0, 2, PatientID="ZZ-0815"))
    found, code = tried(mixed, tmp_path)
    assert found is None or all(len({mark // 100 for mark in volume}) == 1 for volume in found), code


def test_a_multi_frame_image_beside_single_frames_of_somebody_else_is_no_volume(tmp_path):
    below = np.eye(4)
    below[2, 3] = -4.0
    ds = enhanced(texture((9, 7, 4)), below)
    ds.PatientID = "ZZ-0815"
    found, code = tried([ds, *stack(np.arange(4.0), 1, "MR")], tmp_path)
    assert found is None or len(found) == 2, code


SAME = {
    "trailing spaces": {"PatientID": "ZZ-4711  ", "PatientName": "Zz^Secret "},
    "lower case": {"PatientID": "zz-4711", "PatientName": "ZZ^SECRET"},
    "components without a value": {"PatientName": "Zz^Secret^^^"},
    "a name in a second writing": {"PatientName": "Zz^Secret=\u5c71\u7530^\u592a\u90ce", "SpecificCharacterSet": "ISO_IR 192"},
    "no ID in some slices": {"PatientID": ""},
    "no name, date and sex in some slices": {"PatientName": None, "PatientBirthDate": None, "PatientSex": ""},
    "no study date in some slices": {"StudyDate": ""},
    "another acquisition": {"AcquisitionNumber": 7, "AcquisitionTime": "101010"},
    "a date with dots": {"PatientBirthDate": "1950.01.02"},
    "a maker in capitals": {"Manufacturer": "XMED "},
    "no position in some slices": {"PatientPosition": ""},
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_one_person_written_in_two_ways_stays_one_volume(tmp_path, name):
    found, code = tried(two(**{**BASE, **SAME[name]}), tmp_path)
    assert found is not None, code
    assert [len(volume) for volume in found] == [12]


def test_one_name_in_two_character_sets_stays_one_volume(tmp_path):
    datasets = two(**BASE)
    for ds, encoding in zip(datasets, ["ISO_IR 100", "ISO_IR 192"] * 6):
        ds.SpecificCharacterSet, ds.PatientName = encoding, "M\u00fcller^\u00c9va"
    found, code = tried(datasets, tmp_path)
    assert found is not None, code


TABLE = LabelTable([Structure(1, "liver")])


def segmentation(of, **values):
    """A SEG of one segment that covers the first slice of a series made by `stack`."""
    rows, columns = int(of[0].Rows), int(of[0].Columns)
    ds = image(np.ones((1, rows, columns), dtype=np.uint8), SegmentationStorage, "SEG")
    ds.SeriesInstanceUID, ds.SegmentationType = generate_uid(), "FRACTIONAL"
    ds.MaximumFractionalValue, ds.SegmentationFractionalType = 1, "OCCUPANCY"
    ds.SegmentSequence = [item(SegmentNumber=1, SegmentLabel="liver", SegmentAlgorithmType="MANUAL")]
    place = item(ImagePositionPatient=of[0].ImagePositionPatient)
    shared = item(
        PixelMeasuresSequence=[item(PixelSpacing=of[0].PixelSpacing, SliceThickness=2)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=of[0].ImageOrientationPatient)],
    )
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[place], SegmentIdentificationSequence=[item(ReferencedSegmentNumber=1)])
    ]
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        ({}, True),
        ({"PatientID": "zz-4711 "}, True),
        ({"PatientID": "", "PatientName": ""}, True),
        ({"PatientID": "ZZ-0815"}, False),
        ({"PatientID": "ZZ-0815", "PatientName": "Other^Person"}, False),
        ({"PatientID": "", "PatientName": "Other^Person"}, False),
        ({"PatientSex": "M"}, False),
        ({"PatientBirthDate": "19610203"}, False),
    ],
)
def test_a_label_of_somebody_else_is_refused(tmp_path, values, taken):
    of = stack(FIRST, 1, **BASE)
    volume = read_series(save(of, tmp_path / "image"))
    label = save([segmentation(of, **{**BASE, **values})], tmp_path / "label")
    if taken:
        assert read_label(label, volume, TABLE).array[:, :, 0].all()
    else:
        with pytest.raises(XmedError) as problem:
            read_label(label, volume, TABLE)
        assert problem.value.code != "READER_FAILED"
