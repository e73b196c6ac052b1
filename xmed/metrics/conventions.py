"""Conventions: the definition of each metric, and the choices where libraries disagree; printed in every report."""

from __future__ import annotations

BOTH_EMPTY = "not defined: neither prediction nor reference holds the structure"
NO_MM = "the header's spacing is not credible, so nothing is reported in millimetres"

_PENALTY = "exactly one mask empty: the image diagonal in mm, a declared penalty, counted as a failure"
_UNDEFINED = "both masks empty: not defined (null), left out of means and counted"
_WORST = f"exactly one mask empty: 0, counted as a failure; {_UNDEFINED}"
_MESH = (
    "boundary: mesh by marching cubes at 0.5 (Lewiner), its staircase levelled where it is a plain height over nine "
    "columns of voxels, never by more than half a voxel; distances to the plane around the other mesh's nearest vertex"
)
CONVENTIONS: dict[str, dict[str, str]] = {
    "dice": {
        "name": "Dice similarity coefficient",
        "unit": "1",
        "better": "higher",
        "definition": "2|P∩R| / (|P|+|R|) over the voxels of the whole volume, never the mean of slices",
        "empty": _WORST,
    },
    "nsd": {
        "name": "Normalised surface Dice at the stated tolerance",
        "unit": "1",
        "better": "higher",
        "definition": f"share of both boundaries' area within the tolerance of the other; {_MESH}",
        "empty": _WORST,
    },
    "hd95_mm": {
        "name": "95th percentile Hausdorff distance",
        "unit": "mm",
        "better": "lower",
        "definition": f"the larger directed 95th percentile, weighted by area, without interpolation; {_MESH}",
        "empty": f"{_PENALTY}; {_UNDEFINED}",
    },
    "hd_mm": {
        "name": "Hausdorff distance",
        "unit": "mm",
        "better": "lower",
        "definition": f"the largest distance from either boundary to the other; {_MESH}",
        "empty": f"{_PENALTY}; {_UNDEFINED}",
    },
    "assd_mm": {
        "name": "Average symmetric surface distance",
        "unit": "mm",
        "better": "lower",
        "definition": f"area-weighted mean over both boundaries together; {_MESH}",
        "empty": f"{_PENALTY}; {_UNDEFINED}",
    },
    "volume_ml": {
        "name": "Volume",
        "unit": "ml",
        "better": "neither",
        "definition": "voxels of the prediction × volume of a voxel; compare with the volume of the reference",
        "empty": "0",
    },
    "components": {
        "name": "Pieces",
        "unit": "1",
        "better": "neither",
        "definition": "connected pieces of the prediction; voxels that share a face, an edge or a corner are connected",
        "empty": "0",
    },
}
"""Metric → its definition, for the report. For one pair of masks, libraries give an HD95 of 0, 12 or 35 mm."""

TRAPS: dict[str, str] = {
    "T1": "empty masks: both empty is not defined and counted; one empty is Dice and NSD 0, and distances the diagonal",
    "T2": "a structure invented where there is none scores 0 and stays in the mean",
    "T3": "a mean of nothing is null with a reason, never 0; no caller's array is written to",
    "T4": "one structure at a time: there is no background class to be averaged in",
    "T5": "means are of patients within a structure, then of structures, never pooled and never the other way round",
    "T6": "HD95 is the larger of two directed percentiles, weighted by area; HD and the pieces stand beside it",
    "T7": "a percentile is the inverse of the weighted distribution function: a distance that was measured",
    "T8": "spacing is required, in the order of the axes, in mm; there is no default",
    "T9": "a tolerance below half the largest spacing would measure voxels, and is refused",
    "T10": "the average distance is symmetric and pooled over both boundaries",
    "T11": "NSD counts area, not voxels",
    "T12": "one voxel costs a small structure much of its Dice: results are also given by size",
    "T13": "Dice is of the volume, never a mean over slices",
    "T14": "volumes are in ml, and their difference is signed",
    "T15": "metrics are taken on the image's own grid, after the prediction has come back to it",
    "T16": "no centre-line or boundary-IoU metric is given: those at hand ignore spacing or fail on a cube",
    "T17": "surface metrics are of volumes; a picture is a volume of one slice, and its boundary an outline",
    "T18": "no namespace that scipy 2 removes is used",
    "T19": "calibration bins are closed on the left, the last one on both sides: 0.5 of two bins lies in the second",
    "T20": "cases that are equally sure share their mean risk: no curve depends on the order of rows",
    "T21": "a signed-rank test counts the pairs that differ, and says how many; none at all has no p value",
    "T22": "every labelled case is in the table: what was not predicted is a failure, not a gap",
}
"""The choice made here for each of 22 known pitfalls of metrics, in one sentence each."""

CROSSCHECK: dict[str, str] = {
    "dice": "equal to MONAI 1.6.1, MedPy 0.5.2 and surface-distance 0.1 to 1e-6 on random masks",
    "hd_mm": "within one voxel of MONAI 1.6.1 and MedPy 0.5.2, which measure between voxel centres, on random masks",
    "hd95_mm": "2.13, 2.05, 2.47 and 3.98 mm for spheres 2 mm apart on voxels of 1, 0.5, (3, 1, 1) and (5, 1, 1) mm, "
    "where MONAI and MedPy give 2.24, 2.12, 3.00 and 5.00",
    "assd_mm": "1.99, 1.99, 1.93 and 1.90 mm for these spheres, where voxel counting gives 1.92, 1.91, 1.78 and 1.55",
}
"""What these metrics were checked against; the tests and benchmarks/metrics repeat it."""
