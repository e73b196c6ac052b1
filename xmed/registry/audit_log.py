"""The audit log: every record holds the hash of the one before, so that later changes are found.

audit.jsonl holds one record a line, as canonical JSON, appended under a lock and synced to disk before anybody is told.
audit.head.json names the last record, so that a log that was cut off at its end is found too. The registry keeps the
same in its own database, as an anchor outside this folder. Without a key, whoever can write all three can forge all
three. With XMED_AUDIT_KEY every record, the head and the anchors are signed (HMAC-SHA256): forging needs the key, and
an old state that is brought back is found by its mark (see `signatures`). `audit_verification` checks the log.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from xmed import __version__
from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.files.digest import digest
from xmed.files.locks import hold_short_lock
from xmed.files.permissions import make_private_home
from xmed.records.audit_trail import AuditRecord
from xmed.registry import signatures
from xmed.registry.audit_file import (
    HEAD,
    LOG,
    append_line,
    canonical,
    head_problems,
    lost_mark_problems,
    parse_line,
    read_head,
    read_lines,
    read_tail,
)

LOCK = "audit.lock"
KEY = signatures.KEY
FIRST = "0" * 64
"""What the first record names as the one before it."""
SEALED = 2
"""Edition of signed records: from this one on the head and the anchors are signed as well."""


@contextmanager
def locked(path: Path, look_again_s: float = 0.01) -> Iterator[None]:
    """Hold a lock of the home for the time of the block, alone among all processes and threads that use it.

    Args:
        path: The lock's file, directly in the home.
        look_again_s: Seconds between two attempts to get the lock.

    Yields:
        Nothing.

    Raises:
        XmedError: BUSY, where another process has held the lock for a minute or more.
    """
    make_private_home(path.parent)
    with hold_short_lock(path, look_again_s):
        yield


def append(home: Path, event: str, *, by: str | None = None, **facts: Any) -> AuditRecord:
    """Write one record; it is on disk when this returns.

    Args:
        home: The home.
        event: What happened.
        by: The person who answers for it; None for xmed itself.
        **facts: Further fields of the record.

    Returns:
        The record.

    Raises:
        XmedError: AUDIT_BROKEN, where the log does not end as its head, its signatures or its mark say; BUSY;
            KEY_INVALID, where the log is signed and the key is another one or missing.
    """
    key = signatures.key()
    with locked(home / LOCK):
        before = _last_record(home)
        _refuse_broken_end(home, before, key)
        fields: dict[str, JsonValue] = {
            "seq": before.seq + 1 if before else 0,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "by": by,
            "account": account(),
            "tool": f"xmed {__version__}",
            **facts,
            **(_sealing(home, before) if key else {}),
            "prev": before.sha256 if before else FIRST,
        }
        sha256 = digest(fields)
        fields["sha256"] = sha256
        if key:
            fields[signatures.SEAL] = signatures.signature(key, sha256)
        record = AuditRecord.model_validate(fields)
        append_line(home / LOG, canonical(fields))
        write_atomically(home / HEAD, canonical(signatures.sealed("head", key, seq=record.seq, sha256=sha256)))
        if key:
            signatures.mark(home, key, record.seq, sha256)
    return record


def records(home: Path) -> list[AuditRecord]:
    """Read every readable record of the audit log; `verify_log` says whether they can be trusted.

    Args:
        home: The home.

    Returns:
        The records in the order of the file. Of a damaged one only its number and hashes.
    """
    return [line.record for line in read_lines(home) if line.record]


def first(home: Path) -> str | None:
    """The sha256 of the first record, which distinguishes one log from another; None for an empty log."""
    return next((line.record.sha256 for line in read_lines(home) if line.record), None)


def has_key() -> bool:
    """Tell whether records are signed and signatures are checked.

    Returns:
        Whether XMED_AUDIT_KEY holds a key.

    Raises:
        XmedError: KEY_INVALID, where it is too short.
    """
    return signatures.key() is not None


def account() -> str:
    """The account of the operating system and the machine, such as ada@node1; variables like USER do not change it."""
    user = _user(os.getuid())
    sudo_uid = os.environ.get("SUDO_UID", "")
    if os.getuid() == 0 and sudo_uid.isdecimal() and int(sudo_uid):  # only root could have set it for itself otherwise
        user = f"{user}, sudo of {_user(int(sudo_uid))}"
    return f"{user}@{socket.gethostname()}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container without an entry for its user
        return f"uid {uid}"


def _sealing(home: Path, before: AuditRecord | None) -> dict[str, JsonValue]:
    """The fields with which a signed record says from which record on the log is signed; only the first one says it."""
    if before is None or before.sealed == SEALED:
        return {"sealed": SEALED}
    first_signed = next((record.seq for record in records(home) if record.hmac is not None), before.seq + 1)
    return {"sealed": SEALED, "signed_from": first_signed}


def _refuse_broken_end(home: Path, before: AuditRecord | None, key: bytes | None) -> None:
    """Refuse to go on with a log from whose end something was taken away: one more record would cover that up.

    Raises:
        XmedError: AUDIT_BROKEN, KEY_INVALID.
    """
    do = f"`xmed audit verify` says more; restore {LOG} from a copy"
    is_signed = before is not None and before.hmac is not None
    if key is None:
        if is_signed:
            raise XmedError("KEY_INVALID", f"no key in {KEY}", "the one that this home's audit log is signed with")
        return
    if before and is_signed and before.hmac != signatures.signature(key, before.sha256):
        raise XmedError(
            "KEY_INVALID",
            f"record {before.seq} is not signed with the key in {KEY}",
            "the key of this home's audit log",
        )
    if before and not is_signed:
        head = read_head(home)
        if (head and head.hmac is not None) or before.sealed:
            what = f"record {before.seq} has lost its signature"
            raise XmedError("AUDIT_BROKEN", what, "a log signed to its end", do)
    mark = signatures.marked(home, key)
    if mark and not (before and before.sha256 == mark.sha256):
        for problem in lost_mark_problems(home, records(home), key):
            raise XmedError("AUDIT_BROKEN", problem, "a log that goes on from there", do)


def _last_record(home: Path) -> AuditRecord | None:
    """The last record of the log. Half a line after it, which an interrupted write left, is moved to another file.

    Raises:
        XmedError: AUDIT_BROKEN, where the log does not end as its head file says.
    """
    log = home / LOG
    whole, newline, torn = read_tail(log).rpartition(b"\n")
    last_line = whole.rpartition(b"\n")[2].decode(errors="replace") if newline else ""
    record, head = parse_line(last_line).record, read_head(home)
    hashes = {} if record is None else {record.seq: record.sha256}
    if record is not None and head is not None and record.seq == head.seq + 1 and record.prev is not None:
        hashes[head.seq] = record.prev  # killed between log and head
    problems = (
        [f"{LOG} ends with no record"] if last_line and record is None else list(head_problems(record, head, hashes))
    )
    if record is not None and head is None and record.seq == 0:
        problems = []  # killed between the very first record and its head
    if problems:
        do = f"`xmed audit verify` says more; restore {LOG} from a copy, or move it and {HEAD} away and begin anew"
        raise XmedError("AUDIT_BROKEN", problems[0], f"a log that ends where {HEAD} says", do)
    if torn:
        aside = log.with_name(f"audit.torn-{hashlib.sha256(torn).hexdigest()[:12]}")
        aside.write_bytes(torn)  # never acknowledged to anybody, but kept
        os.truncate(log, log.stat().st_size - len(torn))
    return record
