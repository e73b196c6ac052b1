"""Layout pattern: one pattern of a layout, the paths that it matches below a root, and the case of each path.

`{case}` and `{patient}` match a part of a name, `*` and `?` match as in a shell, `**/` matches any folders. Each folder
is listed once for all patterns and all cases, however many cases there are.
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
    """One name in a folder. folder: also true for a link to a folder."""

    name: str
    folder: bool
    link: bool


@dataclass
class Listing:
    """The folders below a root, each listed when it is first needed.

    Hidden names are left out: macOS writes a `._name` beside each file that it copies.

    Attributes:
        root: The folder.
        links: Resolved folders that links may lead into.
        not_entered: Links that lead out of the root and were not searched for `**/`, as paths below the root.
    """

    root: Path
    links: tuple[Path, ...] = ()
    not_entered: set[str] = field(default_factory=set)
    _known: dict[str, list[Entry] | None] = field(default_factory=dict)

    def of(self, where: str) -> list[Entry] | None:
        """The names in a folder ("" for the root), sorted; None for a folder that may not be listed.

        Raises:
            XmedError: PATH_UNSAFE for too many folders.
        """
        if where.count("/") > MAX_FOLDERS:
            raise XmedError(
                "PATH_UNSAFE", f"more than {MAX_FOLDERS} folders in one another", "the folder of one dataset"
            )
        if len(self._known) > MAX_FILES:  # links can lead through a few folders in endlessly many ways
            raise XmedError("PATH_UNSAFE", f"more than {MAX_FILES} folders", "the folder of one dataset")
        if where not in self._known:
            self._known[where] = self._listed(where)
        return self._known[where]

    def has(self, where: str, name: str) -> Entry | None:
        """Look up one name in a folder without listing the folder; None if it is absent or hidden."""
        path = self.root / where / name
        if name.startswith(".") or not os.path.lexists(path):
            return None
        return Entry(name, os.path.isdir(path), os.path.islink(path))

    def enters(self, where: str, entry: Entry) -> bool:
        """Whether `**/` searches the folder that has this name."""
        if not entry.folder or not entry.link:
            return entry.folder
        link = self.root / where / entry.name
        entered = self._reach.enters(link, self.root)
        if not entered and not self._reach.holds(link):
            self.not_entered.add(_joined(where, entry.name))
        return entered

    @cached_property
    def _reach(self) -> LinkPolicy:
        return LinkPolicy(self.root.resolve(), self.links)

    def _listed(self, where: str) -> list[Entry] | None:
        try:
            with os.scandir(self.root / where) as scan:
                entries = [Entry(e.name, _is_folder(e), e.is_symlink()) for e in scan if not e.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError:
            return None
        return sorted(entries, key=lambda entry: entry.name)


@dataclass(frozen=True)
class Pattern:
    """One pattern of a layout, such as `{patient}/{case}_image.nii.gz`."""

    text: str

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Its parts between slashes."""
        return tuple(part for part in self.text.split("/") if part not in ("", "."))

    @cached_property
    def names(self) -> frozenset[str]:
        """Which of `case` and `patient` it contains."""
        return frozenset(name for sign, name in _NAMES.items() if sign in self.text)

    def checked(self, cases_known: bool) -> Pattern:
        """Check the pattern and return it.

        Args:
            cases_known: Whether the case ids are known, so that the pattern need not show where a name ends.

        Raises:
            XmedError: SPEC_INVALID for a pattern that names no case, leads out of the root or is ambiguous.
        """
        first = self.text.split("/")[0]
        if not self.names:
            raise _invalid(self.text, "names no case", "{case} or {patient} somewhere in it")
        if not first or first.startswith("~") or ".." in self.parts:
            raise _invalid(self.text, "leads out of root", "a pattern below root; the folder itself belongs into root")
        if any("**" in part and part != "**" for part in self.parts) or self.parts[-1:] == ("**",):
            expected = "**/ for any folders, and then a name, as in **/*.dcm"
            raise _invalid(self.text, "has ** in a name or at its end", expected)
        plain = "/".join(part for part in self.parts if part != "**")
        if not cases_known and re.search(r"\*\{|\}\*|\}\{", plain):
            sign = "{patient}" if "{patient}" in self.text and "{case}" not in self.text else "{case}"
            expected = f"a sign in between, as in {sign}_*"
            raise _invalid(self.text, "does not tell where a name begins and ends", expected)
        return self

    def paths(self, listing: Listing) -> tuple[list[str], list[str]]:
        """The paths below the root that it matches, and the folders on the way that may not be listed."""
        search = _Search(listing)
        self._descend(search, "", 0)
        return list(search.matched), list(search.unreadable)

    def key(self, path: str) -> Key | None:
        """Case and patient of a path, the same text where it names only one; None for a path that does not match."""
        match = self._whole.fullmatch(path)
        if match is None:
            return None
        named = match.groupdict()
        return named.get("case") or named["patient"], named.get("patient") or named["case"]

    def key_above(self, path: str) -> Key | None:
        """The same for a folder on the way, if the part of the pattern up to there names a case."""
        depth = path.count("/") + 1
        head = Pattern("/".join(self.parts[:depth]))
        return head.key(path) if head.names and "**" not in head.parts else None

    def owners(self, path: str, values_of: Mapping[str, Collection[str]]) -> list[dict[str, str]]:
        """List every way to match a path with given names, the longest names first.

        Args:
            path: The path, relative to the dataset's root.
            values_of: Placeholder, such as case -> the names that it may stand for.

        Returns:
            For each way, placeholder -> name.
        """
        matching = _Matching(path, values_of)
        self._match(matching, 0, 0, {})
        return sorted(matching.readings, key=lambda names: -sum(map(len, names.values())))

    @cached_property
    def _tokens(self) -> list[str]:
        return [part for part in _PART.split("/".join(self.parts)) if part]

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        return _regex(self._tokens, True)

    @cached_property
    def _each(self) -> list[re.Pattern[str] | None]:
        """For each part the expression of its names; None for a part without wildcards."""
        split = [[token for token in _PART.split(part) if token] for part in self.parts]
        return [_regex(tokens, False) if any(_PART.fullmatch(t) for t in tokens) else None for tokens in split]

    def _descend(self, search: _Search, where: str, n: int) -> None:
        """Match part `n` of the pattern in the folder `where`, and the parts after it below."""
        if self.parts[n] == "**":
            self._descend(search, where, n + 1)
        elif self._each[n] is None:
            if (entry := search.listing.has(where, self.parts[n])) is not None:
                self._enter(search, where, entry, n)
            return
        entries = search.listing.of(where)
        if entries is None:
            search.unreadable[where] = None
        for entry in entries or ():
            if self.parts[n] == "**":
                if search.listing.enters(where, entry):
                    self._descend(search, _joined(where, entry.name), n)
            elif (expression := self._each[n]) is not None and expression.fullmatch(entry.name):
                self._enter(search, where, entry, n)

    def _enter(self, search: _Search, where: str, entry: Entry, n: int) -> None:
        path = _joined(where, entry.name)
        if n == len(self.parts) - 1:
            search.matched[path] = None
        elif entry.folder:
            self._descend(search, path, n + 1)

    def _match(self, matching: _Matching, n: int, at: int, names: dict[str, str]) -> None:
        """Match token `n` and those after it with the path from position `at`, given the names matched so far."""
        state = (n, at, names.get("case", ""), names.get("patient", ""))
        if state in matching.visited:
            return
        matching.visited.add(state)
        path = matching.path
        if n == len(self._tokens):
            if at == len(path):
                matching.readings.append(names)
            return
        token, end = self._tokens[n], path.find("/", at)
        end = len(path) if end < 0 else end
        name = _NAMES.get(token)
        if name and name not in names:
            for to in range(at + 1, end + 1):
                if path[at:to] in matching.values_of[name]:
                    self._match(matching, n + 1, to, {**names, name: path[at:to]})
        elif token == "**/":
            self._match(matching, n + 1, at, names)
            if end < len(path):
                self._match(matching, n, end + 1, names)
        elif token == "*":
            for to in range(at, end + 1):
                self._match(matching, n + 1, to, names)
        elif token == "?":
            if at < end:
                self._match(matching, n + 1, at + 1, names)
        elif path.startswith(literal := names[name] if name else token, at):
            self._match(matching, n + 1, at + len(literal), names)


@dataclass(frozen=True)
class _Search:
    """A search below a root, with what it found so far, in order."""

    listing: Listing
    matched: dict[str, None] = field(default_factory=dict)
    unreadable: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Matching:
    """The matching of one path with given names; `visited` keeps it from trying a state twice."""

    path: str
    values_of: Mapping[str, Collection[str]]
    visited: set[tuple[int, int, str, str]] = field(default_factory=set)
    readings: list[dict[str, str]] = field(default_factory=list)


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
