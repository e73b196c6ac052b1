"""Facts: of a header a report may show age bands, vendors and field strength; nothing that could name anybody."""

import json

import numpy as np
import pytest

from support.synthetic_dicom import oblique, save, slices, texture
from xmed.cohort import ingest_cases, summarise_cohorts
from xmed.cohort.pseudonymise import keyed_metadata
from xmed.cohort.store import Store
from xmed.deidentify import Secret
from xmed.io import read_header_metadata, write_nifti
from xmed.records.record import content
from xmed.spec import DatasetSpec
from xmed.volume import Volume

SECRET = Secret.of("k" * 32, "test")


def series(folder, **header):
    found = slices(texture((8, 7, 5)), oblique())
    for one in found:
        for keyword, value in header.items():
            setattr(one, keyword, value)
    save(found, folder)
    return folder


@pytest.mark.parametrize(
    ("age", "band"),
    [("034Y", "30-39"), ("006M", "0-9"), ("093Y", "90 and over"), ("110Y", "90 and over"), ("34", None), ("", None)],
)
def test_ages_become_bands_and_the_oldest_are_one_band(tmp_path, age, band):
    assert read_header_metadata(series(tmp_path, PatientAge=age)).get("age_band") == band


@pytest.mark.parametrize(("field", "said"), [(1.5, "1.5"), (3, "3"), (15000, "1.5"), (None, None)])
def test_field_strength_is_tesla_also_where_gauss_was_written(tmp_path, field, said):
    assert read_header_metadata(series(tmp_path, MagneticFieldStrength=field)).get("field_t") == said


def test_a_nifti_says_nothing_of_its_patient(tmp_path):
    write_nifti(Volume(np.ones((3, 3, 3), np.float32), np.eye(4)), tmp_path / "a.nii.gz")
    assert read_header_metadata(tmp_path / "a.nii.gz") == {}


@pytest.mark.parametrize(
    ("maker", "kept"),
    [
        ("GE MEDICAL SYSTEMS", "GE"),
        ("Philips Healthcare", "PHILIPS"),
        ("Jane's own GEr\xe4t", None),
        ("GE ZQ19MAKER", "GE"),
    ],
)
def test_of_a_manufacturer_only_the_word_everybody_knows_is_kept(maker, kept):
    assert keyed_metadata({"vendor": maker}, SECRET).get("vendor") == kept


def test_uids_cross_ingest_as_keyed_digests_only_and_the_same_study_is_found_again(tmp_path, home):
    for name in ("a", "b", "c"):
        series(tmp_path / name, StudyInstanceUID="1.2.826.0.1.4711.1001" if name != "b" else "1.2.3", PatientAge="052Y",
               PatientSex="F", SeriesInstanceUID=f"1.2.4.{ord(name)}", ManufacturerModelName="ZQ18MODEL")  # fmt: skip

    def cohort(name, splits):
        document = {"name": name, "modality": "MR", "root": str(tmp_path), "layout": {"image": "{case}"}, "splits": splits,
                    "labels": {1: {"name": "x"}}}  # fmt: skip
        return ingest_cases(DatasetSpec.model_validate(document), home)

    source, target = cohort("one", {"train": ["a"]}), cohort("two", {"train": ["b"], "test": ["c"]})
    found = content(summarise_cohorts(source, target))
    assert len(found["leakage"]["study_overlap"]) == 1  # a and c are of one study, under different names
    assert found["leakage"]["series_overlap"] == []
    facts = found["target"]["cases"][1]["facts"]
    assert (facts["sex"], facts["age_band"]) == ("F", "50-59")
    everything = json.dumps(found) + json.dumps(content(Store(home).meta(target.cases[1].image)))
    assert not any(secret in everything for secret in ("4711.1001", "1.2.4", "ZQ18", "ZZ-4711", "052Y"))
