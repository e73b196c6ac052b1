"""Connect: an archive's address, and which protocol it asks for."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from xmed.errors import XmedError
from xmed.io.pacs.archive import Archive, with_retries
from xmed.spec.archive_query import address_problem


def connect(server: str, listen: int | None = None) -> Archive:
    """The archive at `https://host/path` or `dimse://OUR_AE@host:port/THEIR_AE` (dimses: TLS); nothing is sent yet.

    Raises XmedError SPEC_INVALID.
    """
    problem = address_problem(server)
    if problem:
        raise XmedError("SPEC_INVALID", problem, "the address of an archive")
    # Imported here: each brings a network library, which nobody pays for who has files.
    if urlsplit(server).scheme in ("dimse", "dimses"):
        from xmed.io.pacs.dimse import DimseArchive

        return DimseArchive(server, listen)
    from xmed.io.pacs.web import DicomWebArchive

    return DicomWebArchive(server)


def send(path: Path, server: str) -> str:
    """Store one DICOM object in an archive (STOW-RS or C-STORE); returns its status in words.

    Sending the same object twice leaves one: archives tell objects apart by their UID.
    Raises XmedError SPEC_INVALID, PACS_UNREACHABLE, PACS_REFUSED, PACS_ANSWER.
    """
    archive = connect(server)
    return with_retries(lambda: archive.store(path))
