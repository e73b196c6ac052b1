"""A study of balls in noise, small enough to train within seconds, and the parts of one training without a study."""

import itertools

import numpy as np
import pytest
import torch

from xmed.cohort import ingest_cases, summarise_cohorts
from xmed.io import write_nifti
from xmed.methods.bridge import Bridge
from xmed.methods.source_only import SourceOnly
from xmed.networks import build_network
from xmed.prepare import Augmentation, Sample, Sampler
from xmed.run import Run
from xmed.spec import Budget, DatasetSpec, GridSpec, NetworkSpec, Study
from xmed.tasks import Segmentation
from xmed.volume import Grid, Volume


def write_case(root, case, seed, inverted):
    """A ball in noise; the target shows it dark on bright, the source bright on dark."""
    random = np.random.default_rng(seed)
    shape, spacing = (24, 24, 6), (1.0, 1.0, 2.0)
    centre = np.array([12, 12, 3]) + random.uniform(-3, 3, 3) * (1, 1, 0.3)
    apart = np.linalg.norm((np.moveaxis(np.indices(shape), 0, -1) - centre) * (1, 1, 2), axis=-1)
    mask = (apart < 5).astype(np.uint8)
    image = random.normal(100, 8, shape) + (-60.0 if inverted else 60.0) * mask
    for name, array in (("image", image.astype(np.float32)), ("label", mask)):
        path = root / name / f"{case}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_nifti(Volume(array, np.diag([*spacing, 1.0])), path)


@pytest.fixture
def study(tmp_path) -> Study:
    return Study.model_validate(
        {
            "name": "balls",
            "source": "bright",
            "target": "dark",
            "structures": ["ball"],
            "grid": {"spacing_mm": [1, 1, 2], "patch": [24, 24, 1]},
            "network": {"channels": [4, 8, 8]},
            "method": {"name": "bridge", "pool": 6},
            "budget": {"steps": 30, "batch": 4},
            "protocol": {"primary": {"structure": "ball"}},
            "register_as": "balls",
        }
    )


@pytest.fixture
def run(tmp_path, study) -> tuple[Run, object]:
    """An ingested study with nothing trained yet, and its home."""
    home = tmp_path / "home"
    cohorts = []
    for name, inverted, modality, first in (("bright", False, "MR", 0), ("dark", True, "PT", 50)):
        root = tmp_path / name
        cases = {"train": ["a", "b", "c"], "select": ["d"], "test": ["e", "f"]}
        cases = {split: [f"{name}-{case}" for case in found] for split, found in cases.items()}
        for n, case in enumerate(itertools.chain(*cases.values())):
            write_case(root, case, first + n, inverted)
        document = {
            "name": name, "modality": modality, "root": str(root), "splits": cases, "labels": {1: {"name": "ball"}},
            "layout": {"image": "image/{case}.nii.gz", "label": "label/{case}.nii.gz"},
        }  # fmt: skip
        cohorts.append(ingest_cases(DatasetSpec.model_validate(document), home))
    made = Run.create(study, home)
    made.write(summarise_cohorts(*cohorts))
    return made, home


def pieces(tmp_path, steps=12, rounds=1):
    random = np.random.default_rng(0)
    image = random.normal(size=(24, 24, 4)).astype(np.float32)
    one = Sample("a", image, np.ones(image.shape, bool), Grid(image.shape, np.eye(4)), (image > 1).astype(np.uint8))
    grid = GridSpec(spacing_mm=(1, 1, 1), patch=(16, 16, 1))
    net, task = build_network(NetworkSpec(channels=[4, 8, 8]), 2, 1, 2), Segmentation(("x",))
    method = SourceOnly(net, task) if rounds == 1 else Bridge(net, task, rounds=rounds, cell=4)
    samplers = [Sampler([one], grid, 2, Augmentation(), seed) for seed in (0, 1)]
    return method, *samplers, Budget(steps=steps, batch=2), torch.device("cpu"), tmp_path
