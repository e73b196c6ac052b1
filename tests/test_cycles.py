"""Cycles: the learning rate rises and falls once, or once more before something new begins, and resumes where it was."""

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from xmed.train.cycles import Cycles


def optimiser(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates or (0.1,)])


def rates(schedule: Cycles, steps: int, group: int = 0) -> list[float]:
    seen = []
    for _ in range(steps):
        seen.append(schedule.optimiser.param_groups[group]["lr"])
        schedule.optimiser.step()
        schedule.step()
    return seen


def test_one_cycle_is_torchs_own():
    reference = optimiser()
    theirs = OneCycleLR(reference, 0.1, total_steps=50)
    expected = []
    for _ in range(49):
        expected.append(reference.param_groups[0]["lr"])
        reference.step()
        theirs.step()
    assert rates(Cycles(optimiser(), 50), 50)[:49] == pytest.approx(expected)


def test_a_second_cycle_starts_low_again_and_reaches_its_share_of_every_groups_rate():
    seen = rates(Cycles(optimiser(0.1, 0.01), 100, ((0.6, 1.0), (0.4, 0.5))), 100, group=1)
    assert max(seen[:60]) == pytest.approx(0.01)
    assert seen[59] < 1e-5
    assert max(seen[60:]) == pytest.approx(0.005)
    assert seen[60] == pytest.approx(0.005 / 25)
    assert seen[99] < 1e-5


@pytest.mark.parametrize("stop", [10, 59, 60, 61, 90])
def test_an_interrupted_schedule_goes_on_as_if_nothing_had_happened(stop):
    cycles = ((0.6, 1.0), (0.4, 0.5))
    whole = rates(Cycles(optimiser(), 100, cycles), 100)
    first = Cycles(optimiser(), 100, cycles)
    rates(first, stop)
    second = Cycles(optimiser(), 100, cycles)
    second.optimiser.load_state_dict(first.optimiser.state_dict())
    second.load_state_dict(first.state_dict())
    assert rates(second, 100 - stop) == pytest.approx(whole[stop:])


def test_the_shortest_training_has_two_steps():
    assert len(rates(Cycles(optimiser(), 2), 2)) == 2
