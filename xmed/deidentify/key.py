"""Key: the key that every pseudonym, date shift and new UID is made with, and that nothing can be undone without."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet

from xmed.errors import XmedError

VARIABLE = "XMED_DEID_KEY"
MIN_CHARACTERS = 32
"""128 bits in hexadecimal: what NIST SP 800-107 (5.3.4) asks of an HMAC key at the least."""
NAME_CHARACTERS = 16
"""Base 32, 80 bits: two among a million patients share a pseudonym with a probability of 4e-13."""
MAX_DAYS = 3650


@dataclass(frozen=True)
class Secret:
    """Keyed HMAC-SHA256 (RFC 2104) under several labels, so that no kind of name can be compared with another.

    An unkeyed hash of a patient's id is found again by hashing every id there is; this is not, without the key.
    """

    key: bytes = field(repr=False)

    @classmethod
    def find(cls, home: Path) -> tuple[Secret, Path | None]:
        """The key in XMED_DEID_KEY, else in the file below `home`, which is made when it is not there.

        Returns the secret, and the file when it was made just now: whoever calls says so to the person.

        Raises XmedError KEY_INVALID (too short, or a file that others may read), NOT_WRITABLE.
        """
        stated = os.environ.get(VARIABLE)
        if stated is not None:
            return cls.of(stated, VARIABLE), None
        path = home / "deidentify" / "key"
        try:
            made = _make(path)
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise XmedError("KEY_INVALID", f"others may read {path}", "mode 0600", f"chmod 600 {path}")
            return cls.of(path.read_text(encoding="ascii"), str(path)), path if made else None
        except OSError as problem:
            raise XmedError("NOT_WRITABLE", f"{path}: {problem.strerror}", "a key file", f"set {VARIABLE}") from problem

    @classmethod
    def of(cls, text: str, where: str) -> Secret:
        """The secret that a text is. Raises XmedError KEY_INVALID."""
        text = text.strip()
        if len(text) < MIN_CHARACTERS:
            do = "python -c 'import secrets; print(secrets.token_hex(32))'"
            raise XmedError(
                "KEY_INVALID", f"the key in {where} is too short", f"{MIN_CHARACTERS} characters or more", do
            )
        return cls(text.encode())

    def name(self, kind: str, text: str) -> str:
        """A pseudonym: the same for the same text, lower-case letters and digits, fit for a file name."""
        return base64.b32encode(self._digest(kind, text)).decode().lower()[:NAME_CHARACTERS]

    def uid(self, uid: str) -> str:
        """A UID below 2.25 (PS3.5 B.2) in place of `uid`.

        The key alone decides, not the patient: references stay whole where one object writes the Patient ID otherwise.
        """
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16], 'big')}"

    def shift(self, patient: str) -> int:
        """Seconds by which everything of a patient moves into the past: more than a day, up to ten years."""
        return 86400 + int.from_bytes(self._digest("shift", patient)[:8], "big") % (86400 * MAX_DAYS)

    @property
    def cipher(self) -> Fernet:
        """What the crosswalk is encrypted with (AES-128 in CBC with an HMAC: the Fernet specification)."""
        return Fernet(base64.urlsafe_b64encode(self._digest("crosswalk", "")))

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.new(self.key, f"{kind}\0{text}".encode(errors="surrogateescape"), hashlib.sha256).digest()


def _make(path: Path) -> bool:
    """Write a new key, whole or not at all; whoever comes second keeps what is there. Whether it was written."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".key.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # unlike a rename it fails where another process was first
    except FileExistsError:
        return False
    finally:
        part.unlink(missing_ok=True)
    return True
