"""Measures images, and what a model makes of them, as they are and disturbed, in numbers that identify nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xmed import metrics
from xmed.cohort import Case, Cohort, describe_cohort
from xmed.errors import XmedError
from xmed.evaluate.evaluate_run import intensity_summary
from xmed.evaluate.perturbations import DISTURBANCES
from xmed.files.digest import digest
from xmed.files.progress import Progress
from xmed.model.deployed import Model
from xmed.model.prediction import embedding, segment
from xmed.records.drift import Measurements
from xmed.records.record import Number, content
from xmed.volume import Volume

GROUPS = {
    "acquisition": "how it was acquired: voxel size, extent, vendor, field strength",
    "intensities": "grey values in view",
    "texture": "how grainy or blurred it is",
    "embedding": "what the net's deepest block makes of it",
    "volumes": "how large each structure is drawn",
    "confidence": "how sure the model is (soft Dice confidence)",
}
"""Every group of measurements and what it is, in the order in which they are shown."""
CATEGORIES = ("vendor", "field_t")
"""Facts of a DICOM header that say how an image was acquired; who the patient is does not enter."""
DIGITS, MOST_SLICES = 6, 64
DISTURBED = ("noise", "gain", "resolution")
"""What a scanner may begin to do differently; each at the middle one of its three levels."""


def measured(model: Model, image: Volume, facts: Mapping[str, str], credible: bool) -> Measurements:
    """Measure one image and the model's answer to it.

    Args:
        model: The model.
        image: The image.
        facts: Acquisition facts of its header.
        credible: Whether the spacing in the header can be trusted.

    Returns:
        Lengths in mm and volumes in mL; where the spacing cannot be trusted, in voxels and in shares of the field of
        view.

    Raises:
        XmedError: MODALITY_MISMATCH.
    """
    segmentation = segment(model, image)
    extent = [n * (edge if credible else 1.0) for n, edge in zip(image.array.shape, image.spacing)]
    acquisition = {"extent_max": max(extent)}
    if credible:
        acquisition |= {"spacing_min": min(image.spacing), "spacing_max": max(image.spacing)}
    whole = 1 / image.grid.voxel_ml if credible else int(image.inside.sum())
    volumes, confidence = {}, {}
    for structure in model.structures:
        mask = segmentation.label.array == structure.value
        volumes[structure.name] = int(np.count_nonzero(mask)) / whole
        # None where the model finds nothing and holds nothing for possible: it is as unsure as can be
        confidence[structure.name] = (
            metrics.soft_dice_confidence(segmentation.probability(structure.value), mask) or 0.0
        )
    numbers = {
        "acquisition": acquisition,
        "intensities": content(intensity_summary(image)),
        "texture": texture(image),
        "volumes": volumes,
        "confidence": confidence,
    }
    return Measurements(
        numbers={group: {name: _short(value) for name, value in values.items()} for group, values in numbers.items()},
        categories={name: facts[name] for name in CATEGORIES if name in facts},
        embedding=[_short(value) for value in embedding(model, segmentation.seen).tolist()],
    )


def unit_of(group: str, name: str, modality: str, credible: bool) -> str:
    """The unit of a measurement, in words; `credible`: whether the spacing was trusted when it was made."""
    if group == "intensities":
        grey = "HU" if modality == "CT" and credible else "as read"
        return "share of the image" if name == "in_view" else grey
    return {
        "acquisition": "mm" if credible else "voxels",
        "texture": "ratio",
        "volumes": "ml" if credible else "share of the field of view",
        "confidence": "0 to 1",
    }[group]


def texture(image: Volume) -> dict[str, float]:
    """Measure the grain of an image: second differences along i and j divided by first ones; mean and median, no unit.

    The ratio has no scale, so that organs and gain hardly matter: noise raises it, blur lowers it. Only voxels in the
    field of view count, and only where neighbours differ: padding would otherwise be half of many volumes. At most 64
    slices.
    """
    planes = np.unique(np.linspace(0, image.array.shape[2] - 1, MOST_SLICES).round().astype(int))
    array, inside = image.array[:, :, planes].astype(np.float32), image.inside[:, :, planes]
    first, second = list[np.ndarray](), list[np.ndarray]()
    for axis in (0, 1):
        x, seen = np.moveaxis(array, axis, 0), np.moveaxis(inside, axis, 0)
        near, far = np.abs(x[2:] - x[:-2]), np.abs(x[2:] - 2 * x[1:-1] + x[:-2])
        counts = seen[2:] & seen[1:-1] & seen[:-2] & ((near > 0) | (far > 0))
        first.append(near[counts])
        second.append(far[counts])
    near, far = np.concatenate(first), np.concatenate(second)
    if not near.size:
        return {"grain_mean": 0.0, "grain_median": 0.0}
    least = 1e-6 * max(float(near.max()), 1e-30)  # in pictures of a few grey values the median may be 0
    return {
        "grain_mean": float(far.mean()) / max(float(near.mean()), least),
        "grain_median": float(np.median(far)) / max(float(np.median(near)), float(near.mean()) / 10, least),
    }


def by_patient(cases: Sequence[Case], rows: Mapping[str, Measurements]) -> dict[str, Measurements]:
    """Join the measurements of a patient's cases: means of numbers, the first case's categories.

    Args:
        cases: The cases.
        rows: Case id → its measurements; cases without any are left out.

    Returns:
        Patient id → measurements.
    """
    by_id: dict[str, list[Measurements]] = {}
    for case in cases:
        if case.id in rows:
            by_id.setdefault(case.patient, []).append(rows[case.id])
    return {patient: _mean_measurements(patient_rows) for patient, patient_rows in by_id.items()}


def unlinked(patients: Mapping[str, Measurements]) -> list[Measurements]:
    """The measurements without patient ids, in an order that tells nothing about anybody."""
    return sorted(patients.values(), key=lambda row: digest(content(row)))


def matrices(
    reference: Sequence[Measurements], new: Sequence[Measurements]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Turn the rows of both sides into matrices: group → float (patients, d), with equal columns on both sides.

    A category becomes one column for each of its values. Volumes enter as logarithms: one large organ more or less
    would otherwise outweigh all others.
    """
    both = [*reference, *new]
    words = sorted({(name, text) for row in both for name, text in row.categories.items()})
    tables: dict[str, np.ndarray] = {}
    for group in GROUPS:
        if group == "embedding":
            tables[group] = np.array([row.embedding for row in both])
            continue
        names = sorted(reference[0].numbers[group])
        tables[group] = np.array([[row.numbers[group][name] for name in names] for row in both], dtype=np.float64)
    tables["volumes"] = np.log1p(tables["volumes"])
    flags = np.array([[row.categories.get(name) == text for name, text in words] for row in both], dtype=np.float64)
    tables["acquisition"] = np.concatenate([tables["acquisition"], flags.reshape(len(both), len(words))], axis=1)
    n = len(reference)
    return {group: rows[:n] for group, rows in tables.items()}, {group: rows[n:] for group, rows in tables.items()}


