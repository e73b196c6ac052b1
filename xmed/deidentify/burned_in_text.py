"""Burned in text: whether something in a picture looks like burned-in writing.

Writing is thin, of one brightness, in pieces of one height that stand side by side, and in a film it stands still while
the tissue moves. That is looked for; nothing is read. What it cannot see: words of one to three letters, handwriting,
letters that touch each other or are fainter than two fifths of the picture's range, writing that runs up or down.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

LETTERS = 4
"""Pieces in a row that make writing. Of 68 pictures of usgra-seg without any, none has more than 3."""
HEIGHT = (5, 80)  # pixels; below, no font is legible
STROKES = (5, 9, 17)  # widths of the brush, in pixels, that takes thin things off a picture
CONTRAST = 0.4  # of the picture's range, between a stroke and what it stands on
EVENNESS = 0.08  # of the range, within a letter and between neighbours


class Letter(NamedTuple):
    """A piece that could be one: the box around it, and how bright its brightest pixel is."""

    top: int
    bottom: int
    left: int
    right: int
    level: float

    @property
    def height(self) -> int:
        return self.bottom - self.top


def longest_line(frames: np.ndarray) -> int:
    """How many letters stand side by side in the longest line of what looks like writing; 0 for none.

    frames: (frames, rows, columns), grey. Bright and dark writing is looked for, in what all frames have in common.
    """
    low, high = float(frames.min()), float(frames.max())
    if low == high:
        return 0
    still = [frames.min(axis=0), high + low - frames.max(axis=0)]
    return max(
        _longest((picture.astype(np.float32) - low) / (high - low), brush) for picture in still for brush in STROKES
    )


def _longest(picture: np.ndarray, brush: int) -> int:
    letters = sorted(_letters(picture, brush), key=lambda letter: letter.left)
    best = 0
    for first, letter in enumerate(letters):
        length, last = 1, letter
        for other in letters[first + 1 :]:
            height = max(last.height, other.height)
            gap = other.left - last.right
            if gap > 3 * height:
                break
            in_line = abs(other.bottom - last.bottom) <= 0.3 * height and min(last.height, other.height) >= height / 2
            alike = abs(other.level - letter.level) < EVENNESS
            if gap <= 1.2 * height and in_line and alike and other.left > last.left:
                length, last = length + 1, other
        best = max(best, length)
    return best


def _letters(picture: np.ndarray, brush: int) -> list[Letter]:
    parts, _ = ndimage.label(ndimage.white_tophat(picture, size=(brush, brush)) > CONTRAST, np.ones((3, 3)))
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if not HEIGHT[0] <= height <= HEIGHT[1] or width > 2 * height:
            continue
        values = picture[rows, columns][parts[rows, columns] == number]
        level = float(values.max())
        if (values > level - EVENNESS).mean() >= 0.3:
            found.append(Letter(rows.start, rows.stop, columns.start, columns.stop, level))
    return found
