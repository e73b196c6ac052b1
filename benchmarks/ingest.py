"""Ingest: MB/s and peak memory of reading classic DICOM series, beside the readers and converters that people use.

    python -m venv PEER && PEER/bin/pip install dicom2nifti==2.6.2
    XMED_DATA=DATA python benchmarks/ingest.py WORK --peer PEER/bin/python [--series 1000] [--repeats 3]

xmed does what `xmed ingest` does: checks every file, hashes it, reads it in guarded processes, one on each core, and
writes the voxels, flushed to the disk, with their hash. SimpleITK's series reader only reads, and keeps nothing; it
reads in one process, and again in two. dicom2nifti and dcm2niix (1 process; uncompressed, -z n) write NIfTI. Each run
is a process of its own; its seconds are those of the work, imports left out (of xmed's two readers, too: they stay
warm, and their start is given apart), and of dcm2niix the whole process. Files are in the page cache. Memory is the
largest sum over all its processes of proportional set sizes, 20 times a second. Medians of the runs, taken in turns;
ratios are of one turn each. Processor seconds are those of all its processes: on a machine that does other work they
say more than the seconds, and of the disk nothing. Volumes are those that came out: dicom2nifti stumbles over headers
without an echo time; it is left out of the thousand. Series are the twelve of ibsi-sts-dev, and generated ones of 16
slices of 256 × 256, all noise.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
SLICES, EDGE, FEW = 16, 256, 100
TOOLS = {
    "xmed": "xmed ingest",
    "xmed-again": "xmed ingest, nothing has changed",
    "sitk": "SimpleITK series reader",
    "sitk-two": "SimpleITK series reader, 2 processes",
    "dicom2nifti": "dicom2nifti",
    "dcm2niix": "dcm2niix",
}
STORED = ("xmed", "xmed-again")


def generate(root: Path, count: int) -> None:
    """Series of one oblique grid, each of a patient and with noise of its own; what is there already stays."""
    import numpy as np

    from xmed.io.dicom.write_series import SeriesIdentity, write_series
    from xmed.volume import Volume

    first, size = root / ".first", 2 * EDGE * EDGE
    shutil.rmtree(first, ignore_errors=True)
    affine = np.eye(4)
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    affine[:3, :3] = turn * np.sign(np.linalg.det(turn)) * (0.9, 0.9, 3.0)
    blank = Volume(np.zeros((EDGE, EDGE, SLICES), np.uint16), affine, None, "MR")
    slices = {
        path.name: path.read_bytes()
        for path in write_series(blank, first, SeriesIdentity("G0000", "none", "none", "x"))
    }
    for number in range(count):
        folder, part, random = root / f"series{number:04}", root / ".part", np.random.default_rng(number)
        if not folder.exists():
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            for name, data in slices.items():
                noise = random.integers(0, 4000, size // 2, np.uint16).tobytes()
                (part / name).write_bytes(data[:-size].replace(b"G0000", f"G{number:04}".encode()) + noise)
            part.rename(folder)
    shutil.rmtree(first)


def folders(root: Path) -> list[Path]:
    """The series below a root: one folder for each."""
    return sorted({path.parent for path in root.rglob("*.dcm")})


def xmed(root: Path, work: Path, limit: int) -> int:
    from xmed import cohort
    from xmed.spec import DatasetSpec

    found = 0
    modalities = {"MR_T1": "MR", "CT": "CT", "PET": "PT"} if (root / "STS_003").exists() else {"": "MR"}
    for name, modality in modalities.items():
        names = [path.name for path in sorted(root.iterdir()) if not path.name.startswith(".")][:limit]
        spec = DatasetSpec.model_validate(
            {
                "name": f"bench-{modality.lower()}",
                "modality": modality,
                "root": str(root),
                "layout": {"image": f"{{case}}/dicom/{name}/image" if name else "{case}"},
                "labels": {1: {"name": "none"}},
                "splits": {"train": names},
            }
        )
        found += len(cohort.ingest_cases(spec, work).cases)
    return found


def one_with_sitk(folder: Path) -> int:
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return int(reader.Execute().GetNumberOfPixels() > 0)


def sitk(root: Path, work: Path, limit: int) -> int:
    return sum(map(one_with_sitk, folders(root)[:limit]))


def sitk_two(root: Path, work: Path, limit: int) -> int:
    from multiprocessing import get_context

    with get_context("fork").Pool(2) as pool:
        return sum(pool.imap_unordered(one_with_sitk, folders(root)[:limit], chunksize=1))


def dicom2nifti(root: Path, work: Path, limit: int) -> int:
    import dicom2nifti

    for number, folder in enumerate(folders(root)[:limit]):
        with suppress(Exception):  # it stumbles over headers without an echo time; volumes are those it made
            dicom2nifti.dicom_series_to_nifti(str(folder), str(work / f"{number}.nii"), reorient_nifti=False)
    return len(list(work.glob("*.nii")))


def dcm2niix(root: Path, work: Path, limit: int) -> int:
    for number, folder in enumerate(folders(root)[:limit]):
        asked = ["dcm2niix", "-z", "n", "-b", "n", "-f", f"{number}_%s", "-o", str(work), str(folder)]
        subprocess.run(asked, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return len(list(work.glob("*.nii")))


RUNS = {
    "xmed": xmed,
    "xmed-again": xmed,
    "sitk": sitk,
    "sitk-two": sitk_two,
    "dicom2nifti": dicom2nifti,
    "dcm2niix": dcm2niix,
}


def processor() -> float:
    """Seconds of processor time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def start_readers() -> float:
    """Have as many readers running as there are cores, all that they need imported; the processor seconds it took."""
    from concurrent.futures import ThreadPoolExecutor

    from xmed.cohort.case_inputs import ReadRequest, _read_and_check
    from xmed.io.sandbox import worker
    from xmed.spec import Layout

    nothing = ReadRequest("MR", Layout(image="{case}"), None), None, None
    cores = len(os.sched_getaffinity(0))
    while len(worker._idle) < cores:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda _: worker.run_in_sandbox(_read_and_check, *nothing), range(4 * cores)))
    stats = [Path(f"/proc/{reader._process.pid}/stat").read_text().split() for reader in worker._idle]
    return sum(int(fields[13]) + int(fields[14]) for fields in stats) / os.sysconf("SC_CLK_TCK")


