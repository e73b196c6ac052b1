"""Sealed document: a document that contains a digest of its other content, which reveals edits and damage.

It protects against disk errors, editors and scripts, not against fraud: whoever can write a document can seal it.
"""

from __future__ import annotations

import json
from typing import Any

from xmed.files.digest import digest


def seal_document(document: dict[str, Any], about: str) -> dict[str, Any]:
    """Add the `seal` to a document.

    Args:
        document: The document.
        about: What it belongs to, so that it cannot be exchanged with the document of something else.
    """
    return {**document, "seal": _seal(document, about)}


def is_intact(document: dict[str, Any], about: str) -> bool:
    """Whether a sealed document is unchanged.

    Raises:
        KeyError: For a document without a seal.
    """
    return bool(document["seal"] == _seal({key: value for key, value in document.items() if key != "seal"}, about))


def _seal(document: dict[str, Any], about: str) -> str:
    return digest([about, json.loads(json.dumps(document, allow_nan=False))])  # as it will be read: keys become text
