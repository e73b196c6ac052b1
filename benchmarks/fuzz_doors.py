"""Fuzz of every door: files that were changed at random are read or refused with a code, within bounds of time and memory.

PYTHONPATH=tests python benchmarks/fuzz_doors.py [--inputs 10000] [--seed 0] [door ...]

Each door is tried in a process of its own, which reads one input after the other and writes down which one is at work;
a process that dies is counted as a crash and replaced. Writes reports/benchmarks/fuzz.md.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import importlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from run_table import BENCHMARKS

ROOT = Path(__file__).resolve().parents[1]
SECONDS, MEMORY = 20, 3 << 30
"""What one input may take: of time, beyond which its process ends, and of address space beside what is mapped."""
WORDS = [b"\0", b"\n", b"{", b"}", b"[", b"]", b'"', b"'", b": ", b"- ", b"*a", b"&a ", b"<<: ", b"!!python/object ", b"%YAML 1.1\n", b"---\n", b"...",
         b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"9" * 400, b"-1", b"18446744073709551616", b"../", b"/", b"\x1b[31m", b"\xff\xfe", b"\xed\xa0\x80",
         "\u202e".encode(), b"\\ud800", b"{case}", b"**", b"?", b"2024-13-45", b"0x", b"\x00\x00\x00\x80", b"\xff\xff\xff\xff", b"PK\x03\x04", b"\x1f\x8b\x08"]  # fmt: skip
Read = Callable[[Path], object]


def mutated(data: bytes, seeds: list[bytes], chance: random.Random) -> bytes:
    """One to four accidents: bits, a cut, a splice of two seeds, lengths, numbers, nesting, words that mean something."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        kind, at = (
            chance.randrange(9),
            chance.randrange(len(out) + 1) if chance.random() < 0.5 else chance.randrange(min(len(out), 512) + 1),
        )
        if kind == 0 and out:
            for _ in range(chance.randint(1, 8)):
                out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del out[at:]
        elif kind == 2:
            other = chance.choice(seeds)
            out[at:] = other[chance.randrange(len(other) + 1) :]
        elif kind == 3:
            size = chance.choice((1, 2, 4, 8))
            number = chance.choice((0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), chance.randrange(2 ** (8 * size))))
            out[at : at + size] = number.to_bytes(size, chance.choice(("little", "big")))
        elif kind == 4:
            digits = [n for n, byte in enumerate(out[:4096]) if 48 <= byte <= 57]
            if digits:
                n = chance.choice(digits)
                out[n : n + 1] = chance.choice(
                    (b"-1", b"0", b"1e308", b"9" * 30, b".nan", b"4294967296", b"0.0000001", b"65536")
                )
        elif kind == 5:
            opening = chance.choice((b"[", b"{", b"- ", b'{"a":', b"(", b"a:\n "))
            out[at:at] = opening * chance.choice((3, 30, 300, 3000))
        elif kind == 6:
            out[at:at] = chance.choice(WORDS)
        elif kind == 7:
            size = chance.randint(1, 64)
            out[at:at] = out[at : at + size] * chance.randint(1, 20)
        else:
            there = chance.randrange(len(out) + 1)
            size = chance.randint(1, 16)
            out[at : at + size], out[there : there + size] = out[there : there + size], out[at : at + size]
    return bytes(out[: 1 << 20])


# Doors: name -> (the name of the file, seeds, what reads it)


