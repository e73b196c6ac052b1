"""Json numbers: what is written down as JSON. A number that is none becomes null with a reason, and ends no run."""

from __future__ import annotations

import json
import math
from typing import Any

NO_NUMBER = "not a number: it could not be computed from what was measured"


def as_json(document: Any, *, indent: int | None = 1, ensure_ascii: bool = True) -> str:
    """A document as JSON (RFC 8259, which knows neither NaN nor infinity), with a line end."""
    return json.dumps(whole(document), indent=indent, allow_nan=False, ensure_ascii=ensure_ascii) + "\n"


def whole(found: Any) -> Any:
    """The document with null in place of NaN and infinity; where a reason can be given beside one, it says so.

    The last line before a file: whatever computes numbers says itself why it has none.
    """
    if isinstance(found, dict):
        out = {key: whole(value) for key, value in found.items()}
        explained = "reason" in out or "status" in out  # a statistic, or a measured row
        if explained and not out.get("reason") and any(_none(value) for value in found.values()):
            out["reason"] = NO_NUMBER
        return out
    if isinstance(found, list | tuple):
        return [whole(value) for value in found]
    return None if _none(found) else found


def _none(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
