"""The audit log keeps every record of every process, and says which one was edited, dropped, moved or cut off."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from xmed.errors import XmedError
from xmed.files import locks
from xmed.registry import audit_log

WRITER = """
import sys
from pathlib import Path
from xmed.registry import audit_log as audit
for n in range(int(sys.argv[3])):
    audit.append(Path(sys.argv[1]), "registered", writer=int(sys.argv[2]), n=n)
"""


@pytest.fixture(autouse=True)
def without_key(monkeypatch):
    monkeypatch.delenv(audit_log.KEY, raising=False)


@pytest.fixture
def log(home):
    """A home with five records."""
    for n in range(5):
        audit_log.append(home, "registered", by=None, model="toy", version=n)
    return home


def lines(home):
    return (home / audit_log.LOG).read_text().splitlines(keepends=True)


def rewrite(home, kept):
    (home / audit_log.LOG).write_text("".join(kept))


def rehashed(home, change):
    """The log as a forger leaves it: one record changed, and every hash from there on computed anew."""
    found = [change(dict(record)) for record in audit_log.records(home)]
    for number, record in enumerate(found):
        body = {key: value for key, value in record.items() if key not in audit_log.SEALS}
        body["prev"] = found[number - 1]["sha256"] if number else audit_log.FIRST
        found[number] = {**body, "sha256": audit_log.digest(body)}
    rewrite(home, map(audit_log.canonical, found))
    return found[-1]


def other_version(record):
    return {**record, "version": 7} if record["seq"] == 2 else record


def test_a_record_says_who_when_what_and_continues_the_one_before(log):
    found = audit_log.records(log)
    assert [record["seq"] for record in found] == [0, 1, 2, 3, 4]
    assert [record["prev"] for record in found[1:]] == [record["sha256"] for record in found[:-1]]
    assert found[0]["prev"] == audit_log.FIRST
    assert "@" in found[0]["account"]
    assert audit_log.verify(log) == []


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda kept: [*kept[:2], kept[2].replace('"version":2', '"version":7'), *kept[3:]], ["record 2 was edited"]),
        (lambda kept: [*kept[:2], kept[2].replace(":", ": ", 1), *kept[3:]], ["record 2 was edited"]),
        (lambda kept: [*kept[:2], *kept[3:]], ["record 3 follows a gap: 1 record(s) before it were dropped"]),
        (lambda kept: kept[1:], ["record 1 follows a gap: 1 record(s) before it were dropped"]),
        (
            lambda kept: [kept[0], kept[2], kept[1], *kept[3:]],
            [
                "record 2 follows a gap: 1 record(s) before it were dropped",
                "record 1 is out of order: record 3 belongs here",
                "record 3 follows a gap: 1 record(s) before it were dropped",
            ],
        ),
        (lambda kept: [*kept, kept[4]], ["record 4 is out of order: record 5 belongs here"]),
        (lambda kept: kept[:3], ["the log was cut off: it ends with record 2, its head is 4"]),
        (lambda kept: [], ["the log was cut off: it ends with record none, its head is 4"]),
        (lambda kept: [*kept[:2], "{}\n", *kept[3:]], ["line 3 is no record", "record 3 follows a gap"]),
        (
            lambda kept: [*kept[:4], kept[4][:20]],
            ["line 5 is half a record: a write was interrupted", "the log was cut off: it ends with record 3"],
        ),
    ],
    ids=["edited", "respelt", "dropped", "first dropped", "moved", "twice", "cut off", "emptied", "blanked", "torn"],
)
def test_every_harm_is_found_and_located(log, harm, says):
    rewrite(log, harm(lines(log)))
    found = audit_log.verify(log)
    assert len(found) == len(says)
    assert all(one.startswith(expected) for one, expected in zip(found, says))


def test_a_log_hashed_anew_after_an_edit_does_not_match_its_head(log):
    rehashed(log, other_version)
    assert audit_log.verify(log) == [f"{audit_log.HEAD} names another record 4"]


def test_a_log_cut_off_together_with_its_head_is_found_by_what_the_registry_remembers(log):
    anchor = {"toy": {key: audit_log.records(log)[-1][key] for key in ("seq", "sha256")}}
    rewrite(log, lines(log)[:3])
    (log / audit_log.HEAD).write_text(
        audit_log.canonical({key: audit_log.records(log)[-1][key] for key in ("seq", "sha256")})
    )
    assert audit_log.verify(log) == []
    assert audit_log.verify(log, anchor) == ["record 4, which the registry names as the last about toy, is not there"]


def test_with_a_key_a_log_forged_in_all_places_is_still_found(log, monkeypatch):
    monkeypatch.setenv(audit_log.KEY, "k" * 32)
    audit_log.append(log, "approved", by="A. Reader")
    assert audit_log.verify(log) == []  # what was written before there was a key stays valid
    last = rehashed(log, other_version)
    (log / audit_log.HEAD).write_text(audit_log.canonical({key: last[key] for key in ("seq", "sha256")}))
    assert audit_log.verify(log) == ["no record is signed, though there is a key in XMED_AUDIT_KEY"]
    monkeypatch.setenv(audit_log.KEY, "short")
    with pytest.raises(XmedError, match=r"error\[KEY_INVALID\]: found the key in XMED_AUDIT_KEY is too short"):
        audit_log.verify(log)


def test_signed_with_another_key_is_not_signed(home, monkeypatch):
    monkeypatch.setenv(audit_log.KEY, "a" * 32)
    audit_log.append(home, "registered")
    monkeypatch.setenv(audit_log.KEY, "b" * 32)
    assert audit_log.verify(home) == ["record 0 is not signed with this key"]


def test_a_write_that_a_power_cut_interrupted_is_set_aside_and_the_log_goes_on(log):
    with (log / audit_log.LOG).open("a") as file:
        file.write('{"seq":5,"at":"20')
    assert audit_log.append(log, "registered")["seq"] == 5
    assert audit_log.verify(log) == []
    (aside,) = log.glob("audit.torn-*")
    assert aside.read_text() == '{"seq":5,"at":"20'


def test_a_process_killed_between_log_and_head_does_no_harm(log):
    head = (log / audit_log.HEAD).read_text()
    audit_log.append(log, "registered")
    (log / audit_log.HEAD).write_text(head)
    assert audit_log.verify(log) == []
    assert audit_log.append(log, "registered")["seq"] == 6
    assert audit_log.verify(log) == []


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
    assert audit_log.verify(log) == []


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
    assert audit_log.verify(home) == []


def test_200_records_of_8_processes_are_all_there_once_and_in_one_chain(home):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(home), str(writer), "25"], env=dict(os.environ))
        for writer in range(8)
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0] * 8
    assert audit_log.verify(home) == []
    found = [(record["writer"], record["n"]) for record in audit_log.records(home)]
    assert sorted(found) == [(writer, n) for writer in range(8) for n in range(25)]
    assert [json.loads(line)["seq"] for line in lines(home)] == list(range(200))
