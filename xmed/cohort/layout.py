"""Layout: finds the files of each case below a root, as a layout's patterns pair images with labels."""

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
class CaseFiles:
    """The files of one case.

    Attributes:
        case: Case id.
        patient: Patient id.
        image: A file, a folder, or the files that a glob matches; empty when there is none.
        label: The same for the label.
    """

    case: str
    patient: str
    image: tuple[Path, ...]
    label: tuple[Path, ...]


def find_cases(layout: Layout, root: Path, links: tuple[Path, ...] = ()) -> list[CaseFiles]:
    """Find every case below `root`; whether its files can be read is not checked.

    `{case}` is the case id, `{patient}` the patient id; where a pattern has only one of them it gives both. A case id
    that several patients share (every patient may have a `scan1`) becomes unique by the patient id in front of it. `*`,
    `?` and `**/` match as in a shell, and never match hidden files. A label that could belong to several cases belongs
    to the one with the longest id. A label without an image is a case, and so is a folder that may not be listed, if
    its name gives the case.

    Args:
        layout: The layout of a dataset spec.
        root: The folder of the dataset.
        links: Resolved folders that `**/` may follow links into; other links to folders outside the root are ignored.

    Returns:
        The files of each case, ordered by case id.

    Raises:
        XmedError: SPEC_INVALID for a pattern that names no case, or for two cases of one name.
    """
    listing = Listing(root, links)
    images = _cases(Pattern(layout.image).checked(cases_known=False), listing) if layout.image else {}
    pattern = Pattern(layout.label).checked(cases_known=bool(layout.image)) if layout.label else None
    if pattern is None:
        cases = [CaseFiles(*key, _below(root, paths), ()) for key, paths in images.items()]
    else:
        paths, unreadable = pattern.paths(listing)
        owned, left = _assign_labels(pattern, paths, images)
        cases = [CaseFiles(*key, _below(root, own), _below(root, owned.get(key, ()))) for key, own in images.items()]
        alone = _grouped(pattern, left, [folder for folder in unreadable if pattern.key_above(folder) not in images])
        cases += [CaseFiles(*key, (), _below(root, own)) for key, own in alone.items()]
    cases = [replace(f, case=_printable(f.case), patient=_printable(f.patient)) for f in cases]
    times = Counter(files.case for files in cases)
    distinct = [replace(f, case=f"{f.patient}-{f.case}") if times[f.case] > 1 else f for f in cases]
    if len({files.case for files in distinct}) < len(distinct):
        raise XmedError(
            "SPEC_INVALID", f"two cases of one name below {root}", "{case} and {patient} that tell them apart"
        )
    return sorted(distinct, key=lambda files: files.case)


def linked_folders_outside(layout: Layout, root: Path, links: tuple[Path, ...] = ()) -> list[str]:
    """The linked folders below `root` that lead out of it, which `find_cases` does not search for `**/`."""
    listing = Listing(root, links)
    for text in filter(None, (layout.image, layout.label)):
        Pattern(text).paths(listing)
    return sorted(listing.not_entered)


def _cases(pattern: Pattern, listing: Listing) -> dict[Key, list[str]]:
    """(case, patient) → the paths that the pattern matches for them."""
    return _grouped(pattern, *pattern.paths(listing))


def _grouped(pattern: Pattern, paths: Iterable[str], unreadable: Iterable[str]) -> dict[Key, list[str]]:
    groups: dict[Key, list[str]] = {}
    keyed = [(path, pattern.key(path)) for path in paths] + [(path, pattern.key_above(path)) for path in unreadable]
    for path, key in keyed:
        if key is not None:
            groups.setdefault(key, []).append(path)
    return groups


def _printable(name: str) -> str:
    """A file name as text, with bytes that are not UTF-8 as escapes, so that it can be stored as JSON."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _assign_labels(
    pattern: Pattern, paths: Iterable[str], keys: Iterable[Key]
) -> tuple[dict[Key, list[str]], list[str]]:
    """Case → its label paths, and the paths that belong to no known case."""
    members: dict[tuple[str, ...], list[Key]] = {}
    names = sorted(pattern.names)
    for key in keys:
        members.setdefault(tuple(key[name == "patient"] for name in names), []).append(key)
    values_of = {name: {values[n] for values in members} for n, name in enumerate(names)}
    owned: dict[Key, list[str]] = {}
    left: list[str] = []
    for path in paths:
        readings = (tuple(reading[name] for name in names) for reading in pattern.owners(path, values_of))
        owner = next((reading for reading in readings if reading in members), None)
        if owner is None:
            left.append(path)
        for key in members[owner] if owner is not None else ():
            owned.setdefault(key, []).append(path)
    return owned, left


def _below(root: Path, paths: Sequence[str]) -> tuple[Path, ...]:
    return tuple(sorted(root / path for path in paths))
