"""Errors: three labelled parts a person can act on, a class for each code, and one declaration of every code."""

import pickle
import re

import pytest

from support.checkout import ROOT, modules
from xmed.errors import CODES, ERROR_CODES, DataError, InputError, ModelError, ServiceError, XmedError

CLASSES = "XmedError|InputError|DataError|ModelError|ServiceError"


def test_an_error_says_what_came_what_was_expected_and_what_to_do():
    problem = XmedError("SLICE_GAP", "no slice at z = 12 mm", "slices every 3 mm", "export the series again")
    assert (
        str(problem)
        == "error[SLICE_GAP]: found no slice at z = 12 mm · expected slices every 3 mm · fix export the series again"
    )


def test_parts_that_are_not_given_leave_no_trace():
    assert str(XmedError("CONSTANT", "all voxels are 0")) == "error[CONSTANT]: found all voxels are 0"


def test_an_error_is_one_line_whatever_it_quotes():
    assert str(XmedError("USAGE", "a\n  b\tc")) == "error[USAGE]: found a b c"


def test_a_code_outside_the_table_is_a_programming_error():
    with pytest.raises(KeyError):
        XmedError("SOMETHING", "went wrong")


def test_an_error_survives_the_way_back_from_a_worker_process():
    problem = pickle.loads(pickle.dumps(XmedError("DISK_FULL", "what", "expected", "do")))
    assert (problem.code, problem.what, problem.expected, problem.do) == ("DISK_FULL", "what", "expected", "do")


def sources():
    return "\n".join(path.read_text(encoding="utf-8") for path in modules() if path != ROOT / "xmed/errors.py")


def test_every_code_that_the_library_raises_is_declared():
    raised = set(re.findall(rf"(?:{CLASSES})\(\s*\"([A-Z_]+)\"", sources()))
    assert len(raised) > 50
    assert raised <= set(ERROR_CODES)


def test_every_declared_code_is_used():
    assert set(ERROR_CODES) - set(re.findall(r"\"([A-Z_]+)\"", sources())) == set()


@pytest.mark.parametrize("code", ERROR_CODES)
def test_an_error_has_the_class_that_its_code_is_declared_for(code):
    problem = XmedError(code, "what", do="do")
    assert type(problem) is ERROR_CODES[code].error_class
    assert type(problem) in (InputError, DataError, ModelError, ServiceError)
    assert type(pickle.loads(pickle.dumps(problem))) is type(problem)
    assert type(type(problem)(code, "what")) is type(problem)


def test_a_class_refuses_the_code_of_another():
    with pytest.raises(TypeError, match="SLICE_GAP is declared for DataError, not for ServiceError"):
        ServiceError("SLICE_GAP", "no slice at z = 12 mm")


def test_a_command_ends_with_2_after_every_error_but_a_fault_of_xmed_itself():
    assert {code: XmedError(code, "what").exit_code for code in CODES if XmedError(code, "what").exit_code != 2} == {
        "FAULT": 3
    }


def test_codes_are_capitals_and_their_meanings_are_sentences_without_a_full_stop():
    for code, meaning in CODES.items():
        assert re.fullmatch(r"[A-Z][A-Z_]+[A-Z]", code), code
        assert meaning, code
        assert not meaning.endswith("."), code
