"""Sealed document: a digest in a document over everything else that it says, by which an edit or a damage is seen.

It guards against disks, editors and scripts, not against deceit: whoever can write a document can seal it.
"""

from __future__ import annotations

import json
from typing import Any

from xmed.files.digest import digest


def sealed(document: dict[str, Any], about: str) -> dict[str, Any]:
    """The document with its `seal`. about: what it belongs to, so that it is not taken for another's."""
    return {**document, "seal": _seal(document, about)}


def is_whole(document: dict[str, Any], about: str) -> bool:
    """Whether a sealed document says what it said when it was sealed. Raises KeyError where it has no seal."""
    return bool(document["seal"] == _seal({key: value for key, value in document.items() if key != "seal"}, about))


def _seal(document: dict[str, Any], about: str) -> str:
    return digest([about, json.loads(json.dumps(document, allow_nan=False))])  # as it will be read: keys are text
