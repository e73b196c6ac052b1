"""An oblique slice through a labelled head, bent onto an ellipse that lies somewhere in a picture.

`px` are pixels of a picture 128 columns wide; other widths scale with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from xmed.prepare import Sample
from xmed.rendering.labelled_anatomy import smooth_noise

ANGLES = 90
REDRAWN = 20
"""How often a head that leaves the field of view is drawn anew before it is used as it is."""


@dataclass(frozen=True, eq=False)
class CrossSection:
    """Where a head lies in a picture (i, j).

    Attributes:
        rho: 0 at the head's middle, 1 on the outer edge of the skull.
        x: Unit-circle coordinate from back to front, or reversed.
        y: Unit-circle coordinate across.
        depth: Pixels inside the outer edge of the skull, negative outside.
        ids: Ids of the label map, 0 outside.
        half: Long half-axis in pixels.
    """

    rho: np.ndarray
    x: np.ndarray
    y: np.ndarray
    depth: np.ndarray
    ids: np.ndarray
    half: float

    @property
    def mask(self) -> np.ndarray:
        """Return everything inside the outer edge of the skull, bool (i, j)."""
        return self.rho < 1

    def normal(self) -> np.ndarray:
        """Return unit vectors that point out of the head, (2, i, j)."""
        slope = np.stack(np.gradient(self.rho))
        normals: np.ndarray = slope / np.maximum(np.linalg.norm(slope, axis=0), 1e-6)
        return normals


def random_section(source: Sample, fov: np.ndarray, random: np.random.Generator) -> CrossSection:
    """Lay a random plane of the source's structures at random into the field of view (i, j) of a picture."""
    plane, middle, axes, radius = _outline(*_plane(source, random))
    px = fov.shape[0] / 128
    blend = random.uniform(0, 0.7)  # of the real outline with the ellipse
    mirror = random.choice([-1.0, 1.0], 2)
    for left in range(REDRAWN, -1, -1):
        half, short, x, y = _ellipse(fov, px, random)
        angle = np.arctan2(y * mirror[1], x * mirror[0])
        real = np.interp(angle, np.linspace(-np.pi, np.pi, ANGLES + 1), radius)
        rho = (np.hypot(x, y) / (blend * real + 1 - blend)).astype(np.float32)
        inside = rho < 1
        if not left or (inside & fov).sum() >= 0.9 * np.pi * half * short or random.random() > 0.99:
            break
    along = rho * real * np.stack([np.cos(angle), np.sin(angle)])
    coordinates = np.tensordot(axes, along, axes=1) + middle[:, None, None]
    ids = ndimage.map_coordinates(plane, coordinates, order=0, mode="constant", cval=0) * inside
    depth = (1 - rho) / np.maximum(np.linalg.norm(np.stack(np.gradient(rho)), axis=0), 1e-4)
    return CrossSection(rho, x * mirror[0], y * mirror[1], depth, ids, half)


def _plane(source: Sample, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and mask of an oblique transaxial plane (across, front to back), in the map's own in-plane voxels."""
    within = np.argwhere(source.reference > 0)
    spacing = np.array(source.spacing)
    middle = within.mean(0) + np.array([0, 0, random.uniform(-8, 34) / spacing[2]])
    turn = Rotation.from_euler(
        "xy", [random.uniform(-25, 25), random.uniform(-10, 10)], degrees=True
    ).as_matrix()  # pitch about the left-right axis, roll about the front-back one
    step = turn[:, :2] * spacing[0] / spacing[:, None]
    n = max(source.image.shape[:2])
    ij = np.stack(np.meshgrid(np.arange(n) - n / 2, np.arange(n) - n / 2, indexing="ij"))
    coordinates = np.tensordot(step, ij, axes=1) + middle[:, None, None]
    return tuple(
        ndimage.map_coordinates(a, coordinates, order=0, mode="constant") for a in (source.image, source.reference)
    )


def _outline(ids: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the plane, and the moment ellipse and outline of the head in it.

    Returns:
        The ids; the middle (2,); the half-axes as columns, long one first (2, 2); the outline's radius relative to the
        ellipse at ANGLES + 1 angles from −π to π.
    """
    mask = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(truth > 0, 4), iterations=3))[4:-4, 4:-4]
    mask = ndimage.binary_opening(mask, iterations=2)
    parts, count = ndimage.label(mask)
    if count > 1:
        mask = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    points = np.argwhere(mask) if mask.sum() > 50 else np.argwhere(np.hypot(*(np.indices(mask.shape) - 20)) < 15)
    middle = points.mean(0)
    size, directions = np.linalg.eigh(np.cov(points.T))
    axes = (directions * 2 * np.sqrt(size))[:, ::-1]
    spot = np.linalg.solve(axes, (points - middle).T)
    angle, far = np.arctan2(spot[1], spot[0]), np.hypot(*spot)
    bins = np.rint((angle + np.pi) / (2 * np.pi) * ANGLES).astype(int) % ANGLES
    radius = np.zeros(ANGLES)
    np.maximum.at(radius, bins, far)
    radius = ndimage.gaussian_filter1d(np.where(radius > 0, radius, 1.0), 1.0, mode="wrap")
    return ids, middle, axes, np.append(radius, radius[0])


def _ellipse(fov: np.ndarray, px: float, random: np.random.Generator) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Return half-axes in voxels, and the picture's coordinates on an ellipse's unit circle, slightly bent."""
    long = random.uniform(0.28, 0.85) if random.random() < 0.75 else random.uniform(0.5, 0.8)
    half = long * fov.shape[0] / 2
    short = half * random.uniform(0.66, 0.95)
    angle = random.normal(0, 0.3) if random.random() < 0.85 else random.uniform(0, np.pi)
    seen = np.argwhere(fov) if fov.any() else np.argwhere(~fov)
    centre = np.clip(seen.mean(0) + random.normal(0, 1, 2) * (15 * px, 10 * px), 0, np.array(fov.shape) - 1)
    bend = random.uniform(0, 0.05) * half * np.stack([smooth_noise(random, fov.shape, 14 * px) for _ in range(2)])
    i, j = np.indices(fov.shape, dtype=np.float32) - centre[:, None, None].astype(np.float32) + bend
    x = (np.cos(angle) * i + np.sin(angle) * j) / half
    y = (-np.sin(angle) * i + np.cos(angle) * j) / short
    return half, short, x, y
