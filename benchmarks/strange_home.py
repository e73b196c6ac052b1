"""Strange home: the main job in a home called `Ä #1 100%25 ?x`, by a user without a home, from a wheel, at umask 022.

PYTHONPATH=tests python benchmarks/strange_home.py    # as root, which lends itself a number without a name

The main job is `xmed demo`. Then the home is moved with `mv`, and `doctor --fix`, `predict`, `approve` and `audit verify`
must work. Prints each step and its outcome, and writes them into reports/benchmarks/strange_home.md; exit 1 where one fails.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from run_table import BENCHMARKS

NAME, MOVED, USER, MODEL = "Ä #1 100%25 ?x", "moved ? to 50%", 12345, "phantom-prostate-us"
CHECKOUT = Path(__file__).resolve().parents[1]
steps: list[tuple[str, bool]] = []


def step(what: str, good: bool, said: str = "") -> None:
    steps.append((what, good))
    print(f"{'ok  ' if good else 'FAIL'} {what}{': ' + ' '.join(said.split())[-300:] if said else ''}", flush=True)  # noqa: T201


def table(seconds: float) -> str:
    lines = [f"| {number} | {what} | {'holds' if good else 'FAILS'} |" for number, (what, good) in enumerate(steps, 1)]
    return "\n".join([
        "# The main job in a strange home", "",
        f"`xmed demo` from an installed wheel, in the home `{NAME}`, by a user without a home directory, at umask 022;",
        f"then the home is moved to `{MOVED}`. {seconds:.0f} s. Made by `PYTHONPATH=tests python benchmarks/strange_home.py`.", "",
        "| # | step | outcome |", "|---|---|---|", *lines,
    ]) + "\n"  # fmt: skip


def installed(base: Path) -> Path:
    """xmed from a wheel in an environment of its own that sees the packages of this one; returns the command."""
    wheels = base / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(wheels), str(CHECKOUT)], check=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([_interpreter(base), "-m", "venv", "--without-pip", str(base / "env")], check=True)
    python = base / "env" / "bin" / "python"
    (place,) = (base / "env" / "lib").glob("python*/site-packages")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(place), str(wheel)], check=True)
    beside = [path for path in sys.path if path.endswith("site-packages")]
    (place / "beside.pth").write_text("\n".join(beside) + "\n")
    command = base / "env" / "bin" / "xmed"
    guarded = "if __name__ == '__main__':\n    sys.exit(main())\n"  # a process of a pool imports this file
    command.write_text(f"#!{python}\nimport sys\nfrom xmed.cli.main import main\n{guarded}")
    command.chmod(0o755)
    return command


def _interpreter(base: Path) -> str:
    """A Python that other users may run: this one, or a copy of it where it lies in somebody's home."""
    prefix = Path(sys.base_prefix).resolve()
    if all(folder.stat().st_mode & 0o001 for folder in (prefix, *prefix.parents)):
        return str(prefix / "bin" / "python3")
    shutil.copytree(prefix, base / "python", symlinks=True, ignore=shutil.ignore_patterns("site-packages", "test"))
    return str(base / "python" / "bin" / "python3")


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        base.chmod(0o755)
        xmed = installed(base)
        place, scrap = base / "place", base / "scrap"
        home = place / NAME
        for folder in (place, scrap):
            folder.mkdir()
            os.chown(folder, USER, USER)
        who = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"] if os.geteuid() == 0 else []

        def run(at: Path, *words: str) -> subprocess.CompletedProcess[str]:
            left_out = ("MLFLOW_", "PREFECT_", "XMED_", "PYTHON")
            kept = {
                name: value for name, value in os.environ.items() if not name.startswith(left_out) and name != "HOME"
            }
            line = [*who, "sh", "-c", 'umask 022; exec "$@"', "sh", str(xmed), *words]
            libraries = {"LD_LIBRARY_PATH": str(base / "python" / "lib")} if (base / "python").is_dir() else {}
            return subprocess.run(
                line,
                env={**kept, **libraries, "XMED_HOME": str(at), "TMPDIR": str(scrap)},
                cwd=place,
                capture_output=True,
                text=True,
                timeout=3600,
                check=False,
            )

        began = time.monotonic()
        done = run(home, "demo")
        step("xmed demo", done.returncode == 0, done.stderr if done.returncode else done.stdout)
        lax = [path for path in (home, *home.rglob("*")) if not path.is_symlink() and path.lstat().st_mode & 0o077]
        step("every file and folder of the home is private", not lax, ", ".join(map(str, lax[:3])))
        strangers = sorted(path.name for path in place.iterdir() if path.name != NAME)
        step("nothing lies beside the home", not strangers, ", ".join(strangers))
        done = run(home, "models")
        step("models", done.returncode == 0 and MODEL in done.stdout, done.stderr)
        moved = place / MOVED
        subprocess.run(["mv", str(home), str(moved)], check=True)
        done = run(moved, "doctor")
        step("doctor sees that the home was moved", done.returncode == 1 and "moved" in done.stdout, done.stderr)
        done = run(moved, "doctor", "--fix")
        step("doctor --fix puts it right", "put right" in " ".join(done.stdout.split()), done.stdout[-300:])
        out, image = place / "out.nii.gz", next((moved / "phantom" / "us").glob("*/image"))
        done = run(moved, "predict", f"models:/{MODEL}/1", str(image), "-o", str(out))
        step("predict", done.returncode == 0 and out.is_file(), done.stderr)
        done = run(moved, "approve", MODEL, "1", "--by", "Ada Reader", "--meaning", "I have read the report")
        step("approve", done.returncode == 0, done.stdout + done.stderr)
        done = run(moved, "audit", "verify")
        step("audit verify", done.returncode == 0, done.stdout + done.stderr)
        step("the old place stays empty", not home.exists())
        (BENCHMARKS / "strange_home.md").write_text(table(time.monotonic() - began), encoding="utf-8")
    return 0 if all(good for _, good in steps) else 1


if __name__ == "__main__":
    sys.exit(main())
