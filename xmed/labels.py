"""Labels: the table of what each voxel value of a label map means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xmed.errors import XmedError

if TYPE_CHECKING:
    import numpy as np  # imported where voxels are used: reading a spec should not load NumPy

BACKGROUND = 0
BODY_STRUCTURE = "123037004"
"""SNOMED CT category of body structures (DICOM PS3.16 CID 7150)."""
FLUID = frozenset(
    {
        "89837001", "28231008",  # urinary bladder, gallbladder
        "35764002",  # brain ventricle
        "59820001", "51114001", "29092000",  # blood vessel, artery, vein
        "15825003", "81040000", "69105007", "73634005",  # aorta, pulmonary, common carotid and common iliac artery
        "64131007", "48345005", "32764006", "122972007", "12123001",  # venae cavae, portal, pulmonary, jugular vein
        "87878005", "53085002", "82471001", "73829009",  # ventricles and atria of the heart
    }
)  # fmt: skip
"""SNOMED CT types of body structures that contain urine, bile, cerebrospinal fluid or blood; others are tissue."""


@dataclass(frozen=True)
class Structure:
    """One segmented structure: its voxel value, name, and SNOMED-CT codes (DICOM PS3.16 CID 7150, 7151)."""

    value: int
    name: str
    category: str | None = None
    type: str | None = None

    @property
    def fluid(self) -> bool | None:
        """Whether it contains fluid, by its codes; None without codes, or for other categories than body structures."""
        return None if self.type is None or self.category != BODY_STRUCTURE else self.type in FLUID


@dataclass(frozen=True)
class LabelTable:
    """Structures by voxel value.

    Value 0 is background and not listed. Several values may have one name: the parts of a finer segmentation.

    Raises:
        XmedError: SPEC_INVALID for a duplicate value, a value below 1, or one name with different codes.
    """

    structures: tuple[Structure, ...]

    def __post_init__(self) -> None:
        values, coded = self.values, {(s.name, s.category, s.type) for s in self.structures}
        if len(set(values)) < len(values) or len(coded) > len(self.names) or min(values, default=1) <= BACKGROUND:
            listed = {s.value: s.name for s in self.structures}
            raise XmedError("SPEC_INVALID", f"labels {listed}", "distinct values ≥ 1, each name with the same codes")

    def __iter__(self) -> Iterator[Structure]:
        return iter(self.structures)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def names(self) -> list[str]:
        """The names of the structures, each once."""
        return list(dict.fromkeys(s.name for s in self.structures))

    @property
    def values(self) -> list[int]:
        """The voxel values."""
        return [s.value for s in self.structures]

    def __getitem__(self, name: str) -> Structure:
        for structure in self.structures:
            if structure.name == name:
                return structure
        raise XmedError("SPEC_INVALID", f"structure '{name}'", f"one of {', '.join(self.names)}")

    def values_of(self, name: str) -> list[int]:
        """Return the voxel values of one structure.

        Args:
            name: Name of the structure.

        Returns:
            Its values in this table; several where a finer segmentation has its parts.

        Raises:
            XmedError: SPEC_INVALID where there is none.
        """
        return [s.value for s in self.structures if s.name == self[name].name]

    def select(self, names: list[str]) -> LabelTable:
        """Make a network's table.

        Args:
            names: Names of structures.

        Returns:
            The structures in that order, with the values 1, 2, ...
        """
        chosen = [self[name] for name in names]
        return LabelTable(tuple(Structure(n, s.name, s.category, s.type) for n, s in enumerate(chosen, start=1)))

    def renumber(self, array: np.ndarray, names: list[str]) -> np.ndarray:
        """Convert a label map to the values of `select(names)`.

        Args:
            array: Values of this table, any shape.
            names: The structures to keep; everything else becomes background.

        Returns:
            uint8 of the same shape.
        """
        import numpy as np

        renumbered = np.zeros(array.shape, dtype=np.uint8)
        for n, name in enumerate(names, start=1):
            renumbered[np.isin(array, self.values_of(name))] = n
        return renumbered

    def check(self, array: np.ndarray) -> np.ndarray:
        """Check label values and convert them to the narrowest of uint8, uint16 and int32.

        Values within 1e-3 of a whole number are rounded to it.

        Args:
            array: Label values, of any shape.

        Returns:
            The values as uint8, uint16 or int32.

        Raises:
            XmedError: LABEL_VALUES for values that are neither background nor in this table.
        """
        import numpy as np

        rounded = np.rint(array)
        if not np.isfinite(array).all() or np.abs(array - rounded).max(initial=0) > 1e-3:
            raise XmedError("LABEL_VALUES", "label values that are not whole numbers", f"0 or one of {self.values}")
        unknown = sorted(set(np.unique(rounded).astype(int).tolist()) - {BACKGROUND, *self.values})
        if unknown:
            raise XmedError(
                "LABEL_VALUES",
                f"label values {unknown}",
                f"0 or one of {self.values}",
                "name them in the spec's labels",
            )
        highest = max(self.values, default=0)
        narrow: np.ndarray = rounded.astype(np.uint8 if highest < 2**8 else np.uint16 if highest < 2**16 else np.int32)
        return narrow
