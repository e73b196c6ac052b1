"""Scan the phantom as a pulse-echo ultrasound scanner does, as a 3-D B-mode volume.

The simulation runs on the probe's polar grid (depth, lateral, elevation): scatterers with circular Gaussian amplitude,
attenuated on the way there and back; specular echoes where impedance changes along the beam; a point-spread function
that widens away from the focus; the envelope, whose speckle is then fully developed (Wagner et al. 1983,
doi:10.1109/T-SU.1983.31404); reverberation, clutter, electronic noise; time-gain compensation, log compression, scan
conversion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from scipy import ndimage

from xmed.phantom.pelvis import Pelvis
from xmed.phantom.probe import CurvedProbe
from xmed.phantom.shapes import LatticeNoise
from xmed.phantom.tissue import Tissue, per_tissue
from xmed.volume import Grid, Volume

SPACING_MM = (1.4, 1.4, 2.4)
"""Voxel edges of the scan-converted volume in mm."""

BACKSCATTER_DB = per_tissue(
    {
        Tissue.AIR: -60, Tissue.SKIN: 2, Tissue.FAT: -9, Tissue.FASCIA: 4, Tissue.MUSCLE: -8, Tissue.PELVIC_FAT: 0,
        Tissue.BONE: 6, Tissue.MARROW: -25, Tissue.CARTILAGE: -8, Tissue.BLADDER_WALL: -4, Tissue.URINE: -55,
        Tissue.CAPSULE: 5, Tissue.PERIPHERAL_ZONE: -9, Tissue.TRANSITION_ZONE: -13, Tissue.SEMINAL_VESICLE: -18,
        Tissue.RECTAL_WALL: -9, Tissue.STOOL: 2, Tissue.RECTAL_GAS: 12, Tissue.BOWEL_WALL: -5,
        Tissue.BOWEL_FLUID: -28, Tissue.BOWEL_GAS: 12, Tissue.VESSEL: -38,
    }
)  # fmt: skip
"""Scattered power in dB, relative to fat within the pelvis."""
ATTENUATION_DB_CM = per_tissue(
    dict.fromkeys(Tissue, 1.9)
    | {Tissue.SKIN: 3.0, Tissue.FAT: 1.7, Tissue.MUSCLE: 2.4, Tissue.URINE: 0.05, Tissue.BOWEL_FLUID: 0.1}
    | {Tissue.BONE: 60.0, Tissue.MARROW: 30.0, Tissue.CARTILAGE: 12.0, Tissue.STOOL: 8.0, Tissue.VESSEL: 0.6}
    | {Tissue.RECTAL_GAS: 90.0, Tissue.BOWEL_GAS: 90.0, Tissue.AIR: 200.0}
)
"""Amplitude attenuation in dB/cm, one way, at 3.5 MHz; soft tissue near 0.55 dB per cm and MHz."""
IMPEDANCE = per_tissue(
    dict.fromkeys(Tissue, 1.63)
    | {Tissue.AIR: 0.4, Tissue.FAT: 1.40, Tissue.PELVIC_FAT: 1.47, Tissue.FASCIA: 1.78, Tissue.URINE: 1.50}
    | {Tissue.BONE: 4.0, Tissue.MARROW: 3.0, Tissue.BLADDER_WALL: 1.70, Tissue.CAPSULE: 1.74, Tissue.VESSEL: 1.61}
    | {Tissue.RECTAL_GAS: 0.4, Tissue.BOWEL_GAS: 0.4, Tissue.BOWEL_FLUID: 1.52, Tissue.STOOL: 1.8}
)
"""Acoustic impedance in MRayl. That of gas is raised from 0.0004, because the echo saturates long before."""
AMPLITUDE_VARIATION = per_tissue(
    dict.fromkeys(Tissue, 0.25)
    | {Tissue.MUSCLE: 0.5, Tissue.PELVIC_FAT: 0.6, Tissue.STOOL: 0.7, Tissue.TRANSITION_ZONE: 0.25}
)
"""Standard deviation of the amplitude's natural logarithm within a tissue."""


@dataclass(frozen=True)
class ScannerSettings:
    """Settings of the scanner and coupling of the beam, drawn for each patient. Lengths in mm, levels in dB.

    Attributes:
        focus: Depth of the focus.
        width: Standard deviation of the lateral point spread at the focus.
        pulse: Standard deviation of the axial point spread.
        speculars: Strength of specular echoes relative to scattering.
        expected_loss_db_cm: One-way attenuation in dB/cm that the time-gain compensation makes up for.
        dynamic_range: Range of the log compression.
        gain: Added before the compression.
        noise_floor: Level of the electronic noise.
        haze: Level of the haze under the probe's face.
        haze_depth: Depth over which the haze decays.
        reverberation: Level of the first multiple echo.
        clutter: Level of the side lobes.
    """

    focus: float
    width: float
    pulse: float
    speculars: float
    expected_loss_db_cm: float
    dynamic_range: float
    gain: float
    noise_floor: float
    haze: float
    haze_depth: float
    reverberation: float
    clutter: float

    @classmethod
    def draw(cls, random: np.random.Generator, depth: float) -> ScannerSettings:
        """Draw the settings of one patient; `depth` is the probe's depth in mm."""
        u = random.uniform
        return cls(
            focus=depth * u(0.45, 0.75), width=u(0.7, 1.0), pulse=u(0.45, 0.65), speculars=u(8, 16),
            expected_loss_db_cm=u(1.6, 2.0), dynamic_range=u(52, 64), gain=u(-4, 4), noise_floor=u(-84, -71),
            haze=u(-40, -22), haze_depth=u(14, 26), reverberation=u(-42, -28), clutter=u(-40, -27),
        )  # fmt: skip


