"""A function in a forked child of this process, which ends when the function does.

What earlier tests left in this process (Prefect's event loops) would run at an ordinary end of the child, and fail it.
"""

import multiprocessing
import os
import sys

FORK = multiprocessing.get_context("fork") if sys.platform != "win32" else None


def forked(function, *arguments):
    """A child process, not yet started, that exits with 0 once `function` has returned."""
    return FORK.Process(target=_to_the_end, args=(function, arguments))


def _to_the_end(function, arguments):
    function(*arguments)
    os._exit(0)
