"""D3: what comes out of a backup is what a backup holds: no key, no lock, no link, nothing beside the home."""

import hashlib
import io
import json
import sqlite3
import stat
import tarfile

import pytest

from support.untrusted_inputs import answer
from xmed.server.backup import backup
from xmed.server.restore import restore

GOOD = {"home/audit.jsonl": b"{}\n", "home/runs/r/study.json": b"{}", "home/store/datasets/a.json": b"{}"}


def archive(path, files, change=None, registry=None, home="/old/home"):
    """A backup whose manifest names every file of it, whoever made it."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    document = {"format": "xmed-backup/1", "made": "2026-01-01T00:00:00+00:00", "xmed": "0.1.0", "home": home,
                "registry": registry, "files": hashes}  # fmt: skip
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w", format=tarfile.PAX_FORMAT) as file:
        for name, data in [*files.items(), ("manifest.json", json.dumps(document).encode())]:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            if change:
                change(entry)
            file.addfile(entry, io.BytesIO(data if entry.isreg() else b""))
    return path


PLANTED = [
    "prefect/password", "prefect/profiles.toml", "prefect/prefect.db", "prefect/memo_store.toml", "Prefect/password", "PREFECT/profiles.toml",
    "stack/stack.json", "stack/password", "stack/secrets/mlflow", "stack/postgres/PG_VERSION", "Stack/stack.json",
    "deidentify/key", "deidentify/Key", "deidentify/key.old", "deidentify/sub/key", "locks/run.json", "locks/backup/x", "logs/a.log", "waiting/a.json",
    "models/a/1-aaaa/model.json", "fetched/aa/run/study.json", "store/index.db", "registry.lock", "audit.lock", "mlflow.db-wal", "mlflow.db-journal",
    ".ssh/authorized_keys", "runs/.part/a", ".netrc", "runs/r/.hidden", "key", "xmed.pth", "sitecustomize.py", "audit.key", "password",
]  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_what_no_backup_holds_is_not_restored(tmp_path, name):
    path = archive(tmp_path / "b.tar", {**GOOD, f"home/{name}": b"planted"})
    assert answer(restore, path, tmp_path / "home") == "ARCHIVE_INVALID"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["b.tar"]


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "home/../../evil", "home/runs/../../../evil", "elsewhere/a", "registry.dump/a", "home", "home/",
                                  "HOME/audit.jsonl", "manifest.json/a", "home/runs/a\0b", "home/runs/a\x1b[31m", "home\\..\\evil", "./home/../x",
                                  "home/" + "a" * 300, "home/runs/" + "d/" * 200 + "e"], ids=ascii)  # fmt: skip
def test_a_name_that_leaves_the_home_restores_nothing(tmp_path, name):
    try:
        path = archive(tmp_path / "b.tar", {**GOOD, name: b"planted"})
    except ValueError:
        pytest.skip("tarfile does not write it")
    assert answer(restore, path, tmp_path / "home") == "ARCHIVE_INVALID"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["b.tar"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE]
)
@pytest.mark.parametrize("to", ["/etc/passwd", "../../x", "audit.jsonl"])
def test_links_and_devices_restore_nothing(tmp_path, kind, to):
    def change(entry):
        if entry.name == "home/runs/r/study.json":
            entry.type, entry.linkname = kind, to
            entry.size = 0 if kind != tarfile.CONTTYPE else entry.size

    files = GOOD if kind != tarfile.CONTTYPE else {**GOOD, "home/../evil": b""}
    assert answer(restore, archive(tmp_path / "b.tar", files, change), tmp_path / "home") == "ARCHIVE_INVALID"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("pair", [("home/runs/a", "home/runs/a/b"), ("home/runs/a/b", "home/runs/a"), ("home/runs/a", "home/runs/./a"),
                                  ("home/runs/a", "home//runs/a")])  # fmt: skip
def test_a_file_and_a_folder_of_one_name_restore_nothing(tmp_path, pair):
    assert (
        answer(restore, archive(tmp_path / "b.tar", dict.fromkeys(pair, b"1")), tmp_path / "home") == "ARCHIVE_INVALID"
    )
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("registry", ["postgresql", "mysql", 5, ["sqlite"]])
def test_a_registry_that_is_not_in_it_restores_nothing(tmp_path, registry):
    assert answer(restore, archive(tmp_path / "b.tar", GOOD, registry=registry), tmp_path / "home") == "ARCHIVE_INVALID"


@pytest.mark.parametrize("data", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 500])
def test_a_registry_that_is_no_database_restores_nothing(tmp_path, data):
    path = archive(tmp_path / "b.tar", {**GOOD, "home/mlflow.db": data}, registry="sqlite")
    assert answer(restore, path, tmp_path / "home") in ("ARCHIVE_INVALID", *([] if data else ["taken"]))


def test_a_table_of_a_hostile_name_changes_nothing_else(tmp_path):
    database = tmp_path / "m.db"
    connection = sqlite3.connect(database)
    with connection:
        connection.execute('CREATE TABLE "a"" SET x = 1; --" (x TEXT, "b""c" TEXT)')
        connection.execute("CREATE TABLE runs (artifact_uri TEXT)")
        connection.execute("INSERT INTO runs VALUES ('/old/home/mlartifacts/1')")
    connection.close()
    path = archive(tmp_path / "b.tar", {"home/mlflow.db": database.read_bytes()}, registry="sqlite")
    assert answer(restore, path, tmp_path / "home") == "taken"
    moved = sqlite3.connect(tmp_path / "home" / "mlflow.db").execute("SELECT artifact_uri FROM runs").fetchall()
    assert moved == [(f"{tmp_path}/home/mlartifacts/1",)]


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_an_archive_of_the_right_shape_is_restored_and_no_mode_of_it_is(tmp_path, ending):
    def change(entry):
        entry.mode = 0o4777

    extra = {"home/deidentify/crosswalk": b"sealed", "home/phantom/mr/a/1.dcm": b"1", "home/audit.head.json": b"{}", "home/quarantine/d/c.json": b"{}",
             "home/watch/s.json": b"{}", "home/reports/drift/a/drift.json": b"{}", "home/stack/mlartifacts/1/a": b"1"}  # fmt: skip
    path = archive(tmp_path / f"b.{ending}", {**GOOD, **extra}, change)
    assert answer(restore, path, tmp_path / "home") == "taken"
    found = [one for one in (tmp_path / "home").rglob("*") if one.is_file()]
    assert len(found) == len(GOOD) + len(extra)
    assert not [one for one in found if stat.S_IMODE(one.stat().st_mode) & 0o7111]


def test_what_backup_writes_is_what_restore_takes(tmp_path):
    home = tmp_path / "home"
    for name in [
        *(one for one in PLANTED if "stack.json" not in one),
        "audit.jsonl",
        "runs/r/study.json",
        "scenes/vessels/a.png",
        "my data/a.nii",
        "deidentify/crosswalk",
    ]:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"1") if not name.endswith(".db") else None
    backup(home, tmp_path / "b.tar.gz")
    with tarfile.open(tmp_path / "b.tar.gz") as file:
        names = set(file.getnames()) - {"manifest.json"}
    assert names == {
        f"home/{name}"
        for name in (
            "audit.jsonl",
            "runs/r/study.json",
            "scenes/vessels/a.png",
            "my data/a.nii",
            "deidentify/crosswalk",
        )
    }
    assert answer(restore, tmp_path / "b.tar.gz", tmp_path / "again") == "taken"


def test_a_damaged_packing_restores_nothing(tmp_path):
    path = archive(tmp_path / "b.tar.gz", {**GOOD, "home/runs/r/x": bytes(range(256)) * 40})
    data = bytearray(path.read_bytes())
    data[-6] ^= 1  # its checksum
    path.write_bytes(data)
    assert answer(restore, path, tmp_path / "home") == "ARCHIVE_INVALID"
