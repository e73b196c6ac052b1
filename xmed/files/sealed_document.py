"""Sealed document: a document that contains a digest of its other content, which reveals edits and damage.

It protects against disk errors, editors and scripts, not against fraud: whoever can write a document can seal it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from xmed.files.digest import digest

if TYPE_CHECKING:
    from pydantic import JsonValue


def seal_document(document: Mapping[str, JsonValue], about: str) -> dict[str, JsonValue]:
    """Add the `seal` to a document.

    Args:
        document: The document.
        about: What it belongs to, so that it cannot be exchanged with the document of something else.

    Returns:
        The document with its seal.
    """
    return {**document, "seal": _seal(document, about)}


def is_intact(document: Mapping[str, JsonValue], about: str) -> bool:
    """Check whether a sealed document is unchanged.

    Args:
        document: The document with its seal.
        about: What it belongs to, as it was sealed.

    Returns:
        Whether the seal fits.

    Raises:
        KeyError: For a document without a seal.
    """
    return bool(document["seal"] == _seal({key: value for key, value in document.items() if key != "seal"}, about))


def _seal(document: Mapping[str, JsonValue], about: str) -> str:
    return digest(
        [about, json.loads(json.dumps(dict(document), allow_nan=False))]
    )  # as it will be read: keys become text
