"""Volume: voxels with their position in the patient.

Convention everywhere in xmed: `affine` maps voxel indices (i, j, k) to patient coordinates in
millimetres, **LPS+** (x grows to the patient's left, y to posterior, z to superior: DICOM PS3.3 C.7.6.2.1.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from xmed.errors import XmedError

GEOMETRY_TOLERANCE_MM = 1e-2
"""Two grids are the same if no corner voxel differs by more than this; NIfTI stores affines in float32."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The positions of voxels.

    Attributes:
        shape: Number of voxels along i, j, k.
        affine: (4, 4), index → patient coordinates in mm, LPS+ (DICOM PS3.3 C.7.6.2.1.1).
        frame: DICOM Frame of Reference UID, or None.

    Raises:
        XmedError: AFFINE_INVALID, NDIM.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    frame: str | None = None

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.allclose(affine[3], (0, 0, 0, 1)):
            raise XmedError("AFFINE_INVALID", f"affine {np.asarray(self.affine).tolist()}", "a finite 4×4 affine")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise XmedError("AFFINE_INVALID", "a singular affine", "three independent axes of non-zero spacing")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise XmedError("NDIM", f"shape {tuple(self.shape)}", "three dimensions of at least one voxel")
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel edge lengths in mm along i, j, k."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def points(self, ijk: np.ndarray) -> np.ndarray:
        """Compute the patient coordinates of voxels.

        Args:
            ijk: Voxel indices (n, 3).

        Returns:
            Coordinates (n, 3) in mm, LPS+.
        """
        points: np.ndarray = np.asarray(ijk, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return points

    def corners(self) -> np.ndarray:
        """Compute the patient coordinates of the centres of the corner voxels.

        Returns:
            Coordinates (8, 3) in mm, LPS+.
        """
        ends = [(0, n - 1) for n in self.shape]
        return self.points(np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, 8).T)

    def distance(self, other: Grid) -> float:
        """Measure how far two grids lie apart.

        Args:
            other: Another grid.

        Returns:
            The largest distance between corresponding corners, mm; infinite if the shapes differ.
        """
        if self.shape != other.shape:
            return float("inf")
        return float(np.linalg.norm(self.corners() - other.corners(), axis=1).max())

    def same(self, other: Grid) -> bool:
        """Compare two grids.

        Args:
            other: Another grid.

        Returns:
            Whether both have the same voxels at the same positions, and no different frames of reference.
        """
        frames = {frame for frame in (self.frame, other.frame) if frame}
        return len(frames) < 2 and self.distance(other) <= GEOMETRY_TOLERANCE_MM


@dataclass(frozen=True, eq=False)
class Volume:
    """An image or a label map with its position in the patient; validated here once, then trusted.

    Attributes:
        array: Voxels (i, j, k), any real or integer type.
        affine: (4, 4), index → patient coordinates in mm, LPS+.
        frame: DICOM Frame of Reference UID, or None.
        modality: DICOM modality (MR, CT, PT, US ...), or None.
        fov: Field of view, bool (i, j, k), such as the sector of an ultrasound image, or None for everywhere.
        subject: Digests of the patient's identity in a DICOM header; never stored, and empty if unknown.

    Raises:
        XmedError: NDIM, DTYPE, COMPLEX, AFFINE_INVALID or GRID_MISMATCH.
    """

    array: np.ndarray
    affine: np.ndarray
    frame: str | None = None
    modality: str | None = None
    fov: np.ndarray | None = None
    subject: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.ndim != 3:
            raise XmedError("NDIM", f"an array of shape {array.shape}", "three dimensions (i, j, k)")
        if np.iscomplexobj(array):
            raise XmedError("COMPLEX", "complex voxels", "real voxels", "export magnitude images")
        if array.dtype.kind not in "buif":
            raise XmedError("DTYPE", f"voxels of type {array.dtype}", "integers or real numbers")
        grid = Grid(array.shape, self.affine, self.frame)
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "affine", grid.affine)
        if self.fov is not None:
            fov = np.asarray(self.fov, dtype=bool)
            if fov.shape != array.shape:
                raise XmedError("GRID_MISMATCH", f"field of view {fov.shape} on an image {array.shape}", "one grid")
            object.__setattr__(self, "fov", fov)

    @property
    def grid(self) -> Grid:
        """The grid of the volume, without its values."""
        return Grid(self.array.shape, self.affine, self.frame)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel edge lengths in mm along i, j, k."""
        return self.grid.spacing

    @property
    def inside(self) -> np.ndarray:
        """The field of view as a bool array (i, j, k); True everywhere if there is none."""
        return np.ones(self.array.shape, dtype=bool) if self.fov is None else self.fov

    def with_array(self, array: np.ndarray) -> Volume:
        """Put other values on the same grid.

        Args:
            array: Values (i, j, k), such as a prediction of this image.

        Returns:
            A volume on the same grid.
        """
        return replace(self, array=array)
