"""Report of 500 cases: seconds, memory and megabytes of build and verify, with a picture and a label map of every case.

    python benchmarks/report_500.py          # writes reports/benchmarks/report-500.{md,json}

The run is made up (tests/support/evaluated_runs.py): 500 patients, two structures, three trained arms of one seed and the trivial
ones; volumes of 96 × 96 × 24 voxels, 20 of them different. Building and verifying are processes of their own.
"""

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
BENCHMARKS = ROOT / "reports" / "benchmarks"
CASES, DRAWN, SHAPE = 500, 20, (96, 96, 24)
LIMITS = {"seconds": 60.0, "report.html": 25e6}
STEPS = {
    "build": "report.write_report(Run(folder))",
    "verify": "assert report.verify_report(folder) == []",
    "verify, copied away": "assert report.verify_report(folder / 'report') == []",
}


def made(folder: Path) -> None:
    """The run, with pictures as evaluation leaves them and label maps of every arm."""
    from support.evaluated_runs import written

    run = written(folder, patients=CASES, seeds=(0,), kept=False)
    random = np.random.default_rng(0)
    axes = (np.indices(SHAPE) - np.array(SHAPE).reshape(3, 1, 1, 1) / 2) / (np.array(SHAPE).reshape(3, 1, 1, 1) / 2)
    first: list[Path] = []
    grain = ndimage.gaussian_filter(random.standard_normal(SHAPE), 1.5)
    run.pictures.mkdir(parents=True)
    for n, case in enumerate(one["case"] for one in run.read("data")["target"]["cases"] if one["split"] == "test"):
        path = run.pictures / f"{case}.npz"
        if n >= DRAWN:  # drawing more of them takes longer than everything that is measured here
            shutil.copy(first[n % DRAWN], path)
            continue
        first.append(path)
        label = np.zeros(SHAPE, np.uint8)
        for value in (1, 2):
            at, size = random.uniform(-0.4, 0.4, (3, 1, 1, 1)), random.uniform(0.2, 0.45, (3, 1, 1, 1))
            label[(((axes - at) / size) ** 2).sum(0) < 1] = value
        image = np.clip(0.4 + 0.15 * np.roll(grain, random.integers(0, 96), 0) / grain.std() + 0.1 * label, 0, 1)
        arms = {arm: np.roll(label, k, 0) for k, arm in enumerate(("adapted", "source_only", "target_supervised"), 1)}
        np.savez_compressed(
            path, image=image.astype(np.float16), truth=label, spacing=np.array([1.5, 1.5, 3.0]),
            names=np.array(["prostate", "bladder"]), affine=np.diag([1.5, 1.5, 3.0, 1.0]), **arms,
        )  # fmt: skip


def timed(code: str, folder: Path) -> dict[str, float]:
    """Seconds of wall clock and of the processor, and MB at most, of a process that does one thing."""
    program = "import sys; from pathlib import Path; from xmed import report; from xmed.run import Run; folder = Path(sys.argv[1]); "
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", program + code, str(folder)], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": wall, "cpu_seconds": cpu, "peak_mb": after.ru_maxrss / 1024}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "toy"
        made(folder)
        steps = {name: timed(code, folder) for name, code in STEPS.items()}
        paths = sorted(path for path in (folder / "report").rglob("*") if path.is_file())
        sizes = {path.relative_to(folder / "report").as_posix(): path.stat().st_size for path in paths}
    result = {
        "cases": CASES, "voxels": list(SHAPE), "steps": steps, "bytes": sizes, "busy": os.getloadavg()[0],
        "where": f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores",
    }  # fmt: skip
    held = steps["build"]["cpu_seconds"] < LIMITS["seconds"] and sizes["report.html"] < LIMITS["report.html"]
    lines = ["# A report of 500 cases", "", (__doc__ or "").split("\n\n")[2].replace("\n", " ").strip(), ""]
    lines += ["| step | seconds | of the processor | MB of memory at most |", "|---|---|---|---|"]
    lines += [f"| {n} | {s['seconds']:.1f} | {s['cpu_seconds']:.1f} | {s['peak_mb']:.0f} |" for n, s in steps.items()]
    lines += ["", "| file | MB |", "|---|---|"]
    lines += [f"| {name} | {size / 1e6:.2f} |" for name, size in sizes.items()]
    lines += ["", f"Wanted: built in 60 s of one processor, report.html below 25 MB: {'held' if held else 'NOT held'}."]
    lines += [f"{result['where']}; {result['busy']:.0f} processes wanted to run at the time.", ""]
    BENCHMARKS.mkdir(parents=True, exist_ok=True)
    (BENCHMARKS / "report-500.md").write_text("\n".join(lines), encoding="utf-8")
    (BENCHMARKS / "report-500.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
