"""Decide where symbolic links below a folder may lead."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PERMIT_LINKS = "copy it in, or permit the folder that it leads into with `links:` in the dataset spec"


@dataclass(frozen=True)
class LinkPolicy:
    """Folders into which symbolic links may lead. All paths are resolved.

    A linked file may be opened if it lies in `root` or in one of `links`. A linked folder may be entered if it lies in
    one of `links`. A linked file within a DICOM folder must lie in that folder or in one of `links`.

    Attributes:
        root: The folder itself.
        links: Further folders that the dataset spec permits.
    """

    root: Path
    links: tuple[Path, ...] = ()

    def holds(self, path: str | Path) -> bool:
        """Tell whether a path leads to something below the root or a permitted folder.

        Args:
            path: A path.

        Returns:
            Whether it does; /a2 is not below /a.
        """
        return _is_below(path, (self.root, *self.links))

    def enters(self, link: str | Path, top: str | Path) -> bool:
        """Tell whether a linked folder may be entered.

        It must lie in a permitted folder, and must not be one of its own parent folders: a search that followed such a
        circular link would not end.

        Args:
            link: Path of the linked folder.
            top: The folder in which the search began.

        Returns:
            Whether it may be entered.
        """
        if not _is_below(link, self.links):
            return False
        target, here, top = os.path.realpath(link), Path(link).parent, Path(top)
        while not _is_below(here, (Path(target),)):
            if here in (top, here.parent):
                return True
            here = here.parent
        return False


def _is_below(path: str | Path, folders: tuple[Path, ...]) -> bool:
    """Return whether the resolved path lies in one of the folders."""
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(folder) for folder in folders)