def work_once(tool: str, root: Path, work: Path, limit: int) -> None:
    """What each measured process does; prints seconds of wall and processor, series and versions."""
    packages = {"xmed": "pydicom", "xmed-again": "pydicom", "sitk": "simpleitk", "sitk-two": "simpleitk"}
    import_of = {"sitk": "SimpleITK", "sitk-two": "SimpleITK", "dicom2nifti": "dicom2nifti"}.get(tool)
    if tool in STORED:
        import xmed.cohort  # noqa: F401
    elif import_of:
        __import__(import_of)
    began = time.perf_counter()
    started = start_readers() if tool in STORED else 0.0
    start = time.perf_counter() - began
    began, worked = time.perf_counter(), processor()
    found = RUNS[tool](root, work, limit)
    seconds = time.perf_counter() - began
    if tool in STORED:
        from xmed.io.sandbox import worker

        worker._end_idle_workers()  # what it used counts once it has ended
    try:
        used = version(packages.get(tool, tool))
    except PackageNotFoundError:
        used = ""
    said = {"seconds": seconds, "processor": processor() - worked - started, "found": found, "version": used}
    if started:
        said |= {"start": start, "start_processor": started}
    sys.stdout.write(json.dumps(said) + "\n")


def family(pid: int) -> list[int]:
    """A process and all that came from it."""
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return []
    return [pid, *(one for child in children for one in family(child))]


