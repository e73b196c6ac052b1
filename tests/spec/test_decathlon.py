"""Decathlon: a dataset.json as nnU-Net and the Medical Segmentation Decathlon write it is a dataset spec."""

import json

import pytest

from support.synthetic_dicom import refusal
from xmed import cohort
from xmed.spec import load_dataset

DECATHLON = {
    "name": "Heart",
    "reference": "King's College London",
    "licence": "CC-BY-SA 4.0",
    "modality": {"0": "MRI"},
    "labels": {"0": "background", "1": "left atrium"},
    "numTraining": 2,
    "training": [
        {"image": "./imagesTr/la_007.nii.gz", "label": "./labelsTr/la_007.nii.gz"},
        {"image": "./imagesTr/la_010.nii.gz", "label": "./labelsTr/la_010.nii.gz"},
    ],
    "test": ["./imagesTs/la_001.nii.gz"],
}
NNUNET = {
    "channel_names": {"0": "T2"},
    "labels": {"background": 0, "PZ": 1, "TZ": 2},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}


@pytest.fixture
def written(tmp_path):
    def write(document, folder="Task02_Heart"):
        path = tmp_path / folder / "dataset.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
        return path

    return write


def test_a_decathlon_dataset_is_a_spec(written):
    path = written(DECATHLON)
    (path.parent / "imagesTr").mkdir()
    (path.parent / "imagesTr" / "la_007.nii.gz").touch()
    spec = load_dataset(path)
    assert (spec.name, spec.modality, spec.licence) == ("Task02_Heart", "MR", "CC-BY-SA 4.0")
    assert spec.folder() == path.parent
    assert (spec.layout.image, spec.layout.label) == ("imagesTr/{case}.nii.gz", "labelsTr/{case}.nii.gz")
    assert {value: structure.name for value, structure in spec.labels.items()} == {1: "left-atrium"}


def test_nnunets_channel_in_the_file_name_is_found_in_both_of_its_versions(written):
    first = load_dataset(written(DECATHLON))  # v1 names la_007.nii.gz, and the file is la_007_0000.nii.gz
    assert first.layout.image == "imagesTr/{case}_0000.nii.gz"
    second = load_dataset(written(NNUNET, "Dataset005_Prostate"))
    assert second.name == "Dataset005_Prostate"
    assert (second.layout.image, second.layout.label) == ("imagesTr/{case}_0000.nii.gz", "labelsTr/{case}.nii.gz")
    assert {value: structure.name for value, structure in second.labels.items()} == {1: "PZ", 2: "TZ"}


@pytest.mark.parametrize(
    ("channel", "modality"),
    [("CT", "CT"), ("MRI", "MR"), ("FLAIR", "MR"), ("T1w", "MR"), ("PET", "PT"), ("ultrasound", "US"), ("ADC", "MR")],
)
def test_a_channels_name_tells_the_modality(written, channel, modality):
    assert load_dataset(written({**NNUNET, "channel_names": {"0": channel}})).modality == modality


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"channel_names": {"0": "T2", "1": "ADC"}}, "2 channels (0: T2, 1: ADC)"),
        ({"channel_names": {"0": "noNorm"}}, "calls its channel 'noNorm'"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, "no regions"),
        ({"labels": {"background": 0, "organ": 1, "ignore": 2}}, "no ignore"),
        ({"training": ["imagesTr/a.nii.gz"]}, "in a way of its own"),
        ({"labels": None}, "no channels or no labels"),
    ],
)
def test_what_cannot_be_told_from_it_is_asked_for_in_yaml(written, change, sentence):
    with refusal("SPEC_INVALID", sentence, "write a YAML spec"):
        load_dataset(written({**NNUNET, **change}))


def test_a_missing_or_broken_file_is_said_to_be_so(tmp_path):
    with refusal("SPEC_NOT_FOUND", "dataset.json"):
        load_dataset(tmp_path / "dataset.json")
    (tmp_path / "dataset.json").write_text("{")
    with refusal("SPEC_INVALID", "a JSON document"):
        load_dataset(tmp_path / "dataset.json")


def test_an_nnunet_folder_is_ingested_and_loaded_by_its_dataset_json(clinic, written, home):
    path = written({**NNUNET, "labels": {"background": 0, "ball": 1}}, "Dataset001_Balls")
    for n in range(5):
        image, label = clinic.ball(n)
        clinic.write(path.parent / "imagesTr" / f"ball_{n}_0000.nii.gz", image)
        clinic.write(path.parent / "labelsTr" / f"ball_{n}.nii.gz", label)
    found = cohort.ingest_cases(load_dataset(path), home)
    assert len(found.cases) == 5
    assert all(case.image and case.label for case in found.cases)
    assert cohort.load_cohort(str(path), home).fingerprint == found.fingerprint
