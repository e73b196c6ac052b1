"""Train one arm on several devices, each driven by its own process that torchrun starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import torch

from xmed import methods, networks
from xmed.errors import XmedError
from xmed.files.progress import Progress
from xmed.processes.child import child_environment
from xmed.run import Run
from xmed.train.arms import fit, method_of

GRACE_SECONDS = 40.0
"""torchrun gives its processes 30 s to save and to end."""
LOG = "ranks.log"
"""File with the processes' output, in the arm's folder."""
KINDS = {"XmedError": XmedError, "OSError": OSError, "fault": RuntimeError}
"""Kinds of exceptions that a rank reports, the most informative first."""


def fit_distributed(run: Run, arm: str, seed: int, under: Path, progress: Progress | None = None) -> Path:
    """Train as `fit` does, each batch shared by as many processes as the study's `budget.devices`.

    Interrupted, it lets the processes save first.

    Raises:
        XmedError: What a process raised; SPEC_INVALID where there are fewer GPUs.
        OSError: What a process raised.
        RuntimeError: Any other fault. The processes' log is in the arm's folder then.
    """
    folder, count = run.arm(arm, seed), run.study.budget.devices
    if (folder / "train.json").is_file() or method_of(run.study, arm).name in methods.COMPOSITIONS:
        return fit(run, arm, seed, under, progress)
    if networks.default_device().type == "cuda" and count > torch.cuda.device_count():
        at_most = f"at most {torch.cuda.device_count()}, the GPUs of this machine"
        raise XmedError("SPEC_INVALID", f"budget.devices {count}", at_most)
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    command += ["-m", "xmed.train.distributed_process", str(run.folder), arm, str(seed)]
    raised: list[list[Any]] = []
    with _running(command, {**os.environ, **child_environment(), "XMED_HOME": str(under)}, folder / LOG) as output:
        for line in output:
            message = json.loads(line) if line.startswith("{") else {}  # other lines are what a library prints
            raised += [message["raised"]] if "raised" in message else []
            if progress and "progress" in message:
                progress(*message["progress"])
    # One rank's fault ends the others, which then complain of a lost connection.
    for kind, arguments in sorted(raised, key=lambda problem: list(KINDS).index(problem[0])):
        raise KINDS[kind](*arguments)
    if not (folder / "train.json").is_file():
        raise RuntimeError(f"{arm} seed {seed} on {count} devices ended before its time; log {folder / LOG}")
    (folder / LOG).unlink()
    return folder


@contextmanager
def _running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[IO[str]]:
    """Run a process and yield its stdout; ask it to end where the block is left early.

    The process has the read end of a pipe as its stdin, and notices by its end that nobody waits for it any more.
    """
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            start_new_session=True,
        )  # fmt: skip
    assert process.stdin
    assert process.stdout
    try:
        yield process.stdout
    except BaseException:
        process.terminate()
        raise
    finally:
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # one in the kernel's hands (a dead disk) ends when it can
            process.wait(GRACE_SECONDS)
        process.stdin.close()
        process.stdout.close()
