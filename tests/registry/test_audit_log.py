"""The audit log keeps every record of every process, and nothing is added to a log that does not end as it should."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from support.audit_logs import lines, log, rewrite, without_key
from xmed.errors import XmedError
from xmed.files import locks
from xmed.registry import audit_log
from xmed.registry.audit_verification import verify_log

__all__ = ["log", "without_key"]

WRITER = """
import sys
from pathlib import Path
from xmed.registry import audit_log as audit
for n in range(int(sys.argv[3])):
    audit.append(Path(sys.argv[1]), "registered", writer=int(sys.argv[2]), n=n)
"""


def test_a_record_says_who_when_what_and_continues_the_one_before(log):
    found = audit_log.records(log)
    assert [record.seq for record in found] == [0, 1, 2, 3, 4]
    assert [record.prev for record in found[1:]] == [record.sha256 for record in found[:-1]]
    assert found[0].prev == audit_log.FIRST
    assert "@" in found[0].account
    assert verify_log(log) == []


def test_a_write_that_a_power_cut_interrupted_is_set_aside_and_the_log_goes_on(log):
    with (log / audit_log.LOG).open("a") as file:
        file.write('{"seq":5,"at":"20')
    assert audit_log.append(log, "registered").seq == 5
    assert verify_log(log) == []
    (aside,) = log.glob("audit.torn-*")
    assert aside.read_text() == '{"seq":5,"at":"20'


def test_a_process_killed_between_log_and_head_does_no_harm(log):
    head = (log / audit_log.HEAD).read_text()
    audit_log.append(log, "registered")
    (log / audit_log.HEAD).write_text(head)
    assert verify_log(log) == []
    assert audit_log.append(log, "registered").seq == 6
    assert verify_log(log) == []


@pytest.mark.parametrize("harm", ["cut off", "no head", "emptied"])
def test_nothing_is_added_to_a_log_that_does_not_end_where_its_head_says(log, harm):
    if harm == "no head":
        (log / audit_log.HEAD).unlink()
    else:
        rewrite(log, lines(log)[:3] if harm == "cut off" else [])
    before = lines(log)
    with pytest.raises(
        XmedError, match=r"error\[AUDIT_BROKEN\]: found .* · expected a log that ends where audit.head.json says"
    ):
        audit_log.append(log, "registered")
    assert lines(log) == before


def test_a_full_disk_leaves_the_log_as_it_was(log, monkeypatch):
    before = lines(log)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        audit_log.append(log, "registered")
    monkeypatch.undo()
    assert lines(log) == before
    assert verify_log(log) == []


def test_a_lock_that_somebody_holds_on_to_is_said_and_not_waited_for_without_end(log, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE_SECONDS", 0.05)
    with (
        audit_log.locked(log / audit_log.LOCK),
        pytest.raises(XmedError, match=r"error\[BUSY\]: found another process has held .*audit.lock for 0 s"),
    ):
        audit_log.append(log, "registered")
    assert len(lines(log)) == 5


def test_whoever_waits_goes_on_waiting_while_others_get_their_turn(home, monkeypatch):
    """One holder after another, each of whom leaves a time at the lock, for longer than anybody's patience."""
    held = threading.Event()

    def others():
        with audit_log.locked(home / audit_log.LOCK):
            held.set()
            for _ in range(30):
                time.sleep(0.05)
                os.utime(home / audit_log.LOCK)

    queue = threading.Thread(target=others)
    queue.start()
    assert held.wait(10)
    monkeypatch.setattr(locks, "PATIENCE_SECONDS", 0.5)
    audit_log.append(home, "registered")
    queue.join()
    assert len(lines(home)) == 1


def test_a_log_longer_than_one_block_is_continued_where_it_ends(home):
    for n in range(4):
        audit_log.append(home, "approved", meaning="x" * 40_000, n=n)
    assert verify_log(home) == []


def test_200_records_of_8_processes_are_all_there_once_and_in_one_chain(home):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(home), str(writer), "25"], env=dict(os.environ))
        for writer in range(8)
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0] * 8
    assert verify_log(home) == []
    found = [(record.writer, record.n) for record in audit_log.records(home)]
    assert sorted(found) == [(writer, n) for writer in range(8) for n in range(25)]
    assert [json.loads(line)["seq"] for line in lines(home)] == list(range(200))
