"""Identifiers: how many of 62 planted ones survive de-identification, xmed beside others → reports/benchmarks/identifiers.

python benchmarks/identifiers.py [PYTHON]    PYTHON: an interpreter that has dicognito, deid and dicom-anonymizer;
                                              without it the figures of those three that the report holds are kept
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pydicom

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.planted_identifiers import COLUMNS, FILE_NAME, IDENTIFIERS, REGION, ROWS, plant, survivors  # noqa: E402
from xmed import __version__  # noqa: E402

REPORT = ROOT / "reports" / "benchmarks" / "identifiers"
OTHERS = {
    "dicognito": "from dicognito.__main__ import main; import sys; main([i, '-o', o])",
    "deid": (
        "from deid.dicom import get_identifiers, replace_identifiers; f = [i + '/' + n for n in os.listdir(i)];"
        " replace_identifiers(dicom_files=f, ids=get_identifiers(f), save=True, output_folder=o)"
    ),
    "deid, remove_private": (
        "from deid.dicom import get_identifiers, replace_identifiers; f = [i + '/' + n for n in os.listdir(i)];"
        " replace_identifiers(dicom_files=f, ids=get_identifiers(f), save=True, output_folder=o, remove_private=True)"
    ),
    "dicom-anonymizer": (
        "from dicomanonymizer import anonymize_dicom_file as a; [a(i + '/' + n, o + '/' + n) for n in os.listdir(i)]"
    ),
}
PACKAGES = {
    "dicognito": "dicognito",
    "deid": "deid",
    "deid, remove_private": "deid",
    "dicom-anonymizer": "dicom_anonymizer",
}


def written_on(source: Path) -> None:
    """Write a name above the region of the film, in every frame, as a scanner does."""
    from PIL import Image, ImageDraw, ImageFont

    ds = pydicom.dcmread(source)
    size = ds.NumberOfFrames * ROWS * COLUMNS
    frames, tail = np.frombuffer(ds.PixelData[:size], np.uint8).reshape(-1, ROWS, COLUMNS), ds.PixelData[size:]
    pictures = [Image.fromarray(frame) for frame in frames]
    for picture in pictures:
        ImageDraw.Draw(picture).text((4, 2), "DOE JANE", fill=255, font=ImageFont.load_default(16))
    ds.PixelData = np.stack([np.asarray(picture) for picture in pictures]).tobytes() + tail
    ds.save_as(source)


def legible(out: Path) -> bool | None:
    """Whether anything is left of the writing above the region; None where no image was written."""
    found = [
        pydicom.dcmread(path) for path in out.rglob("*") if path.is_file() and path.read_bytes()[128:132] == b"DICM"
    ]
    return bool(found[0].pixel_array[:, : REGION[1]].any()) if found else None


def row(tool: str, version: str, source: Path, out: Path, homes: list[Path], problem: str) -> dict:
    """One line of the table: the identifiers that survive in `out` and `homes`, and what the image claims."""
    left = sorted(survivors(out, *homes))
    found = [
        pydicom.dcmread(path) for path in out.rglob("*") if path.is_file() and path.read_bytes()[128:132] == b"DICM"
    ]
    claim = str(found[0].get("PatientIdentityRemoved", "")) if found else ""
    burned = legible(out)
    return {"tool": tool, "version": version, "left": len(left), "of": len(IDENTIFIERS), "burned_in": burned,
            "claims_removed": claim, "problem": problem, "survivors": left}  # fmt: skip


def xmed(source: Path, folder: Path) -> dict:
    out, home = folder / "out", folder / "home"
    env = {**os.environ, "XMED_HOME": str(home), "PYTHONPATH": str(ROOT)}
    asked = [sys.executable, "-m", "xmed.cli.main", "deidentify", str(source.parent.parent), str(out), "--debug"]
    done = subprocess.run(asked, env=env, capture_output=True, text=True)
    (home / "said").write_text(done.stdout + done.stderr)
    return row(
        "xmed deidentify", __version__, source, out, [home], "" if done.returncode == 0 else f"exit {done.returncode}"
    )


def other(tool: str, python: str, source: Path, folder: Path) -> dict:
    (out := folder / "out").mkdir()
    code = f"import os, sys; i, o = sys.argv[1:3]; {OTHERS[tool]}"
    done = subprocess.run([python, "-c", code, str(source.parent), str(out)], capture_output=True, text=True)
    problem = done.stderr.strip().splitlines()[-1][:120] if done.returncode else ""
    asked = [python, "-c", f"from importlib.metadata import version; print(version('{PACKAGES[tool]}'))"]
    return row(tool, subprocess.run(asked, capture_output=True, text=True).stdout.strip(), source, out, [], problem)


def measured(python: str | None) -> list[dict]:
    rows = []
    for tool in ["xmed", *(OTHERS if python else ())]:
        with tempfile.TemporaryDirectory() as where:
            folder = Path(where)
            source = plant(folder / "in")
            written_on(source)
            assert survivors(source.parent.parent) == set(IDENTIFIERS), "an identifier is not in the file to begin with"
            rows.append(xmed(source, folder) if tool == "xmed" else other(tool, str(python), source, folder))
    if not python and REPORT.with_suffix(".json").exists():
        rows += json.loads(REPORT.with_suffix(".json").read_text())["rows"][1:]
    return rows


def table(rows: list[dict]) -> str:
    lines = ["| tool | version | identifiers left of 62 | writing burned into the picture | says Patient Identity Removed |",
             "|---|---|---|---|---|"]  # fmt: skip
    for r in rows:
        burned = {True: "left", False: "gone", None: "–"}[r["burned_in"]]
        note = f" ({r['problem']})" if r["problem"] else ""
        lines.append(f"| {r['tool']} | {r['version']} | {r['left']}{note} | {burned} | {r['claims_removed'] or 'no'} |")
    return "\n".join(lines)


def main() -> None:
    rows = measured(sys.argv[1] if len(sys.argv) > 1 else None)
    REPORT.with_suffix(".json").write_text(json.dumps({"identifiers": len(IDENTIFIERS), "rows": rows}, indent=1) + "\n")
    text = f"""# Identifiers that survive de-identification

One ultrasound film with {len(IDENTIFIERS)} identifiers: every VR, nested, private, overlay, curve, icon, preamble, file
meta information, trailing padding, file name (`{FILE_NAME}`); and a name written above the picture's region in every
frame. Each tool runs as it comes. Whatever it writes is searched byte by byte: plain, UTF-16, inflated, base 64. For
xmed that includes key, crosswalk, log and what `--debug` prints. Other tools let their user configure more; a pseudonym
that a tool derives from an identifier does not count.

{table(rows)}

Made by `python benchmarks/identifiers.py PYTHON` (tests/support/planted_identifiers.py holds the identifiers; which ones were left: the
JSON beside this).
"""
    REPORT.with_suffix(".md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
