"""Key: the secret behind the pseudonyms, and the crosswalk, the encrypted table of pseudonyms and originals."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from xmed.errors import XmedError
from xmed.home import Home

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
        path = Home(home).pseudonym_key
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


@dataclass
class Crosswalk:
    """Pairs (kind, pseudonym) → original, appended to one file of encrypted lines (mode 0600).

    Lines are never changed. A line that a crash cut short is skipped; the next run writes it again, because no output
    file is written before its line is on the disk.
    """

    path: Path
    secret: Secret
    _known: set[tuple[str, str]] | None = field(default=None, repr=False)

    @classmethod
    def below(cls, home: Path, secret: Secret) -> Crosswalk:
        """Open the crosswalk of a home.

        Args:
            home: The home (XMED_HOME).
            secret: The key that pseudonyms are made with.

        Returns:
            Its crosswalk.
        """
        return cls(Home(home).crosswalk, secret)

    def read(self) -> Iterator[dict[str, str]]:
        """Read every record.

        Yields:
            Records with kind, pseudonym and original, in the order of writing; a record may occur twice.

        Raises:
            XmedError: KEY_INVALID when the file was written with another key.
        """
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        opened = [self._open(line) for line in lines]
        if lines and not any(opened):
            raise XmedError("KEY_INVALID", f"{self.path} does not open", "the key that it was written with")
        for records in opened:
            yield from records

    def commit(self, pairs: list[tuple[str, str, str]]) -> None:
        """Write the names that are not recorded yet; they are on the disk when this returns.

        Args:
            pairs: (kind, pseudonym, original) of each name.
        """
        if self._known is None:
            self._known = {(record["kind"], record["pseudonym"]) for record in self.read()}
        new = [pair for pair in dict.fromkeys(pairs) if pair[:2] not in self._known]
        if not new:
            return
        records = [dict(zip(("kind", "pseudonym", "original"), pair)) for pair in new]
        line = (
            b"\n" + self.secret.cipher.encrypt(json.dumps(records).encode()) + b"\n"
        )  # the first newline ends a line that a crash cut short
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._known |= {pair[:2] for pair in new}

    def _open(self, line: bytes) -> list[dict[str, str]]:
        try:
            return json.loads(self.secret.cipher.decrypt(line)) if line else []
        except InvalidToken:
            return []
