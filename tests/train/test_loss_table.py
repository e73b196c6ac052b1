"""Losses are written with the value that each step had, and read from a GPU only now and then."""

import csv
from types import SimpleNamespace

import pytest
import torch

from xmed.errors import XmedError
from xmed.train import loss_table
from xmed.train.loss_table import LossTable


class OnGpu:
    """A scalar on a GPU: reading it waits, which is counted."""

    reads = 0

    def __init__(self, value):
        self.value, self.device = value, SimpleNamespace(type="cuda")

    def double(self):
        OnGpu.reads += 1
        return torch.tensor(self.value, dtype=torch.float64)


def losses(total, place=torch.tensor):
    return {"supervised": place(total / 2), "apart": place(total / 2), "total": place(total)}


def written(path):
    with path.open(newline="") as file:
        return [(int(row["step"]), float(row["total"])) for row in csv.DictReader(file)]


def test_on_a_processor_each_step_is_read_at_once(tmp_path):
    with LossTable(tmp_path / "losses.csv", 0, writes=True) as table:
        table.row(1, losses(0.3), 1e-3)
        assert table.last_total == pytest.approx(0.3)
        with pytest.raises(XmedError, match=r"error\[TRAINING_DIVERGED\]: found step 2"):
            table.row(2, losses(float("nan")), 1e-3)


def test_on_a_gpu_nothing_is_read_until_it_is_due_or_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(loss_table, "READ_EVERY", 4)
    OnGpu.reads = 0
    with LossTable(tmp_path / "losses.csv", 0, writes=True) as table:
        for step in (1, 2, 3):
            table.row(step, losses(float(step), OnGpu), 1e-3)
        assert OnGpu.reads == 0
        table.row(4, losses(4.0, OnGpu), 1e-3)
        assert (OnGpu.reads, table.last_total) == (12, 4.0)
        table.row(5, losses(5.0, OnGpu), 1e-3)
        table.flush()
        assert written(tmp_path / "losses.csv")[-1] == (5, 5.0)
        table.row(6, losses(6.0, OnGpu), 1e-3)
    assert written(tmp_path / "losses.csv") == [(step, float(step)) for step in range(1, 7)]


def test_a_step_that_diverged_is_named_though_it_is_read_later(tmp_path):
    table = LossTable(tmp_path / "losses.csv", 0, writes=True)
    for step, total in ((1, 1.0), (2, float("inf")), (3, float("nan"))):
        table.row(step, losses(total, OnGpu), 1e-3)
    with pytest.raises(XmedError, match=r"error\[TRAINING_DIVERGED\]: found step 2"):
        table.__exit__(None)
    assert written(tmp_path / "losses.csv") == [(1, 1.0)]


def test_a_continued_training_drops_the_rows_after_its_checkpoint(tmp_path):
    path = tmp_path / "losses.csv"
    with LossTable(path, 0, writes=True) as table:
        for step in (1, 2, 3):
            table.row(step, losses(float(step)), 1e-3)
    with LossTable(path, 2, writes=True) as table:
        table.row(3, losses(9.0), 1e-3)
    assert written(path) == [(1, 1.0), (2, 2.0), (3, 9.0)]
