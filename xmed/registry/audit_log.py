"""The audit log: every record holds the hash of the one before, so that later changes are found.

audit.jsonl holds one record a line, as canonical JSON, appended under a lock and synced to disk before anybody is told.
audit.head.json names the last record, so that a log that was cut off at its end is found too. The registry keeps the
same in its own database, as an anchor outside this folder. Without a key, whoever can write all three can forge all
three. With XMED_AUDIT_KEY every record, the head and the anchors are signed (HMAC-SHA256): forging needs the key, and
an old state that is brought back is found by its mark (see `signatures`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import pwd
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xmed import __version__
from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.files.digest import digest
from xmed.files.locks import hold_short_lock
from xmed.files.permissions import make_private_home
from xmed.registry import signatures

LOG, HEAD, LOCK = "audit.jsonl", "audit.head.json", "audit.lock"
KEY = signatures.KEY
FIRST = "0" * 64
"""What the first record names as the one before it."""
SEALS = ("sha256", signatures.SEAL)
SEALED = 2
"""Edition of signed records: from this one on the head and the anchors are signed as well."""

Record = dict[str, Any]


@contextmanager
def locked(path: Path, look_again_s: float = 0.01) -> Iterator[None]:
    """Hold a lock of the home for the time of the block, alone among all processes and threads that use it.

    Raises:
        XmedError: BUSY, where another process has held the lock for a minute or more.
    """
    make_private_home(path.parent)
    with hold_short_lock(path, look_again_s):
        yield


def append(home: Path, event: str, *, by: str | None = None, **facts: Any) -> Record:
    """Write one record; it is on disk when this returns.

    Args:
        home: The home.
        event: What happened.
        by: The person who answers for it; None for xmed itself.
        **facts: Further fields of the record.

    Raises:
        XmedError: AUDIT_BROKEN, where the log does not end as its head, its signatures or its mark say; BUSY;
            KEY_INVALID, where the log is signed and the key is another one or missing.
    """
    key = signatures.key()
    with locked(home / LOCK):
        before = _end(home)
        _continued(home, before, key)
        record = {
            "seq": before["seq"] + 1 if before else 0,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "by": by,
            "account": account(),
            "tool": f"xmed {__version__}",
            **facts,
            **(_sealing(home, before) if key else {}),
            "prev": before["sha256"] if before else FIRST,
        }
        record["sha256"] = digest(record)
        at = {"seq": record["seq"], "sha256": record["sha256"]}
        if key:
            record[signatures.SEAL] = signatures.signature(key, record["sha256"])
        _write(home / LOG, canonical(record))
        write_atomically(home / HEAD, canonical(signatures.sealed("head", key, **at)))
        if key:
            signatures.mark(home, key, **at)
    return record


def records(home: Path) -> list[Record]:
    """Read every readable record in the order of the file; `verify` says whether they can be trusted."""
    return [record for _, record in _lines(home) if record]


def first(home: Path) -> str | None:
    """The sha256 of the first record, which distinguishes one log from another; None for an empty log."""
    return next((record["sha256"] for _, record in _lines(home) if record), None)


def verify(home: Path, anchors: Mapping[str, Record] | None = None) -> list[str]:
    """Find everything that is wrong with the log.

    An edited, dropped, inserted or reordered record is found by the chain; a log that was cut off at its end by its
    head and the anchors. Not found without a key: a log that was rewritten together with both. With a key, on the
    account that wrote it, an old state of all three is found, too.

    Args:
        home: The home.
        anchors: Model → what the registry says was the last record about it: seq, sha256, log, signature.

    Returns:
        One sentence per problem, with the number of the record.
    """
    key, problems = signatures.key(), []
    with locked(home / LOCK):
        found, head = list(_lines(home)), _head(home)
    before: Record | None = None
    signed = False  # a key may come into use later: what stands before the first signature, the chain protects
    for number, (text, record) in enumerate(found):
        if record is None:
            kind = "is no record" if text.endswith("\n") else "is half a record: a write was interrupted"
            problems.append(f"line {number + 1} {kind}")
            continue
        signed = signed or signatures.SEAL in record
        problems += [f"record {record['seq']} {why}" for why in _faults(text, record, before, key if signed else None)]
        before = record
    if key and before and not signed:
        problems.append(f"no record is signed, though there is a key in {KEY}")
    known = {record["seq"]: record for _, record in found if record}
    problems += _ends(before, head, {seq: record["sha256"] for seq, record in known.items()})
    for name, anchor in (anchors or {}).items():
        problems += _anchored(name, anchor, known, key)
    if key and not problems:
        problems += _unsealed(home, [record for _, record in found if record], head, key)
    return problems


def has_key() -> bool:
    """Whether there is a key, so that records are signed and signatures are checked."""
    return signatures.key() is not None


def account() -> str:
    """The account of the operating system and the machine, such as ada@node1; variables like USER do not change it."""
    user = _user(os.getuid())
    asked = os.environ.get("SUDO_UID", "")
    if os.getuid() == 0 and asked.isdecimal() and int(asked):  # only root could have set it for itself otherwise
        user = f"{user}, sudo of {_user(int(asked))}"
    return f"{user}@{socket.gethostname()}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container without an entry for its user
        return f"uid {uid}"


def canonical(record: Record) -> str:
    """Write a record as its line: sorted keys, no spaces, so that equal records are equal texts."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"


