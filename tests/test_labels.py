"""Labels: one table says what a voxel value means, and nothing else is accepted."""

import numpy as np
import pytest

from xmed.errors import XmedError
from xmed.labels import FLUID, LabelTable, Structure

TABLE = LabelTable((Structure(2, "liver"), Structure(5, "kidney", "123037004", "64033007"), Structure(9, "spleen")))


def test_a_structure_is_found_by_name():
    assert TABLE["kidney"].value == 5
    assert (TABLE.names, TABLE.values, len(TABLE)) == (["liver", "kidney", "spleen"], [2, 5, 9], 3)


def test_an_unknown_structure_is_answered_with_the_known_ones():
    with pytest.raises(
        XmedError, match=r"error\[SPEC_INVALID\]: found structure 'heart' · expected one of liver, kidney, spleen"
    ):
        TABLE["heart"]


@pytest.mark.parametrize("pairs", [[(1, "a"), (1, "b")], [(0, "a")], [(-1, "a")]])
def test_values_are_distinct_and_background_is_never_listed(pairs):
    with pytest.raises(XmedError, match="distinct values ≥ 1"):
        LabelTable(tuple(Structure(value, name) for value, name in pairs))


@pytest.mark.parametrize(
    ("category", "type", "fluid"),
    [
        ("123037004", "89837001", True),  # a urinary bladder
        ("123037004", "59820001", True),  # a blood vessel
        ("123037004", "41216001", False),  # a prostate
        ("49755003", "4147007", None),  # a mass: solid, cystic or both
        (None, None, None),
    ],
)
def test_codes_say_which_body_structures_are_full_of_fluid(category, type, fluid):
    assert Structure(1, "it", category, type).fluid is fluid


def test_what_is_full_of_fluid_is_named_by_codes_of_the_dicom_standard():
    from pydicom.sr._snomed_dict import mapping  # PS3.16 annex O: SNOMED CT concept -> SNOMED-RT; T- is topography

    assert {code: mapping["SCT"].get(code, "")[:2] for code in FLUID} == dict.fromkeys(FLUID, "T-")


def test_several_values_may_be_one_structure_and_are_learned_as_one():
    head = "123037004", "69536005"
    table = LabelTable((Structure(2, "head", *head), Structure(3, "head", *head), Structure(24, "fluid")))
    assert (table.names, table.values, len(table)) == (["head", "fluid"], [2, 3, 24], 2)
    np.testing.assert_array_equal(table.renumber(np.array([0, 2, 3, 24]), ["fluid", "head"]), [0, 2, 2, 1])
    assert [(s.value, s.name) for s in table.select(["head"])] == [(1, "head")]


def test_one_name_under_two_codes_is_refused():
    with pytest.raises(XmedError, match="each name with the same codes"):
        LabelTable((Structure(1, "head", "1", "2"), Structure(2, "head", "1", "3")))


def test_a_net_learns_the_named_structures_as_one_two_three():
    chosen = TABLE.select(["spleen", "kidney"])
    assert [(s.value, s.name, s.type) for s in chosen] == [(1, "spleen", None), (2, "kidney", "64033007")]
    found = TABLE.renumber(np.array([0, 2, 5, 9]), ["spleen", "kidney"])
    np.testing.assert_array_equal(found, [0, 0, 2, 1])


def test_stored_floats_are_rounded_within_a_thousandth():
    found = TABLE.check(np.array([0.0, 1.9995, 5.0, 9.0005]))
    np.testing.assert_array_equal(found, [0, 2, 5, 9])
    assert found.dtype == np.uint8


@pytest.mark.parametrize("values", [[0.5], [2.002], [np.nan], [np.inf]])
def test_values_that_are_not_whole_are_refused(values):
    with pytest.raises(XmedError, match=r"error\[LABEL_VALUES\]: found label values that are not whole numbers"):
        TABLE.check(np.array(values))


def test_values_that_the_table_does_not_know_are_named():
    with pytest.raises(
        XmedError, match=r"error\[LABEL_VALUES\]: found label values \[-1, 7\] · expected 0 or one of \[2, 5, 9\]"
    ):
        TABLE.check(np.array([0, 7, -1, 2]))


def test_values_beyond_a_byte_keep_their_width():
    assert LabelTable((Structure(530, "white matter"),)).check(np.array([530.0])).dtype == np.uint16
    assert LabelTable((Structure(70000, "white matter"),)).check(np.array([7e4])).dtype == np.int32
