"""B8: one bad name costs what it names, and nothing else: the rest is ingested, de-identified, inspected."""

import json
import os
import socket
import subprocess
import sys

import pytest

from support.synthetic_dicom import oblique, save, slices, texture
from xmed.cli.main import main
from xmed.cohort import ingest_cases

KEY = "0123456789abcdef" * 4
LONG = "n" * 240 + ".nii.gz"  # 247 characters


def _bytes_name(folder):
    with open(os.fsencode(folder) + b"/bad\xff\xfe.nii.gz", "wb") as file:
        file.write(b"x" * 400)


def _locked(folder):
    (folder / "locked.nii.gz").write_bytes(b"x" * 400)
    (folder / "locked.nii.gz").chmod(0)


def _locked_folder(folder):
    (folder / "locked").mkdir()
    (folder / "locked" / "a.nii.gz").write_bytes(b"x" * 400)
    (folder / "locked").chmod(0)


def _named(name):
    return lambda folder: (folder / name).write_bytes(b"x" * 400)


BAD = {
    "a name that is no UTF-8": _bytes_name,
    "a name of 247 characters": _named(LONG),
    "a name of 255 bytes": _named("ü" * 124 + ".nii.gz"),
    "a dead link": lambda folder: (folder / "dead.nii.gz").symlink_to("nowhere"),
    "a link to itself": lambda folder: (folder / "loop.nii.gz").symlink_to("loop.nii.gz"),
    "a link to its own folder": lambda folder: (folder / "up.nii.gz").symlink_to("."),
    "a link out": lambda folder: (folder / "out.nii.gz").symlink_to("/etc/passwd"),
    "a pipe": lambda folder: os.mkfifo(folder / "pipe.nii.gz"),
    "a socket": lambda folder: _socket(folder / "socket.nii.gz"),
    "a folder called like a file": lambda folder: (folder / "folder.nii.gz").mkdir(),
    "a line break in a name": _named("two\nlines.nii.gz"),
    "an escape sequence in a name": _named("\x1b[31mred.nii.gz"),
    "a face in a name": _named("🙂.nii.gz"),
    "a name that ends in a dot": _named("dot..nii.gz"),
    "a name that begins with a dash": _named("-rf.nii.gz"),
    "a per cent sign": _named("50%25.nii.gz"),
    "signs of a glob": _named("[1]*?.nii.gz"),
    "signs of a format": _named("{case}.nii.gz"),
    "a name that another system reserves": _named("CON.nii.gz"),
    "a name in other letters": _named("A.nii.gz"),
    "an empty file": lambda folder: (folder / "empty.nii.gz").touch(),
}


def _socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # names of sockets are short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


@pytest.fixture
def drawn(clinic):
    """The clinic with a spec that takes whoever is there."""
    return clinic.spec(splits={"fraction": {"train": 1.0}}, pseudonyms=False)


@pytest.mark.parametrize("name", BAD)
def test_the_rest_is_ingested(clinic, drawn, home, name):
    BAD[name](clinic.root / "image")
    found = ingest_cases(drawn, home)
    assert {"a", "b", "c"} <= {case.id for case in found.cases}
    assert len(found.quarantined) == (0 if name == "a link to its own folder" and not found.quarantined else 1)
    records = list((home / "quarantine" / "clinic").glob("*.json"))
    assert len(records) == len(found.quarantined)
    assert all(json.loads(path.read_text())["code"] for path in records)
    assert ingest_cases(drawn, home).fingerprint == found.fingerprint
    assert len(list((home / "quarantine" / "clinic").glob("*.json"))) == len(found.quarantined)


@pytest.mark.parametrize("name", BAD)
def test_the_rest_is_ingested_under_pseudonyms_too(clinic, home, name):
    BAD[name](clinic.root / "image")
    found = ingest_cases(clinic.spec(splits={"fraction": {"train": 1.0}}), home)
    assert len(found.cases) == 3


def _series(folder):
    save(slices(texture((8, 8, 3)), oblique()), folder / "series")


@pytest.mark.parametrize("name", BAD)
def test_the_rest_is_deidentified(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setenv("XMED_DEID_KEY", KEY)
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "home"))
    _series(tmp_path / "in")
    (tmp_path / "in" / "other").mkdir()
    BAD[name](tmp_path / "in" / "other")
    exit_code = main(["deidentify", str(tmp_path / "in"), str(tmp_path / "out"), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 3
    harmless = ("a folder called like a file", "a link to its own folder")
    assert exit_code == bool(said["codes"])
    assert sum(said["codes"].values()) + said["skipped"] == (name not in harmless)


@pytest.mark.parametrize("name", BAD)
def test_the_rest_is_inspected(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "home"))
    _series(tmp_path / "in")
    (tmp_path / "in" / "other").mkdir()
    BAD[name](tmp_path / "in" / "other")
    for how in ([], ["--json"]):
        assert main(["inspect", str(tmp_path / "in"), *how]) in (0, 1)
        said = capsys.readouterr().out
    assert any(row["kind"] == "series" and row["verdict"] == "ok" for row in json.loads(said))


@pytest.mark.parametrize("lock", [_locked, _locked_folder], ids=["a file", "a folder"])
@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="another user is needed")
def test_what_nobody_may_open_costs_itself_and_is_said(tmp_path, lock):
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.stat().st_mode & 0o005 != 0o005:
            pytest.skip("the test's folder is closed to others")
    _series(tmp_path / "in")
    lock(tmp_path / "in")
    code = (
        "import os, sys; os.environ['HOME'] = sys.argv[1]; os.setgid(65534); os.setuid(65534)\n"
        "from xmed.deidentify import deidentify_files; from xmed.io.inspect import inspect; from pathlib import Path\n"
        "here = Path(sys.argv[1]); done = deidentify_files(here / 'in', here / 'free' / 'out', here / 'free' / 'home')\n"
        "print(done.written, len(done.withheld), sum(f.verdict == 'refused' for f in inspect(here / 'in')))\n"
    )
    (tmp_path / "free").mkdir()
    (tmp_path / "free").chmod(0o777)
    env = os.environ | {"XMED_DEID_KEY": KEY, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=env, capture_output=True, text=True, check=False
    )
    if "ModuleNotFoundError" in done.stderr or "Permission denied: '/root" in done.stderr:
        pytest.skip("the code is closed to others")
    assert done.stdout.split() == ["3", "1", "1"], done.stderr


@pytest.mark.parametrize("patient", ["../../outside", "a/b", "n" * 300, ".", "", "CON"])
def test_a_patient_that_a_spec_names_and_no_file_system_can_is_one_refusal(clinic, home, patient):
    found = ingest_cases(clinic.spec(splits={"train": ["a", "b", patient], "test": ["c"]}), home)
    assert [case.id for case in found.cases] == ["a", "b", "c"]
    assert [refusal.code for refusal in found.quarantined] == ["IMAGE_MISSING"]
    records = [path for path in home.parent.rglob("*.json") if "quarantine" in path.parts]
    assert [path.parent for path in records] == [home / "quarantine" / "clinic"]