def scan_ultrasound(anatomy: Pelvis, random: np.random.Generator) -> tuple[Volume, Volume]:
    """Scan one patient.

    Args:
        anatomy: The patient.
        random: Random generator.

    Returns:
        The image (uint8; 0 outside the sector, at least 1 inside), whose `fov` is the sector, and the label map. Both
        are in the probe's coordinates. What the sector does not cover has no label.
    """
    probe = CurvedProbe.held(anatomy, random)
    settings = ScannerSettings.draw(random, probe.depth)
    levels = log_compress(received_amplitude(anatomy, probe, settings, random), settings)
    return _scan_convert(levels, anatomy, probe)


def received_amplitude(
    anatomy: Pelvis, probe: CurvedProbe, settings: ScannerSettings, random: np.random.Generator
) -> np.ndarray:
    """Return the received amplitude (depths, lateral, elevation), float32.

    It is taken after time-gain compensation and before compression.
    """
    points = probe.in_patient(probe.beams())
    tissue = anatomy.tissue(points)
    scatter = _scatter(tissue, points, random) * circular_noise(random, probe.samples)
    scatter += settings.speculars * specular_echoes(tissue, points, probe.step)
    received = scatter * _transmitted_amplitude(tissue, probe, random)
    del points, scatter
    received = apply_point_spread(received, probe, settings)
    received += _artefacts_and_noise(received, probe, settings, random)
    depth = probe.polar()[0][:, None, None]
    gain = 10 ** (2 * settings.expected_loss_db_cm * depth / 10 / 20)
    compensated: np.ndarray = np.abs(received) * gain
    return compensated


