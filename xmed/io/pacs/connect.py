"""Choose the protocol of an archive from its address."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from xmed.errors import XmedError
from xmed.io.pacs.archive import Archive, with_retries
from xmed.spec.archive_query import address_problem


def connect(server: str, listen: int | None = None) -> Archive:
    """Return the archive at an address. No data are sent yet.

    Args:
        server: `https://host/path` for DICOMweb, or `dimse://OUR_AE@host:port/THEIR_AE` (dimses: over TLS).
        listen: For DIMSE, the port on which objects arrive by C-MOVE; without it C-GET is used.

    Raises:
        XmedError: SPEC_INVALID for another address.
    """
    problem = address_problem(server)
    if problem:
        raise XmedError("SPEC_INVALID", problem, "the address of an archive")
    # Imported here, because each loads a network library that is not needed for files.
    if urlsplit(server).scheme in ("dimse", "dimses"):
        from xmed.io.pacs.dimse import DimseArchive

        return DimseArchive(server, listen)
    from xmed.io.pacs.dicomweb import DicomWebArchive

    return DicomWebArchive(server)


def send(path: Path, server: str) -> str:
    """Store one DICOM object in an archive (STOW-RS or C-STORE).

    Sending an object twice stores it once, because archives identify objects by their UID.

    Args:
        path: The DICOM file.
        server: Address as in `connect`.

    Returns:
        The archive's status as text.

    Raises:
        XmedError: SPEC_INVALID, PACS_UNREACHABLE, PACS_REFUSED, PACS_ANSWER.
    """
    archive = connect(server)
    return with_retries(lambda: archive.store(path))
