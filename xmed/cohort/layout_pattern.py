"""Layout pattern: a layout's pattern, what it finds below a root, and which case and patient each path is of.

`{case}` and `{patient}` stand for a part of a name, `*` and `?` match as in a shell, `**/` for any folders. Each folder
is listed once for all patterns and all cases: 10,000 cases take as many questions as there are folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from xmed.errors import XmedError
from xmed.io.file_kinds import MAX_FILES, MAX_FOLDERS
from xmed.io.links import LinkPolicy

_PART = re.compile(r"(\{case\}|\{patient\}|\*\*/|\*|\?)")
_NAMES = {"{case}": "case", "{patient}": "patient"}
Key = tuple[str, str]
"""Case and patient."""


@dataclass(frozen=True)
class Entry:
    """What a listing says of one name. folder: also for a link to one."""

    name: str
    folder: bool
    link: bool


@dataclass
class Listing:
    """The folders below a root, each listed when it is first asked for; hidden names are left out.

    `._name` is what macOS leaves beside each file that it copies. links: resolved; where links to folders may lead.
    passed: those that lead elsewhere, out of the root, and were not looked into for `**/`.
    """

    root: Path
    links: tuple[Path, ...] = ()
    passed: set[str] = field(default_factory=set)
    _known: dict[str, list[Entry] | None] = field(default_factory=dict)

    def of(self, where: str) -> list[Entry] | None:
        """The names in a folder ("" for the root), sorted; None where nobody may look into it."""
        if where.count("/") > MAX_FOLDERS:
            raise XmedError(
                "PATH_UNSAFE", f"more than {MAX_FOLDERS} folders in one another", "the folder of one dataset"
            )
        if len(self._known) > MAX_FILES:  # links could lead through a few folders in endless many ways
            raise XmedError("PATH_UNSAFE", f"more than {MAX_FILES} folders", "the folder of one dataset")
        if where not in self._known:
            self._known[where] = self._listed(where)
        return self._known[where]

    def has(self, where: str, name: str) -> Entry | None:
        """A name in a folder, asked for by itself: a folder of many cases is not listed for each."""
        path = self.root / where / name
        if name.startswith(".") or not os.path.lexists(path):
            return None
        return Entry(name, os.path.isdir(path), os.path.islink(path))

    def enters(self, where: str, entry: Entry) -> bool:
        """Whether `**/` looks into what has this name in a folder."""
        if not entry.folder or not entry.link:
            return entry.folder
        link = self.root / where / entry.name
        entered = self._reach.enters(link, self.root)
        if not entered and not self._reach.holds(link):
            self.passed.add(_joined(where, entry.name))
        return entered

    @cached_property
    def _reach(self) -> LinkPolicy:
        return LinkPolicy(self.root.resolve(), self.links)

    def _listed(self, where: str) -> list[Entry] | None:
        try:
            with os.scandir(self.root / where) as found:
                entries = [Entry(e.name, _is_folder(e), e.is_symlink()) for e in found if not e.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError:
            return None
        return sorted(entries, key=lambda entry: entry.name)


@dataclass(frozen=True)
class Pattern:
    """One pattern of a layout.

    Raises XmedError SPEC_INVALID, from `checked`, for one that is no pattern below a root.
    """

    text: str

    @cached_property
    def parts(self) -> tuple[str, ...]:
        return tuple(part for part in self.text.split("/") if part not in ("", "."))

    @cached_property
    def names(self) -> frozenset[str]:
        """Which of case and patient it names."""
        return frozenset(name for sign, name in _NAMES.items() if sign in self.text)

    def checked(self, told: bool) -> Pattern:
        """Itself. told: whether cases are known already, so that it need not tell where their names end."""
        first, wrong = next(iter(self.text.split("/")), ""), ""
        if not self.names:
            raise _invalid(self.text, "names no case", "{case} or {patient} somewhere in it")
        if not first or first.startswith("~") or ".." in self.parts:
            raise _invalid(self.text, "leads out of root", "a pattern below root; the folder itself belongs into root")
        if any("**" in part and part != "**" for part in self.parts) or self.parts[-1:] == ("**",):
            raise _invalid(
                self.text, "has ** in a name or at its end", "**/ for any folders, and then a name, as in **/*.dcm"
            )
        if not told and (match := re.search(r"\*\{|\}\*|\}\{", "/".join(part for part in self.parts if part != "**"))):
            wrong = match.group()
        if wrong:
            sign = "{patient}" if "{patient}" in self.text and "{case}" not in self.text else "{case}"
            raise _invalid(
                self.text, "does not tell where a name begins and ends", f"a sign in between, as in {sign}_*"
            )
        return self

    def paths(self, listing: Listing) -> tuple[list[str], list[str]]:
        """What it finds, as paths below the root, and the folders on the way that nobody may look into."""
        found: dict[str, None] = {}
        shut: dict[str, None] = {}
        self._descend(listing, "", 0, found, shut)
        return list(found), list(shut)

    def key(self, path: str) -> Key | None:
        """Case and patient of a path; where it names one of them it is both. None for a path that it does not match."""
        match = self._whole.fullmatch(path)
        if match is None:
            return None
        named = match.groupdict()
        return named.get("case") or named["patient"], named.get("patient") or named["case"]

    def key_above(self, path: str) -> Key | None:
        """The same of a folder on the way, as far as it tells."""
        depth = path.count("/") + 1
        head = Pattern("/".join(self.parts[:depth]))
        return head.key(path) if head.names and "**" not in head.parts else None

    def owners(self, path: str, known: Mapping[str, Collection[str]]) -> list[dict[str, str]]:
        """Every way to read a path with names that are known; the longest names first."""
        seen: set[tuple[int, int, str, str]] = set()
        found: list[dict[str, str]] = []
        self._read(path, 0, 0, {}, known, seen, found)
        return sorted(found, key=lambda names: -sum(map(len, names.values())))

    @cached_property
    def _tokens(self) -> list[str]:
        return [part for part in _PART.split("/".join(self.parts)) if part]

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        return _regex(self._tokens, True)

    @cached_property
    def _each(self) -> list[re.Pattern[str] | None]:
        """For each part what its names look like; None for a part without wildcards."""
        split = [[token for token in _PART.split(part) if token] for part in self.parts]
        return [_regex(tokens, False) if any(_PART.fullmatch(t) for t in tokens) else None for tokens in split]

    def _descend(self, listing: Listing, where: str, n: int, found: dict[str, None], shut: dict[str, None]) -> None:
        last = n == len(self.parts) - 1
        if self.parts[n] == "**":
            self._descend(listing, where, n + 1, found, shut)
        elif self._each[n] is None:
            if (entry := listing.has(where, self.parts[n])) is not None:
                self._enter(listing, where, entry, n, last, found, shut)
            return
        entries = listing.of(where)
        if entries is None:
            shut[where] = None
        for entry in entries or ():
            if self.parts[n] == "**":
                if listing.enters(where, entry):
                    self._descend(listing, _joined(where, entry.name), n, found, shut)
            elif self._each[n].fullmatch(entry.name):  # type: ignore[union-attr]
                self._enter(listing, where, entry, n, last, found, shut)

    def _enter(
        self,
        listing: Listing,
        where: str,
        entry: Entry,
        n: int,
        last: bool,
        found: dict[str, None],
        shut: dict[str, None],
    ) -> None:
        path = _joined(where, entry.name)
        if last:
            found[path] = None
        elif entry.folder:
            self._descend(listing, path, n + 1, found, shut)

    def _read(
        self,
        path: str,
        n: int,
        at: int,
        names: dict[str, str],
        known: Mapping[str, Collection[str]],
        seen: set[tuple[int, int, str, str]],
        found: list[dict[str, str]],
    ) -> None:
        state = (n, at, names.get("case", ""), names.get("patient", ""))
        if state in seen:
            return
        seen.add(state)
        if n == len(self._tokens):
            if at == len(path):
                found.append(names)
            return
        token, end = self._tokens[n], path.find("/", at)
        end = len(path) if end < 0 else end
        name = _NAMES.get(token)
        if name and name not in names:
            for to in range(at + 1, end + 1):
                if path[at:to] in known[name]:
                    self._read(path, n + 1, to, {**names, name: path[at:to]}, known, seen, found)
        elif token == "**/":
            self._read(path, n + 1, at, names, known, seen, found)
            if end < len(path):
                self._read(path, n, end + 1, names, known, seen, found)
        elif token in ("*", "?"):
            for to in range(at, end + 1) if token == "*" else [at + 1] if at < end else []:
                self._read(path, n + 1, to, names, known, seen, found)
        elif path.startswith(literal := names[name] if name else token, at):
            self._read(path, n + 1, at + len(literal), names, known, seen, found)


def _regex(tokens: list[str], named: bool) -> re.Pattern[str]:
    parts: list[str] = []
    for token in tokens:
        name = _NAMES.get(token)
        if name:
            group = f"(?P<{name}>[^/]+)" if named else "[^/]+"
            parts.append(f"(?P={name})" if named and group in parts else group)
        else:
            parts.append({"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}.get(token, re.escape(token)))
    return re.compile("".join(parts), re.DOTALL)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in circles
        return False


def _joined(where: str, name: str) -> str:
    return f"{where}/{name}" if where else name


def _invalid(pattern: str, what: str, expected: str) -> XmedError:
    return XmedError("SPEC_INVALID", f"layout '{pattern}' {what}", expected)
