"""Burned in text: detects whether something in an image looks like burned-in text.

Text consists of thin pieces of one brightness and one height in a row, and in a cine loop it does not move while the
tissue does. Such rows are detected; nothing is read. Not detected are words of one to three letters, handwriting,
letters that touch each other or are fainter than two fifths of the image's range, and vertical text.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

MIN_LETTERS = 4
"""Pieces in a row that count as text. None of 68 images of usgra-seg without text has more than 3."""
HEIGHT = (5, 80)  # pixels; smaller fonts are not legible
STROKES = (5, 9, 17)  # widths in pixels of the structuring element that separates thin strokes
CONTRAST = 0.4  # between a stroke and its background, as a share of the image's range
EVENNESS = 0.08  # within a letter and between neighbours, as a share of the range


class Letter(NamedTuple):
    """A piece that could be a letter: its bounding box in pixels and the value of its brightest pixel."""

    top: int
    bottom: int
    left: int
    right: int
    level: float

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top


def longest_line(frames: np.ndarray) -> int:
    """Count the letters in the longest line of what looks like text.

    Bright and dark text is looked for in what all frames have in common.

    Args:
        frames: Grey values (frames, rows, columns).

    Returns:
        The number of letters in a row; 0 for none.
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
            same_level = abs(other.level - letter.level) < EVENNESS
            if gap <= 1.2 * height and in_line and same_level and other.left > last.left:
                length, last = length + 1, other
        best = max(best, length)
    return best


def _letters(picture: np.ndarray, brush: int) -> list[Letter]:
    parts, _ = ndimage.label(ndimage.white_tophat(picture, size=(brush, brush)) > CONTRAST, np.ones((3, 3)))
    letters = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if not HEIGHT[0] <= height <= HEIGHT[1] or width > 2 * height:
            continue
        values = picture[rows, columns][parts[rows, columns] == number]
        level = float(values.max())
        if (values > level - EVENNESS).mean() >= 0.3:
            letters.append(Letter(rows.start, rows.stop, columns.start, columns.stop, level))
    return letters