def _faults(text: str, record: Record, before: Record | None, key: bytes | None) -> Iterator[str]:
    body = {name: value for name, value in record.items() if name not in SEALS}
    if digest(body) != record["sha256"] or canonical(record) != text:
        yield "was edited"
    if key and not hmac.compare_digest(str(record.get(signatures.SEAL)), signatures.signature(key, record["sha256"])):
        yield "is not signed with this key"
    expected, prev = (before["seq"] + 1, before["sha256"]) if before else (0, FIRST)
    if record["seq"] > expected:
        yield f"follows a gap: {record['seq'] - expected} record(s) before it were dropped"
    elif record["seq"] < expected:
        yield f"is out of order: record {expected} belongs here"
    elif record["prev"] != prev:
        yield "does not continue the record before it, which was replaced"


def _ends(last: Record | None, head: Record | None, known: dict[int, str]) -> Iterator[str]:
    """How the log and its head disagree; one record more than the head says is a write that was interrupted."""
    if last is None and head is None:
        return
    if head is None:
        yield f"{HEAD} is missing"
    elif last is None or last["seq"] < head["seq"]:
        yield f"the log was cut off: it ends with record {last['seq'] if last else 'none'}, its head is {head['seq']}"
    elif known.get(head["seq"]) != head["sha256"] or last["seq"] > head["seq"] + 1:
        yield f"{HEAD} names another record {head['seq']}"


def _anchored(name: str, anchor: Record, known: Mapping[int, Record], key: bytes | None) -> Iterator[str]:
    """How the log and what a registry remembers of it disagree."""
    record = known.get(anchor["seq"])
    if record is None or record["sha256"] != anchor["sha256"]:
        yield f"record {anchor['seq']}, which the registry names as the last about {name}, is not there"
    elif key and record.get("sealed") == SEALED:
        facts = {"name": name, **{fact: anchor.get(fact) for fact in ("seq", "sha256", "log")}}
        if not signatures.holds("anchor", key, anchor, **facts):
            yield f"what the registry names as the last record about {name} is not signed with this key"


def _unsealed(home: Path, found: list[Record], head: Record | None, key: bytes) -> Iterator[str]:
    """What the signatures of a log that is otherwise whole do not cover."""
    if not found:
        last = None
    else:
        last = found[-1]
        facts = {name: (head or {}).get(name) for name in ("seq", "sha256")}
        if last.get("sealed") == SEALED and not signatures.holds("head", key, head or {}, **facts):
            yield f"{HEAD} is not signed with this key"
        begun = next((record["seq"] for record in found if signatures.SEAL in record), 0)
        said = [record["signed_from"] for record in found if "signed_from" in record]
        if begun and begun not in said and any(record.get("sealed") == SEALED for record in found):
            yield f"record {begun} is the first that is signed, and no signed record says that signing began there"
    yield from _behind(home, found, key)


def _behind(home: Path, found: list[Record], key: bytes) -> Iterator[str]:
    """Where this account has seen a later record than the log has."""
    seen = signatures.marked(home, key)
    if seen is None or any(record["sha256"] == seen["sha256"] for record in found):
        return
    yield (
        f"record {seen['seq']}, the last one that this account wrote, is not there: an older state was brought back, "
        f"or another log (if that was meant to be, delete {signatures.mark_file(home)})"
    )


