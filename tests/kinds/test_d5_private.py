"""D5: what a home holds is for its owner alone, or for one group, whatever the umask."""

import gzip
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support import registrable_runs, tiny_study
from support.ready_databases import give_prefect_database
from xmed import cohort, registry, report
from xmed.registry import audit_log
from xmed.server import doctor
from xmed.server.doctor import leftovers, machine
from xmed.server.doctor.check import Check

CLI = "import os, sys; os.umask(0o{umask}); from xmed.cli.main import main; sys.exit(main())"


@pytest.fixture(autouse=True)
def usual(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "XMED_GROUP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(report, "verify_report", registrable_runs.verify)
    monkeypatch.setattr(report, "write_report", registrable_runs.build)
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(home, bits=0o077):
    """What another account reaches: nothing below a folder that it may not enter."""
    if not stat.S_IMODE(home.stat().st_mode) & bits:
        return []
    return [home, *open_below(home, bits)]


def open_below(home, bits=0o077):
    return [path for path in home.rglob("*") if not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) & bits]


def command(home, *words, umask="022", **more):
    script = CLI.replace("{umask}", umask)
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        env=tiny_study.surroundings(home, **more),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("kind", ["ingest", "register", "audit", "run"])
def test_a_library_writes_into_a_home_that_others_cannot_enter(kind, tmp_path, clinic):
    home = tmp_path / "home"
    if kind == "ingest":
        cohort.ingest_cases(clinic.spec(), home)
    elif kind == "register":
        registry.register(registrable_runs.finished(home), home)
    elif kind == "audit":
        audit_log.append(home, "registered", by="Ada Reader")
    else:
        registrable_runs.finished(home)
    assert open_to_others(home) == []


@pytest.mark.parametrize("umask", ["022", "000", "002"])
def test_what_a_command_writes_is_private_file_by_file(umask, tmp_path, clinic, prefect_database):
    home = tmp_path / "home"
    home.mkdir()
    if umask != "000":  # what is private under the most open one is private under the others
        give_prefect_database(home, prefect_database)
    spec = tmp_path / "clinic.yaml"
    spec.write_text(
        f"name: clinic\nmodality: MR\nroot: {clinic.root}\nlayout: {{image: 'image/{{case}}.nii.gz', label: 'label/{{case}}.nii.gz'}}\n"
        "labels: {1: {name: ball}}\nsplits: {train: [a, b], test: [c]}\n"
    )
    done = command(home, "ingest", str(spec), umask=umask)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.relative_to(home) for path in [home, *open_below(home)] if path != home or open_to_others(home)] == []


def test_the_log_of_a_fault_is_private(tmp_path):
    home = tmp_path / "home"
    script = "import os; os.umask(0o022)\nfrom xmed.cli.command import answer\n"
    script += "def fail():\n    raise RuntimeError('x')\nanswer(fail, False, False)\n"
    subprocess.run([sys.executable, "-c", script], env=tiny_study.surroundings(home), capture_output=True, timeout=120)
    (log,) = (home / "logs").glob("*.log")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert open_to_others(home) == []


@pytest.fixture
def doctors(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "check_packages", lambda: iter([Check("packages", True, "")]))
    monkeypatch.setattr(machine, "check_device", lambda: iter([Check("device", True, "")]))
    monkeypatch.setattr(machine, "LEAST_DISK_GB", 0.0)
    monkeypatch.setattr(leftovers, "gpu_lock_folder", lambda: tmp_path / "gpus")


@pytest.mark.parametrize(
    "path",
    ["store/volumes/ab/x/image.npy", "logs/a.log", "runs/r/report/report.html", "mlflow.db.bak", "deidentify/note"],
)
def test_an_older_home_is_closed_by_the_doctor(path, tmp_path, doctors):
    home = tmp_path / "home"
    (home / path).parent.mkdir(parents=True)
    (home / path).write_bytes(gzip.compress(np.zeros(9).tobytes()))
    assert any("others" in check.detail for check in doctor.examine(home) if not check.ok)
    doctor.examine(home, fix=True)
    assert [home, *open_below(home)][1:] == []
    assert open_to_others(home) == []
    assert not any("others" in check.detail for check in doctor.examine(home) if not check.ok)


@pytest.mark.skipif(os.geteuid() != 0, reason="a group that this account is not in")
def test_a_group_shares_a_home(tmp_path, clinic):
    home = tmp_path / "home"
    home.mkdir()
    spec = tmp_path / "clinic.yaml"
    spec.write_text(
        f"name: clinic\nmodality: MR\nroot: {clinic.root}\nlayout: {{image: 'image/{{case}}.nii.gz', label: 'label/{{case}}.nii.gz'}}\n"
        "labels: {1: {name: ball}}\nsplits: {train: [a, b], test: [c]}\n"
    )
    done = command(home, "ingest", str(spec), XMED_GROUP="4242")
    assert done.returncode == 0, done.stderr[-2000:]
    volumes = list(home.rglob("image.npy"))
    assert volumes
    for path in volumes:
        assert path.stat().st_gid == 4242
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert open_below(home, 0o007) == []


def test_a_group_that_is_none_is_said(tmp_path):
    done = command(tmp_path / "home", "ingest", "phantom-mr", XMED_GROUP="no-such-group-here")
    assert done.returncode == 2
    assert "XMED_GROUP" in done.stderr


def test_a_key_stays_with_its_owner_though_a_group_shares_the_home(tmp_path):
    from xmed.deidentify import Secret

    Secret.find(tmp_path / "home")
    assert Path(tmp_path / "home").exists() is False or open_below(tmp_path / "home" / "deidentify", 0o077) == []
