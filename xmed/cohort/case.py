"""Case: one image and its label map by their keys in the store; a Cohort is a dataset's cases, split by patient."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from xmed.cohort.store import Store
from xmed.errors import XmedError
from xmed.files.digest import digest
from xmed.spec import SPLITS, DatasetSpec, FractionSplits, Split, Splits
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


def assign_splits(splits: Splits | FractionSplits, patients: Collection[str]) -> dict[str, Split]:
    """Assign patients to partitions.

    Args:
        splits: Lists of patients, or fractions to draw.
        patients: The patients that have files.

    Returns:
        Patient → partition. With lists, patients without files are included and patients not listed are left out.
    """
    if isinstance(splits, Splits):
        return {patient: name for name in SPLITS for patient in getattr(splits, name)}
    return _draw(splits, sorted(set(patients)))


def _draw(splits: FractionSplits, patients: list[str]) -> dict[str, Split]:
    """Draw partitions by a number in [0, 1) for each patient that depends on the seed and the patient's id alone.

    Neither the order of files nor additional patients move anybody to another partition, so that a training patient of
    a registered model never becomes a test patient. The partitions' sizes therefore only approximate the fractions. An
    empty partition takes the patient whose number is nearest to it from a partition that has several.
    """
    shares: list[tuple[Split, float]] = [(name, splits.fraction[name]) for name in SPLITS if name in splits.fraction]
    number = {patient: _number(splits.seed, patient) for patient in patients}
    edges: dict[Split, tuple[float, float]] = {}
    low = 0.0
    for name, share in shares:
        edges[name] = (low, low + share)
        low += share
    last = shares[-1][0]
    split_of = {p: next((name for name, (_, high) in edges.items() if number[p] < high), last) for p in patients}
    for name, (low, high) in edges.items():
        used = list(split_of.values())
        spare = [patient for patient in patients if used.count(split_of[patient]) > 1]
        if name not in used and spare:
            nearest = min(spare, key=lambda patient: max(low - number[patient], number[patient] - high))
            split_of[nearest] = name
    return split_of


def _number(seed: int, patient: str) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}:{patient}".encode()).digest()[:8], "big") / 2**64
