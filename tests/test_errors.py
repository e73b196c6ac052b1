"""Errors: three parts a person can act on, under a code that the table knows."""

import pickle
import re

import pytest

from support.checkout import modules
from xmed.errors import CODES, XmedError


def test_an_error_says_what_came_what_was_expected_and_what_to_do():
    problem = XmedError("SLICE_GAP", "no slice at z = 12 mm", "slices every 3 mm", "export the series again")
    assert str(problem) == "error[SLICE_GAP]: no slice at z = 12 mm · slices every 3 mm · export the series again"


def test_parts_that_are_not_given_leave_no_trace():
    assert str(XmedError("CONSTANT", "all voxels are 0")) == "error[CONSTANT]: all voxels are 0"


def test_an_error_is_one_line_whatever_it_quotes():
    assert str(XmedError("USAGE", "a\n  b\tc")) == "error[USAGE]: a b c"


def test_a_code_outside_the_table_is_a_programming_error():
    with pytest.raises(KeyError):
        XmedError("SOMETHING", "went wrong")


def test_an_error_survives_the_way_back_from_a_worker_process():
    problem = pickle.loads(pickle.dumps(XmedError("DISK_FULL", "what", "expected", "do")))
    assert (problem.code, problem.what, problem.expected, problem.do) == ("DISK_FULL", "what", "expected", "do")


def test_every_code_that_the_library_raises_stands_in_the_table():
    raised = set()
    for path in modules():
        raised |= set(re.findall(r"XmedError\(\s*\"([A-Z_]+)\"", path.read_text(encoding="utf-8")))
    assert raised <= set(CODES)


def test_codes_are_capitals_and_their_meanings_are_sentences_without_a_full_stop():
    for code, meaning in CODES.items():
        assert re.fullmatch(r"[A-Z][A-Z_]+[A-Z]", code), code
        assert meaning, code
        assert not meaning.endswith("."), code
