"""Archive: what xmed asks of a picture archive, whichever protocol it speaks, and how often."""

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
"""Before the second attempt; each later one waits twice as long."""
TIMEOUT_SECONDS = 60.0
"""Without a sign of life. Archives that fetch from tape answer `pending`, which is one."""


@dataclass(frozen=True)
class ArchiveSeries:
    """One series as an archive names it. objects: SOP Instance UID → SOP Class UID, empty where it does not say."""

    patient: str
    study: str
    uid: str
    objects: Mapping[str, str]


class Archive(Protocol):
    """A picture archive. Every method raises XmedError PACS_UNREACHABLE, PACS_REFUSED, PACS_ANSWER."""

    def find(self, level: QueryLevel, keys: Mapping[str, str], wanted: Sequence[str]) -> list[MatchAttributes]:
        """What matches `keys` at a level of the Study Root model: for each match the `wanted` attributes as text."""

    def fetch(self, series: ArchiveSeries, objects: Sequence[str], keep: SaveObject) -> None:
        """Call `keep` with UID and bytes (PS3.10 file) of every object that the archive hands over."""

    def store(self, path: Path) -> str:
        """Give the archive an object; returns its status in words. Raises PACS_REFUSED when it was not taken."""


def with_retries(ask: Callable[[], Result]) -> Result:
    """Ask again where waiting may help: an archive that is restarting, busy or slow; a refusal is final."""
    for attempt in range(1, ATTEMPTS):
        try:
            return ask()
        except XmedError as problem:
            if problem.code != "PACS_UNREACHABLE":
                raise
        time.sleep(WAIT_SECONDS * 2 ** (attempt - 1))
    return ask()


def match_attributes(dataset: Dataset, wanted: Sequence[str]) -> MatchAttributes:
    """The wanted attributes of one match as text; empty where the archive leaves one out."""
    texts = {}
    for keyword in wanted:
        value = dataset.get(keyword)
        values = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
        texts[keyword] = "\\".join(str(item) for item in values if item is not None).strip()
    return texts
