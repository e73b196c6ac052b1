"""Layout: patterns say which files belong to which case of which patient."""

import pytest

from xmed.cohort.layout import find_cases
from xmed.errors import XmedError
from xmed.spec import Layout


@pytest.fixture
def files(tmp_path):
    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


def found(root, **patterns):
    def below(paths):
        return [path.relative_to(root).as_posix() for path in paths]

    return [(f.case, f.patient, below(f.image), below(f.label)) for f in find_cases(Layout(**patterns), root)]


def test_image_and_label_of_a_case_are_paired_by_its_name(files):
    root = files("x/1.nii", "x/2.nii", "y/2.nii")
    assert found(root, image="x/{case}.nii", label="y/{case}.nii") == [
        ("1", "1", ["x/1.nii"], []),
        ("2", "2", ["x/2.nii"], ["y/2.nii"]),
    ]


def test_a_label_without_its_image_is_a_case_too(files):
    assert found(files("y/2.nii"), image="x/{case}.nii", label="y/{case}.nii") == [("2", "2", [], ["y/2.nii"])]


def test_a_folder_is_one_path_and_a_glob_is_all_its_files(files):
    root = files("1/mr/a.dcm", "1/mr/b.dcm")
    assert found(root, image="{case}/mr") == [("1", "1", ["1/mr"], [])]
    assert found(root, image="{case}/mr/*.dcm") == [("1", "1", ["1/mr/a.dcm", "1/mr/b.dcm"], [])]
    assert found(root, image="{case}/**/*.dcm") == [("1", "1", ["1/mr/a.dcm", "1/mr/b.dcm"], [])]


def test_a_name_that_stands_twice_in_a_pattern_must_be_the_same(files):
    root = files("1/1_t1.nii", "1/2_t1.nii")
    assert found(root, image="{case}/{case}_t1.nii") == [("1", "1", ["1/1_t1.nii"], [])]


def test_patients_may_have_several_cases(files):
    root = files("i/p1/s1.nii", "i/p1/s2.nii", "l/s2.nii")
    assert found(root, image="i/{patient}/{case}.nii", label="l/{case}.nii") == [
        ("s1", "p1", ["i/p1/s1.nii"], []),
        ("s2", "p1", ["i/p1/s2.nii"], ["l/s2.nii"]),
    ]


def test_cases_that_patients_call_alike_are_told_apart(files):
    root = files("p1/s1.nii", "p2/s1.nii", "p2/s2.nii")
    assert [row[:2] for row in found(root, image="{patient}/{case}.nii")] == [
        ("p1-s1", "p1"),
        ("p2-s1", "p2"),
        ("s2", "p2"),
    ]


def test_hidden_files_and_signs_that_shells_interpret_do_no_harm(files):
    root = files("x/._1.nii", "x/a[1].nii", "y/a[1].nii", ".x/2.nii")
    assert found(root, image="x/{case}.nii", label="y/{case}.nii") == [("a[1]", "a[1]", ["x/a[1].nii"], ["y/a[1].nii"])]


def test_dots_in_a_pattern_are_dots(files):
    assert found(files("x/1.nii", "x/1_nii"), image="x/{case}.nii") == [("1", "1", ["x/1.nii"], [])]


@pytest.mark.parametrize("pattern", ["x/image.nii", "/x/{case}.nii", "x/**{case}.nii"])
def test_a_pattern_that_cannot_work_is_refused(files, pattern):
    with pytest.raises(XmedError, match=r"error\[SPEC_INVALID\]: found layout"):
        find_cases(Layout(image=pattern), files("x/1.nii"))


def test_bids_is_short_for_its_patterns(files):
    root = files(
        "participants.tsv",
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.json",
        "sub-01/ses-1/anat/sub-01_ses-1_T2w.nii.gz",
        "sub-02/anat/sub-02_run-1_T1w.nii",
        "sub-02/anat/sub-02_run-2_T1w.nii",
        "derivatives/manual/sub-01/ses-1/anat/sub-01_ses-1_dseg.nii.gz",
        "derivatives/manual/sub-02/anat/sub-02_run-2_desc-lesion_dseg.nii.gz",
        "derivatives/manual/sub-02/anat/sub-02_run-2_desc-lesion_probseg.nii.gz",
    )
    expected = [
        (
            "sub-01_ses-1",
            "01",
            ["sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz"],
            ["derivatives/manual/sub-01/ses-1/anat/sub-01_ses-1_dseg.nii.gz"],
        ),
        ("sub-02_run-1", "02", ["sub-02/anat/sub-02_run-1_T1w.nii"], []),
        (
            "sub-02_run-2",
            "02",
            ["sub-02/anat/sub-02_run-2_T1w.nii"],
            ["derivatives/manual/sub-02/anat/sub-02_run-2_desc-lesion_dseg.nii.gz"],
        ),
    ]
    assert found(root, bids="T1w") == expected
    assert [row[0] for row in found(root, bids="T2w", label=None)] == ["sub-01_ses-1"]


def test_layout_bids_means_the_images_of_the_datasets_modality(clinic):
    assert clinic.spec(layout="bids").layout == Layout(bids="T1w")
    assert clinic.spec(layout="bids", modality="PT").layout == Layout(bids="pet")
    saved = clinic.spec(layout="bids")
    assert type(saved).model_validate(saved.model_dump(mode="json")) == saved
