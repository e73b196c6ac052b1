"""Ingest under faults: killed anywhere it goes on to the same end, many at once make one result, nothing is done twice."""

import contextlib
import os
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from support.forked_process import FORK, forked
from support.synthetic_dicom import oblique, save, slices, texture
from xmed.cohort import digest_index, ingest_cases, load_cohort, store
from xmed.cohort.digest_index import DigestIndex
from xmed.cohort.store import Store
from xmed.deidentify.key import VARIABLE
from xmed.spec import DatasetSpec

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes are forked here, as on Linux")


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """Two small series that are good, and one that lacks a slice; they count as old, though just written."""
    monkeypatch.setattr(digest_index, "RACY_NS", 0)
    monkeypatch.setenv(VARIABLE, "one key for every home " * 2)
    for case in range(3):
        found = slices(texture((6, 5, 4), case), oblique())
        save(found[:1] + found[2:] if case == 1 else found, tmp_path / "data" / f"case{case}")
    return DatasetSpec.model_validate(
        {
            "name": "series",
            "modality": "MR",
            "root": str(tmp_path / "data"),
            "layout": {"image": "{case}"},
            "labels": {1: {"name": "organ"}},
            "splits": {"train": ["case0", "case1"], "test": ["case2"]},
        }
    )


def contents(home):
    """Everything below a home that is not the index, which may know more or less, by name and bytes."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and "index.db" not in path.name and "quarantine" not in path.parts
    }


def children_of(pid):
    """The processes that any thread of a process has started: Linux lists them by thread."""
    listed = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended meanwhile
            listed += (thread / "children").read_text().split()
    return listed


def in_a_process(work, *arguments):
    process = FORK.Process(target=work, args=arguments)
    process.start()
    process.join(120)
    return process.exitcode


def _ingest_and_die(spec, home, after):
    """Kill this process, as -9 does, at the moment when it has put so many files or folders on the disk."""
    flushed, seen = os.fsync, [0]

    def fsync(handle):
        flushed(handle)
        seen[0] += 1
        if seen[0] == after:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = fsync
    ingest_cases(spec, home)
    os._exit(0)


def test_killed_after_any_file_the_next_ingest_ends_as_an_undisturbed_one(spec, tmp_path, unguarded, monkeypatch):
    undisturbed = ingest_cases(spec, tmp_path / "undisturbed")
    whole = contents(tmp_path / "undisturbed")
    killed = 0
    for after in range(1, 100):
        home = tmp_path / f"killed{after}"
        code = in_a_process(_ingest_and_die, spec, home, after)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        killed += 1
        again = ingest_cases(spec, home)
        assert again.fingerprint == undisturbed.fingerprint
        assert again.quarantined == undisturbed.quarantined
        with monkeypatch.context() as later:
            later.setattr(store, "STALE_SECONDS", -1)
            Store(home).sweep()
        assert contents(home) == whole
    assert code == 0
    assert killed > 3 * len(undisturbed.cases)


def test_killed_while_it_reads_it_leaves_no_process_behind(spec, home):
    """With the guarded readers at work."""
    process = FORK.Process(target=ingest_cases, args=(spec, home))
    process.start()
    until = time.monotonic() + 60
    while not (children := children_of(process.pid)):
        assert process.is_alive()
        assert time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    process.join()
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert len(ingest_cases(spec, home).cases) == 2


def test_four_processes_at_once_leave_one_result(spec, tmp_path, unguarded):
    alone = ingest_cases(spec, tmp_path / "alone")
    home = tmp_path / "home"
    processes = [forked(ingest_cases, spec, home) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    assert load_cohort("series", home).fingerprint == alone.fingerprint
    assert contents(home) == contents(tmp_path / "alone")


@pytest.fixture
def hashed(monkeypatch):
    """The files whose bytes were really hashed, by name."""
    names, hashing = [], digest_index._hash
    monkeypatch.setattr(digest_index, "_hash", lambda path: (names.append(Path(path).name), hashing(path))[1])
    return names


def test_unchanged_files_are_not_even_opened_again(spec, home, hashed, unguarded):
    first = ingest_cases(spec, home)
    assert len(hashed) == 11
    hashed.clear()
    assert ingest_cases(spec, home) == first
    assert hashed == []


def test_other_bytes_of_the_same_size_and_time_are_noticed(spec, home, hashed, unguarded):
    first = ingest_cases(spec, home)
    path = next(Path(spec.root, "case0").glob("*.dcm"))
    data, facts = bytearray(path.read_bytes()), path.stat()
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    hashed.clear()
    assert ingest_cases(spec, home).fingerprint != first.fingerprint
    assert hashed == [path.name]


def test_a_file_that_takes_the_place_of_another_is_noticed(spec, home, unguarded):
    first = ingest_cases(spec, home)
    path, other = sorted(Path(spec.root, "case0").glob("*.dcm"))[0], sorted(Path(spec.root, "case2").glob("*.dcm"))[0]
    facts = path.stat()
    shutil.copy(other, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert ingest_cases(spec, home).fingerprint != first.fingerprint


def test_what_was_written_a_moment_ago_is_hashed_again(spec, home, hashed, unguarded, monkeypatch):
    """Within one tick of a file system's clock a file can change and keep its time."""
    monkeypatch.setattr(digest_index, "RACY_NS", 3600 * 10**9)
    ingest_cases(spec, home)
    hashed.clear()
    ingest_cases(spec, home)
    assert len(hashed) == 11


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"no database" * 500)])
def test_without_its_index_ingest_only_takes_longer(spec, home, hashed, damage, unguarded):
    first = ingest_cases(spec, home)
    for path in (home / "store").glob("index.db-*"):
        path.unlink()
    damage(home / "store" / "index.db")
    hashed.clear()
    for _ in range(2):
        assert ingest_cases(spec, home) == first
    assert len(hashed) >= 11
    hashed.clear()
    assert ingest_cases(spec, home) == first
    assert hashed == []


def test_an_index_that_somebody_holds_does_not_stop_an_ingest(spec, home, unguarded, monkeypatch):
    ingest_cases(spec, home)
    monkeypatch.setattr(digest_index, "PATIENCE_SECONDS", 0.01)
    holder = sqlite3.connect(home / "store" / "index.db")
    holder.execute("BEGIN EXCLUSIVE")
    assert len(ingest_cases(spec, home).cases) == 2
    holder.close()


def test_no_name_stands_in_the_index(spec, home, unguarded):
    ingest_cases(spec, home)
    written = b"".join(path.read_bytes() for path in (home / "store").glob("index.db*"))
    assert b"case0" not in written
    assert b".dcm" not in written


def test_an_entry_that_was_damaged_since_it_was_last_seen_whole_is_noticed(spec, home, unguarded):
    case = ingest_cases(spec, home).cases[0]
    there = Store(home)
    assert there.intact(case.image)
    path = there.folder(case.image) / "image.npy"
    facts = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert not there.intact(case.image)
    ingest_cases(spec, home)
    assert there.intact(case.image)


def test_the_index_knows_only_what_it_was_told(home):
    stamp = digest_index.FileState(1, 2, 3, 4, 5)
    assert DigestIndex(home).find([stamp]) == {}
    DigestIndex(home).keep({stamp: "a"})
    assert DigestIndex(home).find([stamp, stamp._replace(changed=6)]) == {stamp: "a"}
    DigestIndex(home).keep({stamp._replace(changed=6): "b"})
    assert DigestIndex(home).find([stamp, stamp._replace(changed=6)]) == {stamp._replace(changed=6): "b"}
