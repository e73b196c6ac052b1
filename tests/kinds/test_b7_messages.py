"""B7: what is wrong is said in a sentence that tells what to write instead, and what a user would expect works."""

import nibabel as nib
import numpy as np
import pytest
from xmed_pipelines import schedules

from support.untrusted_inputs import DATASET, STUDY, xmed
from xmed.errors import XmedError
from xmed.spec import load_dataset, load_study

INTERNALS = (
    "function-after",
    "function-before",
    "type=",
    "input_value",
    "Input should",
    "Extra inputs",
    "pydantic",
    "literal[",
    "Field required",
    "<class",
)


def said(load, tmp_path, text, name):
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    with pytest.raises(XmedError) as caught:
        load(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("modality: MR", "modalty: MR"), ["modalty", "did you mean 'modality'", "modality: is missing"]),
        (("modality: MR", "modality: mr"), ["modality", "'mr'", "capital letters"]),
        (("splits: {train: [a, b], test: [c]}", "splits: {trian: [a]}"), ["splits.trian", "'train'"]),
        (("splits: {train: [a, b], test: [c]}", "splits: {train: [001]}"), ["splits.train.0", "quotes"]),
        (("splits: {train: [a, b], test: [c]}", "splits: {train: a}"), ["splits.train", "a list"]),
        (("splits: {train: [a, b], test: [c]}", "splits: {fraction: {train: 0.5, tset: 0.5}}"), ["splits.fraction", "tset", "'test'"]),
        (("splits: {train: [a, b], test: [c]}", "splits: {fraction: {train: 0.5}}"), ["splits", "0.5"]),
        (("{1: {name: ball}}", "{ball: 1}"), ["labels.ball"]),
        (("{1: {name: ball}}", "{1: {nmae: ball}}"), ["labels.1.nmae", "'name'"]),
        (("{1: {name: ball}}", "{0: {name: ball}}"), ["labels.0", "1 or more"]),
        (("layout: {image", "layout: {imgae"), ["layout.imgae", "'image'"]),
        (("root: /nowhere", "root: /nowhere\nwindow: [a, b]"), ["window.0", "a number"]),
        (("root: /nowhere", "root: /nowhere\nspacing_credible: maybe"), ["spacing_credible", "true or false"]),
    ],
    ids=lambda value: value[1][:40] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_is_wrong_with_a_dataset_is_said_by_its_keys(tmp_path, change, words):
    line = said(load_dataset, tmp_path, DATASET.replace(*change), "clinic")
    assert all(word in line for word in words), line
    assert not [word for word in INTERNALS if word in line], line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("structures:", "structurs:"), ["structurs", "'structures'"]), (("patch:", "pacth:"), ["grid.pacth", "'patch'"]),
        (("patch: [32, 32, 1]", "patch: [32, 32]"), ["grid.patch"]), (("register_as: ball", "register_as: my model"), ["register_as", "letters, digits"]),
        (("register_as: ball", "register_as: ball\nbudget: {steps: many}"), ["budget.steps", "a whole number"]),
        (("register_as: ball", "register_as: ball\nnetwork: {input: mnid}"), ["network.input", "'mind'"]),
        (("{primary: {structure: ball}}", "{primary: {structure: ball, metric: dcie}}"), ["protocol.primary.metric", "'dice'"]),
        (("{primary: {structure: ball}}", "{primary: {structure: bal}}"), ["structure"]),
    ],
    ids=lambda value: value[1][:40] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_is_wrong_with_a_study_is_said_by_its_keys(tmp_path, change, words):
    line = said(load_study, tmp_path, STUDY.replace(*change), "trial")
    assert all(word in line for word in words), line
    assert not [word for word in INTERNALS if word in line], line


def test_a_misspelled_name_is_answered_with_the_one_meant(tmp_path):
    with pytest.raises(XmedError, match="did you mean 'ibsi-sts-mr'"):
        load_dataset("ibsi-sts-rm")
    study = STUDY.replace("bridge", "brigde").replace("clinic", str(tmp_path / "clinic.yaml"))
    (tmp_path / "trial.yaml").write_text(study)
    (tmp_path / "clinic.yaml").write_text(DATASET.replace("/nowhere", str(tmp_path)))
    done = xmed("run", str(tmp_path / "trial.yaml"), home=tmp_path / "home")
    assert (done.returncode, b"did you mean 'bridge'" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "expression", ["0 0 30 2 *", "0 0 31 2 *", "0 0 31 4 *", "0 0 31 4,6,9,11 *", "0 0 30-31 2 *", "0 0 31 */2 0#9"]
)
def test_a_cron_that_never_fires_is_refused(expression):
    with pytest.raises(XmedError, match="USAGE"):
        schedules.cron_schedule(expression, "UTC")


@pytest.mark.parametrize(
    "expression", ["0 2 * * *", "0 0 29 2 *", "0 0 31 1,3 *", "*/5 * * * 1-5", "0 0 L 2 *", "@daily", "0 0 1 jan mon"]
)
def test_a_cron_that_fires_is_taken(expression):
    assert schedules.cron_schedule(expression, "Europe/Vienna").cron == expression


@pytest.mark.parametrize(
    "words", [["inspect", "~/data"], ["run", "~/trial.yaml"], ["ingest", "~/clinic.yaml"], ["inspect", "~/data/a.nii"]]
)
def test_a_tilde_is_the_users_folder(tmp_path, words):
    (tmp_path / "data").mkdir()
    array = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    nib.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / "data" / "a.nii")
    (tmp_path / "clinic.yaml").write_text(DATASET.replace("/nowhere", "~/elsewhere"))
    (tmp_path / "trial.yaml").write_text(STUDY.replace("clinic", "~/clinic.yaml"))
    done = xmed(*words, home=tmp_path / "home", HOME=str(tmp_path))
    if words[0] == "inspect":
        assert (done.returncode, b"a.nii" in done.stdout) == (0, True)
    else:
        assert f"no folder {tmp_path}/elsewhere".encode() in done.stderr


@pytest.mark.parametrize("place", [".", "..", "data_specs", "../data_specs"])
def test_a_study_given_by_its_path_finds_the_specs_beside_it(tmp_path, place, monkeypatch):
    (tmp_path / "project" / "studies").mkdir(parents=True)
    study = tmp_path / "project" / "studies" / "trial.yaml"
    study.write_text(STUDY)
    folder = study.parent / place
    folder.mkdir(exist_ok=True)
    (folder / "clinic.yaml").write_text(DATASET)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    found = load_study(study)
    assert load_dataset(found.source).name == load_dataset(found.target).name == "clinic"


def test_a_study_among_the_usual_specs_keeps_its_names(tmp_path, monkeypatch):
    (tmp_path / "data_specs" / "studies").mkdir(parents=True)
    (tmp_path / "data_specs" / "studies" / "trial.yaml").write_text(STUDY)
    (tmp_path / "data_specs" / "clinic.yaml").write_text(DATASET)
    monkeypatch.chdir(tmp_path)
    assert load_study("data_specs/studies/trial.yaml").source == "clinic"


def test_predict_says_how_a_volume_of_several_is_chosen(tmp_path):
    assert b"--channel" in xmed("predict", "--help", home=tmp_path / "home").stdout
