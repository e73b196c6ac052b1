"""Key: the secret key from which every pseudonym, date shift and new UID is derived."""

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
"""128 bits in hexadecimal, the minimum for an HMAC key in NIST SP 800-107 (5.3.4)."""
NAME_CHARACTERS = 16
"""Base 32, 80 bits: the probability that two of a million patients share a pseudonym is 4e-13."""
MAX_DAYS = 3650
"""Largest date shift."""


@dataclass(frozen=True)
class Secret:
    """Derives pseudonyms by HMAC-SHA256 (RFC 2104), with a label for each kind so that kinds cannot be compared.

    An unkeyed hash of a patient's id can be reversed by hashing all possible ids; this one only with the key.
    """

    key: bytes = field(repr=False)

    @classmethod
    def find(cls, home: Path) -> tuple[Secret, Path | None]:
        """Take the key from XMED_DEID_KEY, or else from the file below `home`, which is created if it is missing.

        Args:
            home: The home (XMED_HOME).

        Returns:
            The secret, and the path of the file if it was created now (the caller reports it), else None.

        Raises:
            XmedError: KEY_INVALID (too short, or a file that others may read), NOT_WRITABLE.
        """
        stated = os.environ.get(VARIABLE)
        if stated is not None:
            return cls.of(stated, VARIABLE), None
        path = home / "deidentify" / "key"
        try:
            created = _create(path)
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise XmedError("KEY_INVALID", f"others may read {path}", "mode 0600", f"chmod 600 {path}")
            return cls.of(path.read_text(encoding="ascii"), str(path)), path if created else None
        except OSError as problem:
            raise XmedError("NOT_WRITABLE", f"{path}: {problem.strerror}", "a key file", f"set {VARIABLE}") from problem

    @classmethod
    def of(cls, text: str, where: str) -> Secret:
        """Make the secret of a text.

        Args:
            text: The key, at least MIN_CHARACTERS long.
            where: Where it came from, for the error message.

        Returns:
            The secret.

        Raises:
            XmedError: KEY_INVALID.
        """
        text = text.strip()
        if len(text) < MIN_CHARACTERS:
            do = "python -c 'import secrets; print(secrets.token_hex(32))'"
            raise XmedError(
                "KEY_INVALID", f"the key in {where} is too short", f"{MIN_CHARACTERS} characters or more", do
            )
        return cls(text.encode())

    def name(self, kind: str, text: str) -> str:
        """Make the pseudonym of a text of some kind.

        Args:
            kind: What the text is, such as patient or series.
            text: The text.

        Returns:
            Lower-case letters and digits that are valid in a file name.
        """
        return base64.b32encode(self._digest(kind, text)).decode().lower()[:NAME_CHARACTERS]

    def uid(self, uid: str) -> str:
        """Make the new UID for a UID.

        It does not depend on the patient, so that references stay valid if objects write the Patient ID differently.

        Args:
            uid: A UID.

        Returns:
            The new UID, below 2.25 (DICOM PS3.5 B.2).
        """
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16], 'big')}"

    def shift(self, patient: str) -> int:
        """Make the date shift of a patient.

        Args:
            patient: The identity of the patient.

        Returns:
            Seconds: more than a day, up to MAX_DAYS and one day.
        """
        return 86400 + int.from_bytes(self._digest("shift", patient)[:8], "big") % (86400 * MAX_DAYS)

    @property
    def cipher(self) -> Fernet:
        """The cipher of the crosswalk (Fernet specification: AES-128 in CBC mode with an HMAC)."""
        return Fernet(base64.urlsafe_b64encode(self._digest("crosswalk", "")))

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.new(self.key, f"{kind}\0{text}".encode(errors="surrogateescape"), hashlib.sha256).digest()


def _create(path: Path) -> bool:
    """Create the key file atomically unless it exists; returns whether it was created."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".key.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # unlike a rename it fails if another process was first
    except FileExistsError:
        return False
    finally:
        part.unlink(missing_ok=True)
    return True
