"""JSON numbers: writes documents as JSON, with null in place of NaN and infinity."""

from __future__ import annotations

import json
import math
from typing import Any

NO_NUMBER = "not a number: it could not be computed from what was measured"


def as_json(document: Any, *, indent: int | None = 1, ensure_ascii: bool = True) -> str:
    """Write a document as JSON text (RFC 8259, which has neither NaN nor infinity: they become null).

    Args:
        document: The document as plain JSON values.
        indent: Spaces per level; None for one line.
        ensure_ascii: Whether characters beyond ASCII are escaped.

    Returns:
        The text with a final newline.
    """
    return json.dumps(without_nan(document), indent=indent, allow_nan=False, ensure_ascii=ensure_ascii) + "\n"


def without_nan(value: Any) -> Any:
    """Replace NaN and infinity by null; a statistic or row that has no reason for it gets one.

    This is a safeguard before writing: code that computes numbers gives its own reasons.

    Args:
        value: A plain JSON value that may contain NaN and infinities.

    Returns:
        The same value without them; tuples become lists.
    """
    if isinstance(value, dict):
        cleaned = {key: without_nan(item) for key, item in value.items()}
        explained = "reason" in cleaned or "status" in cleaned  # a statistic, or a measured row
        if explained and not cleaned.get("reason") and any(_is_not_finite(item) for item in value.values()):
            cleaned["reason"] = NO_NUMBER
        return cleaned
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if _is_not_finite(value) else value


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
