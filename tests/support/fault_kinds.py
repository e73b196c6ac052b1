"""Fault kinds: faults that were found from outside, by kind; each has a module of inputs in `tests/kinds/`.

A kind is tested by `tests/kinds/test_<code>_<what>.py`, one test case for each input. `benchmarks/fault_table.py`
counts how many inputs held with the code on which the faults were found, and how many hold now.
"""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "kinds"
BEFORE = "896da74"
"""The commit on which the faults were found."""


@dataclass(frozen=True)
class Kind:
    """code: as in the file names of the tests, in capitals. expected: what must hold for every input of the kind."""

    code: str
    fault: str
    expected: str


KINDS = [
    Kind("A1", "one series, several acquisitions whose slice ranges interleave", "split where that is certain, noted or refused where not"),
    Kind("A2", "two identities inside one series", "split or refused, with a code"),
    Kind("A3", "volumes told apart by a time that crosses midnight", "date and time together; a key orders only if it does so at every position"),
    Kind("A4", "something scales the stored values and is dropped", "applied, kept or refused; de-identified and original give equal quantities"),
    Kind("A5", "contours that are not drawn, or not drawn as meant", "every contour drawn, or noted by code and count"),
    Kind("A6", "pictures decoded by what the header says, not by what the stream is", "decoded as they are, or refused"),
    Kind("A7", "a word in a header decides against the structure of the file", "structure decides, refusals are true"),
    Kind("A8", "objects written for poor series", "preconditions checked before inference, what may be filled is filled"),
    Kind("A9", "values that no reference can support", "said to be without a reference in table, limitations and verdict"),
    Kind("A10", "headers that contradict the picture they describe", "refused, or noted with a code"),
    Kind("A11", "functional groups of a multi-frame file mixed with others, private ones among them", "every keyword from the macro that the standard puts it in"),
    Kind("A12", "a NIfTI label beside a DICOM image, with axes in another order or direction", "reordered with a note where positions are the same, else refused with the true distance"),
    Kind("A13", "objects, volume names and warnings that are called what they are not", "called what they are; one line for each file and volume"),
    Kind("B1", "a statistic that is not a number reaches a document", "a number, or null with a reason"),
    Kind("B2", "paths that become URIs", "everything stays in the home, whatever its name"),
    Kind("B3", "a home that was moved or copied", "found, put right, and used on"),
    Kind("B4", "what fails late and could be known early", "said before anything is read"),
    Kind("B5", "pairing of files that takes the square of their number", "one listing"),
    Kind("B6", "light work that loads torch", "does not"),
    Kind("B7", "messages that help nobody", "a sentence that a data manager can act on"),
    Kind("B8", "one bad name stops everything", "costs its own case"),
    Kind("B9", "a store that believes its own metadata", "damage is seen, and heals or is one coded error"),
    Kind("B10", "processes that outlive or outwait their parent", "children end with it, and it keeps the time"),
    Kind("C1", "evidence that a run reports about itself", "computed again from predictions and references"),
    Kind("C2", "a registry that is spoken to directly", "what has no record is found, and not served"),
    Kind("C3", "an audit log that is rolled back or loses its signatures", "found"),
    Kind("C4", "one person under two names", "one person"),
    Kind("C5", "a version approved without being looked at", "always looked at"),
    Kind("C6", "accounts that write without a permission", "refused"),
    Kind("C7", "verdicts that common sense would not sign", "no pass without a supported gain over the trivial baselines"),
    Kind("D1", "parsers that raise what nobody catches", "size and depth first; only XmedError leaves"),
    Kind("D2", "sizes that nobody checks", "limits, while reading"),
    Kind("D3", "archives that bring what no backup holds", "only what a backup writes"),
    Kind("D4", "control characters that reach a terminal", "none do"),
    Kind("D5", "files of a home that others can read", "0600 and 0700"),
    Kind("E", "sentences, tiles and footnotes that contradict their own table", "made from the same data"),
]  # fmt: skip


def modules(kind: Kind) -> list[Path]:
    """The test modules of a kind."""
    return sorted(FOLDER.glob(f"test_{kind.code.lower()}_*.py"))
