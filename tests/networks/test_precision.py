"""A network computes in the precision that was measured to be faster on this machine, and keeps to it within a home."""

import json
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from xmed.errors import XmedError
from xmed.home import Home
from xmed.networks import precision
from xmed.networks.precision import BFLOAT16, FLOAT32, choose_precision, measure
from xmed.spec import GridSpec, NetworkSpec

NETWORK, CPU = NetworkSpec(name="unet", channels=[2, 4, 4]), torch.device("cpu")
FLAT, SOLID = (GridSpec(spacing_mm=[1, 1, 1], patch=patch) for patch in ([24, 24, 1], [8, 8, 8]))


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch):
    monkeypatch.delenv("XMED_PRECISION", raising=False)
    monkeypatch.setattr(precision, "_of_this_process", {})


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return Home(tmp_path / "home")


@dataclass
class Clock:
    """A clock in place of time.perf_counter, which a step in either precision moves on by a stated time."""

    now: float = 0.0

    def __call__(self):
        return self.now


class Timed(nn.Module):
    """A network whose steps take as long as a test says; it counts the voxels that each precision has seen."""

    def __init__(self, clock, float32, bfloat16):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)
        self.clock, self.costs, self.calls = clock, {False: float32, True: bfloat16}, []

    def forward(self, image):
        rounds = torch.is_autocast_enabled("cpu")
        self.calls.append((rounds, image.numel()))
        self.clock.now += self.costs[rounds] * image.numel()
        return self.layer(image)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("float32", "bfloat16"), [(2e-6, 1e-6), (1e-6, 3e-6)])
def test_the_faster_precision_has_the_smaller_time(monkeypatch, float32, bfloat16, training):
    clock = Clock()
    monkeypatch.setattr(precision.time, "perf_counter", clock)
    net = Timed(clock, float32, bfloat16)
    seconds = measure(net, [torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 16, 16)], training)
    assert seconds == {FLOAT32: pytest.approx(512 * float32), BFLOAT16: pytest.approx(512 * bfloat16)}


def test_a_precision_that_takes_minutes_is_not_measured_for_minutes(monkeypatch):
    """Without instructions for it a step in bfloat16 took 92 s in place of 0.6 s."""
    clock = Clock()
    monkeypatch.setattr(precision.time, "perf_counter", clock)
    net = Timed(clock, 1e-5, 150e-5)
    seconds = measure(net, [torch.zeros(2, 1, edge, edge) for edge in (8, 16, 32, 64, 128)], training=True)
    assert seconds[BFLOAT16] > 100 * seconds[FLOAT32]
    assert clock.now < 4 * precision.SECONDS
    assert {voxels for _, voxels in net.calls} < {2 * edge**2 for edge in (8, 16, 32, 64)}


def test_a_device_without_bfloat16_computes_in_float32(monkeypatch):
    step = precision._seconds_of_step

    def no_bfloat16(net, image, training, bfloat16):
        if bfloat16:
            raise RuntimeError("no such kernel")
        return step(net, image, training, bfloat16)

    monkeypatch.setattr(precision, "_seconds_of_step", no_bfloat16)
    choice = choose_precision(NETWORK, FLAT, 2, CPU, "training")
    assert (choice.precision, choice.bfloat16_ms) == (FLOAT32, None)


@pytest.mark.parametrize("step", ["training", "prediction"])
@pytest.mark.parametrize("grid", [FLAT, SOLID])
def test_what_was_measured_stays_in_the_home(home, monkeypatch, grid, step):
    first = choose_precision(NETWORK, grid, 2, CPU, step, home)
    assert first.reason == "measured"
    assert first.float32_ms > 0 < first.bfloat16_ms
    monkeypatch.setattr(precision, "_of_this_process", {})
    monkeypatch.setattr(precision, "measure", None)
    assert choose_precision(NETWORK, grid, 2, CPU, step, home) == first
    assert next(iter(json.loads(home.precision.read_text())["choices"].values()))["spatial_dims"] == grid.spatial_dims
    with pytest.raises(TypeError):
        choose_precision(NetworkSpec(name="unet", channels=[2, 4, 8]), grid, 2, CPU, step, home)


@pytest.mark.parametrize(("gain", "expected"), [(1.0, FLOAT32), (1.05, FLOAT32), (1.2, BFLOAT16)])
def test_equal_speed_is_no_reason_to_round(monkeypatch, gain, expected):
    monkeypatch.setattr(precision, "measure", lambda *_, **__: {FLOAT32: gain, BFLOAT16: 1.0})
    assert choose_precision(NETWORK, FLAT, 2, CPU, "training").precision == expected


def test_without_a_home_none_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "none"))
    choose_precision(NETWORK, FLAT, 2, CPU, "prediction")
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_to_is_no_obstacle(home, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(precision, "hold_short_lock", refuse)
    assert choose_precision(NETWORK, FLAT, 2, CPU, "prediction", home).reason == "measured"
    assert not home.precision.exists()


def test_a_stated_precision_is_not_measured(monkeypatch, home):
    monkeypatch.setattr(precision, "measure", None)
    monkeypatch.setenv("XMED_PRECISION", "bfloat16")
    choice = choose_precision(NETWORK, FLAT, 2, CPU, "training", home)
    assert (choice.precision, choice.reason) == ("bfloat16", "XMED_PRECISION")
    assert not home.precision.exists()
    monkeypatch.setenv("XMED_PRECISION", "half")
    with pytest.raises(XmedError, match=r"error\[USAGE\]: found XMED_PRECISION=half · expected float32 or bfloat16"):
        choose_precision(NETWORK, FLAT, 2, CPU, "training", home)
