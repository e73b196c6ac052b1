"""Spec: YAML files say what exists and what to do; whatever is wrong with one is said at once, in one line."""

from pathlib import Path

import pytest

from support.checkout import ROOT
from xmed import spec
from xmed.errors import XmedError
from xmed.spec import DatasetSpec, FractionSplits, Splits, load_dataset, load_study, spec_names

DATASET = """
name: clinic
modality: MR
root: ${{CLINIC}}/data
layout: {{image: "{{case}}.nii.gz", label: "{{case}}_seg.nii.gz"}}
labels: {{1: {{name: ball, category: "49755003", type: "4147007"}}}}
splits: {{train: [a, b], test: [c]}}
{more}
"""


@pytest.fixture
def written(tmp_path):
    def write(more="", name="clinic", text=DATASET):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text.format(more=more), encoding="utf-8")
        return path

    return write


def test_a_dataset_spec_is_read_by_path(written):
    found = load_dataset(written("window: [-160, 240]"))
    assert (found.name, found.modality, found.window) == ("clinic", "MR", (-160, 240))
    assert found.label_table["ball"].type == "4147007"
    assert found.spacing_credible


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("colour: red", "colour: no such key"),
        ("window: [1]", "window"),
        ("name: clinic", "found duplicate key"),
        ("files: [{url: x, sha256: abc}]", "files.0.sha256"),
    ],
)
def test_a_wrong_key_is_named(written, more, sentence):
    with pytest.raises(XmedError, match=sentence) as caught:
        load_dataset(written(more))
    assert caught.value.code == "SPEC_INVALID"
    assert "\n" not in str(caught.value)


def test_every_problem_is_said_at_once(written):
    text = DATASET.replace("modality: MR", "modality: mr").replace("layout: ", "lay_out: ")
    with pytest.raises(XmedError) as caught:
        load_dataset(written(text=text))
    assert all(name in caught.value.what for name in ("modality", "layout", "lay_out"))
    assert "xmed schema DatasetSpec" in caught.value.expected


def test_a_spec_has_the_name_of_its_file(written):
    with pytest.raises(XmedError, match="name: 'clinic' · expected the file's own name, 'other'"):
        load_dataset(written(name="other"))


@pytest.mark.parametrize(
    ("text", "sentence"), [("- a\n- b\n", "a list"), ("a: [", "a YAML document"), ("", "a NoneType")]
)
def test_a_file_that_is_no_mapping_is_refused(written, text, sentence):
    with pytest.raises(XmedError, match=sentence):
        load_dataset(written(text=text))


def test_a_name_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(
        XmedError, match=r"error\[SPEC_NOT_FOUND\]: found no dataset 'nothing' · expected .*ibsi-sts-mr"
    ):
        load_dataset("nothing")
    with pytest.raises(
        XmedError, match=r"error\[SPEC_NOT_FOUND\]: found no study 'nothing' · expected .*ibsi-mr-to-pet"
    ):
        load_study("nothing")


def test_environment_variables_in_root_are_expanded(written, monkeypatch):
    found = load_dataset(written())
    monkeypatch.setenv("CLINIC", "/somewhere")
    assert found.folder() == Path("/somewhere/data")
    assert found.folder(Path("/elsewhere")) == Path("/elsewhere")


def test_a_variable_that_is_not_set_is_named(written, monkeypatch):
    monkeypatch.delenv("CLINIC", raising=False)
    with pytest.raises(XmedError, match=r"environment variable CLINIC is not set .* --data-root"):
        load_dataset(written()).folder()


def test_a_patient_stands_in_one_partition_only():
    with pytest.raises(ValueError, match="patients in two partitions: a"):
        Splits(train=["a", "b"], test=["a"])


def test_fractions_add_up_to_one():
    with pytest.raises(ValueError, match=r"fractions add up to 0\.9, not 1"):
        FractionSplits(fraction={"train": 0.6, "test": 0.3})


def _folders():
    return [ROOT / "data_specs"]


@pytest.fixture
def shipped(monkeypatch):
    monkeypatch.setattr(spec, "spec_folders", _folders)


