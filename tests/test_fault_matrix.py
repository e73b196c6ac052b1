"""The fault matrix names tests that exist; and the faults that no other module brings about."""

import ast
import os
import signal
from pathlib import Path

import pytest
import torch

from support.checkout import ROOT, modules
from support.evaluated_runs import written
from support.fault_matrix import ROWS
from support.forked_process import FORK, forked
from support.registrable_runs import finished
from support.small_training import pieces
from xmed import registry, report as reports
from xmed.cohort import ingest_cases
from xmed.files.atomic import write_atomically
from xmed.registry.tracked_runs import ARM_TAG
from xmed.registry.tracking_store import client
from xmed.train import checkpoint, loop


@pytest.fixture(autouse=True)
def embedded(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def functions(path):
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_row_is_there_and_names_tests_that_exist():
    assert [row.number for row in ROWS] == list(range(1, 28))
    for row in ROWS:
        assert row.tests, row.fault
        for test in row.tests:
            module, _, name = test.partition("::")
            assert name in functions(ROOT / "tests" / module), f"row {row.number}: {test}"


def killed(work, *arguments):
    """Whether a process that does this was killed, as it should be."""
    process = FORK.Process(target=work, args=arguments)
    process.start()
    process.join(120)
    return process.exitcode == -signal.SIGKILL


def _log_and_die(run, home):
    from mlflow import MlflowClient

    whole = MlflowClient.log_artifacts

    def half(self, run_id, folder, place):
        self.log_artifact(run_id, str(run.report / "report.json"), place)
        os.kill(os.getpid(), signal.SIGKILL)

    MlflowClient.log_artifacts = half
    registry.log_run(run, home)
    MlflowClient.log_artifacts = whole


def artifacts(mlflow, run_id, place="report"):
    return sorted(file.path for file in mlflow.list_artifacts(run_id, place))


def test_killed_while_mlflow_takes_the_artifacts_the_next_log_is_whole_and_nothing_is_double(tmp_path):
    home, undisturbed = tmp_path / "home", tmp_path / "undisturbed"
    run, other = finished(home), finished(undisturbed)
    (other.report / "report.html").write_text((run.report / "report.html").read_text())
    assert killed(_log_and_die, run, home)
    assert registry.orphans(home)
    parent = registry.log_run(run, home)
    expected = registry.log_run(other, undisturbed)
    assert registry.orphans(home) == []
    mlflow, theirs = client(home), client(undisturbed)
    assert artifacts(mlflow, parent) == artifacts(theirs, expected)
    place = mlflow.get_experiment_by_name("toy").experiment_id
    runs = mlflow.search_runs([place])
    assert len([entry for entry in runs if ARM_TAG not in entry.data.tags]) == 1
    for entry in runs:
        for key in entry.data.metrics:
            history = mlflow.get_metric_history(entry.info.run_id, key)
            assert len(history) == len({point.step for point in history}), key


def test_a_run_is_logged_whole_when_the_tracking_server_is_back(home, monkeypatch):
    run = finished(home)
    with monkeypatch.context() as gone:
        gone.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        gone.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(Exception, match=r"127\.0\.0\.1"):
            registry.log_run(run, home)
    parent = registry.log_run(run, home)
    assert client(home).get_run(parent).info.status == "FINISHED"
    assert "report/report.json" in artifacts(client(home), parent)


def _begin(home, answer):
    mlflow = client(home)
    answer.put(mlflow.create_run(mlflow.create_experiment("toy")).info.run_id)


def _write(home, number, run_id):
    for step in range(25):
        client(home).log_metric(run_id, f"of-{number}", float(step), step=step)


def test_eight_processes_write_to_one_tracking_store_and_nothing_is_lost(home):
    """As eight runs on one machine do; this process opens the store last, for connections do not survive a fork."""
    answer = FORK.Queue()
    FORK.Process(target=_begin, args=(home, answer)).start()
    run_id = answer.get(timeout=120)
    processes = [forked(_write, home, number, run_id) for number in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 8
    for number in range(8):
        assert [point.step for point in client(home).get_metric_history(run_id, f"of-{number}")] == list(range(25))


def test_nothing_gets_its_name_before_its_bytes_are_on_the_disk(clinic, home, tmp_path, monkeypatch, unguarded):
    """A disk that loses at power-down whatever was not flushed: a file that has its name must have been."""
    flushed, names = set(), []
    fsync, rename = os.fsync, os.replace

    def flush(handle):
        fsync(handle)
        flushed.add(os.fstat(handle).st_ino)

    def check(source, target, **where):
        inside = [source] if Path(source).is_file() else list(Path(source).rglob("*"))
        for path in (path for path in inside if Path(path).is_file()):
            assert os.stat(path).st_ino in flushed, f"{path} becomes {target}, and may be empty after a power cut"
        names.append(Path(target).name)
        rename(source, target, **where)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", check)
    monkeypatch.setattr(os, "rename", check)
    ingest_cases(clinic.spec(), home)
    write_atomically(tmp_path / "document.json", "{}")
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 5)
    loop.train(*pieces(tmp_path))
    assert {"document.json"} | {path.name for path in checkpoint.checkpoint_files(tmp_path)} <= set(names)
    assert len(names) > 6


def test_no_duration_is_measured_by_a_clock_that_jumps_and_every_stamp_is_utc():
    """time.time() may be compared with a file's time, which is of the same clock; nothing else."""
    for path in modules():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert "time.time()" not in line or "mtime" in line or "touched" in line, f"{path}:{number}"
            assert "utcnow" not in line, f"{path}:{number}"
            assert "datetime.now()" not in line, f"{path}:{number}"


def _report_and_die(run, after):
    flushed, seen = os.fsync, [0]

    def fsync(handle):
        flushed(handle)
        seen[0] += 1
        if seen[0] == after:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = fsync
    torch.set_num_threads(1)
    reports.write_report(run)
    os._exit(0)


@pytest.mark.slow
def test_killed_while_it_writes_the_report_it_writes_the_same_one_again(tmp_path):
    """Killed when the page has come to the disk, and has not got its name yet."""
    run = written(tmp_path / "run", patients=3, seeds=(0,), robust=False)
    assert killed(_report_and_die, run, 4)
    assert (run.report / "report.json").is_file()
    assert not (run.report / "report.html").exists()
    reports.write_report(run)
    contents = {path.name: path.read_bytes() for path in run.report.iterdir() if not path.name.startswith(".")}
    reports.write_report(run)
    assert contents == {p.name: p.read_bytes() for p in run.report.iterdir() if not p.name.startswith(".")}
    assert not reports.verify_report(run.folder)
