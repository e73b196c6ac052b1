"""Limits of documents: size, depth and numbers of JSON and YAML, checked before or while a text is parsed."""

from __future__ import annotations

import math
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

MAX_DEPTH = 64
"""Levels of nested lists and mappings; the deepest document that xmed writes (report.json) has 9."""
MAX_NODES = 1_000_000
"""Values of a YAML file once its aliases are followed."""
MAX_DIGITS = 308
"""Digits of a whole number; with one more it is larger than every double (DBL_MAX_10_EXP)."""
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\(?:.|\Z)[^"\\]*+)*+(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)  # no text is looked at twice
_CORE = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map"))


def refuse_size(size: int, most: int) -> None:
    """Refuse more than `most` bytes. Raises ValueError."""
    if size > most:
        raise ValueError(f"{size} bytes, and {most} at most are read")


def refuse_depth(data: bytes) -> None:
    """Refuse JSON text whose brackets are nested deeper than MAX_DEPTH. Raises ValueError."""
    depth = 0
    for token in _TOKEN.finditer(data):
        first = data[token.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"more than {MAX_DEPTH} lists and objects in one another")
        elif first in b"]}":
            depth -= 1


def refuse_events(text: str) -> None:
    """Check depth, number of values and tags of a YAML text before it is loaded.

    An anchor counts as many values as stand below it; an alias adds them once more.

    Args:
        text: The YAML text.

    Raises:
        ValueError: Where a limit is exceeded.
    """
    open_, sizes, total = list[tuple[str | None, int]](), dict[str, int](), 0
    for event in YAML(typ="safe").parse(text):
        if isinstance(event, AliasEvent):
            if event.anchor in (anchor for anchor, _ in open_):
                raise ValueError(f"the alias *{event.anchor} stands within its own anchor")
            total += sizes.get(event.anchor, 1)
        elif isinstance(event, CollectionStartEvent | ScalarEvent):
            _refuse_tag(event)
            total += 1
            if isinstance(event, CollectionStartEvent):
                open_.append((event.anchor, total))
            elif event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = total - before + 1
        if len(open_) > MAX_DEPTH or total > MAX_NODES:
            limit = f"{MAX_DEPTH} lists and mappings in one another, or {MAX_NODES} values"
            raise ValueError(f"more than {limit}")


def _refuse_tag(event: Any) -> None:
    tag = None if event.ctag is None else str(event.ctag)
    if tag not in (None, "!", *_CORE):
        raise ValueError(
            f"the tag {tag} in line {event.start_mark.line + 1}; only those of YAML's core schema are read"
        )


def refuse_constant(text: str) -> None:
    """Refuse NaN and Infinity in JSON text. Raises ValueError."""
    raise ValueError(f"{text} is no number of JSON")


def finite_number(text: str) -> float:
    """Convert a JSON number. Raises ValueError for one that is larger than every double."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"a number beyond every double: {text[:20]}")
    return number


def whole_number(text: str) -> int:
    """Convert a whole JSON number. Raises ValueError for one of more than MAX_DIGITS digits."""
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dictionary of the members of a JSON object. Raises ValueError for a name that occurs twice."""
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name '{twice[:80]}' twice in one object")
    return members
