"""The doctor finds what is wrong, says what to do about it, and puts right what a killed process left."""

import json
import os
import sqlite3
import uuid
from contextlib import closing

import pytest

from xmed.app.resume import BEGUN, ENDED
from xmed.cli.main import main
from xmed.console.run_lock import hold_run_lock, run_lock
from xmed.records.precision_choice import PrecisionChoice, PrecisionChoices
from xmed.records.record import write
from xmed.registry import audit_log
from xmed.server import doctor, stale_flow_runs
from xmed.server.doctor import databases, leftovers, machine
from xmed.server.doctor.check import Check

PACKAGES = machine.check_packages


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty home on a machine that is sound; the environment, which a command prepares, is put back."""
    before = dict(os.environ)
    os.environ["XMED_HOME"] = str(tmp_path / "home")
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        os.environ.pop(name, None)
    monkeypatch.setattr(machine, "check_packages", lambda: iter([Check("packages", True, "")]))
    monkeypatch.setattr(machine, "check_device", lambda: iter([Check("device", True, "")]))
    monkeypatch.setattr(machine, "LEAST_DISK_GB", 0.0)
    monkeypatch.setattr(leftovers, "gpu_lock_folder", lambda: tmp_path / "gpus")
    yield tmp_path / "home"
    os.environ.clear()
    os.environ.update(before)


def wrong(place, fix=False):
    return {check.name: check.detail for check in doctor.examine(place, fix) if not check.ok}


def test_an_audit_log_that_somebody_edited_is_found(place):
    for event in ("registered", "approved", "withdrawn"):
        audit_log.append(place, event, by="Ada Reader")
    assert "audit" not in wrong(place)
    lines = (place / audit_log.LOG).read_text().splitlines(keepends=True)
    (place / audit_log.LOG).write_text("".join([lines[0], lines[1].replace("Ada", "Eva"), lines[2]]))
    assert wrong(place)["audit"].startswith("1 problem(s), the first: record 1 was edited")


def a_run(place, name="toy-1", documents=("study",)):
    """A run's folder that nobody has touched for years."""
    folder = place / "runs" / name
    folder.mkdir(parents=True)
    for document in documents:
        (folder / f"{document}.json").write_text("{}")
    for path in (*folder.iterdir(), folder):
        os.utime(path, (0, 0))
    return folder


def test_an_empty_home_is_sound_and_stays_empty(place):
    assert wrong(place) == {}
    assert not place.exists()


def test_a_broken_database_is_found(place):
    (place / "prefect").mkdir(parents=True)
    (place / "prefect" / "prefect.db").write_bytes(b"not a database at all" * 100)
    assert "file is not a database" in wrong(place)["database"]


@pytest.mark.parametrize("name", ["mlflow.db", "prefect.db"])
def test_a_database_is_as_new_as_its_package_or_what_to_do_is_said(name, tmp_path):
    package, folder, upgrade = databases.MIGRATIONS[name]
    newest, known = databases._revisions(package, folder)
    assert len(known) > 20
    older = next(iter(known - {newest}))
    says = {newest: "ok, migration", older: f"`{upgrade}` brings it to {newest}", "f" * 12: f"of a newer {package}"}
    for revision, said in says.items():
        path = tmp_path / name
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as made, made:
            made.execute("CREATE TABLE alembic_version (version_num TEXT)")
            made.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        found = databases._check_file(path)
        assert said in found.detail
        assert found.ok is (revision == newest)


