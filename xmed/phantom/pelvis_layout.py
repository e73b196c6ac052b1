"""Position, size and order of everything in one person's pelvis, as layers of tissue from the skin inwards.

Sizes follow adult male anatomy in order of magnitude only: what matters is that they vary widely, and together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from xmed.phantom.shapes import MAX_WAVE_SD, Ellipsoid, Shape, Trunk, Tube, rotation_matrix
from xmed.phantom.tissue import Tissue

SOFT = (
    Tissue.FAT, Tissue.FASCIA, Tissue.MUSCLE, Tissue.PELVIC_FAT, Tissue.VESSEL, Tissue.BOWEL_WALL, Tissue.BOWEL_FLUID,
    Tissue.BOWEL_GAS,
)  # fmt: skip
"""What a cyst or a mass displaces."""
MAX_BEND_SD_MM = 3.5
"""Standard deviation of the strongest deformation along each axis, in mm."""


@dataclass(frozen=True, eq=False)
class TissueLayer:
    """One shape with the tissues in it.

    Attributes:
        shape: The shape.
        tissues: (limit in mm, tissue), in order: the tissue fills all points whose signed distance, roughened, is below
            the limit.
        rough: Standard deviation of the surface's roughness in mm.
        within: Only points that are already of one of these tissues change; empty for all points.
    """

    shape: Shape
    tissues: tuple[tuple[float, Tissue], ...]
    rough: float = 0.0
    within: tuple[Tissue, ...] = ()

    def touches(self, low: np.ndarray, high: np.ndarray) -> bool:
        """Return whether the shape, bent and roughened, can reach into the box between two corners (3,)."""
        reach = self.shape.reach + MAX_WAVE_SD * (self.rough + MAX_BEND_SD_MM)
        return bool((self.shape.centre - reach < high).all() and (self.shape.centre + reach > low).all())


@dataclass
class PelvisLayout:
    """Draws one person, in an order in which each organ can keep its distance from the others."""

    random: np.random.Generator
    prostate: Ellipsoid = field(init=False)
    bladder: Ellipsoid = field(init=False)
    trunk: Trunk = field(init=False)

    def __post_init__(self) -> None:
        u = self.random.uniform
        size = u(0.78, 1.18)
        radii = np.array([u(22, 27), u(16.5, 20), u(18, 23)]) * size
        self.prostate = Ellipsoid(
            np.array([u(-5, 5), u(-4, 4), u(-4, 4)]), radii, rotation_matrix(u(-20, 20), u(-8, 8), u(-8, 8))
        )
        full = u(0.72, 1.3)
        radii = np.array([u(30, 40), u(23, 31), u(22, 30)]) * full
        above = self.prostate.radii[2] * 0.8 + radii[2] * 0.8
        centre = self.prostate.centre + np.array([u(-12, 12), u(-14, 4), above])
        self.bladder = Ellipsoid(centre, radii, rotation_matrix(u(-25, 25), u(-15, 15), u(-15, 15)))
        self.fat = u(10, 28)
        self.symphysis = self.prostate.centre[1] - self.prostate.radii[1] - u(5, 11) - 9
        front = min(self.symphysis - 9 - self.fat - u(4, 12), centre[1] - radii[1] - self.fat - 17)
        half = np.array([u(165, 195), u(100, 125)])
        self.trunk = Trunk(np.array([u(-6, 6), front + half[1], 0.0]), half)

    def wall(self) -> list[TissueLayer]:
        """Return skin, fat, fascia and the abdominal muscles, and the fat that fills the pelvis."""
        fat, muscle = 2 + self.fat, self.random.uniform(7, 11)
        return [
            TissueLayer(
                self.trunk,
                (
                    (0, Tissue.SKIN), (-2, Tissue.FAT), (-fat, Tissue.FASCIA), (-fat - 1.2, Tissue.MUSCLE),
                    (-fat - muscle, Tissue.FASCIA), (-fat - muscle - 1, Tissue.PELVIC_FAT),
                ),
                rough=0.8,
            )
        ]  # fmt: skip

    def muscles(self) -> list[TissueLayer]:
        """Return obturator internus, levator ani, gluteus maximus, iliopsoas and adductors, on both sides."""
        placed = [((47, 8, 0), (9, 30, 32)), ((66, 95, 0), (46, 20, 70)), ((76, -30, 55), (17, 17, 60)),
                  ((50, -42, -48), (27, 18, 30)), ((28, 14, -14), (4, 22, 22))]  # fmt: skip
        return [
            TissueLayer(self._blob((side * x, y, z), radii, 12), ((0, Tissue.MUSCLE),), rough=1.5)
            for (x, y, z), radii in placed
            for side in (-1, 1)
        ]

    def bones(self) -> list[TissueLayer]:
        """Return pubis with its rami, symphysis, ischium, hip and the end of the spine."""
        u, y, z = self.random.uniform, self.symphysis, self.random.uniform(-14, -6)
        wide, up = u(0.9, 1.15), u(14, 26)
        layers = []
        for side in (-1, 1):
            lines = [
                ([(7, y, z), (28, y + 2, z + 8), (58, y + 16, z + up)], [10.5, 9, 9]),
                ([(7, y, z - 6), (26, y + 10, z - 26), (42, y + 34, z - 48)], [9, 7, 7]),
                ([(60, 34, -45), (64, 30, 5)], [13, 15]),
                ([(94, 4, 18), (96, 6, 24)], [25, 25]),
            ]
            for path, radii in lines:
                tube = Tube(np.array(path, dtype=float) * [side * wide, 1, 1], np.array(radii) * u(0.92, 1.08))
                layers.append(TissueLayer(tube, ((0, Tissue.BONE), (-1.8, Tissue.MARROW)), rough=0.7))
        spine = Tube(
            np.array([(0, 62, -18), (0, 80, 12), (0, 96, 60)]) + np.array([0, u(0, 8), 0]), np.array([5.0, 9, 22])
        )
        disc = Ellipsoid(np.array([0, y, z]), np.array([u(3, 5), 9.5, 19]), np.eye(3))
        return [
            *layers,
            TissueLayer(spine, ((0, Tissue.BONE), (-1.8, Tissue.MARROW))),
            TissueLayer(disc, ((0, Tissue.CARTILAGE),)),
        ]

    def vessels(self) -> list[TissueLayer]:
        """Return the iliac vessels and the plexus around the prostate: dark tubes that could be taken for a bladder."""
        u, layers = self.random.uniform, []
        for side in (-1, 1):
            x = side * u(50, 66)
            path = np.array([(x * 1.1, -52, 12), (x, -34, 45), (x * 0.85, 10, 100)])
            layers.append(TissueLayer(Tube(path, np.array([5.5, 6, 6.5]) * u(0.8, 1.25)), ((0, Tissue.VESSEL),)))
            layers.append(
                TissueLayer(
                    Tube(path + np.array([side * 2, 12, -4]), np.array([6, 6, 7]) * u(0.8, 1.3)), ((0, Tissue.VESSEL),)
                )
            )
            for _ in range(3):
                spot = self.prostate.centre + self.prostate.radii * np.array(
                    [side * u(1.05, 1.3), u(-0.9, 0.7), u(-0.6, 0.7)]
                )
                layers.append(TissueLayer(self._blob(spot, (3, 3, u(4, 9)), 30), ((0, Tissue.VESSEL),)))
        return layers

    def bowel(self) -> list[TissueLayer]:
        """Return loops above and beside the bladder, some with fluid, some with gas."""
        u, layers = self.random.uniform, []
        top = self.bladder.centre + np.array([0, 0, self.bladder.radii[2]])
        for _ in range(int(self.random.integers(4, 8))):
            start = top + np.array([u(-60, 60), u(-15, 40), u(10, 35)])
            path = start + np.array(
                [(0, 0, 0), (u(-30, 30), u(-15, 15), u(-5, 15)), (u(-40, 40), u(-20, 20), u(0, 25))]
            )
            collapsed = Tissue.BOWEL_WALL
            fill = (Tissue.BOWEL_FLUID, Tissue.BOWEL_GAS, collapsed)[int(self.random.choice(3, p=[0.45, 0.35, 0.2]))]
            tube = Tube(path, np.array([u(8, 13), u(8, 14), u(8, 13)]))
            layers.append(TissueLayer(tube, ((0, Tissue.BOWEL_WALL), (-2.2, fill)), rough=1.2))
        return layers

    def distractors(self) -> list[TissueLayer]:
        """Return cysts made like the bladder and masses made like the prostate, at some distance from both."""
        u, layers = self.random.uniform, []
        for _ in range(int(self.random.integers(1, 4))):
            spot = self.bladder.centre + np.array([self.random.choice((-1, 1)) * u(50, 85), u(-20, 40), u(-10, 70)])
            cyst = self._blob(spot, u(12, 28, 3), 30)
            wall = ((0, Tissue.BLADDER_WALL), (-u(1.5, 4), Tissue.URINE))
            layers.append(TissueLayer(cyst, wall, rough=1.2, within=SOFT))
        for _ in range(int(self.random.integers(1, 4))):
            spot = self.prostate.centre + np.array([self.random.choice((-1, 1)) * u(45, 80), u(-10, 60), u(-40, 90)])
            mass = self._blob(spot, u(14, 24, 3), 30)
            capsule = ((0, Tissue.CAPSULE), (-1.4, Tissue.PERIPHERAL_ZONE))
            layers.append(TissueLayer(mass, capsule, rough=0.9, within=SOFT))
            core = Ellipsoid(mass.centre, mass.radii * u(0.6, 0.75), mass.turn)
            layers.append(TissueLayer(core, ((0, Tissue.TRANSITION_ZONE),), 1.4, within=(Tissue.PERIPHERAL_ZONE,)))
        return layers

    def rectum(self) -> list[TissueLayer]:
        """Return a curved tube behind the prostate, filled with stool, and gas that rises to the front."""
        u = self.random.uniform
        radii = np.array([9.0, u(11, 17), u(11, 20), u(12, 20)])
        behind = self.prostate.centre[1] + self.prostate.radii[1] + u(2, 6)
        path = np.array(
            [(0, behind + 2, -58), (u(-4, 4), behind + radii[1], -14), (u(-9, 9), behind + radii[2] + u(0, 8), 24),
             (u(-18, 18), behind + radii[3] + u(12, 26), 72)]
        )  # fmt: skip
        layers = [TissueLayer(Tube(path, radii), ((0, Tissue.RECTAL_WALL), (-u(2.5, 4), Tissue.STOOL)), rough=1.0)]
        for _ in range(int(self.random.integers(1, 4))):
            share = u(0, 1)
            middle = path[1] * (1 - share) + path[2] * share if u() < 0.6 else path[2] * (1 - share) + path[3] * share
            gas = self._blob(middle - [0, u(2, 8), 0], (u(6, 14), u(4, 9), u(8, 22)), 20)
            layers.append(TissueLayer(gas, ((0, Tissue.RECTAL_GAS),), rough=1.0, within=(Tissue.STOOL,)))
        return layers

    def organs(self) -> list[TissueLayer]:
        """Return seminal vesicles, bladder, and prostate with its zones. The prostate dents the bladder from below."""
        u, p = self.random.uniform, self.prostate
        vesicles = []
        for side in (-1, 1):
            spot = p.centre + np.array([side * u(12, 20), p.radii[1] * 0.75, p.radii[2] + u(0, 5)])
            blob = self._blob(spot, (u(12, 19), 5.5, 7), 25)
            vesicles.append(TissueLayer(blob, ((0, Tissue.SEMINAL_VESICLE),), rough=1.3))
        wall = u(2.2, 4.2)
        bladder = TissueLayer(self.bladder, ((0, Tissue.BLADDER_WALL), (-wall, Tissue.URINE)), rough=1.2)
        gland = TissueLayer(p, ((0, Tissue.CAPSULE), (-1.4, Tissue.PERIPHERAL_ZONE)), rough=0.9)
        inner = Ellipsoid(
            p.centre + p.turn @ (p.radii * [0, -0.18, 0.14]), p.radii * [u(0.6, 0.75), u(0.6, 0.72), 0.74], p.turn
        )
        zone = TissueLayer(inner, ((0, Tissue.TRANSITION_ZONE),), rough=1.4, within=(Tissue.PERIPHERAL_ZONE,))
        return [*vesicles, bladder, gland, zone]

    def _blob(self, centre: ArrayLike, radii: ArrayLike, tilt: float) -> Ellipsoid:
        """Draw an ellipsoid near a given place, of about the given radii in mm, tilted by at most `tilt` degrees."""
        u = self.random.uniform
        middle = np.asarray(centre, dtype=float) + self.random.normal(0, 2, 3)
        size = np.asarray(radii, dtype=float) * u(0.85, 1.2, 3)
        return Ellipsoid(middle, size, rotation_matrix(u(-tilt, tilt), u(-tilt, tilt), u(-tilt, tilt)))