def doors(folder: Path) -> dict[str, tuple[str, Callable[[], list[bytes]], Read]]:
    """What is tried; seeds are whole files, so that what is damaged would have been read."""

    def unpacked(path: Path) -> None:
        out = folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        late("xmed.cohort.fetch", "unpack")(path, out)

    def restored(path: Path) -> None:
        home = folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        late("xmed.server.restore", "restore")(path, home)

    def fetched(path: Path) -> None:
        home = folder / "fetched"
        shutil.rmtree(home, ignore_errors=True)
        late("xmed.app.published_runs", "fetch")(path.parent.as_uri(), home)

    def rated(path: Path) -> None:
        late("xmed.report.ratings", "read_ratings")(path, {"a", "b"})

    def modelled(path: Path) -> None:
        late("xmed.model.folder", "check_model")(path.parent)
        model_class().load(path.parent)

    def weights(path: Path) -> None:
        card = json.loads((path.parent / "model.json").read_text())
        card["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (path.parent / "model.json").write_text(json.dumps(card))
        model_class().load(path.parent)

    return {
        "dataset spec (YAML)": ("clinic.yaml", lambda: specs(""), late("xmed.spec", "load_dataset")),
        "study (YAML)": ("trial.yaml", lambda: specs("studies"), late("xmed.spec", "load_study")),
        "text of people (YAML)": ("text.yaml", texts, late("xmed.report.author_text", "read_text")),
        "ratings (JSON)": ("ratings.json", lambda: [ratings()], rated),
        "dataset.json": ("dataset.json", dataset_json, late("xmed.spec", "load_dataset")),
        "BIDS folder (its names; of sidecars nothing is read)": ("names.txt", bids, lambda path: paired(path, folder / "bids")),
        "model.json": ("model.json", lambda: [model(folder, "model.json")], modelled),
        "weights.safetensors": ("weights.safetensors", lambda: [model(folder, "weights.safetensors")], weights),
        "manifest of a published run": ("MANIFEST.json", lambda: [manifest(folder)], fetched),
        "archive (zip)": ("a.zip", lambda: [zipped()], unpacked),
        "archive (tar)": ("a.tar", lambda: [tarred("w")], unpacked),
        "archive (tar.gz)": ("a.tar.gz", lambda: [tarred("w:gz"), tarred("w:gz", 40)], unpacked),
        "backup": ("b.tar", lambda: [backed_up()], restored),
        "DICOM": ("a.dcm", dicoms, lambda path: late("xmed.io", "read_image")(path, "MR")),
        "NIfTI": ("a.nii", niftis, late("xmed.io", "read_nifti")),
        "NIfTI (gz)": ("a.nii.gz", lambda: [gzip.compress(data) for data in niftis()], late("xmed.io", "read_nifti")),
        "PNG": ("a.png", lambda: pictures("PNG"), late("xmed.io", "read_picture")),
        "JPEG": ("a.jpg", lambda: pictures("JPEG"), late("xmed.io", "read_picture")),
    }  # fmt: skip


def late(module: str, name: str) -> Callable[..., object]:
    """A function that is imported once it is asked: each process needs one door's modules alone."""
    return lambda *given: getattr(importlib.import_module(module), name)(*given)


def specs(below: str) -> list[bytes]:
    """The specs of the repository, each called as the file that it is written to."""
    paths = [path for path in sorted((ROOT / "data_specs" / below).glob("*.yaml")) if ".text" not in path.name]
    name = b"name: trial" if below else b"name: clinic"
    return [re.sub(rb"^name: \S+", name, path.read_bytes(), count=1, flags=re.MULTILINE) for path in paths]


def texts() -> list[bytes]:
    return [path.read_bytes() for path in sorted(ROOT.glob("data_specs/studies/*.text.yaml"))] or [b"funding: none\n"]


def model_class() -> type:
    from xmed.model.deployed import Model

    return Model


def model(folder: Path, name: str) -> bytes:
    from xmed.labels import LabelTable, Structure
    from xmed.networks import build_network
    from xmed.spec import GridSpec, NetworkSpec

    spec = NetworkSpec(channels=[2, 4, 4])
    table = LabelTable((Structure(1, "organ", "91723000", "41216001"),))
    made = model_class()(
        build_network(spec, 2, 1, 2), GridSpec(spacing_mm=(1, 1, 1), patch=(16, 16, 1)), spec, "MR", table
    )
    return (made.save(folder) / name).read_bytes()


def ratings() -> bytes:
    items = [{"case": "a", "rating": 1, "comment": "good"}, {"case": "b", "rating": 3, "comment": None}]
    return json.dumps({"rater": "A. Reader", "items": items}).encode()


def dataset_json() -> list[bytes]:
    second = {
        "channel_names": {"0": "T1"},
        "labels": {"background": 0, "ball": 1},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    pairs = [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}]
    first = {
        "name": "x",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "ball"},
        "training": pairs,
        "test": [],
    }
    return [json.dumps(one, indent=1).encode() for one in (second, first)]


