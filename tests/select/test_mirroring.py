"""What mirrored copies cost and gain is measured on labelled source cases alone, and is a choice of the study."""

from dataclasses import replace

import numpy as np
import pytest

from support.threshold_model import model
from xmed.labels import LabelTable, Structure
from xmed.model import Model
from xmed.prepare import Sample
from xmed.select import measure_mirroring
from xmed.volume import Grid


def case() -> Sample:
    image = np.random.default_rng(0).normal(0, 0.05, (32, 32, 6)).astype(np.float32)
    label = np.zeros(image.shape, np.uint8)
    label[10:20, 10:20, 1:5] = 1
    return Sample("c", image + 3 * label, np.ones(image.shape, bool), Grid(image.shape, np.diag([2.0, 2, 2, 1])), label)


@pytest.mark.parametrize("mirrors", [True, False])
def test_cost_and_gain_are_measured_whether_or_not_the_model_mirrors(mirrors):
    seeing = replace(model(spacing=(2, 2, 2), modality="PT"), mirrors=mirrors)
    noted = []
    test = measure_mirroring(
        seeing, [replace(case(), label=None)], [case()], 0, progress=lambda *step: noted.append(step)
    )
    assert (test.used, test.copies, test.volumes) == (mirrors, 4, 4)
    assert 0 <= test.dice_plain <= 1
    assert 0 <= test.dice_mirrored <= 1
    assert test.times_as_long > 0
    assert noted[-1] == ("mirrored copies, seed 0", 4, 4, test.sentence)


def test_a_network_that_sees_better_in_a_mirror_gains_by_copies(monkeypatch):
    plain = Model.probabilities

    def better_in_a_mirror(self, seen, quick=False):
        p = plain(self, seen, quick)
        return p if self.mirrors else np.stack([np.ones_like(p[0]), np.zeros_like(p[0])])

    monkeypatch.setattr(Model, "probabilities", better_in_a_mirror)
    monkeypatch.setattr("xmed.select.mirroring.render_as_target", lambda case, *_: case)
    test = measure_mirroring(model(spacing=(2, 2, 2), modality="PT"), [case()], [case()], 0)
    assert test.dice_plain == 0
    assert test.dice_mirrored > 0.9


def test_nothing_is_measured_where_nothing_may_be_mirrored_or_no_case_was_held_out():
    sided = replace(model(modality="US"), structures=LabelTable((Structure(1, "left kidney", "x", "y"),)))
    assert not any(sided.flips)
    assert measure_mirroring(sided, [case()], [case()], 0) is None
    assert measure_mirroring(model(modality="PT"), [case()], [], 0) is None


def test_a_model_that_does_not_mirror_predicts_one_copy(monkeypatch):
    made = model(spacing=(2, 2, 2), modality="PT")
    assert made.flips == (True, True)
    without = replace(made, mirrors=False)
    assert without.flips == (False, False)
    windows, logits = [], Model.logits
    monkeypatch.setattr(Model, "logits", lambda self, image: (windows.append(len(image)), logits(self, image))[1])
    without.probabilities(case())
    few, windows[:] = sum(windows), []
    made.probabilities(case())
    assert few < sum(windows)
