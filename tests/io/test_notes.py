"""Notes: what is repaired is on record, once, and a code outside of the table is a programming error."""

import re

import pytest

from support.checkout import ROOT
from xmed.errors import NOTES
from xmed.io.notes import Note, RepairWarning, add_note, collect_notes


def test_a_note_is_kept_once_by_whoever_collects():
    with collect_notes() as notes:
        for _ in range(3):
            add_note("PADDING", "became air")
        with collect_notes() as inner:
            add_note("SUV", "from Bq/ml")
    assert notes == [Note("PADDING", "became air")]
    assert inner == [Note("SUV", "from Bq/ml")]


def test_a_note_that_nobody_collects_is_a_warning():
    with pytest.warns(RepairWarning, match=r"note\[PADDING\]: became air"):
        add_note("PADDING", "became air")


def test_a_code_outside_the_table_is_a_programming_error():
    with pytest.raises(KeyError):
        add_note("SOMETHING", "was done")


def test_the_table_has_what_the_readers_note_and_nothing_else():
    made = set()
    for path in ROOT.glob("xmed/**/*.py"):
        made |= set(re.findall(r"\b(?:add_note|_note_count)\(\s*\"([A-Z_0-9]+)\"", path.read_text(encoding="utf-8")))
    assert made == set(NOTES)