@pytest.mark.parametrize("path", sorted((ROOT / "data_specs").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_dataset_is_valid_and_says_whose_it_is(path):
    found = load_dataset(path)
    assert found.licence
    assert found.source
    assert all(s.category and s.type for s in found.label_table), "DICOM SEG needs both codes"


@pytest.mark.parametrize("path", sorted((ROOT / "data_specs/studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_study_fits_its_datasets_and_tests_on_other_patients_than_it_learns_from(path, shipped):
    study = load_study(path)
    source, target = load_dataset(study.source), load_dataset(study.target)
    for name in study.structures:
        assert source.label_table[name].type == target.label_table[name].type
    if isinstance(source.splits, Splits) and isinstance(target.splits, Splits):
        learned = {*source.splits.train, *source.splits.select}
        assert source.splits.train
        assert target.splits.test
        assert not learned & {*target.splits.train, *target.splits.test}


def test_names_lists_what_can_be_asked_for(shipped):
    assert {"ibsi-sts-mr", "ibsi-sts-pet", "deepreg-us"} <= set(spec_names("dataset"))
    assert {"ibsi-mr-to-pet", "ibsi-mr-to-ct", "deepreg-mr-to-us"} <= set(spec_names("study"))


def test_every_shipped_case_is_there(xmed_data):
    for name in ("ibsi-sts-mr", "ibsi-sts-pet", "ibsi-sts-ct", "deepreg-mr", "deepreg-us", "ibsi-sts-dicom-ct"):
        found = load_dataset(name)
        assert isinstance(found.splits, Splits)
        for case in [*found.splits.train, *found.splits.select, *found.splits.test]:
            assert found.layout.image
            assert (found.folder() / found.layout.image.format(case=case)).exists(), f"{name} {case}"


def _study(**changes):
    document = {
        "name": "s", "source": "a", "target": "b", "structures": ["ball"], "register_as": "r",
        "grid": {"spacing_mm": [1, 1, 2], "patch": [64, 64, 1]},
        "method": {"name": "bridge", "pool": 60}, "protocol": {"primary": {"structure": "ball"}},
    }  # fmt: skip
    return spec.Study.model_validate({**document, **changes})


def test_a_patch_one_voxel_thick_means_two_dimensions_and_neighbours_are_channels():
    assert (_study().grid.spatial_dims, _study().grid.channels) == (2, 1)
    grid = {"spacing_mm": [1, 1, 2], "patch": [64, 64, 1], "context": 2}
    assert _study(grid=grid).grid.channels == 5
    assert _study(grid={"spacing_mm": [1, 1, 1], "patch": [32, 32, 32]}).grid.spatial_dims == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"grid": {"spacing_mm": [1, 1, 1], "patch": [1, 32, 32]}}, "one voxel thick along its last axis only"),
        ({"grid": {"spacing_mm": [1, 1, 1], "patch": [32, 32, 32], "context": 1}}, "goes with a patch"),
        ({"grid": {"spacing_mm": [1, 0, 1], "patch": [32, 32, 1]}}, "greater than or equal"),
        ({"grid": {"patch": [32, 32, 1]}}, "a grid needs spacing_mm, or fit for pictures without a scale"),
        ({"grid": {"fit": [32, 0, 1], "patch": [32, 32, 1]}}, "greater than or equal"),
        ({"protocol": {"primary": {"structure": "cube"}}}, "is not one of structures: ball"),
        ({"seeds": []}, "at least 1 item"),
        ({"budget": {"step": 3}}, "Extra inputs"),
    ],
)
def test_a_study_that_contradicts_itself_is_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        _study(**changes)


def test_a_method_takes_whatever_hyperparameters_it_is_given():
    assert _study().method.hyperparameters == {"pool": 60}


def test_a_spec_survives_json():
    found = load_dataset("deepreg-us")
    assert DatasetSpec.model_validate(found.model_dump(mode="json")) == found


def test_what_people_write_of_a_study_stands_beside_it_and_is_no_study(tmp_path, monkeypatch):
    folder = tmp_path / "data_specs" / "studies"
    folder.mkdir(parents=True)
    study = (ROOT / "data_specs" / "studies" / "phantom-mr-to-us.yaml").read_text(encoding="utf-8")
    (folder / "mine.yaml").write_text(study.replace("phantom-mr-to-us", "mine"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert spec.study_text_path("mine") is None
    (folder / "mine.text.yaml").write_text("aims: to see\n", encoding="utf-8")
    assert spec.study_text_path("mine") == spec.study_text_path(Path("data_specs/studies/mine.yaml"))
    assert "mine" in spec_names("study")
    assert "mine.text" not in spec_names("study")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("primary: {structure: ball}\nnon_inferiority: {margin: 0.02}\n", "non_inferiority.source"),
        ("primary: {structure: ball}\nnon_inferiority: {margin: 0, source: x}\n", "non_inferiority.margin"),
        ("primary: {structure: ball}\nsubgroups: [zodiac]\n", "subgroups.0"),
        ("accept: {dice: 0.7}\n", "primary"),
    ],
)
def test_a_protocol_alone_is_checked_as_it_is_in_a_study(tmp_path, text, says):
    path = tmp_path / "protocol.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(XmedError, match=says):
        spec.load_protocol(path)
    path.write_text("primary: {structure: ball}\nnon_inferiority: {margin: 0.02, source: raters}\n", encoding="utf-8")
    assert spec.load_protocol(path).non_inferiority.margin == 0.02
