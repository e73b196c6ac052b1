"""Watching: a run starts when what came is quiet, once, and again only when something new has come or drift was found."""

import json
import os
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from support.drift_reference import about, composed, crowd, reference
from xmed.app import arrival_watch
from xmed.app.arrival_watch import Watch, state_of
from xmed.errors import XmedError
from xmed.io.pacs.archive import ArchiveSeries
from xmed.server import process_environment
from xmed.spec import Study

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STUDY = Study.model_validate({
    "name": "balls", "source": "bright", "target": "dark", "structures": ["ball"], "method": {"name": "gin"},
    "grid": {"spacing_mm": [1, 1, 2], "patch": [16, 16, 1]}, "protocol": {"primary": {"structure": "ball"}}, "register_as": "balls",
})  # fmt: skip


def after(minutes):
    return NOW + timedelta(minutes=minutes)


def test_what_came_is_due_once_it_has_been_quiet_and_then_not_again(tmp_path):
    watch = Watch(tmp_path / "watch" / "s.json")
    assert watch.due("a", 10, NOW) == "something came since the last look"
    assert watch.due("a", 10, after(4)) == "quiet for 4 of 10 minutes"
    assert watch.due("b", 10, after(8)) == "something came since the last look", "a transfer that goes on is not quiet"
    assert watch.due("b", 10, after(17)) == "quiet for 9 of 10 minutes"
    assert watch.due("b", 10, after(18)) == ""
    assert watch.due("b", 10, after(19)) == "", "whoever was killed before it was done is asked again"
    watch.done("b")
    assert watch.due("b", 10, after(500)) == "nothing new"
    assert watch.due("c", 10, after(501)) == "something came since the last look"


def test_a_damaged_record_costs_one_look(tmp_path):
    (tmp_path / "s.json").write_text("{")
    assert Watch(tmp_path / "s.json").due("a", 0, NOW) == "something came since the last look"
    assert Watch(tmp_path / "s.json").due("a", 0, NOW) == ""


def test_a_folder_is_told_from_itself_by_any_file_that_comes_goes_or_grows(clinic):
    spec = clinic.spec()
    seen = [state_of(spec), state_of(spec)]
    clinic.add("d")
    seen.append(state_of(spec))
    with clinic.image("d").open("ab") as file:
        file.write(b"more")
    seen.append(state_of(spec))
    clinic.image("d").unlink()
    seen.append(state_of(spec))
    (clinic.root / ".part").mkdir()
    (clinic.root / ".part" / "x").touch()
    seen.append(state_of(spec))
    assert seen[0] == seen[1]
    assert len(set(seen)) == 4
    assert seen[4] == seen[5], "hidden folders are somebody's scratch"


def test_an_archive_is_asked_what_it_names_and_nothing_is_fetched(clinic, monkeypatch):
    named = [ArchiveSeries("p", "1.2", "1.2.3", {"1.2.3.1": "", "1.2.3.2": ""})]
    monkeypatch.setattr(arrival_watch, "connect", lambda server, listen: SimpleNamespace())
    monkeypatch.setattr(arrival_watch, "find_series", lambda archive, query, images=(): list(named))
    pacs = {"server": "https://pacs/dicom-web", "query": {"Modality": "MR"}}
    spec = clinic.spec(pacs=pacs, root="/nowhere/yet")
    before = state_of(spec)
    assert state_of(spec) == before
    named[0] = ArchiveSeries("p", "1.2", "1.2.3", {"1.2.3.1": "", "1.2.3.2": "", "1.2.3.3": ""})
    assert state_of(spec) != before


def test_what_xmed_makes_itself_is_nothing_to_wait_for(clinic):
    made = clinic.spec(phantom={"modality": "MR", "patients": 2})
    with pytest.raises(XmedError, match=r"error\[USAGE\]: found clinic is written or fetched by xmed itself"):
        state_of(made)
    with pytest.raises(XmedError, match=r"error\[PATH_NOT_FOUND\]: found dataset clinic: no folder /not/there"):
        state_of(clinic.spec(root="/not/there"))


@pytest.fixture
def watching(tmp_path, clinic, monkeypatch):
    """The flow's own function on a real folder; what it starts is written down in place of being run."""
    before = dict(os.environ)
    os.environ["XMED_HOME"] = str(tmp_path / "home")
    process_environment.prepare_environment()
    process_environment.open_home()
    from xmed_pipelines import watch_flow as module

    module.calls, module.verdict, module.problem = [], "alarm", None

    def adapt(study, **places):
        module.calls.append("adapt")
        if module.problem:
            raise module.problem
        return {"run": "balls-1"}

    def drift(model, data):
        module.calls.append(f"drift {model} {data}")
        document = {**composed(about(3), reference(), crowd(3, 2), []), "verdict": module.verdict, "reason": "because"}
        (tmp_path / "drift.json").write_text(json.dumps(document))
        return {"folder": str(tmp_path), "report": "page"}

    monkeypatch.setattr(module, "adapt_flow", adapt)
    monkeypatch.setattr(module, "drift_flow", drift)
    monkeypatch.setattr(module, "watched_by_prefect", nullcontext)
    monkeypatch.setattr(module, "plan_dataset", lambda name, root=None: clinic.spec())
    monkeypatch.setattr(module, "model_in_use", lambda study: "models:/balls@candidate")
    monkeypatch.setattr(module, "incoming", lambda data, card: clinic.spec())
    monkeypatch.setattr(module, "card_of", lambda folder: {})
    monkeypatch.setattr(module, "registry", SimpleNamespace(fetch=lambda model, home: tmp_path))
    yield module
    os.environ.clear()
    os.environ.update(before)


def look(module, **asked):
    return module.watch_flow.fn(STUDY, minutes=0.0, **asked)


def test_new_data_starts_one_run_when_it_is_quiet(watching, clinic):
    assert look(watching) == {"started": False, "reason": "something came since the last look"}
    assert look(watching)["run"] == "balls-1"
    assert look(watching)["reason"] == "nothing new"
    clinic.add("d")
    assert not look(watching)["started"]
    assert look(watching)["started"]
    assert watching.calls == ["adapt", "adapt"]


def test_drift_starts_a_run_only_where_the_alarm_was_raised(watching, clinic):
    watching.verdict = "no_alarm"
    found = [look(watching, when="drift", data="new") for _ in range(3)]
    assert [one["started"] for one in found] == [False] * 3
    assert found[1]["drift"]["verdict"] == "no_alarm"
    watching.verdict = "alarm"
    clinic.add("d")
    found = [look(watching, when="drift", data="new") for _ in range(3)]
    assert [one["started"] for one in found] == [False, True, False]
    checked = "drift models:/balls@candidate new"
    assert watching.calls == [checked, checked, "adapt"]


@pytest.mark.parametrize(("code", "again"), [("PACS_UNREACHABLE", True), ("NO_CASES", False)])
def test_a_run_that_failed_is_tried_again_only_where_the_cause_lies_outside(watching, code, again):
    watching.problem = XmedError(code, "what")
    look(watching)
    with pytest.raises(XmedError):
        look(watching)
    watching.problem = None
    assert look(watching)["started"] == again


def test_a_run_that_was_killed_is_asked_for_again(watching):
    watching.problem = KeyboardInterrupt()
    look(watching)
    with pytest.raises(KeyboardInterrupt):
        look(watching)
    watching.problem = None
    assert look(watching)["started"]
