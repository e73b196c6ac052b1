"""The files of the audit log: audit.jsonl, one record a line, and audit.head.json, the place of the last record."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue, ValidationError

from xmed.records.audit_trail import AuditRecord, LogPosition
from xmed.registry import signatures

LOG, HEAD = "audit.jsonl", "audit.head.json"
SEALS = ("sha256", signatures.SEAL)
"""Fields of a record that its own sha256 does not cover."""


@dataclass(frozen=True)
class LogLine:
    """One line of audit.jsonl.

    Attributes:
        text: The line as it stands in the file.
        fields: Its JSON object; empty where the line is no record.
        record: The record; of a damaged one only its number and hashes; None where the line is no record.
        is_damaged: Whether a field has a value of another kind than xmed writes.
    """

    text: str
    fields: dict[str, JsonValue]
    record: AuditRecord | None
    is_damaged: bool = False


def read_lines(home: Path) -> Iterator[LogLine]:
    """Read the lines of the log of a home in the order of the file."""
    if (home / LOG).is_file():
        with (home / LOG).open(encoding="utf-8", errors="replace", newline="\n") as file:
            for text in file:
                yield parse_line(text)


def read_head(home: Path) -> LogPosition | None:
    """Read which record the head file names as the last one; None where there is no head file, or a damaged one."""
    if not (home / HEAD).is_file():
        return None
    fields = _json_object((home / HEAD).read_text(encoding="utf-8", errors="replace"))
    try:
        return LogPosition.model_validate(fields)
    except ValidationError:
        return None


def parse_line(text: str) -> LogLine:
    """Parse a line of the log."""
    fields = _json_object(text)
    if fields:
        fields = {"prev": None, **fields}
    try:
        return LogLine(text, fields, AuditRecord.model_validate(fields))
    except ValidationError:
        pass
    identity = {name: fields[name] for name in ("seq", "prev", "sha256") if name in fields}
    try:
        return LogLine(text, fields, AuditRecord.model_validate(identity), is_damaged=True)
    except ValidationError:
        return LogLine(text, {}, None)


def canonical(fields: Mapping[str, JsonValue]) -> str:
    """Write a record as its line: sorted keys, no spaces, so that equal records are equal texts."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"


def head_problems(last: AuditRecord | None, head: LogPosition | None, hashes: Mapping[int, str]) -> Iterator[str]:
    """Find how the end of the log and its head file disagree.

    One record more than the head names is no problem: the process was killed between the two writes.

    Args:
        last: The last record of the log.
        head: What the head file says.
        hashes: Number of a record → its sha256, of all records that were read.

    Yields:
        One sentence per problem.
    """
    if last is None and head is None:
        return
    if head is None:
        yield f"{HEAD} is missing"
    elif last is None or last.seq < head.seq:
        yield f"the log was cut off: it ends with record {last.seq if last else 'none'}, its head is {head.seq}"
    elif hashes.get(head.seq) != head.sha256 or last.seq > head.seq + 1:
        yield f"{HEAD} names another record {head.seq}"


def lost_mark_problems(home: Path, records: list[AuditRecord], key: bytes) -> Iterator[str]:
    """Find whether this account has written a later record than the log has (see `signatures`).

    Args:
        home: The home.
        records: Every record of its log.
        key: The key that the mark is signed with.

    Yields:
        One sentence per problem.
    """
    mark = signatures.marked(home, key)
    if mark is None or any(record.sha256 == mark.sha256 for record in records):
        return
    yield (
        f"record {mark.seq}, the last one that this account wrote, is not there: an older state was brought back, "
        f"or another log (if that was meant to be, delete {signatures.mark_file(home)})"
    )


def append_line(log: Path, line: str) -> None:
    """Append a line to the log and sync it to disk; where that fails, the log stays as it was.

    Raises:
        OSError: If the line cannot be written.
    """
    is_new = not log.exists()
    with log.open("ab") as file:
        size = file.tell()
        try:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), size)  # half a record helps nobody; a full disk leaves the log as it was
            raise
    if is_new:
        folder = os.open(log.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_tail(log: Path, block: int = 1 << 16) -> bytes:
    """Read the end of the log, from the beginning of its last line or earlier; empty where there is no file.

    Args:
        log: The file.
        block: Bytes that are read at once.
    """
    if not log.is_file():
        return b""
    with log.open("rb") as file:
        place, text = file.seek(0, os.SEEK_END), b""
        while place and text.count(b"\n") < 2:
            step = min(block, place)
            place = file.seek(place - step)
            text = file.read(step) + text
    return text


def _json_object(text: str) -> dict[str, JsonValue]:
    """The JSON object in a text; empty where there is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