def test_a_server_that_does_not_answer_is_named_without_its_password(place, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    said = wrong(place)["database"]
    assert "MLFLOW_TRACKING_URI=http://…@127.0.0.1:9 does not answer: ConnectionError" in said
    assert "secret" not in said


def test_a_half_finished_run_is_found_unless_somebody_is_at_it(place):
    folder = a_run(place)
    a_run(place, "toy-2", ("study", BEGUN, ENDED))
    assert "half-finished: toy-1; `xmed run` with the same study goes on with it" in wrong(place)["runs"]
    (folder / "rows.json").write_text("[]")
    assert "runs" not in wrong(place)


def test_a_run_that_has_its_report_but_is_not_registered_yet_is_half_finished(place):
    folder = a_run(place, documents=("study", BEGUN))
    (folder / "report").mkdir()
    (folder / "report" / "report.json").write_text("{}")
    for path in (folder / "report" / "report.json", folder / "report", folder):
        os.utime(path, (0, 0))
    assert "toy-1" in wrong(place)["runs"]


def test_a_lock_whose_holder_was_killed_is_found_and_cleared(place):
    run_lock(place).parent.mkdir(parents=True)
    run_lock(place).write_text(json.dumps({"pid": 4711, "what": "study toy"}))
    assert "left by a killed process: run.json: study toy, process 4711" in wrong(place)["locks"]
    assert wrong(place, fix=True) == {}
    assert wrong(place) == {}
    with hold_run_lock(place, "study toy"):
        assert any(f"at work: run.json: study toy, process {os.getpid()}" in c.detail for c in doctor.examine(place))


def test_an_mlflow_run_without_a_process_is_closed_and_says_why(place):
    from xmed.registry.tracked_runs import REASON_TAG, RUN_TAG
    from xmed.registry.tracking_store import client

    mlflow = client(place)
    found = mlflow.create_run(mlflow.create_experiment("toy"), tags={RUN_TAG: "toy-1"}).info.run_id
    with hold_run_lock(place, "study toy"):
        assert "mlflow" not in wrong(place), "whoever is at work may be logging it"
    assert found in wrong(place)["mlflow"]
    assert wrong(place, fix=True) == {}
    closed = mlflow.get_run(found)
    assert closed.info.status == "KILLED"
    assert "process was killed" in closed.data.tags[REASON_TAG]
    assert wrong(place) == {}


def flow_run_table(place, rows):
    """As much of Prefect's database as the doctor reads. rows: flow, state, start."""
    (place / "prefect").mkdir(parents=True)
    newest, _ = databases._revisions(*databases.MIGRATIONS["prefect.db"][:2])
    with closing(sqlite3.connect(place / "prefect" / "prefect.db")) as made, made:
        made.execute("CREATE TABLE alembic_version (version_num TEXT)")
        made.execute("INSERT INTO alembic_version VALUES (?)", (newest,))
        made.execute("CREATE TABLE flow (id TEXT, name TEXT)")
        made.execute("CREATE TABLE flow_run (id TEXT, flow_id TEXT, name TEXT, state_type TEXT, start_time TEXT)")
        for flow, state, start in rows:
            made.execute("INSERT INTO flow VALUES (?, ?)", (key := str(uuid.uuid4()), flow))
            made.execute(
                "INSERT INTO flow_run VALUES (?, ?, ?, ?, ?)", (str(uuid.uuid4()), key, "of-old", state, start)
            )


def test_flow_runs_without_a_process_are_closed_and_others_are_not(place, monkeypatch):
    rows = [("adapt", "RUNNING", "2026-11-20 00:00:00"), ("adapt", "COMPLETED", "2026-11-20 00:00:00")]
    rows += [("ingest", "RUNNING", "9999-01-01 00:00:00"), ("approve", "PAUSED", "2026-11-20 00:00:00")]
    flow_run_table(place, rows)
    closed = []

    def close(home):
        closed.extend(stale_flow_runs.find_stale_runs(home).values())
        return closed

    monkeypatch.setattr(stale_flow_runs, "close_stale_runs", close)
    assert wrong(place)["prefect"].startswith("RUNNING without a process: adapt of-old; ")
    assert not closed
    with hold_run_lock(place, "study toy"):
        assert "prefect" not in wrong(place, fix=True)
    assert not closed
    assert wrong(place, fix=True) == {}
    assert closed == ["adapt of-old"]


def test_a_version_that_was_never_given_its_report_is_found(place, monkeypatch):
    import xmed.registry
    from xmed.records.model_version import ListedVersion

    fields = {"name": "toy", "aliases": [], "created": 0}
    rows = [
        ListedVersion(**fields, version=2, report_sha256="0f"),
        ListedVersion(**fields, version=1),
    ]
    monkeypatch.setattr(xmed.registry, "versions", lambda home: rows)
    assert "without a report: toy 1; " in wrong(place)["models"]


def test_what_is_in_quarantine_is_counted_and_is_no_fault(place):
    folder = place / "quarantine" / "toy-us"
    folder.mkdir(parents=True)
    for name, code in (("a", "SLICE_GAP"), ("b", "SLICE_GAP"), ("c", "EMPTY_FILE")):
        (folder / f"{name}.json").write_text(json.dumps({"code": code}))
    (found,) = [check for check in doctor.examine(place) if check.name == "quarantine"]
    assert (found.ok, found.detail) == (True, "toy-us: 2 SLICE_GAP, 1 EMPTY_FILE")


def test_a_check_that_fails_itself_hides_no_other(place, monkeypatch):
    def broken(home):
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(databases, "check_databases", broken)
    assert wrong(place) == {"check": "ZeroDivisionError: of all things"}


def test_a_package_outside_its_bounds_is_named(monkeypatch):
    monkeypatch.setattr(machine, "requires", lambda name: ["numpy<1", "no-such-package>=2", "pytest; extra == 'dev'"])
    (found,) = PACKAGES()
    assert not found.ok
    assert "is outside <1; no-such-package is not installed (>=2)" in found.detail


def test_precisions_and_prepared_volumes_of_a_home_are_told(place):
    assert "measured when" in next(machine.check_precision(place)).detail
    times = {"float32_ms": 80.0, "bfloat16_ms": 40.0}
    about = {
        "precision": "bfloat16",
        "reason": "measured",
        "step": "training",
        "network": "unet 8-16",
        "spatial_dims": 3,
    }
    choice = PrecisionChoice(**about, device="a processor", threads=1, torch="2.13.0", **times)
    place.mkdir(parents=True, exist_ok=True)
    write(PrecisionChoices(choices={"0": choice}), place / "precision.json")
    (place / "cache" / "samples" / "ab" / "abc").mkdir(parents=True)
    (place / "cache" / "samples" / "ab" / "abc" / "image.b2nd").write_bytes(bytes(10**8))
    told = "training of unet 8-16 in 3-D on a processor: bfloat16 (float32 80 ms, bfloat16 40 ms)"
    assert next(machine.check_precision(place)).detail == told
    assert next(machine.check_cache(place)).detail == "0.1 of at most 200 GB of prepared volumes"


def test_the_doctor_says_no_with_exit_1(place, capsys):
    run_lock(place).parent.mkdir(parents=True)
    run_lock(place).write_text(json.dumps({"pid": 4711, "what": "study toy"}))
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert main(["doctor", "--fix"]) == 0
    assert main(["doctor"]) == 0
