"""A1: acquisitions of one series whose slices alternate come apart; what belongs together stays one volume.

The right answers follow from how the series are made: each phase is a stack of its own (PS3.3 C.7.4.1: an acquisition
is a single, continuous gathering of data), and MR packages of odd and even slices are one.
"""

import numpy as np
import pytest

from support.numbered_slices import TURNED, clock, numbered, shown, stack, tried
from xmed.io import inspect

EIGHT = np.arange(8)


def phases(*parts, **common):
    """Stacks of parts (places, values), numbered through."""
    return numbered(
        [ds for n, (places, values) in enumerate(parts, 1) for ds in stack(places, n, **{**common, **values})]
    )


def acquired(number, start, apart=0.0, **more):
    time = clock(start, apart)
    return {"AcquisitionNumber": number, "AcquisitionTime": time, "ContentTime": time, **more}


TWO = [(2.0 * EIGHT, acquired(1, "100000")), (2.0 * EIGHT + 1, acquired(2, "100130"))]
APART = {
    "half a step": phases(*TWO),
    "half a step, oblique": phases(*TWO, affine=TURNED),
    "half a step, PET": phases(*TWO, modality="PT"),
    "a third of a step": phases(TWO[0], (2 * EIGHT + 0.67, acquired(2, "100130"))),
    "three phases by thirds": phases(*[(3 * EIGHT + n, acquired(n + 1, f"100{n}30")) for n in range(3)]),
    "four phases by quarters": phases(*[(4 * EIGHT + n, acquired(n + 1, f"100{n}30")) for n in range(4)]),
    "ranges that overlap in part": phases(TWO[0], (2 * EIGHT + 9, acquired(2, "100130"))),
    "ranges that overlap in part, on one lattice": phases(TWO[0], (2 * EIGHT + 8, acquired(2, "100130"))),
    "one phase of another length": phases(TWO[0], (2 * np.arange(5) + 3.0, acquired(2, "100130"))),
    "another slice distance": phases(TWO[0], (3 * np.arange(5) + 0.5, acquired(2, "100130"))),
    "descending, slice by slice in time": phases(
        (14 - 2.0 * EIGHT, acquired(1, "100000", 0.4)), (15 - 2.0 * EIGHT, acquired(2, "100130", 0.4))
    ),
    "times alone": phases(
        (2.0 * EIGHT, acquired(1, "100000", 0.4)), (2.0 * EIGHT + 1, acquired(1, "100130", 0.4))
    ),
    "times alone, table there and back": phases(
        (2.0 * EIGHT, acquired(None, "100000", 0.4)), (15 - 2.0 * EIGHT, acquired(None, "100130", 0.4))
    ),
    "times alone, one for each phase": phases(
        (2.0 * EIGHT, acquired(None, "100000")), (2.0 * EIGHT + 1, acquired(None, "100130"))
    ),
    "two on one lattice and one between": phases(
        TWO[0], (2.0 * EIGHT, acquired(2, "100130")), (2.0 * EIGHT + 1, acquired(3, "100300"))
    ),
    "two on each of two lattices": phases(
        TWO[0], (2.0 * EIGHT, acquired(2, "100130")), (2.0 * EIGHT + 1, acquired(3, "100300")),
        (2.0 * EIGHT + 1, acquired(4, "100430")),
    ),
    "contrast given in one": phases((2.0 * EIGHT, {}), (2.0 * EIGHT + 1, {"ContrastBolusAgent": "some"})),
    "two kernels": phases(
        (2.0 * EIGHT, {"ConvolutionKernel": "B30f"}), (2.0 * EIGHT + 1, {"ConvolutionKernel": "B70f"})
    ),
    "two tube voltages": phases((2.0 * EIGHT, {"KVP": 80}), (2.0 * EIGHT + 1, {"KVP": 140})),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_acquisitions_that_alternate_come_apart(tmp_path, name):
    datasets = APART[name]
    found, _ = tried(datasets, tmp_path)
    sizes = {}
    for ds in datasets:
        phase = int(ds.pixel_array[0, 0]) // 100
        sizes[phase] = sizes.get(phase, 0) + 1
    down = "descending" in name
    back = "there and back" in name
    wanted = [shown(phase, n)[:: -1 if down or (back and phase == 2) else 1] for phase, n in sizes.items()]
    assert found == wanted


def interleaved(modality="MR", **second):
    return phases(
        (4.0 * EIGHT, acquired(1, "100000", 0.4)),
        (4.0 * EIGHT + 2, {**acquired(1, "100000", 0.4), **second}),
        modality=modality,
        thickness=2.0,
    )


WHOLE = {
    "MR, odd and even": interleaved(),
    "MR, odd and even, two acquisitions": interleaved(AcquisitionNumber=2),
    "MR, odd and even, one after the other": interleaved(AcquisitionTime=clock("100030", 0.4)),
    "MR, odd and even, two acquisitions, one after the other": interleaved(
        AcquisitionNumber=2, AcquisitionTime=clock("100030", 0.4)
    ),
    "MR, three packages": phases(
        *[(6.0 * EIGHT + 2 * n, acquired(n + 1, f"100{n}00", 0.4)) for n in range(3)], modality="MR", thickness=2.0
    ),
    "CT, head, then neck": phases(TWO[0], (2 * EIGHT + 16, acquired(2, "100130"))),
    "CT, neck, then head": phases((2 * EIGHT + 16, acquired(1, "100000")), (2 * EIGHT, acquired(2, "100130"))),
    "CT, a table step for every four slices": phases(
        *[(2.0 * np.arange(4) + 8 * n, acquired(n + 1, f"1000{n}0")) for n in range(4)]
    ),
    "CT, one helix, numbered slice by slice": numbered(
        stack(2.0 * EIGHT, 1, AcquisitionNumber=lambda k: k + 1, AcquisitionTime=clock("100000", 0.4))
    ),
    "CT, one helix, descending": numbered(stack(14 - 2.0 * EIGHT, 1, **acquired(4, "100000", 0.4))),
    "PET, beds one after the other": phases(
        *[(2.0 * np.arange(4) + 8 * n, acquired(None, f"10{n}000")) for n in range(3)], modality="PT"
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_belongs_together_stays_one_volume(tmp_path, name):
    datasets = WHOLE[name]
    found, notes = tried(datasets, tmp_path)
    places = [float(np.dot(ds.ImagePositionPatient, [0, 0, 1])) for ds in datasets]
    assert found == [[int(datasets[n].pixel_array[0, 0]) for n in np.argsort(places)]]
    assert not notes - {"PET_UNITS"}


DOUBT = {
    "no time, two acquisitions": phases(
        (2.0 * EIGHT, {"AcquisitionNumber": 1}), (2.0 * EIGHT + 1, {"AcquisitionNumber": 2})
    ),
    "one time, two acquisitions": phases(
        (2.0 * EIGHT, acquired(1, "100000")), (2.0 * EIGHT + 1, acquired(2, "100000"))
    ),
    "nothing but the order of numbers": phases((2.0 * EIGHT, {}), (2.0 * EIGHT + 1, {})),
    "one phase lacks a slice": phases(
        (np.delete(2.0 * EIGHT, 3), acquired(1, "100000")), (2.0 * EIGHT + 1, acquired(2, "100130"))
    ),
    "one phase lacks a slice, on one lattice": phases(
        (np.delete(2.0 * EIGHT, 3), acquired(1, "100000")), (2.0 * EIGHT, acquired(2, "100130"))
    ),
    "slices scanned once more fill a gap": phases(
        (np.delete(2.0 * EIGHT, [3, 4]), acquired(1, "100000")), (np.array([6.0, 8.0]), acquired(2, "100130"))
    ),
    "MR, thick slices that lie in one another": phases(*TWO, modality="MR", thickness=2.0),
}


@pytest.mark.parametrize("name", DOUBT)
def test_what_is_in_doubt_is_noted_or_refused(tmp_path, name):
    found, said = tried(DOUBT[name], tmp_path)
    if found is None:
        assert said != "READER_FAILED"
        return
    apart = all(len({mark // 100 for mark in volume}) == 1 for volume in found)
    assert apart or said


def test_inspect_lists_both_acquisitions(tmp_path):
    tried(APART["half a step"], tmp_path)
    assert [(f.verdict, f.shape) for f in inspect(tmp_path)] == [("ok", (9, 7, 8))] * 2
