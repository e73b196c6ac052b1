"""One of the processes that train an arm together, as torchrun starts it:

    XMED_HOME=HOME torchrun --nproc-per-node=2 -m xmed.train.distributed_process HOME/runs/RUN ARM SEED

A study with `budget: {devices: 2}` runs this command. The process reports progress and errors on stdout, one JSON
document per line.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import torch

from xmed import networks
from xmed.errors import XmedError
from xmed.networks.distributed import Ranks
from xmed.processes import termination
from xmed.run import Run, home
from xmed.train.arm_processes import Relay
from xmed.train.arms import fit


def main(arguments: list[str]) -> int:
    """Run one rank. Return 0 for done, 1 for an exception, 143 when asked to end."""
    folder, arm, seed = Path(arguments[0]), arguments[1], int(arguments[2])
    ranks = Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever libraries print is for the log
    termination.prepare_worker()
    threading.Thread(target=_end_when_alone, daemon=True).start()
    if networks.default_device().type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    else:
        torch.set_num_threads(1)

    def say(**what: Any) -> None:
        lines.write(json.dumps(what) + "\n")

    try:
        fit(Run(folder), arm, seed, home(), None if ranks.rank else Relay(lambda note: say(progress=note)), ranks)
    except KeyboardInterrupt:
        return 128 + signal.SIGTERM
    except Exception as problem:
        traceback.print_exc()
        say(raised=_told(problem))
        return 1
    return 0


def _told(problem: Exception) -> tuple[str, tuple[Any, ...]]:
    if isinstance(problem, XmedError):
        return "XmedError", (problem.code, problem.what, problem.expected, problem.do)
    if isinstance(problem, OSError):
        return "OSError", (problem.errno, problem.strerror, problem.filename and str(problem.filename))
    return "fault", (f"{type(problem).__name__}: {problem}",)


def _end_when_alone() -> None:
    """End this process when torchrun, or what started it, has ended; else it would train on beside the next run."""
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        while os.read(0, 1):
            pass
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