def _sealing(home: Path, before: Record | None) -> Record:
    """What a signed record says of the signing: from which record on, where the one before says nothing of it."""
    if before is None or before.get("sealed") == SEALED:
        return {"sealed": SEALED}
    begun = next((record["seq"] for record in records(home) if signatures.SEAL in record), before["seq"] + 1)
    return {"sealed": SEALED, "signed_from": begun}


def _continued(home: Path, before: Record | None, key: bytes | None) -> None:
    """Raises XmedError AUDIT_BROKEN, KEY_INVALID where one more record would cover up what was taken away."""
    do = f"`xmed audit verify` says more; restore {LOG} from a copy"
    if key is None:
        if before and signatures.SEAL in before:
            raise XmedError("KEY_INVALID", f"no key in {KEY}", "the one that this home's audit log is signed with")
        return
    if before and signatures.SEAL in before and before[signatures.SEAL] != signatures.signature(key, before["sha256"]):
        raise XmedError(
            "KEY_INVALID",
            f"record {before['seq']} is not signed with the key in {KEY}",
            "the key of this home's audit log",
        )
    if before and signatures.SEAL not in before and (signatures.SEAL in (_head(home) or {}) or before.get("sealed")):
        raise XmedError("AUDIT_BROKEN", f"record {before['seq']} has lost its signature", "a log signed to its end", do)
    seen = signatures.marked(home, key)
    if seen and not (before and before["sha256"] == seen["sha256"]):
        for problem in _behind(home, records(home), key):
            raise XmedError("AUDIT_BROKEN", problem, "a log that goes on from there", do)


def _end(home: Path) -> Record | None:
    """The last record, once what an interrupted write left behind it is set aside. Raises XmedError AUDIT_BROKEN."""
    log = home / LOG
    text = _tail(log)
    whole, newline, torn = text.rpartition(b"\n")
    last = whole.rpartition(b"\n")[2].decode(errors="replace") if newline else ""
    record, head = _parsed(last), _head(home)
    known = {} if record is None else {record["seq"]: record["sha256"]}
    if record is not None and head is not None and record["seq"] == head["seq"] + 1:
        known[head["seq"]] = record["prev"]  # killed between log and head
    broken = [f"{LOG} ends with no record"] if last and record is None else list(_ends(record, head, known))
    if record is not None and head is None and record["seq"] == 0:
        broken = []  # killed between the very first record and its head
    if broken:
        do = f"`xmed audit verify` says more; restore {LOG} from a copy, or move it and {HEAD} away and begin anew"
        raise XmedError("AUDIT_BROKEN", broken[0], f"a log that ends where {HEAD} says", do)
    if torn:
        aside = log.with_name(f"audit.torn-{hashlib.sha256(torn).hexdigest()[:12]}")
        aside.write_bytes(torn)  # never acknowledged to anybody, but kept
        os.truncate(log, log.stat().st_size - len(torn))
    return record


def _tail(log: Path, block: int = 1 << 16) -> bytes:
    """The end of a file from the last line's beginning on, and what may stand before that."""
    if not log.is_file():
        return b""
    with log.open("rb") as file:
        place, text = file.seek(0, os.SEEK_END), b""
        while place and text.count(b"\n") < 2:
            step = min(block, place)
            place = file.seek(place - step)
            text = file.read(step) + text
    return text


def _write(log: Path, line: str) -> None:
    new = not log.exists()
    with log.open("ab") as file:
        size = file.tell()
        try:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), size)  # half a record helps nobody; a full disk leaves the log as it was
            raise
    if new:
        folder = os.open(log.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _lines(home: Path) -> Iterator[tuple[str, Record | None]]:
    if (home / LOG).is_file():
        with (home / LOG).open(encoding="utf-8", errors="replace", newline="\n") as file:
            for text in file:
                yield text, _parsed(text)


def _head(home: Path) -> Record | None:
    return _parsed((home / HEAD).read_text(encoding="utf-8", errors="replace")) if (home / HEAD).is_file() else None


def _parsed(text: str) -> Record | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    told = isinstance(record, dict) and isinstance(record.get("seq"), int) and isinstance(record.get("sha256"), str)
    return {"prev": None, **record} if told else None
