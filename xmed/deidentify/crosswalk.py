"""Crosswalk: the encrypted table of pseudonyms and originals, written apart from the output and before it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import InvalidToken

from xmed.deidentify.key import Secret
from xmed.errors import XmedError


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
        return cls(home / "deidentify" / "crosswalk", secret)

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
