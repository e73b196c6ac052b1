"""Limb ultrasound of a linear probe, drawn from a label map of vessels, nerves, muscle and bone.

The map gives the structures. Each drawing bends it anew, draws layers, fasciae and other tissue around them, and scans
the result. The ranges began as those of a recipe that was measured (mean Dice 0.61, one seed), and were moved until
image statistics of the drawings resembled those of unlabelled pictures; no training with these ranges has reached that
figure yet. A vessel is recognised by its dark, nearly echo-free lumen, by its wall where the sound meets it squarely,
and by the tissue behind it, which is brighter than its surroundings because blood attenuates little (Szabo, Diagnostic
Ultrasound Imaging, 2nd ed. 2014). Nerves, muscle and dark nerve roots are drawn because they look like vessels and are
none. Lengths are in pixels of a picture 128 columns wide, echoes are powers.

Label maps come from annotated data, or from a random generator (`anatomy`): numbers and sizes of vessels are those of
the recipe, muscle and bone are drawn larger and more varied, by eye. Lengths are in pixels of a map 128 wide and deep,
(i lateral, j depth).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from xmed.prepare import Sample
from xmed.rendering.labelled_anatomy import log_uniform, sigmoid, smooth_noise
from xmed.rendering.scenes.linear import Beam, display_linear
from xmed.rendering.scenes.soft_tissue import SoftTissue, draw_soft_tissue

EDGE = 128
VESSEL, NERVE, MUSCLE, BONE = 1, 2, 3, 4
VESSELS = (0.14, 0.34, 0.27, 0.15, 0.10)
"""Probability of 0, 1, ... vessels in a picture."""
GAP = 2
"""Pixels of tissue between two vessels: in a label map touching vessels cannot be told apart."""
TRIES = 20
GREY = {0: 0.8, VESSEL: 0.1, NERVE: 0.6, MUSCLE: 0.5, BONE: 0.05}
"""Dark-blood T1-weighted MR, in order and rough distance: fat > nerve > muscle > flowing blood > cortical bone."""


@dataclass(frozen=True, eq=False)
class Components:
    """The connected components of one structure in a picture.

    Attributes:
        depth: Voxels inside the structure's edge, negative outside, (i, j).
        owner: Number, from 0, of the component that a pixel is in or nearest to, (i, j).
        half: Half of each component's extent along the beam, (components,).
        middle: Middle of each component's extent along the beam, (components,).
    """

    depth: np.ndarray
    owner: np.ndarray
    half: np.ndarray
    middle: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> Components | None:
        """Return the components of `mask`, bool (i, j), or None where it is empty."""
        parts, count = ndimage.label(mask)
        if count == 0:
            return None
        away, spots = ndimage.distance_transform_edt(~mask, return_indices=True)
        depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask) - away, 0.7).astype(np.float32)
        rows = [box[1] for box in ndimage.find_objects(parts)]
        half, middle = (np.array([(r.stop + s * r.start) / 2 for r in rows]) for s in (-1, 1))
        return cls(depth, parts[tuple(spots)] - 1, half, middle)

    def each(self, values: list[float] | np.ndarray) -> np.ndarray:
        """Spread one value per component to one per pixel."""
        per_pixel: np.ndarray = np.asarray(values, dtype=np.float32)[self.owner]
        return per_pixel

    def log_uniform(self, random: np.random.Generator, low: float, high: float) -> np.ndarray:
        """Draw one value per component, its logarithm uniform, and spread it to the pixels."""
        return self.each([log_uniform(random, low, high) for _ in self.half])

    def uniform(self, random: np.random.Generator, low: float, high: float) -> np.ndarray:
        """Draw one uniform value per component and spread it to the pixels."""
        return self.each(random.uniform(low, high, len(self.half)))

    def square(self) -> np.ndarray:
        """Return how squarely the sound meets the edge: the normal's part along the beam, in [0, 1]."""
        i, j = np.gradient(self.depth)
        facing: np.ndarray = np.abs(j) / np.maximum(np.hypot(i, j), 1e-6)
        return facing


def anatomy(random: np.random.Generator) -> np.ndarray:
    """Generate a label map uint8 (EDGE, EDGE, 1): 0 other tissue, 1 vessel, 2 nerve, 3 muscle, 4 bone and below it."""
    ids = np.zeros((EDGE, EDGE), dtype=np.uint8)
    for _ in range(int(random.integers(0, 4))):
        ids[_blob(random, log_uniform(random, 8, 45), random.uniform(0.25, 0.8), 0.3)] = MUSCLE
    for _ in range(int(random.integers(0, 4))):
        ids[_blob(random, random.uniform(4, 18), random.uniform(0.35, 1.0), 0.15)] = NERVE
    taken = np.zeros(ids.shape, dtype=bool)
    for _ in range(int(random.choice(len(VESSELS), p=VESSELS))):
        vessel = _vessel(taken, random)
        ids[vessel] = VESSEL
        taken |= ndimage.binary_dilation(vessel, iterations=GAP)
    if random.random() < 0.45:
        ids[_bone_at_depth(random)] = BONE
    return ids[:, :, np.newaxis]


