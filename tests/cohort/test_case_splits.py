"""Splits: a patient's partition depends on the patient, the seed and the fractions, and on nothing else."""

from collections import Counter

import pytest

from xmed.cohort.case import assign_splits
from xmed.spec import FractionSplits, Splits

PATIENTS = [f"p{n:03d}" for n in range(200)]


def shares(seed=0, **fraction):
    return FractionSplits(fraction=fraction or {"train": 0.6, "select": 0.15, "test": 0.25}, seed=seed)


def test_explicit_lists_are_taken_as_they_are():
    assert assign_splits(Splits(train=["a"], test=["b"]), ["a", "c"]) == {"a": "train", "b": "test"}


def test_fractions_are_met_about():
    counts = Counter(assign_splits(shares(), PATIENTS).values())
    assert counts["train"] == pytest.approx(120, abs=21)  # three standard deviations of the binomial law
    assert counts["test"] == pytest.approx(50, abs=19)
    assert sum(counts.values()) == 200


def test_neither_order_nor_newcomers_move_a_patient():
    first = assign_splits(shares(), PATIENTS[:100])
    assert assign_splits(shares(), PATIENTS[99::-1]) == first
    later = assign_splits(shares(), PATIENTS)
    assert {patient: later[patient] for patient in first} == first


def test_another_seed_draws_another_split():
    assert assign_splits(shares(), PATIENTS) != assign_splits(shares(seed=1), PATIENTS)


@pytest.mark.parametrize("seed", range(20))
def test_no_partition_of_a_small_dataset_stays_empty(seed):
    assert set(assign_splits(shares(seed), PATIENTS[:4]).values()) == {"train", "select", "test"}


def test_a_single_patient_has_one_place():
    assert len(assign_splits(shares(), ["p"])) == 1
    assert assign_splits(shares(), []) == {}
