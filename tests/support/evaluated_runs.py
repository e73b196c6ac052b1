"""Runs as evaluation leaves them, made of numbers alone: no voxel, no training, a few milliseconds each."""

import json

import numpy as np

from xmed import metrics
from xmed.files.digest import array_digest, digest
from xmed.records.record import content
from xmed.run import Run

DICE = {
    "source_only": 0.2,
    "adapted": 0.8,
    "target_supervised": 0.88,
    "trivial_threshold": 0.3,
    "trivial_position": 0.4,
}
TRAINED = ("source_only", "adapted", "target_supervised")


def written(
    folder, patients=8, seeds=(0, 1), arms=TRAINED, trivial=True, names=("prostate", "bladder"), accept=None, protocol=None,
    credible=True, probabilities=True, change=None, facts=None, robust=False, per_patient=1, kept=False,
):  # fmt: skip
    """A finished run of a toy study below `folder`.

    change: (rows) -> rows, before they are written. kept: whether label maps of every prediction are there, too.
    """
    run = Run(folder)
    random = np.random.default_rng(7)
    study = {
        "name": "toy-mr-to-us", "source": "toy-mr", "target": "toy-us", "structures": list(names),
        "grid": {"spacing_mm": [1.5, 1.5, 3.0], "fit": None, "patch": [32, 32, 16], "context": 0},
        "network": {"name": "unet", "channels": [8, 16, 32], "input": "intensity", "members": 1},
        "task": {"name": "segmentation", "largest_component": False}, "method": {"name": "bridge"},
        "budget": {"steps": 60, "batch": 2, "learning_rate": 0.002}, "seeds": list(seeds),
        "protocol": {
            "primary": {"metric": "dice", "structure": names[0]},
            "accept": {"gap_closed": 0.6, "dice": None, "gain_over_trivial": 0.0, "not_below_source_only": True, **(accept or {})},
            "nsd_tolerance_mm": 3.0, **(protocol or {}),
        },
        "robustness": True, "register_as": "toy-us",
    }  # fmt: skip
    run.write("study", study)
    fixed = {key: study[key] for key in ("name", "source", "target", "structures", "protocol")}
    run.write("protocol", {**fixed, "sha256": digest(fixed), "fixed_at": "2026-01-01T00:00:00+00:00"})
    cases = [(f"us-{n}-{m}", f"patient-{n:03d}") for n in range(patients) for m in range(per_patient)]
    run.write("data", data(cases, names, credible, facts or {}))
    rows = [
        row(arm, seed, case, who, name, DICE[arm], random, credible, probabilities)
        for case, who in cases for arm in arms for seed in seeds for name in names
    ]  # fmt: skip
    if trivial:
        rows += [
            {**row(arm, None, case, who, name, DICE[arm], random, credible, False), "rule": "otsu, bright"}
            for case, who in cases for arm in ("trivial_threshold", "trivial_position") for name in names
        ]  # fmt: skip
    for arm in arms:
        for seed in seeds:
            trained(run.arm(arm, seed), arm, seed)
            if kept:
                maps = {f"case.{case}": random.integers(0, 3, (4, 4, 4), dtype=np.uint8) for case, _ in cases}
                np.savez_compressed(run.arm(arm, seed) / "labels.npz", **maps)
                for one in (one for one in rows if (one["arm"], one["seed"]) == (arm, seed)):
                    one["prediction_sha256"] = array_digest(maps[f"case.{one['case']}"])
    run.write("rows", change(rows) if change else rows)
    run.write("metrics", {"conventions": metrics.CONVENTIONS, "nsd_tolerance_mm": 3.0, "spacing_credible": credible})
    run.write("reference", {case: {"mean": float(n), "sd": 1.0} for n, (case, _) in enumerate(cases)})
    run.write(
        "environment", {"xmed": "0", "python": "3.11", "platform": "Linux", "command": "xmed run toy", "git": None}
    )
    run.write("errors", [])
    if robust:
        run.write("robustness", robustness(cases, names))
    return run


def row(arm, seed, case, who, name, dice, random, credible=True, probabilities=True, **changes):
    """One measured prediction around a Dice."""
    dice = float(np.clip(dice + random.normal(0, 0.05), 0.01, 0.99))
    truth = float(random.uniform(15, 45))
    shape = {"volume_ml": truth * float(random.uniform(0.9, 1.1)), "reference_volume_ml": truth, "nsd": dice,
             "hd95_mm": 5 * (1 - dice), "hd_mm": 9 * (1 - dice), "assd_mm": 1 - dice}  # fmt: skip
    out = {"arm": arm, "seed": seed, "case": case, "patient": who, "structure": name, "status": "ok", "dice": dice,
           "components": 1, "reference_empty": False, "largest_share": 1.0, "centre_inside": True,
           **(shape | {"centre_off_mm": 1.5} if credible else dict.fromkeys(shape) | {"reason": metrics.NO_MM})}  # fmt: skip
    out["reference_sha256"] = digest(case)
    if probabilities and arm == "adapted":
        box = np.zeros((6, 6, 6), dtype=bool)
        box[2:4, 2:4, 2:4] = True
        sums = metrics.measure_calibration(np.where(box, 0.9, 0.1).astype(np.float32), box, box, (1.0, 1.0, 1.0))
        out |= {"confidence": min(1.0, dice + 0.05), "calibration": content(sums.as_record())}
    return {**out, **changes}


