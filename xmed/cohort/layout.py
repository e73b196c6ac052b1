"""Found: the files of one case, as a layout's patterns pair them up below a root."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xmed.cohort.layout_pattern import Key, Listing, Pattern
from xmed.errors import XmedError
from xmed.spec import Layout


@dataclass(frozen=True)
class Found:
    """One case's files. Each tuple holds a file, a folder, or the files of a glob; empty when there is none."""

    case: str
    patient: str
    image: tuple[Path, ...]
    label: tuple[Path, ...]


def find(layout: Layout, root: Path, links: tuple[Path, ...] = ()) -> list[Found]:
    """Every case below `root`, ordered by id, whether its files are any good or not.

    {case} is the case id, {patient} the patient; where only one is given it is both. A case id that several patients
    share (every patient may have a `scan1`) is told apart by putting the patient before it. `*`, `?` and `**/` match as
    in a shell; hidden files never do. A label that may belong to several cases is that of the longest id; one without
    its image is a case, too. So is a folder that nobody may look into, where its name tells whose it is.

    links: folders, resolved, that `**/` may follow links into; it looks into no other linked folder.

    Raises XmedError SPEC_INVALID for a pattern that names no case or is no pattern.
    """
    listing = Listing(root, links)
    images = _cases(Pattern(layout.image).checked(told=False), listing) if layout.image else {}
    pattern = Pattern(layout.label).checked(told=bool(layout.image)) if layout.label else None
    if pattern is None:
        cases = [Found(*key, _below(root, paths), ()) for key, paths in images.items()]
    else:
        paths, shut = pattern.paths(listing)
        owned, left = _owned(pattern, paths, images)
        cases = [Found(*key, _below(root, some), _below(root, owned.get(key, ()))) for key, some in images.items()]
        alone = _grouped(pattern, left, [folder for folder in shut if pattern.key_above(folder) not in images])
        cases += [Found(*key, (), _below(root, some)) for key, some in alone.items()]
    cases = [replace(f, case=_shown(f.case), patient=_shown(f.patient)) for f in cases]
    times = Counter(found.case for found in cases)
    told_apart = [replace(f, case=f"{f.patient}-{f.case}") if times[f.case] > 1 else f for f in cases]
    if len({found.case for found in told_apart}) < len(told_apart):
        raise XmedError(
            "SPEC_INVALID", f"two cases of one name below {root}", "{case} and {patient} that tell them apart"
        )
    return sorted(told_apart, key=lambda found: found.case)


def passed_over(layout: Layout, root: Path, links: tuple[Path, ...] = ()) -> list[str]:
    """The linked folders that lead out of `root` and that `find` does not look into for `**/`, below the root."""
    listing = Listing(root, links)
    for text in filter(None, (layout.image, layout.label)):
        Pattern(text).paths(listing)
    return sorted(listing.passed)


def _cases(pattern: Pattern, listing: Listing) -> dict[Key, list[str]]:
    """(case, patient) → the paths that the pattern finds for them."""
    return _grouped(pattern, *pattern.paths(listing))


def _grouped(pattern: Pattern, paths: Iterable[str], shut: Iterable[str]) -> dict[Key, list[str]]:
    groups: dict[Key, list[str]] = {}
    told = [(path, pattern.key(path)) for path in paths] + [(path, pattern.key_above(path)) for path in shut]
    for path, key in told:
        if key is not None:
            groups.setdefault(key, []).append(path)
    return groups


def _shown(name: str) -> str:
    """A name in text: bytes that are no UTF-8 as escapes, so that it can be written down."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _owned(pattern: Pattern, paths: Iterable[str], keys: Iterable[Key]) -> tuple[dict[Key, list[str]], list[str]]:
    """The paths of each case, and those that are nobody's."""
    members: dict[tuple[str, ...], list[Key]] = {}
    names = sorted(pattern.names)
    for key in keys:
        members.setdefault(tuple(key[name == "patient"] for name in names), []).append(key)
    known = {name: {told[n] for told in members} for n, name in enumerate(names)}
    owned: dict[Key, list[str]] = {}
    left: list[str] = []
    for path in paths:
        ways = (tuple(way[name] for name in names) for way in pattern.owners(path, known))
        told = next((way for way in ways if way in members), None)
        if told is None:
            left.append(path)
        for key in members[told] if told is not None else ():
            owned.setdefault(key, []).append(path)
    return owned, left


def _below(root: Path, paths: Sequence[str]) -> tuple[Path, ...]:
    return tuple(sorted(root / path for path in paths))
