"""Front door: the names that `import xmed` gives are there, and importing it loads nothing heavy."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import xmed
from support.untrusted_inputs import DATASET, STUDY

PROMISED = {
    "read_image", "read_series", "read_nifti", "read_volumes", "Volume", "LabelTable", "load_dataset", "load_study",
    "ingest", "adapt", "compare", "validate", "predict", "drift", "Model", "Run", "Home", "XmedError",
}  # fmt: skip
"""The names that scripts rely on; `init` joins them when there is such a command."""


def loaded_by(code: str) -> set[str]:
    """The top-level packages that a fresh Python has loaded after a line of code, other than its own."""
    report = "import sys, json; print(json.dumps([n for n in sys.modules if n not in sys.stdlib_module_names]))"
    answer = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True, timeout=120
    )
    return {name.partition(".")[0] for name in json.loads(answer.stdout)} - sys.stdlib_module_names - {"__mp_main__"}


def test_importing_xmed_loads_no_package_but_itself():
    before = loaded_by("pass")  # what the installation loads at every start
    assert loaded_by("import xmed") - before == {"xmed", "lazy_loader"}


def test_an_error_or_a_home_needs_no_package_either():
    before = loaded_by("pass")
    assert loaded_by("import xmed; xmed.XmedError; xmed.Home") - before == {"xmed", "lazy_loader"}


def test_reading_images_needs_no_torch():
    assert "torch" not in loaded_by("import xmed; xmed.read_image; xmed.load_study")


def test_the_promised_names_are_there():
    assert set(xmed.__all__) >= PROMISED
    assert set(dir(xmed)) >= PROMISED


@pytest.mark.parametrize("name", sorted(xmed.__all__))
def test_each_name_can_be_reached(name):
    assert getattr(xmed, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="xmed attribute nothing"):
        xmed.nothing  # noqa: B018


PATHS = {
    "adapt": ("study", "source_root", "target_root", "resume", "file"),
    "compare": ("study", "source_root", "target_root", "resume"),
    "drift": ("model", "data", "data_root"),
    "ingest": ("spec", "data_root"),
    "predict_file": ("reference", "source", "out", "home", "sr"),
    "validate": ("model", "spec", "protocol", "data_root"),
}
"""Job -> its parameters that may be a path."""


@pytest.mark.parametrize("job", PATHS)
def test_a_path_may_be_text_or_a_path(job):
    annotations = inspect.get_annotations(getattr(xmed, job))
    for parameter in PATHS[job]:
        assert {"str", "Path"} <= set(annotations[parameter].split(" | ")), parameter


def test_a_study_and_its_folders_may_be_paths(tmp_path):
    from xmed.app.plan import plan_dataset, plan_study

    (tmp_path / "images").mkdir()
    dataset = DATASET.replace("/nowhere", str(tmp_path / "images"))
    (tmp_path / "clinic.yaml").write_text(dataset)
    (tmp_path / "trial.yaml").write_text(STUDY.replace("clinic", str(tmp_path / "clinic.yaml")))
    as_paths = plan_study(tmp_path / "trial.yaml", target_root=tmp_path / "images")
    as_text = plan_study(str(tmp_path / "trial.yaml"), target_root=str(tmp_path / "images"))
    assert as_paths == as_text
    assert plan_dataset(tmp_path / "clinic.yaml") == plan_dataset(str(tmp_path / "clinic.yaml"))


def test_an_answer_is_still_read_like_the_dictionary_of_version_0_1_0():
    from xmed.records.answers import AdaptedRun

    registered = {"name": "m", "version": 1, "zz": "of somebody", "xmed.run": "r"}
    answer = AdaptedRun.model_validate({"run": "r", "folder": "f", "report": "p", "registered": registered})
    assert answer["run"] == answer.run == "r"
    assert answer["registered"]["xmed.run"] == "r"
    assert answer.get("verdict") is None
    assert "verdict" not in answer
    assert {**answer}.keys() == {"run", "folder", "report", "registered"}
    assert list(dict(answer.registered)) == list(registered)
    with pytest.raises(KeyError):
        answer["verdict"]


ROOMS = sorted(stub.parent.name for stub in Path(xmed.__file__).parent.glob("*/__init__.pyi"))


@pytest.mark.parametrize("room", ROOMS)
def test_each_name_that_a_room_exports_is_where_its_stub_says(room):
    exporting = importlib.import_module(f"xmed.{room}")
    assert exporting.__all__
    for name in exporting.__all__:
        assert getattr(exporting, name) is not None


class TestHome:
    def test_it_is_the_one_that_the_variable_names(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XMED_HOME", str(tmp_path / "a home"))
        assert xmed.Home.current() == xmed.Home(tmp_path / "a home")

    def test_without_the_variable_it_lies_in_the_working_directory(self, tmp_path, monkeypatch):
        monkeypatch.delenv("XMED_HOME", raising=False)
        monkeypatch.chdir(tmp_path)
        assert xmed.Home.current().folder == tmp_path / ".xmed"

    @pytest.mark.parametrize("before", [None, "/somewhere"])
    def test_it_is_current_inside_a_with_block_and_the_other_one_after_it(self, before, tmp_path, monkeypatch):
        monkeypatch.delenv("XMED_HOME", raising=False)
        if before:
            monkeypatch.setenv("XMED_HOME", before)
        outside = xmed.Home.current()
        with xmed.Home(tmp_path).in_use() as home:
            assert xmed.Home.current() == home == xmed.Home(tmp_path)
        assert xmed.Home.current() == outside

    def test_it_is_no_longer_current_after_an_error(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XMED_HOME", "/somewhere")
        with pytest.raises(OSError, match="no disk"), xmed.Home(tmp_path).in_use():
            raise OSError("no disk")
        assert xmed.Home.current() == xmed.Home("/somewhere")

    def test_a_run_knows_the_home_that_it_lies_in(self, tmp_path):
        assert xmed.Run(tmp_path / "home" / "runs" / "a-run").home == xmed.Home(tmp_path / "home")

    def test_a_copy_of_a_run_elsewhere_has_no_home(self, tmp_path):
        assert xmed.Run(tmp_path / "copies" / "a-run").home is None
