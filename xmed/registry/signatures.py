"""Signatures with XMED_AUDIT_KEY, and a mark outside the home of the last record of its audit log.

A signature says that whoever wrote something had the key. It does not say that nothing came after it: an old log with
its old head is signed, too. So with a key the last record is also written to the account's own state folder
(XDG_STATE_HOME, or ~/.local/state), which is not restored together with a home. Whoever has the account can delete the
mark; where there is no such folder, or on another machine, there is no mark.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from contextlib import suppress
from pathlib import Path

from pydantic import JsonValue

from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.records.audit_trail import LogPosition

KEY = "XMED_AUDIT_KEY"
KEY_CHARACTERS = 32
"""128 bits in hexadecimal, as NIST SP 800-107 (5.3.4) asks of an HMAC key at the least."""
SEAL = "hmac"


def key() -> bytes | None:
    """Read the key, or None where there is none.

    Raises:
        XmedError: KEY_INVALID, where it is too short.
    """
    text = os.environ.get(KEY, "").strip()
    if text and len(text) < KEY_CHARACTERS:
        do = "python -c 'import secrets; print(secrets.token_hex(32))'"
        raise XmedError("KEY_INVALID", f"the key in {KEY} is too short", f"{KEY_CHARACTERS} characters or more", do)
    return text.encode() or None


def signature(key: bytes, text: str) -> str:
    """HMAC-SHA256 (hex) of a text."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def sealed(kind: str, key: bytes | None, **facts: JsonValue) -> dict[str, JsonValue]:
    """Add a signature to facts, if there is a key; `kind` keeps one kind of document from passing for another."""
    return facts if key is None else {**facts, SEAL: signature(key, _text(kind, facts))}


def holds(kind: str, key: bytes, seal: str | None, **facts: JsonValue) -> bool:
    """Whether a seal is the signature of these facts."""
    return hmac.compare_digest(str(seal).encode(), signature(key, _text(kind, facts)).encode())


def mark_file(home: Path) -> Path | None:
    """The file of a home's mark; None where the account has no folder for it."""
    stated = os.environ.get("XDG_STATE_HOME")
    try:
        state = Path(stated) if stated else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return state / "xmed" / "audit" / f"{hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:32]}.json"


def marked(home: Path, key: bytes) -> LogPosition | None:
    """Read the mark: the last record that this account wrote to the log; None where that is unknown."""
    path = mark_file(home)
    try:
        document = json.loads(path.read_text(encoding="utf-8")) if path else None
        mark = LogPosition.model_validate(document)
    except (OSError, ValueError):  # ValueError: no JSON, or of another shape
        return None
    return mark if holds("mark", key, mark.hmac, seq=mark.seq, sha256=mark.sha256) else None


def mark(home: Path, key: bytes, seq: int, sha256: str) -> None:
    """Write down the last record of a home's log; where the account cannot write, nothing is written."""
    path = mark_file(home)
    if path is not None:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(path, json.dumps(sealed("mark", key, seq=seq, sha256=sha256)) + "\n", private=True)


def _text(kind: str, facts: dict[str, JsonValue]) -> str:
    return f"{kind} {json.dumps(facts, sort_keys=True, separators=(',', ':'))}"
