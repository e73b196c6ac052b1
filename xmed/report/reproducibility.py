"""Reproducibility: everything it takes to make this report again, or to see that it cannot be; nothing is left out."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from xmed import __version__
from xmed.files.digest import digest
from xmed.report.sources import Sources

Document = dict[str, Any]
LATER = "logged after this report; the model version names the report's sha256"
UNKNOWN = "not recorded when the run was made"
SYSTEM = ("os", "python", "cpu", "gpu", "driver", "cuda", "cudnn", "container")


def reproducibility(sources: Sources) -> Document:
    """The mandatory keys of the block; what is null is named in `missing`, with the reason."""
    seen = sources.environment
    started, finished = seen.get("started"), seen.get("finished")
    system = {**dict.fromkeys(SYSTEM), "os": seen.get("platform"), "python": seen.get("python"), "cpu": seen.get("cpu")}
    system |= {key: value for key, value in (seen.get("system") or {}).items() if key in SYSTEM}
    adapted = [one for one in sources.trained if one["arm"] == "adapted"]
    packages = seen.get("packages") or None
    block: Document = {
        "git": {"commit": seen.get("git"), "dirty": None, "diff_sha256": None, **(seen.get("source_code") or {})},
        "lock_sha256": seen.get("lock_sha256"),
        "packages": packages,
        "packages_sha256": digest(packages) if packages else None,
        "sbom_sha256": sources.hashes.get("sbom.json"),
        "system": system,
        "config": {"study": sources.study["name"], "sha256": digest(sources.study)},
        "seeds": sources.study["seeds"],
        "determinism": seen.get("determinism"),
        "data": {side: _data(sources.data[side]) for side in ("source", "target")},
        "preparation_sha256": digest([sources.study["grid"], sources.data["target"]["fingerprint"], __version__]),
        "weights": {"format": "safetensors", "sha256": {str(one["seed"]): one["weights_sha256"] for one in adapted}},
        "metrics": {
            "implementation": f"xmed.metrics {__version__}",
            "statistics": f"xmed.stats {__version__}",
            "scipy": seen.get("scipy"),
            "conventions_sha256": digest(sources.metrics["conventions"]),
        },
        "dicom": _dicom(sources.objects),
        "mlflow": {"run_id": None, "model_version": None, "reason": LATER},
        "command": seen.get("command"),
        "started": started,
        "finished": finished,
        "seconds": _seconds(started, finished),
        "sources": sources.hashes,
    }
    block["missing"] = [f"{path}: {UNKNOWN}" for path in _nulls(block) if not path.startswith("mlflow")]
    return block


def _data(found: Document) -> Document:
    """fingerprint: over the store keys of every case, which are sha256 of the input bytes and how they are read."""
    cases = sorted([case["case"], case["patient"], case["split"]] for case in found["cases"])
    return {
        "fingerprint": found["fingerprint"],
        "merkle_root": found.get("merkle_root"),
        "files": found.get("files"),
        "splits_sha256": digest(cases),
    }


def _dicom(found: Document) -> Document | None:
    """How many DICOM test cases have a measurement report beside this one, and why the others have none."""
    if not found:
        return None
    reasons = Counter(row["reason"].partition(":")[0] for row in found["cases"] if row["reason"])
    n = len(found["cases"])
    return {"measurement_reports": n - reasons.total(), "of_cases": n, "withheld": dict(sorted(reasons.items()))}


def _seconds(started: str | None, finished: str | None) -> float | None:
    if not started or not finished:
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()


def _nulls(block: Any, where: str = "") -> list[str]:
    if isinstance(block, dict):
        return [path for key, value in block.items() for path in _nulls(value, f"{where}.{key}" if where else str(key))]
    return [where] if block is None else []
