"""A3: volumes that only a time tells apart are in its order, at every position, or the series is refused.

The right order follows from how the series are made: DA and TM belong together, DT carries its zone (PS3.5 6.2).
"""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from support.numbered_slices import item, shown, stack, tried
from support.synthetic_dicom import enhanced, texture

VOLUMES, SLICES = 4, 6
EVENING = datetime(2024, 1, 2, 23, 59, 50)


def film(moment, apart=6.0, within=0.9, volumes=VOLUMES, numbers="series", **values):
    """Volumes of one series, `apart` seconds each; moment: attributes of an image from its time, volume and slice."""
    found = []
    for v in range(volumes):
        for k, ds in enumerate(stack(2.0 * np.arange(SLICES), v + 1, "MR", AcquisitionNumber=1, **values)):
            for keyword in ("AcquisitionDate", "ContentDate", "ContentTime"):
                ds.pop(keyword, None)
            t = EVENING + timedelta(seconds=apart * v + within * k)
            for keyword, value in moment(t, v, k).items():
                setattr(ds, keyword, value)
            ds.InstanceNumber = 1 if numbers is None else len(found) + 1
            found.append(ds)
    return found


def date_and_time(kind):
    return lambda t, v, k: {f"{kind}Date": f"{t:%Y%m%d}", f"{kind}Time": f"{t:%H%M%S.%f}"}


def zoned(t, v, k):
    """The zone changes with the volume, as at the end of summer time; the moments go on."""
    hours = 2 if v < 2 else 1
    there = t.replace(tzinfo=timezone(timedelta(hours=2))).astimezone(timezone(timedelta(hours=hours)))
    return {"AcquisitionDateTime": f"{there:%Y%m%d%H%M%S.%f}+0{hours}00"}


def year(t, v, k):
    late = datetime(2023, 12, 31, 23, 59, 50) + (t - EVENING)
    return {"AcquisitionDate": f"{late:%Y%m%d}", "AcquisitionTime": f"{late:%H%M%S.%f}"}


def fractions(t, v, k):
    """235950, 235956.5, 000003 ...: fractions of another length, or none."""
    text = f"{t:%H%M%S.%f}".rstrip("0").rstrip(".")
    return {"AcquisitionDate": f"{t:%Y%m%d}", "AcquisitionTime": text}


def summer(t, v, k):
    """The hour that comes twice: 02:59:50 in summer time, then 02:00:02 in winter time, of one day."""
    late = t + timedelta(hours=3)
    zone = "+0200" if late < datetime(2024, 1, 3, 3) else "+0100"
    there = late if zone == "+0200" else late - timedelta(hours=1)
    return {
        "AcquisitionDate": "20240103",
        "AcquisitionTime": f"{there:%H%M%S.%f}",
        "TimezoneOffsetFromUTC": zone,
    }


def twice(t, v, k):
    """Two volumes whose local times are the same, an hour apart."""
    return {
        "AcquisitionDate": "20240103",
        "AcquisitionTime": f"02000{v % 2}.{k}",
        "TimezoneOffsetFromUTC": "+0200" if v < 2 else "+0100",
    }


def colons(t, v, k):
    return {"AcquisitionDate": f"{t:%Y.%m.%d}", "AcquisitionTime": f"{t:%H:%M:%S.%f}"}


