"""Runs of a comparison as training and evaluation leave them, made of numbers alone."""

import json

import numpy as np
import pytest

from xmed.files.digest import digest
from xmed.run import Run

PATIENTS = 10
DICE = {"source_only": 0.2, "gin": 0.5, "bridge": 0.7, "target_supervised": 0.9}
SECONDS = {"source_only": 10.0, "gin": 20.0, "bridge": 30.0, "target_supervised": 10.0, "coral": 4.0, "ensemble": 50.0}


def measured(arm, seed, n, dice, **more):
    place = {"arm": arm, "seed": seed, "case": f"case-{n}", "patient": f"patient-{n}", "structure": "prostate"}
    other = dict.fromkeys(("nsd", "hd95_mm", "hd_mm", "assd_mm", "volume_ml", "reference_volume_ml"), 1.0)
    return {**place, "dice": dice, **other, "components": 1, "status": "ok", **more}


@pytest.fixture
def make(tmp_path):
    """A trained and judged comparison's folder. dice: per method a mean, around which patients differ alike."""

    def make(dice=DICE, seeds=(0, 1), wobble=0.02, patients=PATIENTS, missing=(), failed=()):
        run, random = Run(tmp_path / f"toy-compare-{len(list(tmp_path.iterdir()))}"), np.random.default_rng(0)
        study = {
            "name": "toy", "source": "toy-mr", "target": "toy-us", "structures": ["prostate"],
            "grid": {"spacing_mm": [1, 1, 1], "patch": [32, 32, 1]}, "method": {"name": "bridge"}, "seeds": list(seeds),
            "protocol": {"primary": {"metric": "dice", "structure": "prostate"}}, "register_as": "toy",
            "budget": {"steps": 60, "batch": 2},
        }  # fmt: skip
        run.write("study", study)
        run.write("methods", list(dice))
        run.write("protocol", {"sha256": digest(study)})
        run.write("metrics", {"conventions": {}, "nsd_tolerance_mm": 2.0, "spacing_credible": True})
        cases = [
            {"case": f"case-{n}", "patient": f"patient-{n}", "split": "test", "has_label": True}
            for n in range(patients)
        ]  # fmt: skip
        sides = {"source": "MR", "target": "US"}
        run.write("data", {
            side: {"name": f"toy-{modality.lower()}", "modality": modality, "fingerprint": "f" * 64, "cases": cases}
            for side, modality in sides.items()
        })  # fmt: skip
        hard = random.normal(0, 0.05, patients)
        rows = [
            measured(arm, seed, n, float(np.clip(mean + hard[n] + random.normal(0, wobble), 0, 1)))
            for arm, mean in dice.items() for seed in seeds if (arm, seed) not in missing for n in range(patients)
        ]  # fmt: skip
        for arm, score in (("trivial_threshold", 0.1), ("trivial_position", 0.3)):
            rows += [measured(arm, None, n, score, rule="otsu, bright") for n in range(patients)]
        run.write("rows", rows)
        run.write("failed", list(failed))
        for arm in dice:
            for seed in seeds:
                if (arm, seed) not in missing:
                    record = {
                        "arm": arm, "seed": seed, "cite": f"{arm}, 2026", "seconds": SECONDS[arm],
                        "target_labels_used": arm == "target_supervised", "weights_sha256": "0" * 64,
                        "selection": {"rule": "the last step", "used_target_labels": False},
                    }  # fmt: skip
                    run.arm(arm, seed).mkdir(parents=True)
                    (run.arm(arm, seed) / "train.json").write_text(json.dumps(record))
        return run

    return make


def entry(document, method):
    (found,) = [one for one in document["ranking"]["prostate"] if one["method"] == method]
    return found
