"""A model that was withdrawn comes back only by two people who both name the withdrawal.

What was withdrawn is the model, not its number: registered again from the same weights, it is the same model.
"""

from __future__ import annotations

import re
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from xmed.registry import audit_log, ledger
from xmed.registry.gate import Refusal
from xmed.registry.person_names import same

PROPOSED = "return proposed"
"""The record of the first of the two."""
SHORTEST = 8
"""Characters of a record's sha256 by which it may be named."""


def refusals(entry: ModelVersion, alias: str, person: str, meaning: str, refused: bool, home: Path) -> list[Refusal]:
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
    gone = withdrawal(entry, records)
    if gone is None:
        return []
    at, sha = gone["at"][:10], gone["sha256"][:12]
    what = f"it was withdrawn on {at} (record {gone['seq']}, {sha}…) by {gone['by']}: {gone['meaning']}"
    if not _names(meaning, gone):
        return [Refusal("withdrawn", f"{what}; --meaning must name this: its date, or its record")]
    mine = (entry.name, int(entry.version), alias)
    first = [
        one["by"] for one in records
        if one["event"] == PROPOSED and (one.get("model"), one.get("version"), one.get("alias")) == mine
        and one["seq"] > gone["seq"]
    ]  # fmt: skip
    if any(not same(person, one) for one in first):
        return []
    if not refused and not first:
        ledger.record(home, PROPOSED, entry.name, int(entry.version), person, alias=alias, meaning=meaning)
    who = "a second person must approve it as well, and name the withdrawal"
    return [Refusal("withdrawn", f"{what}; {first[0] if first else person} would have it back: {who}")]


def withdrawal(entry: ModelVersion, records: list[audit_log.Record]) -> audit_log.Record | None:
    """The last withdrawal of this model, under any number or name; None where it was approved again since."""
    weights = {entry.tags[key] for key in ("weights_sha256", "model_sha256") if key in entry.tags}
    found: audit_log.Record | None = None
    for one in records:
        hashes = one.get("hashes") or {}
        mine = (one.get("model"), one.get("version")) == (entry.name, int(entry.version))
        if not mine and not weights & {hashes.get("weights_sha256"), hashes.get("model_sha256")}:
            continue
        if one["event"] == "withdrawn":
            found = one
        elif one["event"] == "approved":
            found = None
    return found


def _names(meaning: str, gone: audit_log.Record) -> bool:
    """Whether a text names a withdrawal: by its day, its number in the log, or 8 or more of its hash."""
    date = gone["at"][:10] in meaning
    number = re.search(rf"\brecord (?:no\. ?|number )?#?{gone['seq']}\b", meaning, re.IGNORECASE) is not None
    hashes = re.findall(rf"\b[0-9a-f]{{{SHORTEST},64}}\b", meaning)
    return date or number or any(gone["sha256"].startswith(one) for one in hashes)