def bids() -> list[bytes]:
    """Names of files, a line each."""
    names = [f"sub-{n:02}/{ses}anat/sub-{n:02}_{tag}T1w{ending}" for n in (1, 2) for ses, tag in (("", ""), ("ses-1/", "ses-1_")) for ending in (".nii.gz", ".json")]  # fmt: skip
    labels = [f"derivatives/labels/sub-{n:02}/anat/sub-{n:02}_T1w_dseg.nii.gz" for n in (1, 2)]
    return ["\n".join(["participants.tsv", *names, *labels]).encode(), "\n".join(names).encode()]


def paired(path: Path, root: Path) -> None:
    """A folder of files with these names, where a disk takes them."""
    from xmed.cohort.layout import find_cases
    from xmed.spec import DatasetSpec

    shutil.rmtree(root, ignore_errors=True)
    for line in path.read_bytes().split(b"\n")[:60]:
        parts = [part[:255] for part in line.replace(b"\0", b"").split(b"/") if part not in (b"", b".", b"..")][:20]
        if parts:
            with contextlib.suppress(OSError):
                os.makedirs(os.path.join(os.fsencode(root), *parts[:-1]), exist_ok=True)
                with open(os.path.join(os.fsencode(root), *parts), "wb"):
                    pass
    spec = {
        "name": "x",
        "modality": "MR",
        "root": str(root),
        "layout": "bids",
        "labels": {1: {"name": "ball"}},
        "splits": {"fraction": {"test": 1}},
    }
    find_cases(DatasetSpec.model_validate(spec).layout, root)


def manifest(folder: Path) -> bytes:
    (folder / "a.bin").write_bytes(b"0123456789")
    files = {"a.bin": {"bytes": 10, "sha256": hashlib.sha256(b"0123456789").hexdigest()}}
    return json.dumps({"schema": "xmed-share/1", "run": "run", "files": files}, indent=1).encode()


MEMBERS = [("one.nii", b"1" * 700), ("deep/two.nii", bytes(range(256)) * 8), ("deep/er/three.txt", b"3")]


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in MEMBERS:
            file.writestr(name, data)
    return out.getvalue()


def tarred(mode: str, times: int = 1) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.PAX_FORMAT) as file:
        for name, data in [*MEMBERS, ("n" * 120 + "/é.txt", b"4")]:
            entry = tarfile.TarInfo(name)
            entry.size = len(data * times)
            file.addfile(entry, io.BytesIO(data * times))
    return out.getvalue()


def backed_up() -> bytes:
    files = {"home/audit.jsonl": b"{}\n", "home/runs/r/study.json": b"{}"}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    document = {
        "format": "xmed-backup/1",
        "made": "2026",
        "xmed": "0",
        "home": "/old",
        "registry": None,
        "files": hashes,
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, data in [*files.items(), ("manifest.json", json.dumps(document).encode())]:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def dicoms() -> list[bytes]:
    from pydicom.data import get_testdata_file

    names = ("CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "JPEG2000.dcm",
             "SC_rgb_jpeg_dcmtk.dcm", "MR_small_jpeg_ls_lossless.dcm", "liver_1frame.dcm", "rtstruct.dcm")  # fmt: skip
    return [Path(str(get_testdata_file(name))).read_bytes() for name in names]


def niftis() -> list[bytes]:
    import nibabel as nib
    import numpy as np

    array = np.random.default_rng(0).normal(100, 9, (12, 9, 7))
    kinds = ((nib.Nifti1Image, np.int16), (nib.Nifti1Image, np.float32), (nib.Nifti2Image, np.uint8))
    return [kind(array.astype(dtype), np.diag([1, 1, 2, 1])).to_bytes() for kind, dtype in kinds]


def pictures(kind: str) -> list[bytes]:
    import numpy as np
    from PIL import Image

    grey, found = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 30), np.uint8)), []
    for mode in ("L", "RGB", "P") if kind == "PNG" else ("L", "RGB", "CMYK"):
        file = io.BytesIO()
        grey.convert(mode).save(file, kind)
        found.append(file.getvalue())
    return found


# A process that tries