def missed(found, status="empty_prediction", dice=0.0):
    """The same row, of a prediction that found nothing."""
    empty = {"status": status, "dice": dice, "nsd": dice, "volume_ml": 0.0, "components": 0, "hd95_mm": 90.0, "hd_mm": 90.0,
             "assd_mm": 90.0, "largest_share": None, "centre_inside": None, "centre_off_mm": None, "confidence": None}  # fmt: skip
    return {**found, **empty}


def undefined(found):
    """The same row, of a case in which there is nothing, and nothing was found."""
    none = dict.fromkeys(
        ("dice", "nsd", "hd95_mm", "hd_mm", "assd_mm", "largest_share", "centre_inside", "centre_off_mm")
    )
    return {**found, **none, "volume_ml": 0.0, "reference_volume_ml": 0.0, "components": 0, "reference_empty": True,
            "reason": metrics.BOTH_EMPTY}  # fmt: skip


def data(cases, names, credible, facts):
    def side(name, modality, members, refused):
        counts = {split: sum(one["split"] == split for one in members) for split in ("train", "select", "test")}
        flow = {"found": len(members) + len(refused), "readable": len(members), "quarantined": len(refused), **counts}
        return {"name": name, "modality": modality, "fingerprint": digest(name), "merkle_root": digest([name]), "files": 9,
                "cases": members, "quarantined": refused, "flow": flow, "licence": "CC0-1.0", "source": "made up",
                "structures": list(names), "spacing_credible": credible}  # fmt: skip

    def member(case, who, split):
        return {"case": case, "patient": who, "split": split, "has_label": True, "shape": [36, 40, 22],
                "spacing_mm": [1.5, 1.5, 3.0], "notes": [], "facts": facts.get(who, {}), "label_ml": {}}  # fmt: skip

    refused = [
        {"case": "us-x", "patient": "px", "split": "train", "code": "SLICE_GAP", "message": "slice 7 is missing"}
    ]
    source = [member(f"mr-{n}", f"a-{n}", "train") for n in range(4)]
    target = [member(f"us-t{n}", f"b-{n}", "train") for n in range(3)] + [member(*one, "test") for one in cases]
    leaks = ("patient_overlap", "study_overlap", "series_overlap", "pixel_overlap", "near_duplicates")
    between = "what is learned or chosen from, and what is tested on"
    checks = [{"id": key, "text": key, "between": between, "n_learned": 7, "n_tested": len(cases), "found": 0, "reason": None,
               "limit": None, "closest": None} for key in leaks]  # fmt: skip
    leakage = {**{key: [] for key in leaks}, "checks": checks}
    return {
        "source": side("toy-mr", "MR", source, []),
        "target": side("toy-us", "US", target, refused),
        "leakage": leakage,
    }


def trained(folder, arm, seed):
    folder.mkdir(parents=True)
    guards = {"consistency": {"value": 0.91, "limit": 0.85, "ok": True}}
    selection = {"rule": "the last candidate that no guard holds back", "used_target_labels": False,
                 "candidates": [{"step": 60, "kept": True, "guards": guards}], "chosen": 60}  # fmt: skip
    record = {"arm": arm, "seed": seed, "method": "bridge" if arm == "adapted" else arm, "cite": "A. Author, A Journal, 2026",
              "hyperparameters": {}, "steps": 60, "batch": 2, "seconds": 12.3, "parameters": 12345, "device": "cpu",
              "network": {"name": "unet", "channels": [8, 16, 32], "members": 1},
              "target_labels_used": arm == "target_supervised", "deployable": arm != "target_supervised",
              "selection": selection, "weights_sha256": digest([arm, seed])}  # fmt: skip
    (folder / "train.json").write_text(json.dumps(record))
    (folder / "losses.csv").write_text(
        "step,supervised,total,lr\n" + "".join(f"{n},1.0,1.0,0.001\n" for n in range(1, 61))
    )


def robustness(cases, names):
    kinds = {"noise": {"text": "noise", "levels": ["0.1 SD", "0.25 SD", "0.5 SD"]}}
    chosen = [case for case, _ in cases[:3]]
    levels = [("none", 0)] + [("noise", n) for n in (1, 2, 3)]
    rows = [{"disturbance": kind, "severity": n, "case": case, "structure": name, "dice": 0.8 - 0.1 * n}
            for case in chosen for kind, n in levels for name in names]  # fmt: skip
    return {"of": "", "seed": 0, "cases": chosen, "disturbances": kinds, "rows": rows}