def _mean_measurements(rows: Sequence[Measurements]) -> Measurements:
    first = rows[0]
    return Measurements(
        numbers={
            group: {name: _mean([row.numbers[group][name] for row in rows]) for name in values}
            for group, values in first.numbers.items()
        },
        categories=first.categories,
        embedding=[_mean(values) for values in zip(*(row.embedding for row in rows))],
    )


def _mean(values: Sequence[Number]) -> float:
    return _short(float(np.mean(values)))


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


@dataclass(frozen=True)
class Bench:
    """A model and the cohort that it measures.

    Attributes:
        model: The model.
        cohort: The cohort.
        credible: Whether headers give true voxel sizes.
        progress: Reports each measured case.
    """

    model: Model
    cohort: Cohort
    credible: bool
    progress: Progress | None = None

    @cached_property
    def facts(self) -> dict[str, dict[str, str]]:
        """Case id → how its image was acquired, from the DICOM header."""
        return {case.case: case.facts for case in describe_cohort(self.cohort).cases}

    def measure(self, cases: Sequence[Case]) -> tuple[dict[str, Measurements], dict[str, XmedError]]:
        """Measure every case that the model can read.

        Args:
            cases: Cases of the cohort.

        Returns:
            Case id → its measurements, and case id → error of each case that cannot be read.
        """
        rows, refused = dict[str, Measurements](), dict[str, XmedError]()
        for n, case in enumerate(cases, 1):
            try:
                image = self.cohort.image(case)
                rows[case.id] = measured(self.model, image, self.facts[case.id], self.credible)
            except XmedError as problem:
                refused[case.id] = problem
            self._report("measure", n, len(cases), case.id)
        return rows, refused

    def disturbed(self, cases: Sequence[Case]) -> dict[str, dict[str, Measurements]]:
        """Measure disturbed copies of images.

        Args:
            cases: One case per patient.

        Returns:
            Disturbance → patient id → measurements of the disturbed image.
        """
        rows: dict[str, dict[str, Measurements]] = {name: {} for name in DISTURBED}
        for n, case in enumerate(cases):
            image = self.cohort.image(case)
            for name in DISTURBED:
                change, _, levels, _ = DISTURBANCES[name]
                worse, _ = change(image, image, levels[1], np.random.default_rng(n))  # there is no label to change
                rows[name][case.patient] = measured(self.model, worse, self.facts[case.id], self.credible)
            self._report("measure disturbed", n + 1, len(cases), case.id)
        return rows

    def _report(self, what: str, done: int, total: int, note: str) -> None:
        if self.progress:
            self.progress(f"{what} {self.cohort.spec.name}", done, total, note)
