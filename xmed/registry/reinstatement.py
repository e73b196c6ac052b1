"""A model that was withdrawn comes back only by two people who both name the withdrawal.

What was withdrawn is the model, not its number: registered again from the same weights, it is the same model.
"""

from __future__ import annotations

import re
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from xmed.records.audit_trail import AuditRecord
from xmed.registry import audit_log, ledger
from xmed.registry.gate import Refusal
from xmed.registry.person_names import may_be_same_person

PROPOSED = "return proposed"
"""The record of the first of the two."""
SHORTEST = 8
"""Characters of a record's sha256 by which it may be named."""


def return_refusals(
    entry: ModelVersion, alias: str, person: str, meaning: str, refused: bool, home: Path
) -> list[Refusal]:
    """Find why a model that was withdrawn does not come back with this approval; empty where nothing speaks against it.

    Args:
        entry: The version.
        alias: The alias that is asked for.
        person: Who approves.
        meaning: What the signature means; it must name the withdrawal.
        refused: Whether something else speaks against the version; then no proposal is recorded.
        home: The home.
    """
    records = audit_log.records(home)
    withdrawal = last_withdrawal(entry, records)
    if withdrawal is None:
        return []
    at, sha = withdrawal.at[:10], withdrawal.sha256[:12]
    what = f"it was withdrawn on {at} (record {withdrawal.seq}, {sha}…) by {withdrawal.by}: {withdrawal.meaning}"
    if not _names(meaning, withdrawal):
        return [Refusal("withdrawn", f"{what}; --meaning must name this: its date, or its record")]
    proposers = [
        record.by or ""
        for record in records
        if record.event == PROPOSED
        and (record.model, record.version, record.alias) == (entry.name, int(entry.version), alias)
        and record.seq > withdrawal.seq
    ]
    if any(not may_be_same_person(person, proposer) for proposer in proposers):
        return []
    if not refused and not proposers:
        ledger.record(home, PROPOSED, entry.name, int(entry.version), person, alias=alias, meaning=meaning)
    who = "a second person must approve it as well, and name the withdrawal"
    return [Refusal("withdrawn", f"{what}; {proposers[0] if proposers else person} would have it back: {who}")]


def last_withdrawal(entry: ModelVersion, records: list[AuditRecord]) -> AuditRecord | None:
    """The last withdrawal of this model, under any number or name; None where it was approved again since."""
    weights = {entry.tags[key] for key in ("weights_sha256", "model_sha256") if key in entry.tags}
    withdrawal: AuditRecord | None = None
    for record in records:
        is_this_version = (record.model, record.version) == (entry.name, int(entry.version))
        record_weights = {record.hashes.get("weights_sha256"), record.hashes.get("model_sha256")}
        if not is_this_version and not weights & record_weights:
            continue
        if record.event == "withdrawn":
            withdrawal = record
        elif record.event == "approved":
            withdrawal = None
    return withdrawal


def _names(meaning: str, withdrawal: AuditRecord) -> bool:
    """Whether a text names a withdrawal: by its day, its number in the log, or 8 or more of its hash."""
    has_date = withdrawal.at[:10] in meaning
    number = rf"\brecord (?:no\. ?|number )?#?{withdrawal.seq}\b"
    has_number = re.search(number, meaning, re.IGNORECASE) is not None
    hashes = re.findall(rf"\b[0-9a-f]{{{SHORTEST},64}}\b", meaning)
    return has_date or has_number or any(withdrawal.sha256.startswith(text) for text in hashes)