def circular_noise(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw circular complex Gaussian noise of unit power, complex64."""
    parts = random.standard_normal((*shape, 2), dtype=np.float32) * np.float32(np.sqrt(0.5))
    return parts.view(np.complex64)[..., 0]


def _scatter(tissue: np.ndarray, points: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the scattering amplitude: each tissue's own, varied between patients and, slowly, in space."""
    level = BACKSCATTER_DB + random.normal(0, 1.5, len(BACKSCATTER_DB)).astype(np.float32)
    amplitude = 10 ** (level / 20)
    patches = LatticeNoise.draw(random, 5.0)(points.reshape(-1, 3).T).reshape(tissue.shape)
    scattered: np.ndarray = amplitude[tissue] * np.exp(AMPLITUDE_VARIATION[tissue] * np.clip(patches, -2.5, 2.5))
    return scattered


def specular_echoes(tissue: np.ndarray, points: np.ndarray, step: float) -> np.ndarray:
    """Return specular echoes: the change of log impedance along the beam, weaker the more the surface faces away.

    Args:
        tissue: Tissue at the sampled points (depths, lateral, elevation).
        points: Their patient coordinates in mm, (depths, lateral, elevation, 3).
        step: Distance in mm between samples along a beam.
    """
    log_impedance = ndimage.gaussian_filter(np.log(IMPEDANCE)[tissue], (1.0, 0.6, 0.6))
    along = np.gradient(log_impedance, axis=0) / step
    squared = along**2
    for axis in (1, 2):
        distance = np.linalg.norm(np.diff(points, axis=axis), axis=-1)
        slope = np.diff(log_impedance, axis=axis) / distance
        squared += np.concatenate([slope, slope.take([-1], axis=axis)], axis=axis) ** 2
    facing = along**2 / np.maximum(squared, 1e-12)
    echoes: np.ndarray = np.abs(along) * facing
    return echoes


def _transmitted_amplitude(tissue: np.ndarray, probe: CurvedProbe, random: np.random.Generator) -> np.ndarray:
    """Return the amplitude left after the way there and back, times how well each beam couples to the skin."""
    loss = ATTENUATION_DB_CM * random.uniform(0.92, 1.08)
    lost = np.cumsum(loss[tissue], axis=0) * np.float32(2 * probe.step / 10)
    _, theta, phi = probe.polar()
    lateral, elevation = np.meshgrid(theta / probe.half_lateral, phi / probe.half_elevation, indexing="ij")
    side, edge = random.choice([-1.0, 1.0]), random.uniform(0.75, 1.3)
    contact = 6 * np.clip((side * lateral - edge) / 0.1 + 0.5, 0, 5) + elevation**2
    transmitted: np.ndarray = 10 ** (-(lost + contact) / 20)
    return transmitted


def apply_point_spread(field: np.ndarray, probe: CurvedProbe, settings: ScannerSettings) -> np.ndarray:
    """Filter the complex field with the scanner's point-spread function. Its power is kept, so only its grain changes.

    The function is Gaussian along the beam (the pulse) and across it. Across, its width grows away from the focus, and
    is 1.5 times as large in elevation; it is applied as a transfer function for each depth.

    Args:
        field: Complex field (depths, lateral, elevation).
        probe: Geometry of the beams.
        settings: Focus, width and pulse.
    """
    depth, theta, phi = probe.polar()
    sigma = settings.width * np.hypot(1, (depth - settings.focus) / 45)
    pulse = settings.pulse / probe.step
    power = 2 * pulse * np.sqrt(np.pi)  # of white noise through a Gaussian of unit sum: 1 / (2 σ √π)
    field = ndimage.gaussian_filter1d(field.real, pulse, axis=0) + 1j * ndimage.gaussian_filter1d(
        field.imag, pulse, axis=0
    )
    field = np.asarray(field * np.sqrt(power), dtype=np.complex64)
    for axis, angles, reach, wide in ((1, theta, probe.radius, 1.0), (2, phi, probe.sweep, 1.5)):
        spread = wide * sigma / ((reach + depth) * (angles[1] - angles[0]))  # in samples
        count = len(angles)
        padded = scipy.fft.next_fast_len(count + 12)
        frequency = scipy.fft.fftfreq(padded).astype(np.float32)
        transfer = np.exp(-2 * (np.pi * frequency * spread[:, None]) ** 2)
        transfer /= np.sqrt((transfer**2).mean(axis=1, keepdims=True))
        shape = [len(depth), 1, 1]
        shape[axis] = padded
        spectrum = scipy.fft.fft(field, padded, axis=axis) * transfer.reshape(shape).astype(np.float32)
        field = scipy.fft.ifft(spectrum, axis=axis).take(range(count), axis=axis)
    return field


def _artefacts_and_noise(
    received: np.ndarray, probe: CurvedProbe, settings: ScannerSettings, random: np.random.Generator
) -> np.ndarray:
    """Return reverberation, side lobes, haze under the probe's face and electronic noise, as a complex field."""
    depth = probe.polar()[0][:, None, None]
    artefacts = np.zeros_like(received)
    for times in (1, 2):
        delay = int(times * random.uniform(9, 16) / probe.step)
        artefacts[delay:] += _amplitude(times * settings.reverberation) * received[:-delay]
    energy = np.abs(received) ** 2
    for axis, size in ((1, 41), (2, 15)):
        energy = ndimage.uniform_filter1d(energy, size, axis=axis, mode="nearest")
    lobes = _amplitude(settings.clutter) * np.sqrt(energy)
    haze = _amplitude(settings.haze) * np.exp(-((depth / settings.haze_depth) ** 1.5))
    artefacts += apply_point_spread(circular_noise(random, probe.samples) * (lobes + haze), probe, settings)
    noisy: np.ndarray = artefacts + _amplitude(settings.noise_floor) * circular_noise(random, probe.samples)
    return noisy


def _amplitude(level_db: float) -> np.float32:
    """Convert a level in dB to an amplitude."""
    return np.float32(10 ** (level_db / 20))


def log_compress(amplitude: np.ndarray, settings: ScannerSettings) -> np.ndarray:
    """Return grey levels 1 to 255, float32: the logarithm of the amplitude over the dynamic range."""
    level = 20 * np.log10(np.maximum(amplitude, 1e-9))
    top = np.percentile(level[::2, ::2, ::2], 98) + 8
    share = (level - top + settings.gain) / settings.dynamic_range + 1
    levels: np.ndarray = (1 + 254 * np.clip(share, 0, 1)).astype(np.float32)
    return levels


def _scan_convert(levels: np.ndarray, anatomy: Pelvis, probe: CurvedProbe) -> tuple[Volume, Volume]:
    """Resample the polar grey levels to Cartesian coordinates, and return the label map there."""
    grid: Grid = probe.grid(SPACING_MM)
    local = np.moveaxis(np.indices(grid.shape, dtype=np.float32), 0, -1) * np.array(SPACING_MM, dtype=np.float32)
    local += grid.affine[:3, 3].astype(np.float32)
    index = probe.index(local.reshape(-1, 3)).reshape(3, *grid.shape)
    last = np.array(probe.samples).reshape(3, 1, 1, 1) - 1
    sector = np.all((index >= 0) & (index <= last), axis=0)
    image = np.zeros(grid.shape, dtype=np.uint8)
    image[sector] = np.rint(ndimage.map_coordinates(levels, index[:, sector], order=1, mode="nearest"))
    labels = anatomy.structures(probe.in_patient(local)) * sector
    return Volume(image, grid.affine, modality="US", fov=sector), Volume(labels, grid.affine)
