"""Slices: a case in three planes through the reference, with reference and predictions as contours, true to scale.

One square window per case shows the same number of millimetres in every plane. The picture is embedded once; contours
are vectors in millimetres on top of it, so they stay sharp and can be switched off.

A picture file (.npz) names its arrays `image`, `truth` (the reference) and by the arms; they have one shape.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.measure import find_contours

from xmed.run import TRAINED_ARMS

Arrays = dict[str, np.ndarray]
PLANES = ((2, "axial", 0, 1), (1, "coronal", 0, 2), (0, "sagittal", 1, 2))
"""(normal axis, name, axis to the right, axis downwards) of an array along left, posterior, superior."""
ENDS = ("RL", "AP", "IS")
"""Letters at the low and high end of each of these axes."""
MARGIN, LEAST_SHARE = 1.9, 0.45
"""The window is so many times the structure's extent, and at least this share of the image's smallest long side."""
MOST_PIXELS = 360
LENGTHS_MM = (1, 2, 5, 10, 20, 50, 100)
"""Lengths of a scale bar."""


@dataclass(frozen=True)
class Picture:
    """Grey values of a slice, and where they lie in it; lengths in mm from the corner of voxel (0, 0).

    Attributes:
        x: Left edge, to the right.
        y: Upper edge, downwards.
        width: Width.
        height: Height.
        uri: The picture as a data URI (JPEG).
    """

    x: float
    y: float
    width: float
    height: float
    uri: str


@dataclass(frozen=True)
class Contour:
    """Outlines of one label map in a slice.

    Attributes:
        of: `truth`, which is the reference, or the arm.
        path: SVG path in mm, as the picture.
    """

    of: str
    path: str


@dataclass(frozen=True)
class SideLetters:
    """Sides of the patient at the edges of a view, as DICOM abbreviates them.

    Attributes:
        left: Letter at the left edge.
        top: Letter at the upper edge.
    """

    left: str
    top: str


@dataclass(frozen=True)
class SliceView:
    """A square window on one slice of a case.

    Attributes:
        x: Left edge of the window, mm from the corner of voxel (0, 0).
        y: Upper edge of the window, mm.
        side: Length of its sides, mm.
        image: The grey values.
        contours: Outlines of the reference and of each arm that drew something in this slice.
        scale_mm: Length of the scale bar; None where none fits.
        plane: axial, coronal or sagittal; the axis that it is normal to where the orientation is not known.
        slice: Index of the slice along the normal.
        letters: Sides of the patient; None where the orientation is not known.
    """

    x: float
    y: float
    side: float
    image: Picture
    contours: list[Contour]
    scale_mm: int | None
    plane: str
    slice: int
    letters: SideLetters | None


def views(
    path: Path,
    arms: Sequence[str] = TRAINED_ARMS,
    through: int | None = None,
    planes: int = 3,
    pixels: int = MOST_PIXELS,
) -> list[SliceView]:
    """Return one view per plane that is more than a voxel thick in both directions.

    Args:
        path: A picture file of a run.
        arms: Arms whose contours are shown beside the reference.
        through: The label value whose largest section is shown, where the reference (else the prediction) has it;
            None for all structures together.
        planes: At most so many views.
        pixels: The picture's longer side, at most.

    Returns:
        The views; fewer than three of an image with an axis of one voxel.
    """
    with np.load(path, allow_pickle=False) as file:
        needed = {"image", "truth", "spacing", "affine", *arms}
        arrays = {name: file[name] for name in file.files if name in needed}
    spacing, axes, oriented = _orientation(arrays)
    image = _reordered(arrays["image"].astype(np.float32), axes)
    labels = {"truth": arrays["truth"]} | {arm: arrays[arm] for arm in arms if arm in arrays}
    labels = {name: _reordered(label, axes) for name, label in labels.items()}
    centre, middle, side = _window(labels, np.array(image.shape), np.array(spacing), through)
    out: list[SliceView] = []
    for normal, name, right, down in PLANES:
        if min(image.shape[right], image.shape[down]) > 1 and len(out) < planes:
            flip = down == 2 and oriented  # superior is up
            cut = {key: _plane(label, normal, centre[normal], right, down, flip) for key, label in labels.items()}
            picture = _plane(image, normal, centre[normal], right, down, flip)
            about = (middle[right], image.shape[down] - 1 - middle[down] if flip else middle[down])
            edges = spacing[right], spacing[down]
            x, y = _window_corner(picture, edges, about, side)
            across, along = ENDS[right], ENDS[down][::-1] if flip else ENDS[down]
            view = SliceView(
                x,
                y,
                side,
                image=_visible_part(picture, edges, (x, y), side, pixels),
                contours=[Contour(key, _outline(label, edges)) for key, label in cut.items() if label.any()],
                scale_mm=max((mm for mm in LENGTHS_MM if mm < 0.3 * side), default=None),
                plane=name if oriented else f"across axis {'ijk'[normal]}",
                slice=int(centre[normal]),
                letters=SideLetters(across[0], along[0]) if oriented else None,
            )
            out.append(view)
    return out


def _orientation(arrays: Arrays) -> tuple[tuple[float, ...], list[tuple[int, bool]], bool]:
    """Spacing along L, P, S; for each the nearest array axis and whether to mirror it; whether that is known."""
    spacing = tuple(float(edge) for edge in arrays["spacing"])
    if "affine" not in arrays:
        return spacing, [(0, False), (1, False), (2, False)], False
    directions = arrays["affine"][:3, :3] / np.linalg.norm(arrays["affine"][:3, :3], axis=0)
    axes, free = [], [0, 1, 2]
    for direction in range(3):
        axis = max(free, key=lambda n: abs(directions[direction, n]))
        free.remove(axis)
        axes.append((axis, bool(directions[direction, axis] < 0)))
    return tuple(spacing[axis] for axis, _ in axes), axes, True


def _reordered(array: np.ndarray, axes: list[tuple[int, bool]]) -> np.ndarray:
    out = array.transpose([axis for axis, _ in axes])
    return out[tuple(slice(None, None, -1 if mirrored else 1) for _, mirrored in axes)]


def _window(
    labels: Arrays, shape: np.ndarray, spacing: np.ndarray, through: int | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Slice (3,) with the largest section of the reference (else the prediction), middle voxel (3,), side in mm."""
    extent = shape * spacing
    judged = [labels[name] for name in ("truth", "adapted") if name in labels]
    first_drawn = next((label for label in judged if label.any()), None)
    least = LEAST_SHARE * float(np.sort(extent)[1])
    if first_drawn is None:
        return shape // 2, (shape - 1) / 2, max(least, float(extent.max()))
    with_structure = next((label for label in judged if (label == through).any()), None)
    voxels = np.argwhere(first_drawn > 0 if with_structure is None else with_structure == through)
    both = np.argwhere(np.any([label > 0 for label in judged], axis=0))
    size = float(((both.max(0) - both.min(0) + 1) * spacing).max())
    areas = [np.bincount(voxels[:, axis], minlength=shape[axis]) for axis in range(3)]
    centre = np.array([int(np.argmax(area)) for area in areas])
    return centre, (both.min(0) + both.max(0)) / 2, min(max(MARGIN * size, least), float(extent.max()))


