"""Verification of the audit log: its chain of hashes, its head, its signatures, and what the registry notes of it."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import JsonValue

from xmed.files.digest import digest
from xmed.records.audit_trail import AuditRecord, LogPosition
from xmed.registry import signatures
from xmed.registry.audit_file import (
    HEAD,
    SEALS,
    LogLine,
    canonical,
    head_problems,
    lost_mark_problems,
    read_head,
    read_lines,
)
from xmed.registry.audit_log import FIRST, LOCK, SEALED, locked


def verify_log(home: Path, anchors: Mapping[str, LogPosition] | None = None) -> list[str]:
    """Find everything that is wrong with the log.

    An edited, dropped, inserted or reordered record is found by the chain; a log that was cut off at its end by its
    head and the anchors. Not found without a key: a log that was rewritten together with both. With a key, on the
    account that wrote it, an old state of all three is found, too.

    Args:
        home: The home.
        anchors: Model → what the registry notes as the last record about it.

    Returns:
        One sentence per problem, with the number of the record.
    """
    key, problems = signatures.key(), list[str]()
    with locked(home / LOCK):
        lines, head = list(read_lines(home)), read_head(home)
    before: AuditRecord | None = None
    is_signed = False  # a key may come into use later: what stands before the first signature, the chain protects
    for number, line in enumerate(lines):
        record = line.record
        if record is None:
            kind = "is no record" if line.text.endswith("\n") else "is half a record: a write was interrupted"
            problems.append(f"line {number + 1} {kind}")
            continue
        is_signed = is_signed or signatures.SEAL in line.fields
        faults = _record_faults(line, record, before, key if is_signed else None)
        problems += [f"record {record.seq} {fault}" for fault in faults]
        before = record
    if key and before and not is_signed:
        problems.append(f"no record is signed, though there is a key in {signatures.KEY}")
    records = [line.record for line in lines if line.record]
    by_number = {record.seq: record for record in records}
    problems += head_problems(before, head, {seq: record.sha256 for seq, record in by_number.items()})
    for name, anchor in (anchors or {}).items():
        problems += _anchor_problems(name, anchor, by_number, key)
    if key and not problems:
        problems += _signature_problems(home, records, head, key)
    return problems


def _record_faults(line: LogLine, record: AuditRecord, before: AuditRecord | None, key: bytes | None) -> Iterator[str]:
    """What is wrong with one record. key: None where it need not be signed."""
    body = {name: value for name, value in line.fields.items() if name not in SEALS}
    if digest(body) != record.sha256 or canonical(line.fields) != line.text:
        yield "was edited"
    elif line.is_damaged:
        yield "has a field of another kind than xmed writes"
    seal = str(line.fields.get(signatures.SEAL))
    if key and not hmac.compare_digest(seal.encode(), signatures.signature(key, record.sha256).encode()):
        yield "is not signed with this key"
    expected, prev = (before.seq + 1, before.sha256) if before else (0, FIRST)
    if record.seq > expected:
        yield f"follows a gap: {record.seq - expected} record(s) before it were dropped"
    elif record.seq < expected:
        yield f"is out of order: record {expected} belongs here"
    elif record.prev != prev:
        yield "does not continue the record before it, which was replaced"


def _anchor_problems(
    name: str, anchor: LogPosition, records: Mapping[int, AuditRecord], key: bytes | None
) -> Iterator[str]:
    """How the log and what the registry notes about it disagree."""
    record = records.get(anchor.seq)
    if record is None or record.sha256 != anchor.sha256:
        yield f"record {anchor.seq}, which the registry names as the last about {name}, is not there"
    elif key and record.sealed == SEALED:
        facts: dict[str, JsonValue] = {"name": name, "seq": anchor.seq, "sha256": anchor.sha256, "log": anchor.log}
        if not signatures.holds("anchor", key, anchor.hmac, **facts):
            yield f"what the registry names as the last record about {name} is not signed with this key"


def _signature_problems(home: Path, records: list[AuditRecord], head: LogPosition | None, key: bytes) -> Iterator[str]:
    """What the signatures of a log that is otherwise whole do not cover."""
    if records:
        seq, sha256, seal = (head.seq, head.sha256, head.hmac) if head else (None, None, None)
        if records[-1].sealed == SEALED and not signatures.holds("head", key, seal, seq=seq, sha256=sha256):
            yield f"{HEAD} is not signed with this key"
        first_signed = next((record.seq for record in records if record.hmac is not None), 0)
        stated = [record.signed_from for record in records if record.signed_from is not None]
        if first_signed and first_signed not in stated and any(record.sealed == SEALED for record in records):
            yield (
                f"record {first_signed} is the first that is signed, and no signed record says that signing began there"
            )
    yield from lost_mark_problems(home, records, key)
