"""Edition: which wording and layout a report was written in, so that an older one is still held against its numbers."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
EDITION = 2
"""Raise it, and name the one before in OLDER, when sentences or the layout of the document change."""
OLDER = (1,)
"""1 is that of version 0.1.0, which named none."""
REPEATED = ("claim", "claim_counts")
"""Parts that say in words what stands elsewhere in the document: the rules by which they do have changed since 1."""


def restated(fresh: Document, written: Document) -> Document:
    """The document that the files give, in the words and with the keys of the edition in which `written` was made.

    Of an older report every number, code, name and digest is compared; its sentences stand as they were written, and
    what only a later edition says is left out. A report of today's edition is compared in full.
    """
    if not older(written):
        return fresh
    found = _as_written(fresh, written) | {key: written[key] for key in REPEATED if key in written}
    for one in found["headline"]["strip"]:
        if one["id"] == "volume_bias_ml" and one["value"] is not None:
            one["value"] = abs(one["value"])  # edition 1 wrote the size of the bias here, and the sign beside it
    return found


def older(written: Document) -> bool:
    """Whether a report was written in an earlier edition than today's."""
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
    """A text with a blank in it, none, or a list of such: what is no number, code, name or digest."""
    if isinstance(value, list):
        return all(isinstance(one, str) and " " in one for one in value)
    return value is None or (isinstance(value, str) and " " in value)