def _vessel(taken: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw a lumen that does not touch the others; after TRIES attempts, the part of it that is free."""
    size = log_uniform(random, 5, 20)
    for _ in range(TRIES):
        wide = float(np.clip(size * log_uniform(random, 0.6, 1.5), 3.5, 25))
        lumen = _blob(random, wide, random.uniform(0.55, 1.35), random.uniform(0.02, 0.12))
        if not (lumen & taken).any():
            break
    free: np.ndarray = lumen & ~taken
    return free


def _blob(random: np.random.Generator, wide: float, flat: float, irregular: float) -> np.ndarray:
    """Draw a tilted ellipse of half-width `wide`, half-height `wide · flat` and uneven edge, bool (EDGE, EDGE)."""
    i, j = np.indices((EDGE, EDGE), dtype=np.float32)
    i, j = i - random.uniform(0.05, 0.95) * EDGE, j - random.uniform(0.08, 0.9) * EDGE
    tilt = random.uniform(-0.5, 0.5)
    along, across = np.cos(tilt) * i + np.sin(tilt) * j, -np.sin(tilt) * i + np.cos(tilt) * j
    uneven = irregular * smooth_noise(random, (EDGE, EDGE), max(2.0, 0.5 * wide))
    blob: np.ndarray = np.hypot(along / wide, across / (wide * flat)) < 1 + uneven
    return blob


def _bone_at_depth(random: np.random.Generator) -> np.ndarray:
    """Draw all below a surface that is convex towards the probe, over a part of the width; bool (EDGE, EDGE)."""
    i, j = np.indices((EDGE, EDGE), dtype=np.float32)
    middle, half, top = random.uniform(0, 1) * EDGE, random.uniform(12, 60), random.uniform(0.3, 0.95) * EDGE
    x = (i - middle) / half
    surface = top + random.uniform(2, 25) * x**2 + random.normal(0, 6) * x + smooth_noise(random, (EDGE, 1), (6, 0))
    bone: np.ndarray = (j > surface) & (np.abs(x) < 1)
    return bone


__all__ = ["anatomy", "draw", "plain"]


def draw(source: Sample, target: Sample, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a limb as a linear probe shows it: image float32 in [0, 1], label uint8, both (i, j, k)."""
    drawn = [_slice(source, target.fov[:, :, k], random) for k in range(target.fov.shape[2])]
    image, label = (np.stack(part, axis=2) for part in zip(*drawn))
    return image, label


def plain(source: Sample, target: Sample, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the same limbs as dark-blood MR would show them, without any ultrasound physics."""
    images, labels = [], []
    for k in range(target.fov.shape[2]):
        ids = bend_label_map(source.image[:, :, 0], target.fov.shape[:2], random)
        image = ndimage.gaussian_filter(np.vectorize(GREY.get, otypes=[np.float32])(ids), 0.5 * len(ids) / 128)
        images.append(image + 0.05 * random.standard_normal(ids.shape, dtype=np.float32))
        labels.append(((ids == VESSEL) & target.fov[:, :, k]).astype(np.uint8))
    return np.stack(images, axis=2), np.stack(labels, axis=2)


def bend_label_map(ids: np.ndarray, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Lay a label map (i, j) on `shape` pixels, smoothly bent, scaled and half of the time mirrored; uint8."""
    scale = np.exp(random.uniform(-0.15, 0.15, 2)) * (random.choice([-1, 1]), 1)
    place = (np.indices(shape) / np.reshape(shape, (2, 1, 1)) - 0.5) * scale[:, None, None]
    px = shape[0] / 128
    moves = random.uniform(0, 0.04) * np.stack([smooth_noise(random, shape, 12 * px) for _ in range(2)])
    place += 0.5 + moves + random.uniform(-0.06, 0.06, (2, 1, 1))
    coordinates = place * np.reshape(ids.shape, (2, 1, 1))
    bent: np.ndarray = ndimage.map_coordinates(ids, coordinates, order=0, mode="nearest").astype(np.uint8)
    return bent


def _slice(source: Sample, fov: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw one picture and its label."""
    shape, px = (fov.shape[0], fov.shape[1]), fov.shape[0] / 128
    ids = bend_label_map(source.image[:, :, 0], shape, random)
    scene, beam = draw_soft_tissue(shape, px, random), Beam.into(shape, px, random)
    for value, add in ((MUSCLE, _muscle), (NERVE, _nerves), (VESSEL, _vessels)):
        pieces = Components.of(ids == value)
        if pieces is not None:
            add(scene, beam, pieces, px, random)
    hidden = _bone(scene, beam, ids == BONE, px, random) | beam.lose_contact(random)
    if random.random() < 0.6:  # what sheets and streaks send back is missing behind them: dark places, and no vessels
        beam.left *= np.exp(-log_uniform(random, 0.003, 0.06) / px * np.cumsum(scene.shine, axis=1))
    image = display_linear(scene, beam, random)
    return image * fov, ((ids == VESSEL) & ~hidden & fov).astype(np.uint8)


def _vessels(scene: SoftTissue, beam: Beam, pieces: Components, px: float, random: np.random.Generator) -> None:
    """Draw vessels: dark blood, a bright wall, brighter tissue behind, sometimes thin shadows from the sides."""
    inside = sigmoid(pieces.depth / (random.uniform(0.4, 0.9) * px))
    blood = log_uniform(random, 0.004, 0.08) * pieces.log_uniform(random, 0.4, 2.5)
    if random.random() < 0.5:  # haze from what lies above, in the near half
        row = np.arange(inside.shape[1])
        near = sigmoid((pieces.each(pieces.middle) - row) / np.maximum(pieces.each(pieces.half) / 4, 0.5))
        blood = blood + near * pieces.log_uniform(random, 0.01, 0.12)
    scene.replace(inside, blood)
    square, sigma = pieces.square(), pieces.uniform(random, 0.6, 1.5) * px
    outwards = (pieces.uniform(random, 1, 1.1) - 1) * pieces.each(pieces.half)  # where the wall runs, beyond the edge
    wall = np.exp(-0.5 * ((pieces.depth + outwards) / sigma) ** 2) * pieces.log_uniform(random, 0.15, 2)
    scene.shine += wall * (0.15 + 0.85 * square ** random.uniform(1, 4))
    passed = random.uniform(0, 0.0175) * np.minimum(1, 10 * px / np.maximum(pieces.each(pieces.half), 1)) / px
    beam.loss -= passed * (pieces.depth > 0)
    if random.random() < 0.4:  # refraction at the sides casts thin shadows
        beam.loss += random.uniform(0, 0.03) / px * (np.abs(pieces.depth) < 1.5 * px) * (1 - square)


def _nerves(scene: SoftTissue, beam: Beam, pieces: Components, px: float, random: np.random.Generator) -> None:
    """Draw bundles of dark fascicles in a bright mesh; about a third are plain dark-grey nerve roots instead."""
    del beam
    shape = pieces.depth.shape
    inside = sigmoid(pieces.depth / (0.7 * px))
    root = pieces.each(random.random(len(pieces.half)) < 0.35)
    holes = sigmoid(4 * (smooth_noise(random, shape, 0.4 * random.uniform(2, 3.5) * px) - random.uniform(-0.3, 0.6)))
    mesh = pieces.log_uniform(random, 0.7, 5) * (1 - holes * (1 - log_uniform(random, 0.08, 0.5)))
    scene.replace(inside, np.where(root > 0.5, pieces.log_uniform(random, 0.15, 0.6), mesh))
    rim = np.exp(-0.5 * (pieces.depth / (random.uniform(0.5, 1.2) * px)) ** 2)
    scene.shine += rim * pieces.log_uniform(random, 0.1, 1.5) * (0.3 + 0.7 * pieces.square())


def _muscle(scene: SoftTissue, beam: Beam, pieces: Components, px: float, random: np.random.Generator) -> None:
    """Draw dark-grey bundles with streaks, half of the time in a bright sheath."""
    del beam
    inside = sigmoid(pieces.depth / (random.uniform(1, 5) * px))
    scene.replace(inside, pieces.log_uniform(random, 0.04, 0.7))
    scene.shine += inside * scene.streaks(px, random)
    if random.random() < 0.5:  # its fascia
        sheath = np.exp(-0.5 * (pieces.depth / (random.uniform(0.3, 0.8) * px)) ** 2)
        scene.shine += pieces.log_uniform(random, 0.2, 2) * sheath * pieces.square()


def _bone(scene: SoftTissue, beam: Beam, bone: np.ndarray, px: float, random: np.random.Generator) -> np.ndarray:
    """Draw a bright line with almost nothing below it. Return what it hides, bool (i, j)."""
    under = np.cumsum(bone, axis=1) > 0
    pieces = Components.of(under)
    if pieces is None or not (~under).any():
        return under
    line = np.exp(-0.5 * ((pieces.depth - px) / (random.uniform(0.6, 1.5) * px)) ** 2)
    scene.shine += line * log_uniform(random, 1, 8) * (0.2 + 0.8 * pieces.square())
    beam.left *= 1 + (log_uniform(random, 0.01, 0.6) - 1) * sigmoid((pieces.depth - 3 * px) / px)
    return under
