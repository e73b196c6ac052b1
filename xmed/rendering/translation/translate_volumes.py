"""Translate whole volumes with a learned translation, and keep the results in a folder for later use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from xmed.batch import Batch
from xmed.io import read_nifti, write_nifti
from xmed.networks import default_device
from xmed.prepare import Augmentation, Sample, Sampler
from xmed.rendering.translation.adversarial_pair import Supervised, TranslationSettings, Translator
from xmed.spec import GridSpec
from xmed.volume import Volume

GEOMETRY_ONLY = Augmentation(rotation=0, scale=0.1, shift=0.1, flips=(False, False, False), gain=0, offset=0, noise=0)
"""Augmentation of geometry alone: intensities are what is learned, so nothing changes them."""


def translate(
    source: Sequence[Sample], target: Sequence[Sample], dims: Literal[2, 3], classes: int, supervised: Supervised,
    settings: TranslationSettings, seed: int, folder: Path | None = None,
) -> list[Sample]:  # fmt: skip
    """Return every labelled source volume with its label, field of view and grid, in the look of the target volumes.

    Args:
        source: Labelled samples.
        target: Unlabelled samples.
        dims: 2 translates slice by slice along k, 3 whole patches.
        classes: Number of classes, background included.
        supervised: Loss of the segmenter.
        settings: Settings of the training.
        seed: Determines the result.
        folder: Translations are written there as NIfTI, and read from there when the same ones are needed again.

    Returns:
        The translated samples, in the order of `source`.
    """
    request = {**asdict(settings), "seed": seed, "dims": dims}
    request |= {"source": [s.case for s in source], "target": [s.case for s in target]}
    record = folder and folder / "translated.json"
    if folder and record and record.is_file() and json.loads(record.read_text(encoding="utf-8")) == request:
        return [s.with_image(read_nifti(_path(folder, n)).array) for n, s in enumerate(source)]
    with torch.enable_grad():
        translator = Translator(dims, classes, supervised, settings, seed).to(default_device())
        train_translator(translator, source, target, seed)
    translated = [s.with_image(translator.translate_volume(s)) for s in source]
    if folder and record:
        folder.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)  # from here on the folder no longer holds the former translations as a whole
        for n, s in enumerate(translated):
            write_nifti(Volume(s.image, s.grid.affine, s.grid.frame), _path(folder, n))
        record.write_text(json.dumps(request) + "\n", encoding="utf-8")  # last: a folder that has it is complete
    return translated


def train_translator(translator: Translator, source: Sequence[Sample], target: Sequence[Sample], seed: int) -> None:
    """Train generator, projection heads and segmenter against the critic, one step each in turn."""
    settings, edge = translator.settings, translator.edge
    spec = GridSpec(spacing_mm=source[0].spacing, patch=(edge, edge, edge if translator.dims == 3 else 1))
    samplers = [
        Sampler(domain, spec, settings.batch, GEOMETRY_ONLY, seed + n) for n, domain in enumerate((source, target))
    ]
    parameters = [translator.generator_parameters(), list(translator.critic.parameters())]
    optimisers = [torch.optim.Adam(group, lr=settings.rate, betas=(0.5, 0.999)) for group in parameters]
    falling = lambda step: min(1.0, 2 * (1 - step / settings.steps))  # noqa: E731
    rates = [LambdaLR(optimiser, falling) for optimiser in optimisers]
    for _ in range(settings.steps):
        x, y = (next(sampler).to(default_device()) for sampler in samplers)
        view = _shared(x, y)
        fake, source_features = translator.generator.translate(x.image)
        _step(translator.generator_losses(x, y, fake, source_features, view), optimisers[0], rates[0])
        _step(translator.critic_losses(y, fake, view), optimisers[1], rates[1])


def _step(losses: dict[str, Tensor], optimiser: Optimizer, rate: LRScheduler) -> None:
    optimiser.zero_grad()
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    optimiser.step()
    rate.step()


def _shared(x: Batch, y: Batch) -> Tensor:
    """Mark where both patches of a pair are in view, (b, 1, ...): the shape of a sector would reveal its domain."""
    views = [b.fov for b in (x, y) if b.fov is not None]
    return torch.stack(views).all(0)[:, None].to(x.image.dtype) if views else torch.ones_like(x.image)


def _path(folder: Path, n: int) -> Path:
    return folder / f"{n:03d}.nii.gz"
