"""An untrained model of a home's two datasets of balls, and its validation on a third."""

import numpy as np
import pytest

from xmed import report
from xmed.app import external_validation
from xmed.cohort import ingest_cases, load_cohort
from xmed.evaluate import evaluate
from xmed.io import write_nifti
from xmed.labels import LabelTable, Structure
from xmed.model.deployed import Model
from xmed.networks import build_network
from xmed.records.model_card import ModelOrigin
from xmed.records.record import content
from xmed.spec import DatasetSpec, GridSpec, NetworkSpec
from xmed.volume import Volume

GRID, NETWORK = GridSpec(spacing_mm=(1, 1, 2), patch=(16, 16, 1)), NetworkSpec(channels=[4, 8, 8])


def balls(folder, name, cases, seed, home, **changes):
    """A PET dataset of balls, ingested."""
    for n, case in enumerate(case for found in cases.values() for case in found):
        random = np.random.default_rng(seed + n)
        apart = np.linalg.norm((np.moveaxis(np.indices((16, 16, 4)), 0, -1) - (8, 8, 2)) * (1, 1, 2), axis=-1)
        mask = apart < random.uniform(3, 5)
        for kind, array in (("image", random.normal(100, 8, mask.shape) - 60.0 * mask), ("label", mask)):
            path = folder / name / kind / f"{case}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_nifti(
                Volume(array.astype(np.float32 if kind == "image" else np.uint8), np.diag([1.0, 1, 2, 1])), path
            )
    document = {
        "name": name, "modality": "PT", "root": str(folder / name), "splits": cases, "labels": {1: {"name": "ball"}},
        "layout": {"image": "image/{case}.nii.gz", "label": "label/{case}.nii.gz"}, **changes,
    }  # fmt: skip
    spec = DatasetSpec.model_validate(document)
    return spec, ingest_cases(spec, home)


@pytest.fixture
def model(tmp_path, home, unguarded):
    """A model folder, untrained, that says it was made from two datasets of this home."""
    source = balls(tmp_path, "old-source", {"train": ["s1", "s2"]}, 0, home)[1]
    target = balls(tmp_path, "old-target", {"train": ["t1", "t2"], "test": ["t3"]}, 10, home)[1]
    card = {
        "study": "balls", "run": "balls-1", "arm": "adapted", "seed": 3, "method": "gin", "hyperparameters": {}, "cite": "A",
        "deployable": True, "protocol_sha256": "0" * 64, "datasets": {"source": "old-source", "target": "old-target"},
        "data": {"source": source.fingerprint, "target": target.fingerprint},
    }  # fmt: skip
    table = LabelTable((Structure(1, "ball", None, None),))
    return Model(
        build_network(NETWORK, 2, 1, 2, 0).eval(), GRID, NETWORK, "PT", table, origin=ModelOrigin.model_validate(card)
    ).save(tmp_path / "model")


def validated(model, spec, home, protocol=None):
    """What the flow `validate` does, without Prefect."""
    run = external_validation.begin(
        model, "models:/balls/3", external_validation.external_study(model, spec, protocol), home
    )
    external_validation.describe(run, load_cohort(spec.name, home), home)
    evaluate(run, home)
    run.write("environment", {})
    run.write("errors", [])
    report.write_report(run)
    return run, content(report.read_report(run.report))
