"""Kill -9: a tiny run is killed at random moments; who is left ten seconds later, and does the rerun end in the same.

PYTHONPATH=tests python benchmarks/kill_minus_nine.py [MOMENTS]    # writes reports/benchmarks/kill.md

The run is started, killed after a random time, and started again, until it ends; then in a new home, until so many
moments are tried. Its weights and its measured numbers must be those of a run that nobody killed.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from run_table import BENCHMARKS

from support import tiny_study
from support.process_tree import alive, descendants

GRACE_SECONDS, SEED = 10.0, 15
LEFT_OUT = {"at", "started", "finished", "seconds", "device", "at_step", "begun"}


def marked(home: Path) -> dict[int, str]:
    """Processes that work for a home: those whose environment or command line names it; zombies do not count."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = entry.joinpath("environ").read_bytes() + entry.joinpath("cmdline").read_bytes()
            state = entry.joinpath("stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(home).encode() in text and state != "Z" and int(entry.name) != os.getpid():
            found[int(entry.name)] = (
                entry.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:80]
            )
    return found


def start(home: Path, study: Path) -> subprocess.Popen[bytes]:
    log = (home.parent / "log.txt").open("ab")
    return subprocess.Popen(
        tiny_study.command("run", str(study)), env=tiny_study.surroundings(home), stdout=log, stderr=log
    )


def result(home: Path) -> dict[str, str]:
    """sha256 of what a run came to: the weights of every arm, and every measured row without its times."""
    (folder,) = [path for path in (home / "runs").iterdir() if (path / "ended.json").is_file()]
    found = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("arms/*/seed*/model/weights.safetensors"))
    }
    rows = json.dumps(_timeless(json.loads((folder / "rows.json").read_text())), sort_keys=True)
    return {**found, "rows": hashlib.sha256(rows.encode()).hexdigest()}


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        return {key: _timeless(one) for key, one in value.items() if key not in LEFT_OUT}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def main() -> None:
    moments = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    draw, rows, homes, same = random.Random(SEED), [], 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        study = tiny_study.write(base / "specs", base / "data")
        began = time.monotonic()
        reference_home = base / "reference" / "home"
        reference_home.mkdir(parents=True)
        code = start(reference_home, study).wait(900)
        assert code in (0, 1), (base / "reference" / "log.txt").read_text()[-2000:]
        whole, expected = time.monotonic() - began, result(reference_home)
        while len(rows) < moments:
            homes += 1
            home = base / f"killed{homes}" / "home"
            home.mkdir(parents=True)
            while True:
                process = start(home, study)
                after, began = draw.uniform(0.2, whole) if len(rows) < moments else 900.0, time.monotonic()
                children: set[int] = set()
                while time.monotonic() - began < after and process.poll() is None:
                    children |= descendants(process.pid)
                    time.sleep(0.2)
                if process.poll() is not None:
                    break
                children |= descendants(process.pid) | set(marked(home)) - {process.pid}
                at_work = len(alive(children - {process.pid}))
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                until = time.monotonic() + GRACE_SECONDS
                while (left := {pid for pid, _ in alive(children)} | set(marked(home))) and time.monotonic() < until:
                    time.sleep(0.1)
                took = GRACE_SECONDS - (until - time.monotonic())
                rows.append((after, at_work, took, len(left)))
                write(rows, whole, homes - 1, same)
                said = f"{len(rows)}: after {after:.1f} s, {at_work} at work, {len(left)} left after {took:.1f} s"
                print(said, flush=True)  # noqa: T201
            assert process.returncode in (0, 1), (home.parent / "log.txt").read_text()[-2000:]
            same += result(home) == expected
            write(rows, whole, homes, same)


def write(rows: list[tuple[float, int, float, int]], whole: float, homes: int, same: int) -> None:
    """The table of what was tried so far: rows are (killed after s, at work, gone after s, left)."""
    table = "\n".join(f"| {n} | {a:.1f} | {w} | {t:.1f} | {left} |" for n, (a, w, t, left) in enumerate(rows, 1))
    text = (
        "# Kill -9 at random moments\n\n"
        f"A tiny run of the main job, {whole:.0f} s when nobody kills it, was killed {len(rows)} times (SIGKILL to the main\n"
        f"process, seed {SEED}), each time started again in the same home. Processes left after {GRACE_SECONDS:.0f} s: "
        f"{sum(row[3] for row in rows)}. Of {homes} homes that\nended {same} came to the same weights and measured rows, bit by"
        " bit, as the run that nobody killed.\nMade by `PYTHONPATH=tests python benchmarks/kill_minus_nine.py`.\n\n"
        "| # | killed after s | processes at work | gone after s | left |\n|---|---|---|---|---|\n" + table + "\n"
    )
    (BENCHMARKS / "kill.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
