"""A home comes back from one file as it was, elsewhere, whole or not at all, and without any key."""

import io
import json
import os
import shutil
import sys
import tarfile
import types

import pytest

from support.registrable_runs import FakeModel, finished
from xmed import registry
from xmed.cli.main import main
from xmed.errors import XmedError
from xmed.registry import audit_log
from xmed.registry.tracked_runs import log_run
from xmed.registry.tracking_store import client, tracking_uri
from xmed.server import backup as room
from xmed.server.backup import backup
from xmed.server.restore import restore

KEYS = ("deidentify/key", "prefect/password", "stack/secrets/mlflow")


@pytest.fixture(autouse=True)
def embedded(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", audit_log.KEY):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "xmed.model.prediction", types.SimpleNamespace(Model=FakeModel))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with a registered model, volumes, a crosswalk, keys, and what processes leave."""
    home = tmp_path_factory.mktemp("made") / "home"
    with pytest.MonkeyPatch.context() as faked:
        faked.setitem(sys.modules, "xmed.model.prediction", types.SimpleNamespace(Model=FakeModel))
        faked.delenv("MLFLOW_TRACKING_URI", raising=False)
        registry.register(finished(home), home)
    texts = dict.fromkeys(KEYS, "secret")
    texts |= {"store/volumes/ab/abcd/image.npy": "voxels", "store/datasets/toy.json": "{}", "store/index.db": "inodes"}
    texts |= {
        "deidentify/crosswalk.jsonl": "sealed",
        "locks/run.json": "",
        "logs/x.log": "log",
        "cache/samples/ab/x/image.b2nd": "voxels",
        "precision.json": "{}",
        "runs/.half": "part",
    }
    for name, text in texts.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return home


@pytest.fixture
def home(made, tmp_path):
    """That home, in a place of its own: a link to it would not move."""
    return shutil.copytree(made, tmp_path / "home")


def listed(file):
    with tarfile.open(file) as archive:
        return archive.getnames()


def test_a_restored_home_has_the_models_the_audit_log_and_the_runs_of_the_first(made, tmp_path):
    before = registry.versions(made)
    found = backup(made, tmp_path / "b.tar.gz")
    assert found.registry == "sqlite"
    gone, again = made.with_name("gone"), tmp_path / "again"
    made.rename(gone)
    try:
        again.mkdir()
        assert restore(tmp_path / "b.tar.gz", again).files == found.files
        assert registry.versions(again) == before
        assert registry.verify_audit(again) == []
        folder = registry.fetch("models:/toy-prostate-us@candidate", again)
        assert folder.is_relative_to(again)
        (run,) = (again / "runs").glob("*/")
        assert (run / "report" / "report.json").read_bytes() == next(
            gone.glob("runs/*/report/report.json")
        ).read_bytes()
        assert (again / "store/volumes/ab/abcd/image.npy").read_text() == "voxels"
        with (again / "mlflow.db").open("rb") as file:
            assert str(made).encode() not in file.read().replace(str(again).encode(), b"")
        assert tracking_uri(again) == f"sqlite:///{again / 'mlflow.db'}"
    finally:
        gone.rename(made)


def test_no_key_and_nothing_of_this_machine_is_in_it_and_it_is_for_its_owner(made, tmp_path):
    backup(made, tmp_path / "b.tar")
    names = listed(tmp_path / "b.tar")
    assert not [name for name in names for key in KEYS if name.endswith(key)]
    assert not [
        name
        for name in names
        if name.startswith(
            ("home/locks", "home/logs", "home/prefect", "home/store/index", "home/cache", "home/precision")
        )
    ]
    assert "home/deidentify/crosswalk.jsonl" in names
    assert not [name for name in names if "/." in name]
    assert names[-1] == "manifest.json"
    assert (tmp_path / "b.tar").stat().st_mode & 0o077 == 0
    assert not (made / "locks" / "backup").exists()


def test_what_is_written_meanwhile_comes_whole_or_not_at_all(home, tmp_path, monkeypatch):
    """Somebody registers, appends to the log and replaces a document between the moment of a backup and its reading."""
    write = room._write_archive

    def meanwhile(archive, place, aside, kind):
        audit_log.append(home, "later")
        next(home.glob("runs/*/report/report.json")).unlink()
        log_run(finished(home), home)
        return write(archive, place, aside, kind)

    monkeypatch.setattr(room, "_write_archive", meanwhile)
    before = [one.event for one in audit_log.records(home)], len(client(home).search_experiments())
    backup(home, tmp_path / "b.tar")
    restore(tmp_path / "b.tar", tmp_path / "again")
    assert registry.verify_audit(tmp_path / "again") == []
    assert [one.event for one in audit_log.records(tmp_path / "again")] == before[0]
    assert len(list((tmp_path / "again").glob("runs/*/report/report.json"))) == 1
    assert len(list((tmp_path / "again").glob("runs/*/"))) == 1


def test_only_an_empty_home_is_restored_into(made, tmp_path, capsys, monkeypatch):
    backup(made, tmp_path / "b.tar")
    monkeypatch.setenv("XMED_HOME", str(made))
    assert main(["restore", str(tmp_path / "b.tar")]) == 2
    assert "error[OUTPUT_EXISTS]: " in capsys.readouterr().err
    assert main(["backup", str(tmp_path / "b.tar")]) == 2
    assert "error[OUTPUT_EXISTS]: " in capsys.readouterr().err


def test_a_registry_elsewhere_is_not_passed_over(made, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@registry.example:5000")
    with pytest.raises(
        XmedError, match=r"USAGE\]: found the registry is at http://registry.example · expected one in this home"
    ):
        backup(made, tmp_path / "b.tar")
    assert not list(tmp_path.glob("*b.tar*"))


def tampered(source, target, change):
    """A copy of an archive, with other bytes for some of its members, or further ones."""
    with tarfile.open(source) as before, tarfile.open(target, "w") as after:
        for member in before:
            data = change(member, before.extractfile(member).read())
            if data is not None:
                member.size = len(data)
                after.addfile(member, io.BytesIO(data))


def climbing(member, data):
    member.name = member.name.replace("home/audit.jsonl", "home/../../audit.jsonl")
    return data


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda member, data: data + b"x" if member.name.endswith("audit.jsonl") else data, "audit.jsonl is not what"),
        (lambda member, data: None if member.name.endswith("audit.jsonl") else data, "audit.jsonl is not what"),
        (lambda member, data: None if member.name == "manifest.json" else data, "it has no manifest"),
        (climbing, "ordinary files below one folder|holds .home"),
    ],
)
def test_a_backup_that_was_changed_restores_nothing(made, tmp_path, change, said):
    if not (tmp_path / "b.tar").exists():
        backup(made, tmp_path / "b.tar")
    tampered(tmp_path / "b.tar", tmp_path / "c.tar", change)
    with pytest.raises(XmedError, match=rf"ARCHIVE_INVALID\]: .*{said}"):
        restore(tmp_path / "c.tar", tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "c.tar"]


def test_half_a_backup_restores_nothing_and_never_has_its_name(made, tmp_path, monkeypatch):
    backup(made, tmp_path / "b.tar")
    whole = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "half.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(XmedError, match="ARCHIVE_INVALID"):
        restore(tmp_path / "half.tar", tmp_path / "again")
    assert not (tmp_path / "again").exists()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room, "_add_member", full)
    with pytest.raises(OSError, match="No space"):
        backup(made, tmp_path / "full.tar")
    assert not list(tmp_path.glob("*full*"))
    assert json.loads((made / "audit.head.json").read_text())["seq"] >= 0
    assert os.path.isdir(made / "runs")
