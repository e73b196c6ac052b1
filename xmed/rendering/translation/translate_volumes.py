"""Translate whole volumes with a learned translation, and keep the results in a folder for later use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
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
"""Intensities are what is learned, so nothing disturbs them."""


def translate(
    source: Sequence[Sample], target: Sequence[Sample], dims: Literal[2, 3], classes: int, supervised: Supervised,
    recipe: TranslationSettings, seed: int, folder: Path | None = None,
) -> list[Sample]:  # fmt: skip
    """Every labelled `source` volume with its label, field of view and grid, in a picture like those of `target`.

    Slice by slice along k where `dims` is 2. With a folder the pictures are written there as NIfTI, and taken from
    there by whoever asks for the same again. The global random numbers stay as they were.
    """
    asked = {**asdict(recipe), "seed": seed, "dims": dims}
    asked |= {"source": [s.case for s in source], "target": [s.case for s in target]}
    known = folder and folder / "translated.json"
    if folder and known and known.is_file() and json.loads(known.read_text(encoding="utf-8")) == asked:
        return [replace(s, image=read_nifti(_path(folder, n)).array) for n, s in enumerate(source)]
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(seed)
        translator = Translator(dims, classes, supervised, recipe).to(default_device())
        train_translator(translator, source, target, seed)
    made = [replace(s, image=translator.translate_volume(s)) for s in source]
    if folder and known:
        folder.mkdir(parents=True, exist_ok=True)
        known.unlink(missing_ok=True)  # an answer to another question is no longer whole from here on
        for n, s in enumerate(made):
            write_nifti(Volume(s.image, s.grid.affine, s.grid.frame), _path(folder, n))
        known.write_text(json.dumps(asked) + "\n", encoding="utf-8")  # last: a folder that has it is whole
    return made


def train_translator(translator: Translator, source: Sequence[Sample], target: Sequence[Sample], seed: int) -> None:
    """Generator, projections and segmenter against the critic, one step each in turn."""
    recipe, edge = translator.recipe, translator.edge
    spec = GridSpec(spacing_mm=source[0].spacing, patch=(edge, edge, edge if translator.dims == 3 else 1))
    draws = [Sampler(some, spec, recipe.batch, GEOMETRY_ONLY, seed + n) for n, some in enumerate((source, target))]
    players = [translator.generator_parameters(), list(translator.critic.parameters())]
    optimisers = [torch.optim.Adam(player, lr=recipe.rate, betas=(0.5, 0.999)) for player in players]
    falling = lambda step: min(1.0, 2 * (1 - step / recipe.steps))  # noqa: E731
    rates = [LambdaLR(optimiser, falling) for optimiser in optimisers]
    for _ in range(recipe.steps):
        x, y = (next(draw).to(default_device()) for draw in draws)
        view = _shared(x, y)
        fake, seen = translator.generator.translate(x.image)
        _step(translator.generator_losses(x, y, fake, seen, view), optimisers[0], rates[0])
        _step(translator.critic_losses(y, fake, view), optimisers[1], rates[1])


def _step(losses: dict[str, Tensor], optimiser: Optimizer, rate: LRScheduler) -> None:
    optimiser.zero_grad()
    torch.stack(list(losses.values())).sum().backward()
    optimiser.step()
    rate.step()


def _shared(x: Batch, y: Batch) -> Tensor:
    """1 where both of a pair of patches have something in view, (b, 1, ...): a sector would betray its domain."""
    views = [b.fov for b in (x, y) if b.fov is not None]
    return torch.stack(views).all(0)[:, None].to(x.image.dtype) if views else torch.ones_like(x.image)


def _path(folder: Path, n: int) -> Path:
    return folder / f"{n:03d}.nii.gz"
