"""`xmed deidentify`: from the options to the answer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from xmed.console.progress_display import report
from xmed.deidentify import Crosswalk, Policy, Secret, deidentify_files
from xmed.errors import CODES, XmedError
from xmed.files.permissions import apply_user_umask
from xmed.records.answers import DeidentifiedFolder


def remove(source: Path | None, out: Path | None, home: Path, policy: Policy) -> DeidentifiedFolder:
    """De-identify a file or folder.

    Args:
        source: The file or folder.
        out: The folder to write copies to.
        home: The home, which holds the key and the crosswalk.
        policy: What the user decided.

    Returns:
        What was copied and what was withheld.

    Raises:
        XmedError: USAGE without `source` and `out`, and as `xmed.deidentify.deidentify_files`.
    """
    if source is None or out is None:
        raise XmedError("USAGE", "xmed deidentify without IN and OUT", "IN OUT, --explain or --crosswalk")
    outcome = deidentify_files(source, out, home, policy, report)
    if outcome.written:
        apply_user_umask(out)
    return DeidentifiedFolder.model_validate({**asdict(outcome), "codes": outcome.codes, "output": str(out)})


def show_outcome(console: Console, outcome: DeidentifiedFolder) -> None:
    """Print what was written, what was withheld and why, and where a new key is.

    Args:
        console: Where to print.
        outcome: What `remove` returned.
    """
    if outcome.key:
        console.print(f"a new key was made: {outcome.key} · keep a copy: without it nobody is ever found again")
    console.print(f"{outcome.written} written of {outcome.patients} patients, {outcome.skipped} of other kinds skipped")
    for code, count in outcome.codes.items():
        console.print(f"{count} withheld: {code} · {CODES[code]}", highlight=False, soft_wrap=True)
    console.print(outcome.output, highlight=False, soft_wrap=True)


def crosswalk_rows(home: Path) -> list[dict[str, str]]:
    """Read the crosswalk of a home.

    Args:
        home: The home.

    Returns:
        Rows of kind, pseudonym and original.

    Raises:
        XmedError: KEY_INVALID, PATH_NOT_FOUND.
    """
    crosswalk = Crosswalk.below(home, Secret.find(home)[0])
    if not crosswalk.path.exists():
        raise XmedError(
            "PATH_NOT_FOUND", f"no crosswalk {crosswalk.path}", "something de-identified with this XMED_HOME"
        )
    return list(crosswalk.read())