ORDERED = {
    "acquisition date and time": film(date_and_time("Acquisition"), numbers=None),
    "content date and time": film(date_and_time("Content"), numbers=None),
    "acquisition date and time, numbered": film(date_and_time("Acquisition")),
    "one time for a volume": film(date_and_time("Acquisition"), within=0.0, numbers=None),
    "one moment": film(lambda t, v, k: {"AcquisitionDateTime": f"{t:%Y%m%d%H%M%S.%f}"}, numbers=None),
    "zones": film(zoned, numbers=None),
    "a new year": film(year, numbers=None),
    "the end of summer time": film(summer, numbers=None),
    "an hour that comes twice": film(twice, numbers=None),
    "numbers of acquisitions, written position by position in any order": film(
        lambda t, v, k: {"AcquisitionNumber": v + 1, "ContentTime": f"1{k}000{(v * (k + 1) + k) % 5}"}, numbers=None
    ),
    "fractions": film(fractions, apart=6.5, within=0.0, numbers=None),
    "colons": film(colons, numbers=None),
    "noon, no date": film(
        lambda t, v, k: {"AcquisitionTime": f"{t - timedelta(hours=12):%H%M%S.%f}"}, numbers=None
    ),
    "slice by slice": film(
        lambda t, v, k: date_and_time("Acquisition")(t + timedelta(seconds=30 * k), v, k), within=0.0, numbers=None
    ),
    "slices in two passes": film(date_and_time("Acquisition"), within=0.0, numbers=None),
    "trigger times that differ from slice to slice": film(
        lambda t, v, k: {"TriggerTime": 200.0 * v + 31 * k}, numbers=None
    ),
    "temporal positions against the times": film(
        lambda t, v, k: {
            "TemporalPositionIdentifier": v + 1,
            **date_and_time("Acquisition")(t - timedelta(seconds=14 * v), v, k),
        }
    ),
    "numbers where times have no date": film(lambda t, v, k: {"AcquisitionTime": f"{t:%H%M%S.%f}"}),
    "numbers where all have one date": film(
        lambda t, v, k: {"AcquisitionDate": "20240102", "AcquisitionTime": f"{t:%H%M%S.%f}"}
    ),
}  # fmt: skip
for _k, _ds in enumerate(ORDERED["slices in two passes"]):  # even slices first, as 2-D sequences do
    _v, _n = divmod(_k, SLICES)
    _t = EVENING + timedelta(seconds=6.0 * _v + 0.9 * (_n // 2 + 3 * (_n % 2)))
    _ds.AcquisitionDate, _ds.AcquisitionTime = f"{_t:%Y%m%d}", f"{_t:%H%M%S.%f}"


@pytest.mark.parametrize("name", ORDERED)
def test_volumes_come_in_the_order_of_their_time(tmp_path, name):
    found, code = tried(ORDERED[name], tmp_path)
    assert found == [shown(v + 1, SLICES) for v in range(VOLUMES)], code


def jitter(t, v, k):
    """Later slices of a volume come after earlier ones of the next: in half of the positions, the order is another."""
    moved = t + timedelta(seconds=[0, 9][k % 2] * (-1) ** v)
    return {"AcquisitionDate": f"{moved:%Y%m%d}", "AcquisitionTime": f"{moved:%H%M%S.%f}"}


def restarting(t, v, k):
    """Two heart beats of two phases: the second one's times lie before or behind those of the first by a little."""
    return {"TriggerTime": 300.0 * (v % 2) + (v // 2) * (5.0 if k % 2 else -5.0) + 10}


UNSURE = {
    "no date at midnight": film(lambda t, v, k: {"AcquisitionTime": f"{t:%H%M%S.%f}"}, numbers=None),
    "one date at midnight": film(
        lambda t, v, k: {"AcquisitionDate": "20240102", "AcquisitionTime": f"{t:%H%M%S.%f}"}, numbers=None
    ),
    "no date at midnight, content time": film(lambda t, v, k: {"ContentTime": f"{t:%H%M%S.%f}"}, numbers=None),
    "no date at midnight, one time for a volume": film(
        lambda t, v, k: {"AcquisitionTime": f"{t:%H%M%S.%f}"}, within=0.0, numbers=None
    ),
    "jitter": film(jitter, numbers=None),
    "jitter, numbered": film(jitter),
    "trigger times that start again": film(restarting, numbers=None),
    "trigger times that start again, numbered": film(restarting),
    "a date in half of the slices": film(
        lambda t, v, k: {"AcquisitionTime": f"{t:%H%M%S.%f}", **({"AcquisitionDate": f"{t:%Y%m%d}"} if k % 2 else {})},
        numbers=None,
    ),
    "a zone in half of the volumes": film(
        lambda t, v, k: {
            "AcquisitionDateTime": f"{t + timedelta(hours=v % 2):%Y%m%d%H%M%S.%f}" + ("+0100" if v % 2 else "")
        },
        numbers=None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSURE)
def test_where_time_does_not_tell_the_order_another_key_does_or_nobody(tmp_path, name):
    found, code = tried(UNSURE[name], tmp_path)
    assert found in (None, [shown(v + 1, SLICES) for v in range(VOLUMES)])
    if found is None:
        assert code == "MULTI_VOLUME"


@pytest.mark.parametrize("keyword", ["FrameAcquisitionDateTime", "FrameReferenceDateTime"])
def test_frames_of_a_multi_frame_image_are_in_the_order_of_their_moments(tmp_path, keyword):
    arrays = [texture((9, 7, SLICES), seed) for seed in range(VOLUMES)]
    for v, array in enumerate(arrays):
        array[0, 0] = shown(v + 1, SLICES)
    ds = enhanced(np.concatenate(arrays, axis=2), np.diag([1.0, 1.0, 2.0, 1.0]))
    places = [frame.PlanePositionSequence for frame in ds.PerFrameFunctionalGroupsSequence[:SLICES]]
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        t = EVENING + timedelta(seconds=6 * (n // SLICES) + 0.9 * (n % SLICES))
        frame.PlanePositionSequence = places[n % SLICES]
        frame.FrameContentSequence = [item(**{keyword: f"{t:%Y%m%d%H%M%S.%f}"})]
    found, code = tried([ds], tmp_path)
    assert found == [shown(v + 1, SLICES) for v in range(VOLUMES)], code
