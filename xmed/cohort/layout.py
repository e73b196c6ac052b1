"""Found: the files of one case, as a layout's patterns pair them up below a root."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path

from xmed.errors import XmedError
from xmed.spec import Layout

_PART = re.compile(r"(\{case\}|\{patient\}|\*\*/|\*|\?)")


@dataclass(frozen=True)
class Found:
    """One case's files. Each tuple holds a file, a folder, or the files of a glob; empty when there is none."""

    case: str
    patient: str
    image: tuple[Path, ...]
    label: tuple[Path, ...]


def find(layout: Layout, root: Path) -> list[Found]:
    """Every case below `root`, ordered by id, whether its files are any good or not.

    {case} is the case id, {patient} the patient; where only one is given it is both. A case id that several patients
    share (every patient may have a `scan1`) is told apart by putting the patient before it. `*`, `?` and `**/` match as
    in a shell; hidden files never do. A label without its image is a case, too.

    Raises XmedError SPEC_INVALID for a pattern that names no case or is no pattern.
    """
    images = _matches(layout.image, root) if layout.image else {}
    cases = [Found(c, p, paths, _label_of(layout.label, root, c, p)) for (c, p), paths in images.items()]
    claimed = {path for found in cases for path in found.label}
    labels = _matches(layout.label, root) if layout.label else {}
    cases += [Found(c, p, (), paths) for (c, p), paths in labels.items() if not claimed & set(paths)]
    times = Counter(found.case for found in cases)
    told_apart = [replace(f, case=f"{f.patient}-{f.case}") if times[f.case] > 1 else f for f in cases]
    if len({found.case for found in told_apart}) < len(told_apart):
        raise XmedError(
            "SPEC_INVALID", f"two cases of one name below {root}", "{case} and {patient} that tell them apart"
        )
    return sorted(told_apart, key=lambda found: found.case)


def _matches(pattern: str, root: Path) -> dict[tuple[str, str], tuple[Path, ...]]:
    """(case, patient) → the paths that the pattern finds for them."""
    if "{case}" not in pattern and "{patient}" not in pattern:
        raise XmedError("SPEC_INVALID", f"layout '{pattern}' names no case", "{case} or {patient} somewhere in it")
    whole = _regex(pattern)
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in _glob(root, _PART.sub(_wildcard, _quoted(pattern))):
        match = whole.fullmatch(path.relative_to(root).as_posix())
        if match:
            named = match.groupdict()
            case, patient = named.get("case") or named["patient"], named.get("patient") or named["case"]
            groups.setdefault((case, patient), []).append(path)
    return {key: tuple(sorted(paths)) for key, paths in groups.items()}


def _label_of(pattern: str | None, root: Path, case: str, patient: str) -> tuple[Path, ...]:
    if pattern is None:
        return ()
    filled = _quoted(pattern).replace("{case}", escape(case)).replace("{patient}", escape(patient))
    return tuple(sorted(_glob(root, filled)))


def _regex(pattern: str) -> re.Pattern[str]:
    parts = []
    for part in _PART.split(pattern):
        name = part[1:-1] if part in ("{case}", "{patient}") else ""
        if name:
            again = f"(?P<{name}>[^/]+)" in parts
            parts.append(f"(?P={name})" if again else f"(?P<{name}>[^/]+)")
        else:
            parts.append({"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part)))
    return re.compile("".join(parts))


def _quoted(text: str) -> str:
    """A literal `[` for glob; `*` and `?` stay wildcards."""
    return text.replace("[", "[[]")


def _wildcard(part: re.Match[str]) -> str:
    return "*" if part.group().startswith("{") else part.group()


def _glob(root: Path, pattern: str) -> Iterable[Path]:
    """Without hidden files and folders: `._name` is what macOS leaves beside each file it copies."""
    try:
        paths = list(root.glob(pattern))
    except (ValueError, NotImplementedError) as problem:  # "**" inside a name; an absolute path
        raise XmedError("SPEC_INVALID", f"layout '{pattern}': {problem}", "a pattern relative to root") from problem
    return (path for path in paths if not any(name.startswith(".") for name in path.relative_to(root).parts))
