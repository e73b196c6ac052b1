"""Pairing: seconds to pair the files of 10,000 cases, by form of layout, in reports/benchmarks/pairing.md.

PYTHONPATH=tests python benchmarks/pairing.py
"""

import json
import resource
import tempfile
import time
from pathlib import Path

from run_table import BENCHMARKS

from support.pairing_layouts import FORMS, make
from xmed.cohort.layout import find_cases
from xmed.spec import Layout

SIZES = (1000, 10_000)


def seconds(form: str, count: int) -> float:
    """Processor and waiting time to pair the files of so many cases."""
    with tempfile.TemporaryDirectory() as folder:
        root = make(Path(folder), form, count)
        began = time.perf_counter()
        found = find_cases(Layout(**FORMS[form][0]), root)
        took = time.perf_counter() - began
    assert len(found) == count
    assert all(len(one.label) == 1 for one in found)
    return took


def main() -> None:
    lines = ["| layout | " + " | ".join(f"{size:,} cases, s" for size in SIZES) + " |", "|---" * (len(SIZES) + 1) + "|"]
    measured: dict[int, dict[str, float]] = {size: {} for size in SIZES}
    for form, (patterns, _) in FORMS.items():
        told = ", ".join(f"`{text}`" for text in patterns.values())
        for size in SIZES:
            measured[size][form] = seconds(form, size)
        lines.append(f"| {form}: {told} | " + " | ".join(f"{measured[size][form]:.2f}" for size in SIZES) + " |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said = "Seconds to find and pair one image and one label of each case, files in the cache of the system."
    text = "\n".join(
        [
            "# Pairing of files",
            "",
            said,
            f"Made by `PYTHONPATH=tests python benchmarks/pairing.py`; peak {peak:.0f} MB.",
            "",
            *lines,
        ]
    )
    print(text)  # noqa: T201
    (BENCHMARKS / "pairing.md").write_text(text + "\n", encoding="utf-8")
    (BENCHMARKS / "pairing.json").write_text(json.dumps({"seconds": measured}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
