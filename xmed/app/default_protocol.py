"""The protocol of an external validation where the user gives none: the one that the model was validated with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from xmed.errors import XmedError
from xmed.records.evaluation import MetricConventions
from xmed.records.model_card import ModelCard
from xmed.records.provenance import FixedProtocol
from xmed.run import Run, home
from xmed.spec import Accept, Primary, Protocol

NOT_AGAIN: dict[str, Any] = {"gap_closed": None, "not_below_source_only": False}
"""Criteria of a model's own protocol that need arms which nobody trains for a validation."""


def least_protocol(structure: str) -> Protocol:
    """Make the protocol for a model whose own is unknown: it must be better than the trivial baselines.

    Args:
        structure: The primary structure.
    """
    return Protocol(primary=Primary(structure=structure), accept=Accept(gain_over_trivial=0.0, **NOT_AGAIN))


def own_protocol(
    card: ModelCard, report: dict[str, Any] | None, names: list[str]
) -> tuple[Protocol | None, float | None]:
    """Find the protocol that a model was validated with, without criteria that need other arms.

    Args:
        card: The model's card (model.json).
        report: The report of the model's version, where there is one.
        names: Structures that the new data has.

    Returns:
        The protocol, and the NSD tolerance in mm; None for what is unknown.
    """
    for document, tolerance in _recorded_protocols(card, report):
        try:
            own = Protocol.model_validate(document)
        except ValidationError:
            continue
        if own.primary.structure in names:
            accept = own.accept.model_copy(update=NOT_AGAIN)
            if accept.dice is None and accept.gain_over_trivial is None:  # the rest of it cannot be asked here
                accept = accept.model_copy(update={"gain_over_trivial": 0.0})
            # how many patients were planned, and how much worse than a ceiling it may be, was said of another test
            return own.model_copy(update={"accept": accept, "planned_n": None, "non_inferiority": None}), tolerance
    return None, None


def _recorded_protocols(card: ModelCard, report: dict[str, Any] | None) -> Iterator[tuple[Any, float | None]]:
    """(protocol, tolerance of its report) from wherever the model's validation is written down."""
    if report is not None:
        yield report["protocol"]["protocol"], report["metrics_conventions"]["nsd_tolerance_mm"]
    with suppress(XmedError, OSError, ValueError, KeyError, TypeError):
        run = Run.find(str(card.run), home())
        fixed = run.read(FixedProtocol)
        if fixed.sha256 == card.protocol_sha256:
            judged = run.read(MetricConventions) if run.has(MetricConventions) else MetricConventions()
            yield fixed.protocol, judged.nsd_tolerance_mm
    yield card.protocol, None
