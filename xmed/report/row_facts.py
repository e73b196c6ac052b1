"""Row facts: what follows from a row of rows.json, and from all of them: failures, structures that no reference has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from xmed.records.evaluation import CaseRow

FAILURE = "no prediction, an error, an empty prediction, or not a single voxel in common with the truth (Dice 0)"


def value(row: CaseRow, metric: str) -> float | None:
    """Return one number of a row.

    Args:
        row: The row.
        metric: Key of the row, or volume_error_ml: predicted minus reference volume, ml.

    Returns:
        The number in the metric's unit, None where it is not defined.
    """
    if metric != "volume_error_ml":
        number: float | None = getattr(row, metric)
        return number
    predicted, reference = row.volume_ml, row.reference_volume_ml
    return None if predicted is None or reference is None else predicted - reference


def absent(row: CaseRow) -> bool:
    """Tell whether the reference of a row lacks the structure.

    Args:
        row: The row.

    Returns:
        Whether the reference is known to have no voxel of it.
    """
    empty = row.reference_empty
    return bool(empty) if empty is not None else row.reference_volume_ml == 0


def invented(row: CaseRow) -> bool:
    """Tell whether a prediction has a structure that its reference lacks.

    Args:
        row: The row of the prediction.

    Returns:
        Whether that is so.
    """
    return bool(row.status == "ok" and absent(row) and (row.components or row.volume_ml))


def failed(row: CaseRow) -> bool:
    """Tell whether a row is a failure as FAILURE defines it.

    Args:
        row: The row of a prediction.

    Returns:
        Whether the prediction is missing, an error, empty, or has no voxel in common with the reference.
    """
    return bool(row.status != "ok" or row.dice == 0)


def unsupported(rows: Iterable[CaseRow]) -> frozenset[str]:
    """Find the structures that no reference has.

    Args:
        rows: The rows of every arm and case.

    Returns:
        The structures whose reference is known in every case that has a row, and empty in all of them.
    """
    absent_in: dict[str, dict[str, bool]] = defaultdict(dict)
    for row in rows:
        if row.reference_empty is not None or row.reference_volume_ml is not None:
            absent_in[row.structure][row.case] = absent(row)
        else:
            absent_in[row.structure].setdefault(row.case, False)
    return frozenset(structure for structure, cases in absent_in.items() if all(cases.values()))
