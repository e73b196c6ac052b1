"""Links: where symbolic links below a folder may lead: into the folder itself, and into those that a spec permits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PERMIT_LINKS = "copy it in, or permit the folder that it leads into with `links:` in the dataset spec"


@dataclass(frozen=True)
class LinkPolicy:
    """Where what is met below a folder may lie. root: the folder; links: where links may lead besides. All resolved.

    A linked file is opened where it lies in any of them, a linked folder looked into where it lies in one of `links`;
    a linked file within a DICOM folder where it lies in that folder or in one of `links`.
    """

    root: Path
    links: tuple[Path, ...] = ()

    def holds(self, path: str | Path) -> bool:
        """Whether a path leads to something below the root or a permitted folder; /a2 is not below /a."""
        return _is_below(path, (self.root, *self.links))

    def enters(self, link: str | Path, top: str | Path) -> bool:
        """Whether a linked folder, met below `top`, is looked into: one in a permitted folder that is no way back.

        A link in circles leads to a folder on the way to it; following none of these, every walk ends.
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
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(folder) for folder in folders)
