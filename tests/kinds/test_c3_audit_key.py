"""C3: with a key nothing of the audit log can be taken back, neither a record, nor a signature, nor the whole of it."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from support.registered_home import FIRST, NAME, approve, blank, copied, empty, home, shelf, surroundings
from xmed import registry
from xmed.errors import XmedError
from xmed.records.record import content
from xmed.registry import audit_log
from xmed.registry.audit_verification import verify_log
from xmed.registry.tracking_store import client

__all__ = ["blank", "empty", "home", "shelf", "surroundings"]
SEALS = ("sha256", "hmac")


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv(audit_log.KEY, "k" * 32)


@pytest.fixture
def log(tmp_path, key):
    """A home with five signed records."""
    for n in range(5):
        audit_log.append(tmp_path / "plain", "registered", by=None, n=n)
    return tmp_path / "plain"


def records(home):
    """The records as JSON objects."""
    return [content(record) for record in audit_log.records(home)]


def put(home, found, head=True):
    """Records as a log, and a head that fits them, as far as that goes without the key."""
    (home / audit_log.LOG).write_text("".join(map(audit_log.canonical, found)))
    if head and found:
        (home / audit_log.HEAD).write_text(audit_log.canonical({name: found[-1][name] for name in ("seq", "sha256")}))


def rechained(found, change=lambda record: record):
    """Every hash anew after a change, and no signature."""
    out = []
    for number, record in enumerate(found):
        body = {k: v for k, v in change(dict(record)).items() if k not in SEALS}
        body |= {"seq": number, "prev": out[-1]["sha256"] if out else audit_log.FIRST}
        out.append({**body, "sha256": audit_log.digest(body)})
    return out


def goes_on(home):
    """Whether the log takes one more record and verifies after it."""
    try:
        audit_log.append(home, "approved", by=FIRST)
    except XmedError:
        return False
    return verify_log(home) == []


def stripped(home):
    put(home, [{k: v for k, v in one.items() if k != "hmac"} for one in records(home)])


def stripped_and_edited(home):
    put(home, rechained(records(home), lambda one: {**one, "by": "somebody else"}))


def stripped_and_cut(home):
    put(home, rechained(records(home)[:3]))


def stripped_to_the_plain_words(home):
    """As a log that never knew of a key: nothing in it but what an unsigned record has."""
    kept = ("at", "event", "by", "account", "tool", "n")
    put(home, rechained(records(home), lambda one: {k: v for k, v in one.items() if k in kept}))


def cut(home):
    put(home, records(home)[:3])


def old_state(home):
    """Log and head as they were two records ago, signatures and all."""
    found = records(home)
    audit_log.append(home, "withdrawn", by=FIRST)
    before = (home / audit_log.HEAD).read_text()
    audit_log.append(home, "withdrawn", by=FIRST)
    put(home, [*found, records(home)[5]], head=False)
    (home / audit_log.HEAD).write_text(before)


def reordered(home):
    found = records(home)
    put(home, [*found[:2], found[3], found[2], found[4]])


def doubled(home):
    found = records(home)
    put(home, [*found, found[-1]])


def last_unsigned(home):
    found = records(home)
    put(home, [*found[:-1], {k: v for k, v in found[-1].items() if k != "hmac"}])


def middle_unsigned(home):
    found = records(home)
    put(home, [{k: v for k, v in one.items() if k != "hmac" or one["seq"] != 2} for one in found])


def forged_record_appended(home):
    found = records(home)
    put(home, [*found, *rechained([*found, {**found[-1], "event": "approved"}])[-1:]])


def gone(home):
    (home / audit_log.LOG).unlink()
    (home / audit_log.HEAD).unlink()


def begun_anew(home):
    gone(home)
    found = rechained([{"at": "2026-01-01T00:00:00.000+00:00", "event": "registered", "by": None}])
    put(home, found)


HARMS = [stripped, stripped_and_edited, stripped_and_cut, stripped_to_the_plain_words, cut, old_state, reordered, doubled,
         last_unsigned, middle_unsigned, forged_record_appended, gone, begun_anew]  # fmt: skip


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_every_harm_is_found_at_once_and_after_the_next_record(log, harm):
    assert verify_log(log) == []
    harm(log)
    assert verify_log(log)
    assert not goes_on(log)


@pytest.mark.parametrize("what", ["log and head", "log, head and registry", "the whole home"])
def test_a_state_from_before_a_withdrawal_does_not_verify(home, tmp_path, key, what):
    audit_log.append(home, "key in use", by=FIRST)
    assert approve(home).approved
    kept = tmp_path / "kept"
    shutil.copytree(home, kept)
    registry.withdraw(NAME, 1, home, by=FIRST, meaning="misses small bladders")
    assert registry.verify_audit(home) == []
    if what == "the whole home":
        names = [path.name for path in kept.iterdir()]
    else:
        names = [audit_log.LOG, audit_log.HEAD, *(["mlflow.db"] if "registry" in what else [])]
    for name in names:
        if (kept / name).is_dir():
            shutil.rmtree(home / name)
            shutil.copytree(kept / name, home / name)
        else:
            (home / name).write_bytes((kept / name).read_bytes())
    # In a process of its own: this one has the registry's database open.
    asked = "import sys; from pathlib import Path; from xmed.registry import verify_audit; print(verify_audit(Path(sys.argv[1])))"
    done = subprocess.run(
        [sys.executable, "-c", asked, str(home)], capture_output=True, text=True, env=dict(os.environ), check=True
    )
    assert done.stdout.strip() != "[]"


@pytest.mark.parametrize("harm", ["unsigned", "of another record", "forged for the end"])
def test_an_anchor_that_the_key_did_not_sign_is_found(home, key, harm):
    audit_log.append(home, "key in use", by=FIRST)
    assert approve(home).approved
    last = records(home)[-1]
    anchor = {"seq": last["seq"], "sha256": last["sha256"], "log": audit_log.first(home)}
    if harm == "of another record":
        anchor |= {"seq": 99}
    elif harm == "forged for the end":
        anchor |= {"hmac": "0" * 64}
    client(home).set_registered_model_tag(NAME, "audit_head", json.dumps(anchor))
    assert registry.verify_audit(home)


@pytest.mark.parametrize("other", ["", "o" * 32])
def test_without_the_key_nothing_is_added(log, monkeypatch, other):
    monkeypatch.setenv(audit_log.KEY, other)
    with pytest.raises(XmedError, match="KEY_INVALID"):
        audit_log.append(log, "approved", by=FIRST)
    monkeypatch.setenv(audit_log.KEY, "k" * 32)
    assert verify_log(log) == []


def test_a_key_may_come_into_use_later(home, monkeypatch):
    monkeypatch.setenv(audit_log.KEY, "k" * 32)
    assert registry.verify_audit(home) == ["no record is signed, though there is a key in XMED_AUDIT_KEY"]
    audit_log.append(home, "key in use", by=FIRST)
    assert registry.verify_audit(home) == []
    assert goes_on(home)


def test_a_signed_log_goes_on_and_verifies(log):
    assert goes_on(log)
    assert goes_on(log)


def test_a_home_that_was_copied_with_its_log_goes_on(home, tmp_path, key):
    audit_log.append(home, "key in use", by=FIRST)
    other = copied(home, tmp_path / "other")
    assert registry.verify_audit(other) == []
    assert goes_on(other)


def test_a_log_that_an_older_version_signed_goes_on(tmp_path, key):
    """0.1.0: two records without, two with a signature; neither head nor records know of more."""
    import hashlib
    import hmac

    home = tmp_path / "old"
    home.mkdir()
    found = rechained(
        [{"at": "2026-01-01T00:00:00.000+00:00", "event": "registered", "by": None, "n": n} for n in range(4)]
    )
    for one in found[2:]:
        one["hmac"] = hmac.new(b"k" * 32, one["sha256"].encode(), hashlib.sha256).hexdigest()
    put(home, found)
    assert verify_log(home) == []
    assert goes_on(home)
    assert goes_on(home)
