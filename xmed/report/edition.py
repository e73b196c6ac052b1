"""Edition: the wording and layout that a report was written in, so that an older report can still be verified."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
EDITION = 2
"""Raise it, and name the one before in OLDER, when sentences or the layout of the document change."""
OLDER = (1,)
"""1 is that of version 0.1.0, whose documents have no key `edition`."""
REPEATED = ("claim", "claim_counts")
"""Parts that say in words what stands elsewhere in the document: the rules for them have changed since edition 1."""


def restated(fresh: Document, written: Document) -> Document:
    """Return the recomputed document in the words and with the keys of the edition in which `written` was made.

    Of an older report every number, code, name and digest is compared. Its sentences are taken as they were written,
    and keys that only a later edition has are left out. A report of today's edition is compared in full.

    Args:
        fresh: The document that the files give today.
        written: The document that is checked.
    """
    if not older(written):
        return fresh
    document: Document = _as_written(fresh, written) | {key: written[key] for key in REPEATED if key in written}
    for entry in document["headline"]["strip"]:
        if entry["id"] == "volume_bias_ml" and entry["value"] is not None:
            entry["value"] = abs(entry["value"])  # edition 1 wrote the size of the bias here, and the sign beside it
    return document


def older(written: Document) -> bool:
    """Return whether a report was written in an earlier edition than today's."""
    return written.get("edition", 1) in OLDER


def _as_written(fresh: Any, written: Any) -> Any:
    if isinstance(fresh, dict) and isinstance(written, dict):
        return {key: _as_written(value, written[key]) for key, value in fresh.items() if key in written}
    if _sentences(fresh) and _sentences(written):
        return written
    if isinstance(fresh, list) and isinstance(written, list) and len(fresh) == len(written):
        return [_as_written(a, b) for a, b in zip(fresh, written)]
    return fresh


def _sentences(value: Any) -> bool:
    """A text with a space in it, none, or a list of such: what is no number, code, name or digest."""
    if isinstance(value, list):
        return all(isinstance(text, str) and " " in text for text in value)
    return value is None or (isinstance(value, str) and " " in value)
