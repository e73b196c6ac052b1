"""Define what xmed asks of a picture archive, independent of the protocol, and how often it retries."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from pydicom import Dataset

from xmed.errors import XmedError

QueryLevel = Literal["STUDY", "SERIES", "IMAGE"]
MatchAttributes = dict[str, str]
SaveObject = Callable[[str, bytes], None]
Result = TypeVar("Result")

ATTEMPTS = 4
WAIT_SECONDS = 0.5
"""Pause before the second attempt; it doubles before each further one."""
TIMEOUT_SECONDS = 60.0
"""Longest silence of an archive. One that reads from tape sends `pending` meanwhile."""


@dataclass(frozen=True)
class ArchiveSeries:
    """One series as an archive describes it.

    Attributes:
        patient: Patient ID.
        study: Study Instance UID.
        uid: Series Instance UID.
        objects: SOP Instance UID → SOP Class UID; the class is empty if the archive does not state it.
    """

    patient: str
    study: str
    uid: str
    objects: Mapping[str, str]


class Archive(Protocol):
    """A picture archive. Every method raises XmedError PACS_UNREACHABLE, PACS_REFUSED or PACS_ANSWER."""

    def find(self, level: QueryLevel, keys: Mapping[str, str], keywords: Sequence[str]) -> list[MatchAttributes]:
        """Search a level of the Study Root information model (PS3.4 C.6.2).

        Args:
            level: Level of the query.
            keys: Attributes to match, by keyword.
            keywords: Keywords of the attributes to return.

        Returns:
            For each match, these attributes as text.
        """

    def fetch(self, series: ArchiveSeries, objects: Sequence[str], keep: SaveObject) -> None:
        """Fetch objects of a series.

        Args:
            series: The series.
            objects: SOP Instance UIDs.
            keep: Called with the UID and the bytes (PS3.10 file) of every object that arrives.
        """

    def store(self, path: Path) -> str:
        """Send an object and return its status as text; raise PACS_REFUSED if the archive does not store it."""


def with_retries(ask: Callable[[], Result]) -> Result:
    """Call `ask` again while the archive is unreachable or busy, up to ATTEMPTS times. A refusal is final."""
    for attempt in range(1, ATTEMPTS):
        try:
            return ask()
        except XmedError as problem:
            if problem.code != "PACS_UNREACHABLE":
                raise
        time.sleep(WAIT_SECONDS * 2 ** (attempt - 1))
    return ask()


def match_attributes(dataset: Dataset, keywords: Sequence[str]) -> MatchAttributes:
    """Return these attributes of a match as text, empty if the archive does not return them."""
    texts = {}
    for keyword in keywords:
        value = dataset.get(keyword)
        values = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
        texts[keyword] = "\\".join(str(item) for item in values if item is not None).strip()
    return texts