def _plane(array: np.ndarray, normal: int, at: int, right: int, down: int, flip: bool) -> np.ndarray:
    """Rows run downwards, columns to the right."""
    cut: np.ndarray = np.take(array, at, axis=normal)  # the remaining axes keep their order, and right < down always
    return cut.T[::-1] if flip else cut.T


def _window_corner(
    picture: np.ndarray, spacing: tuple[float, float], middle: tuple[float, float], side: float
) -> tuple[float, float]:
    """Corner (x, y) of the window around the middle voxel, mm from the corner of voxel (0, 0)."""
    corner = []
    for about, edge, n in zip(middle, spacing, picture.shape[::-1]):
        room = n * edge - side  # the window lies inside the picture where it fits, else the picture in its middle
        corner.append(min(max((about + 0.5) * edge - side / 2, 0.0), room) if room >= 0 else room / 2)
    return corner[0], corner[1]


def _visible_part(
    picture: np.ndarray, spacing: tuple[float, float], corner: tuple[float, float], side: float, pixels: int
) -> Picture:
    """The voxels of the picture that lie at least partly in the window."""
    low = [max(0, int(start // edge)) for start, edge in zip(corner, spacing)]
    high = [min(n, int(np.ceil((start + side) / edge))) for start, edge, n in zip(corner, spacing, picture.shape[::-1])]
    visible = picture[low[1] : high[1], low[0] : high[0]]
    return Picture(
        x=low[0] * spacing[0],
        y=low[1] * spacing[1],
        width=(high[0] - low[0]) * spacing[0],
        height=(high[1] - low[1]) * spacing[1],
        uri=_uri(visible, pixels),
    )


def _outline(label: np.ndarray, spacing: tuple[float, float]) -> str:
    """SVG path of every structure's outline, half-way between voxels, in mm."""
    digits = 2 if min(spacing) < 0.5 else 1
    parts = []
    for value in np.unique(label[label > 0]):
        padded = np.pad(label == value, 1).astype(np.float32)
        for line in find_contours(padded, 0.5):
            points = (line[:, ::-1] - 0.5) * spacing  # −1 for the padding, +½ to the voxel's centre
            parts.append("M" + "L".join(f"{x:.{digits}f} {y:.{digits}f}" for x, y in points[:-1]) + "Z")
    return "".join(parts)


def _uri(picture: np.ndarray, pixels: int) -> str:
    grey = Image.fromarray(np.rint(np.clip(np.nan_to_num(picture), 0, 1) * 255).astype(np.uint8))
    grey.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    grey.save(file, "JPEG", quality=88, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