def work(door: str, folder: Path, begin: int, end: int, seed: int) -> None:
    """Try inputs begin to end; one line for each that is done: which, what came of it, seconds."""
    name, of_door, read = doors(folder)[door]
    seeds = of_door()
    from xmed.errors import XmedError
    from xmed.io.notes import collect_notes

    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    path = folder / name
    for number in range(begin, end):
        chance = random.Random(f"{seed} {door} {number}")
        path.write_bytes(mutated(chance.choice(seeds), seeds, chance))
        signal.alarm(SECONDS)
        began = time.perf_counter()
        try:
            with collect_notes():
                read(path)
            said = "accepted"
        except XmedError as problem:
            said = problem.code
        except BaseException as problem:  # a panic in Rust is no Exception
            said = f"!{type(problem).__module__}.{type(problem).__name__}: {' '.join(str(problem).split())[:120]}"
        signal.alarm(0)
        print(f"{number}\t{said}\t{time.perf_counter() - began:.4f}", flush=True)  # noqa: T201


def tried(door: str, inputs: int, seed: int) -> dict[str, object]:
    """A door's row."""
    said, crashes, slowest, peak, done, faults = Counter[str](), 0, 0.0, 0, 0, []
    with tempfile.TemporaryDirectory() as scratch:
        while done < inputs:
            folder = Path(scratch) / f"{done}"
            folder.mkdir()
            words = [sys.executable, __file__, "--work", door, str(folder), str(done), str(inputs), str(seed)]
            paths = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "benchmarks"), str(ROOT)])
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                       env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"})  # fmt: skip
            before = done
            assert process.stdout is not None
            for line in process.stdout:
                number, what, seconds = line.rstrip("\n").split("\t")
                done, slowest = int(number) + 1, max(slowest, float(seconds))
                said[what.partition(":")[0] if what.startswith("!") else what] += 1
                if what.startswith("!"):
                    faults.append((int(number), what))
            _, status, usage = os.wait4(process.pid, 0)
            peak = max(peak, usage.ru_maxrss // 1024)
            if done < inputs:
                if done == before and os.WIFEXITED(status):
                    raise RuntimeError(f"{door}: its process does not start")
                crashes += 1
                faults.append(
                    (done, f"ended by {signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else status}")
                )
                done += 1
            shutil.rmtree(folder, ignore_errors=True)
    other = sum(count for what, count in said.items() if what.startswith("!"))
    refused = {code: count for code, count in said.most_common() if code != "accepted" and not code.startswith("!")}
    return {"door": door, "inputs": inputs, "refused": refused, "accepted": said["accepted"], "other": other, "crashes": crashes,
            "slowest": slowest, "peak": peak, "faults": faults[:20]}  # fmt: skip


def table(rows: list[dict[str, object]], seed: int) -> str:
    lines = [
        "# Doors, and files that were changed at random", "",
        f"Made by `PYTHONPATH=tests python benchmarks/fuzz_doors.py --seed {seed}`. Each input is a whole file with one to four accidents: bits turned, a cut, a",
        "splice with another, lengths, numbers, brackets in brackets, words that mean something to a parser, parts repeated or swapped. Peak: resident memory of",
        f"the process that reads, its imports included. An input that takes {SECONDS} s counts as a crash.", "",
        "| door | inputs | refused, by code | accepted | other exceptions | crashes | slowest s | peak MB |", "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        refused = row["refused"]
        assert isinstance(refused, dict)
        codes = ", ".join(f"{code} {count}" for code, count in refused.items())
        lines.append(
            f"| {row['door']} | {row['inputs']:,} | {codes} | {row['accepted']} | {row['other']} | {row['crashes']} "
            f"| {row['slowest']:.2f} | {row['peak']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        door, folder, begin, end, seed = sys.argv[2:]
        work(door, Path(folder), int(begin), int(end), int(seed))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("doors", nargs="*")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        names = [name for name in doors(Path(scratch)) if not asked.doors or name in asked.doors]
    rows: list[dict[str, object]] = []
    for name in names:
        rows.append(tried(name, asked.inputs, asked.seed))
        print({**rows[-1]}, flush=True)  # noqa: T201
        if not asked.doors:
            (BENCHMARKS / "fuzz.md").write_text(table(rows, asked.seed), encoding="utf-8")


if __name__ == "__main__":
    main()
