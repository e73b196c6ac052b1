"""Verification of the audit log says which record was edited, dropped, moved or cut off."""

import pytest

from support.audit_logs import lines, log, rewrite, without_key
from xmed.errors import XmedError
from xmed.files.digest import digest
from xmed.records.audit_trail import LogPosition
from xmed.records.record import content
from xmed.registry import audit_log
from xmed.registry.audit_file import HEAD, SEALS, canonical
from xmed.registry.audit_verification import verify_log

__all__ = ["log", "without_key"]


def rehashed(home, change):
    """The log as a forger leaves it: one record changed, and every hash from there on computed anew."""
    found = [change(content(record)) for record in audit_log.records(home)]
    for number, record in enumerate(found):
        body = {key: value for key, value in record.items() if key not in SEALS}
        body["prev"] = found[number - 1]["sha256"] if number else audit_log.FIRST
        found[number] = {**body, "sha256": digest(body)}
    rewrite(home, map(canonical, found))
    return found[-1]


def other_version(record):
    return {**record, "version": 7} if record["seq"] == 2 else record


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
    found = verify_log(log)
    assert len(found) == len(says)
    assert all(one.startswith(expected) for one, expected in zip(found, says))


def test_a_log_hashed_anew_after_an_edit_does_not_match_its_head(log):
    rehashed(log, other_version)
    assert verify_log(log) == [f"{HEAD} names another record 4"]


def test_a_log_cut_off_together_with_its_head_is_found_by_what_the_registry_remembers(log):
    last = audit_log.records(log)[-1]
    anchor = {"toy": LogPosition(seq=last.seq, sha256=last.sha256)}
    rewrite(log, lines(log)[:3])
    (log / HEAD).write_text(canonical({key: getattr(audit_log.records(log)[-1], key) for key in ("seq", "sha256")}))
    assert verify_log(log) == []
    assert verify_log(log, anchor) == ["record 4, which the registry names as the last about toy, is not there"]


def test_with_a_key_a_log_forged_in_all_places_is_still_found(log, monkeypatch):
    monkeypatch.setenv(audit_log.KEY, "k" * 32)
    audit_log.append(log, "approved", by="A. Reader")
    assert verify_log(log) == []  # what was written before there was a key stays valid
    last = rehashed(log, other_version)
    (log / HEAD).write_text(canonical({key: last[key] for key in ("seq", "sha256")}))
    assert verify_log(log) == ["no record is signed, though there is a key in XMED_AUDIT_KEY"]
    monkeypatch.setenv(audit_log.KEY, "short")
    with pytest.raises(XmedError, match=r"error\[KEY_INVALID\]: found the key in XMED_AUDIT_KEY is too short"):
        verify_log(log)


def test_signed_with_another_key_is_not_signed(home, monkeypatch):
    monkeypatch.setenv(audit_log.KEY, "a" * 32)
    audit_log.append(home, "registered")
    monkeypatch.setenv(audit_log.KEY, "b" * 32)
    assert verify_log(home) == ["record 0 is not signed with this key"]


def test_a_record_whose_hashes_fit_and_whose_fields_do_not_is_found(home):
    """Whoever forges a record computes its hash, too; a field of another kind must stop no reader."""
    home.mkdir(exist_ok=True)
    body = {"seq": 0, "event": "registered", "model": "toy", "version": "one", "prev": audit_log.FIRST}
    (home / audit_log.LOG).write_text(canonical({**body, "sha256": digest(body)}))
    (home / HEAD).write_text(canonical({"seq": 0, "sha256": digest(body)}))
    (record,) = audit_log.records(home)
    assert (record.seq, record.sha256, record.version) == (0, digest(body), None)
    assert verify_log(home) == ["record 0 has a field of another kind than xmed writes"]
