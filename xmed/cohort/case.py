"""Case: one image and its label map by their keys in the store; a Cohort is the cases of one dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xmed.cohort.store import Store
from xmed.errors import XmedError
from xmed.files.digest import digest
from xmed.spec import DatasetSpec, Split
from xmed.volume import Volume


@dataclass(frozen=True)
class Case:
    """One readable case.

    Attributes:
        id: Case id, unique in its dataset.
        patient: Patient id; several cases may share one.
        split: The partition of the patient.
        image: Store key (sha256, hex) of the image, or None for a label map alone.
        label: Store key (sha256, hex) of the label map, or None.
    """

    id: str
    patient: str
    split: Split
    image: str | None
    label: str | None


@dataclass(frozen=True)
class QuarantinedCase:
    """One case in quarantine, with the error code and the message of the reader that refused it."""

    case: str
    patient: str
    split: Split
    code: str
    message: str


@dataclass(frozen=True)
class Cohort:
    """The cases of one dataset, as ingest left them.

    Attributes:
        spec: The dataset spec.
        cases: The readable cases, ordered by id.
        quarantined: The refused cases.
        home: The home whose store holds the volumes.
        n_found: The number of all cases: readable, refused, and those whose patient is in no partition.
    """

    spec: DatasetSpec
    cases: tuple[Case, ...]
    quarantined: tuple[QuarantinedCase, ...]
    home: Path
    n_found: int

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) over the sorted (case id, image key, label key): changes when any input byte does."""
        return digest(sorted([case.id, case.image or "", case.label or ""] for case in self.cases))

    def split(self, *names: Split) -> tuple[Case, ...]:
        """List the cases of some partitions.

        Args:
            *names: Partitions: train, select or test.

        Returns:
            Their cases, ordered by id.
        """
        return tuple(case for case in self.cases if case.split in names)

    def image(self, case: Case) -> Volume:
        """Open the image of a case, read-only.

        Args:
            case: A case of this cohort.

        Returns:
            The image on its native grid, with modality, frame and field of view.

        Raises:
            XmedError: IMAGE_MISSING for a case that is a label map alone; PATH_NOT_FOUND for a damaged store entry.
        """
        if case.image is None:
            raise XmedError("IMAGE_MISSING", f"{self.spec.name}: case {case.id} has no image", "a layout with `image`")
        return Store(self.home).get(case.image)

    def label(self, case: Case) -> Volume:
        """Open the label map of a case, read-only.

        Args:
            case: A case of this cohort.

        Returns:
            The label map on the image's native grid, in the values of `spec.label_table`.

        Raises:
            XmedError: LABEL_MISSING for a case without a label map; PATH_NOT_FOUND for a damaged store entry.
        """
        if case.label is None:
            raise XmedError("LABEL_MISSING", f"{self.spec.name}: case {case.id} has no label", "a labelled case")
        return Store(self.home).get(case.label)
