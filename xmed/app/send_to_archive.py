"""Send the DICOM objects of a prediction to an archive (PACS)."""

from __future__ import annotations

from pathlib import Path

from xmed.errors import XmedError
from xmed.io.pacs import connect, send
from xmed.records.answers import SentFile
from xmed.spec import load_dataset


def archive(target: str, form: str) -> str:
    """Find the address of an archive and check it before anything is done.

    Args:
        target: An address, such as https://… or dimse://…, or a dataset whose spec has `pacs`.
        form: The format of the prediction; only `dicom-seg` can be sent.

    Returns:
        The address.

    Raises:
        XmedError: USAGE, SPEC_INVALID, SPEC_NOT_FOUND.
    """
    if form != "dicom-seg":
        raise XmedError("USAGE", f"--send beside {form}", "--format dicom-seg: archives store DICOM alone")
    if "://" not in target:
        spec = load_dataset(target)
        if spec.pacs is None:
            raise XmedError("SPEC_INVALID", f"dataset {spec.name} has no `pacs`", "one, or the address of an archive")
        target = spec.pacs.server
    connect(target)
    return target


def send_back(files: list[Path], server: str) -> list[SentFile]:
    """Store files in an archive; to send them again does no harm.

    Args:
        files: DICOM files.
        server: Address of the archive.

    Returns:
        Each file with the archive's answer.

    Raises:
        XmedError: PACS_UNREACHABLE, PACS_REFUSED, PACS_ANSWER; the sentence says what became of every file.
    """
    answers: list[SentFile] = []
    failed: XmedError | None = None
    for path in files:
        try:
            answers.append(SentFile(file=str(path), status=send(path, server)))
        except XmedError as problem:
            failed = failed or problem
            answers.append(SentFile(file=str(path), status=problem.what))
    if failed is not None:
        what = "; ".join(f"{answer.file}: {answer.status}" for answer in answers)
        raise XmedError(failed.code, what, failed.expected, failed.do or "the files are written: send them again")
    return answers