def pss(pid: int) -> int:
    """Bytes of memory, each page divided by the number of processes that share it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def measure(tool: str, python: str, root: Path, work: Path, limit: int) -> dict[str, Any]:
    """One run in a process of its own."""
    asked = [
        python,
        str(Path(__file__).resolve()),
        "--tool",
        tool,
        "--root",
        str(root),
        str(work),
        "--limit",
        str(limit),
    ]
    os.sync()
    process = subprocess.Popen(asked, stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(pss(pid) for pid in family(process.pid)))
        time.sleep(0.05)
    said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"{tool} ended with {process.returncode}")
    return {**json.loads(said.splitlines()[-1]), "peak": peak}


def bench(name: str, root: Path, work: Path, limit: int, peer: str | None, repeats: int) -> dict[str, Any]:
    """Every tool on the first `limit` series of a root, in turns."""
    chosen = folders(root)[:limit]
    size = sum(path.stat().st_size for folder in chosen for path in folder.iterdir())
    runs: dict[str, list[dict[str, Any]]] = {tool: [] for tool in TOOLS}
    for path in (path for folder in chosen for path in folder.iterdir()):
        path.read_bytes()  # into the page cache
    for turn in range(repeats):
        home = work / f"home-{name}-{turn}"
        shutil.rmtree(home, ignore_errors=True)  # of a run that was broken off: it would be taken up
        for tool in TOOLS:
            slow = tool == "dicom2nifti" and limit > FEW and name == "generated"
            if slow or (tool == "dicom2nifti" and not peer) or (tool == "dcm2niix" and not shutil.which("dcm2niix")):
                continue
            place = home if tool in STORED else work / f"{tool}-{name}-{turn}"
            place.mkdir(parents=True, exist_ok=True)
            python = peer if tool == "dicom2nifti" and peer else sys.executable
            runs[tool].append(measure(tool, python, root, place, limit))
            sys.stderr.write(f"{name} {tool} {turn} {runs[tool][-1]}\n")
            if place != home:
                shutil.rmtree(place)
        shutil.rmtree(home)
    rows = {}
    for tool, found in runs.items():
        if found:
            seconds = statistics.median(one["seconds"] for one in found)
            rows[tool] = {
                "seconds": [round(one["seconds"], 3) for one in found],
                "median": round(seconds, 3),
                "processor": round(statistics.median(one["processor"] for one in found), 3),
                "mb_per_s": round(size / 1e6 / seconds, 1),
                "peak_mib": round(statistics.median(one["peak"] for one in found) / 2**20),
                "volumes": found[0]["found"],
                "version": found[0]["version"],
            }
            if "start" in found[0]:
                rows[tool]["start"] = round(statistics.median(one["start"] for one in found), 2)
                rows[tool]["start_processor"] = round(statistics.median(one["start_processor"] for one in found), 2)
    for tool, row in rows.items():
        for what in ("seconds", "processor"):
            pairs = zip(runs[tool], runs["sitk"])  # of one turn, one shortly after the other
            row[f"{what}_to_sitk"] = round(statistics.median(one[what] / other[what] for one, other in pairs), 2)
    return {"series": len(chosen), "files": sum(len(list(f.iterdir())) for f in chosen), "bytes": size, "rows": rows}


def page(document: dict[str, Any]) -> str:
    assert __doc__
    lines = ["# Ingest", "", __doc__.split("\n\n", 2)[2].strip(), ""]
    for name, data in document["data"].items():
        lines += [f"## {name}: {data['series']} series, {data['files']} files, {data['bytes'] / 1e6:.0f} MB", ""]
        lines += ["| | MB/s | seconds, median | runs | to SimpleITK's | processor seconds | to SimpleITK's "]
        lines[-1] += "| peak memory, MiB | volumes |"
        lines += ["|---|---|---|---|---|---|---|---|---|"]
        for tool, row in data["rows"].items():
            runs = ", ".join(f"{one:.2f}" for one in row["seconds"])
            took = f"{row['mb_per_s']} | {row['median']:.2f} | {runs} | {row['seconds_to_sitk']:.2f}"
            used = f"{row['processor']:.2f} | {row['processor_to_sitk']:.2f} | {row['peak_mib']} | {row['volumes']}"
            lines.append(f"| {TOOLS[tool]} | {took} | {used} |")
        first, again = data["rows"]["xmed"], data["rows"]["xmed-again"]
        faster = f"{first['median'] / again['median']:.1f} times as fast"
        faster += f", in processor time {first['processor'] / again['processor']:.1f} times"
        lines += ["", f"Ingested again, unchanged: {faster}. Start of the readers: {first['start']:.1f} s, "]
        lines[-1] += f"{first['start_processor']:.1f} of processor."
        lines += [""]
    machine = ", ".join(f"{key} {value}" for key, value in document["machine"].items())
    return "\n".join([*lines, f"Machine: {machine}.", ""])


def machine(data: dict[str, Any]) -> dict[str, str]:
    from xmed.processes.processor import cpu

    used = {TOOLS[tool]: row["version"] for one in data.values() for tool, row in one["rows"].items()}
    niix = (
        subprocess.run(["dcm2niix", "--version"], capture_output=True, text=True).stdout
        if shutil.which("dcm2niix")
        else ""
    )
    return {
        "cpu": cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load average": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        "xmed": version("xmed") if not Path("xmed/__init__.py").exists() else "of this checkout",
        "pydicom": version("pydicom"),
        "SimpleITK": version("simpleitk"),
        "dicom2nifti": used.get("dicom2nifti", "none"),
        "dcm2niix": niix.strip().splitlines()[-1] if niix.strip() else "none",
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer")
    parser.add_argument("--out", type=Path, default=BENCHMARKS)
    parser.add_argument("--tool", choices=RUNS)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--limit", type=int, default=0)
    asked = parser.parse_args()
    if asked.tool:
        work_once(asked.tool, asked.root, asked.work, asked.limit)
        return
    made = asked.work / "generated"
    made.mkdir(parents=True, exist_ok=True)
    generate(made, asked.series)
    classic = asked.work / "classic"
    if os.environ.get("XMED_DATA") and not classic.exists():
        source = Path(os.environ["XMED_DATA"]) / "ibsi-sts-dev" / "reference_dicom_nifti"
        shutil.copytree(source, classic, ignore=shutil.ignore_patterns("nifti", "mask"))
    data = {}
    if classic.exists():
        data["Classic"] = bench("classic", classic, asked.work, 10**6, asked.peer, asked.repeats)
    data["Generated, few"] = bench("few", made, asked.work, min(FEW, asked.series), asked.peer, asked.repeats)
    if asked.series > FEW:
        data["Generated"] = bench("generated", made, asked.work, asked.series, asked.peer, max(1, asked.repeats // 3))
    document = {"schema": "xmed-bench-ingest/1", "machine": machine(data), "data": data}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "ingest.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (asked.out / "ingest.md").write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    main()
