"""Strange home: the main job in a home called `Ä #1 100%25 ?x`, by a user without a home, from a wheel, at umask 022.

PYTHONPATH=tests:tests/kinds python tests/bench/strange_home.py    # as root, which lends itself a number without a name

Then the home is moved with `mv`, and `doctor --fix`, `predict`, `approve` and `audit verify` must work. Prints each step
and its outcome; exit 1 where one fails.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import tiny_study

NAME, MOVED, USER = "Ä #1 100%25 ?x", "moved ? to 50%", 12345
CHECKOUT = Path(__file__).resolve().parents[2]
failed = []


def step(what: str, good: bool, said: str = "") -> None:
    failed.extend([] if good else [what])
    print(f"{'ok  ' if good else 'FAIL'} {what}{': ' + ' '.join(said.split())[-300:] if said else ''}", flush=True)  # noqa: T201


def installed(base: Path) -> Path:
    """xmed from a wheel in an environment of its own that sees the packages of this one; returns the command."""
    wheels = base / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(CHECKOUT)], check=True)
    (wheel,) = wheels.glob("*.whl")
    venv.create(base / "env", with_pip=False)
    python = base / "env" / "bin" / "python"
    (place,) = (base / "env" / "lib").glob("python*/site-packages")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(place), str(wheel)], check=True)
    beside = [path for path in sys.path if path.endswith("site-packages")]
    (place / "beside.pth").write_text("\n".join(beside) + "\n")
    command = base / "env" / "bin" / "xmed"
    command.write_text(f"#!{python}\nimport sys\nfrom pipelines.main import main\nsys.exit(main())\n")
    command.chmod(0o755)
    return command


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        base.chmod(0o755)
        xmed = installed(base)
        place = base / "place"
        study = tiny_study.write(place / "specs", place / "data")
        home = place / NAME
        for path in (place, *place.rglob("*")):
            os.chown(path, USER, USER)
        who = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"] if os.geteuid() == 0 else []

        def run(at: Path, *words: str) -> subprocess.CompletedProcess[str]:
            left_out = ("MLFLOW_", "PREFECT_", "XMED_", "PYTHON")
            kept = {
                name: value for name, value in os.environ.items() if not name.startswith(left_out) and name != "HOME"
            }
            line = [*who, "sh", "-c", 'umask 022; exec "$@"', "sh", str(xmed), *words]
            return subprocess.run(
                line,
                env={**kept, "XMED_HOME": str(at), "TMPDIR": str(place)},
                cwd=place,
                capture_output=True,
                text=True,
                timeout=1500,
                check=False,
            )

        done = run(home, "run", str(study))
        step("run", done.returncode in (0, 1), done.stdout if done.returncode in (0, 1) else done.stderr)
        lax = [path for path in (home, *home.rglob("*")) if not path.is_symlink() and path.lstat().st_mode & 0o077]
        step("every file and folder of the home is private", not lax, ", ".join(map(str, lax[:3])))
        strangers = sorted(path.name for path in place.iterdir() if path.name not in ("specs", "data", NAME))
        step(
            "nothing lies beside the home",
            not [name for name in strangers if not name.startswith("tmp")],
            ", ".join(strangers),
        )
        done = run(home, "models")
        step("models", done.returncode == 0 and "tiny-prostate" in done.stdout, done.stderr)
        image = next((place / "data" / "us").glob("*/image"))
        moved = place / MOVED
        subprocess.run(["mv", str(home), str(moved)], check=True)
        done = run(moved, "doctor")
        step("doctor sees that the home was moved", done.returncode == 1 and "moved" in done.stdout, done.stderr)
        done = run(moved, "doctor", "--fix")
        step("doctor --fix puts it right", "put right" in " ".join(done.stdout.split()), done.stdout[-300:])
        out = place / "out.nii.gz"
        done = run(moved, "predict", "models:/tiny-prostate/1", str(image), "-o", str(out))
        step("predict", done.returncode == 0 and out.is_file(), done.stderr)
        done = run(moved, "approve", "tiny-prostate", "1", "--by", "Ada Reader", "--meaning", "I have read the report")
        step(
            "approve answers (a tiny model may be refused for its verdict)",
            done.returncode in (0, 1),
            done.stdout + done.stderr,
        )
        done = run(moved, "audit", "verify")
        step("audit verify", done.returncode == 0, done.stdout + done.stderr)
        step("the old place stays empty", not home.exists())
        shutil.rmtree(place, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
