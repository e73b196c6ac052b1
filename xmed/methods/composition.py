"""Composition: what is made of other methods' finished trainings, and trains nothing itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Composition:
    """does: one line for `xmed methods`. of: the methods it is made of, unless a study names others under `of`."""

    does: str
    cite: str
    of: tuple[str, ...]


COMPOSITIONS = {
    "auto": Composition(
        "The one of several methods that the label-free validators rank first; source-only when none is better.",
        "xmed; validators after Musgrave et al., arXiv:2208.07360; Valindria et al., TMI 2017, arXiv:1702.03407",
        ("bridge", "gin", "mean_teacher"),
    ),
    "ensemble": Composition(
        "Mean of the probabilities of several methods' networks.",
        "Lakshminarayanan et al., Simple and scalable predictive uncertainty, NeurIPS 2017, arXiv:1612.01474",
        ("bridge", "gin"),
    ),
}
