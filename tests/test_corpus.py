"""Corpus: each row of the bad-input table gets the answer that the table asks for, from inspect and from ingest."""

import pytest

from support.corpus import rows
from support.corpus.judge import Answer, ingested, inspected, meets

ROWS = rows()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_gets_its_answer_from_inspect(row, tmp_path):
    if row.label:
        pytest.skip("a row about a label: only ingest looks at labels")
    answer = inspected(row, tmp_path)
    assert meets(row, answer), answer


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_gets_its_answer_from_ingest_and_costs_its_neighbour_nothing(row, tmp_path):
    answer, neighbour = ingested(row, tmp_path)
    if row.volumes > 1:  # ingest must be told which one is meant
        assert answer in (Answer(codes=("MIXED_SERIES",)), Answer(codes=("MULTI_VOLUME",)))
    else:
        assert meets(row, answer), answer
    assert neighbour == Answer(1)


def test_every_number_of_the_table_has_its_files():
    assert {row.number for row in ROWS} == set(range(1, 67))
