"""Archive query: the address of a picture archive, and the query that selects a dataset's images in it."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_serializer, model_validator

from xmed.spec.strict import Strict

Key = Literal[
    "PatientID", "PatientName", "AccessionNumber", "StudyDate", "StudyDescription", "StudyInstanceUID",
    "ModalitiesInStudy", "Modality", "SeriesDescription", "SeriesInstanceUID", "BodyPartExamined", "ProtocolName",
]  # fmt: skip
"""Keys that a query may contain: those of the study and series levels (DICOM PS3.4 C.6.2.1.2 and C.6.2.1.3)."""
_DIMSE = ("dimse", "dimses")
IDENTIFYING = frozenset({"PatientID", "PatientName", "AccessionNumber"})
"""Keys whose values identify a patient; they are not written into manifests and runs."""

Wanted = dict[Key, str | list[str]]


class PacsSpec(Strict):
    """A dataset that is fetched from a picture archive into `root`; xmed.io.pacs documents the folders.

    Passwords and tokens are not part of a spec: they come from the environment or from ~/.netrc.
    """

    server: str = Field(
        description="https://host/dicom-web for DICOMweb, dimse://OUR_AE@host:port/THEIR_AE for C-FIND, C-GET, C-STORE;"
        " dimses:// for the same over TLS"
    )
    listen: Annotated[int, Field(gt=0, lt=65536)] | None = Field(
        None, description="DIMSE: the port on which the archive reaches us; objects then come by C-MOVE, not C-GET"
    )
    query: Wanted = Field(
        min_length=1, description="DICOM keyword: value; * and ? as wildcards, 20240101-20241231, or a list of values"
    )
    labels: Wanted | None = Field(
        None, description="series of the same studies that refer to the images, such as {Modality: SEG}"
    )

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        problem = address_problem(self.server)
        if problem:
            raise ValueError(problem)
        return self

    @field_serializer("query", "labels")
    def _without_persons(self, conditions: Wanted | None) -> Wanted | None:
        """Hide identifying values: the spec is written into manifests and runs."""
        return conditions and {key: "…" if key in IDENTIFYING else value for key, value in conditions.items()}


def address_problem(server: str) -> str:
    """Check the address of an archive.

    Args:
        server: The address.

    Returns:
        What is wrong; an empty text for a valid address.
    """
    try:
        parts = urlsplit(server)
        port = parts.port
    except ValueError:
        return "server is no address"
    if parts.password is not None or (parts.scheme not in _DIMSE and parts.username is not None):
        return "server holds a password; use XMED_PACS_USER and XMED_PACS_PASSWORD, or ~/.netrc"
    if parts.query or parts.fragment:
        return "server ends in a query; name the address alone"
    titles = [parts.username or "", parts.path.strip("/")]
    if parts.scheme in ("http", "https") and parts.hostname:
        return ""
    if parts.scheme in _DIMSE and parts.hostname and port and all(0 < len(title) <= 16 for title in titles):
        return ""
    return "server is neither https://host/path nor dimse://OUR_AE@host:port/THEIR_AE"
