"""Split: the volumes of one series come apart by what its header says, and by nothing that only looks like it."""

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from support.synthetic_dicom import enhanced, oblique, refusal, save, slices, texture
from xmed.io import read_series, read_volumes
from xmed.io.notes import collect_notes

ARRAYS, AFFINE = [texture((12, 9, 5), seed) for seed in range(3)], oblique()


def series(*arrays, **values):
    """One data set for every slice of every volume; a value is set by volume, or by (volume, slice) where callable."""
    found = []
    for v, array in enumerate(arrays):
        for k, ds in enumerate(slices(array, AFFINE)):
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            for keyword, value in values.items():
                setattr(ds, keyword, value(v, k) if callable(value) else value[v])
            found.append(ds)
    return found


def told(volumes):
    """Names of the volumes that came out, each with the number of the array that it shows."""
    return {name: next(n for n, a in enumerate(ARRAYS) if np.array_equal(v.array, a)) for name, v in volumes.items()}


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"DiffusionBValue": [0.0, 50.0, 800.0]}, ["DiffusionBValue 0", "DiffusionBValue 50", "DiffusionBValue 800"]),
        ({"EchoTime": [5.0, 10.0, 100.0]}, ["EchoTime 5", "EchoTime 10", "EchoTime 100"]),
        ({"TemporalPositionIdentifier": [1, 2, 10]}, [f"TemporalPositionIdentifier {n}" for n in (1, 2, 10)]),
        ({"TriggerTime": lambda v, k: 300 * v + 7 * k}, ["TriggerTime 0", "TriggerTime 300", "TriggerTime 600"]),
        ({"AcquisitionNumber": [1, 2, 3]}, [f"AcquisitionNumber {n}" for n in (1, 2, 3)]),
        (
            {"AcquisitionTime": ["115959", "120001.5", "120002"]},
            [f"AcquisitionTime {t}" for t in ("115959", "120001.5", "120002")],
        ),
        ({"FlipAngle": [2, 5, 9]}, ["FlipAngle 2", "FlipAngle 5", "FlipAngle 9"]),
        ({"InstanceNumber": lambda v, k: 5 * v + k + 1}, [f"InstanceNumber {n}" for n in (1, 6, 11)]),
        ({"InstanceNumber": lambda v, k: 3 * (4 - k) + v}, [f"InstanceNumber {n}" for n in range(3)]),
    ],
)
def test_volumes_come_apart_by_each_attribute_and_in_its_order(tmp_path, values, names):
    found = series(*ARRAYS, **{"InstanceNumber": [1, 1, 1], **values})
    order = np.random.default_rng(0).permutation(len(found))
    volumes = read_volumes(save([found[n] for n in order], tmp_path))
    assert told(volumes) == {name: n for n, name in enumerate(names)}
    assert all(np.allclose(volume.affine, AFFINE, atol=1e-8) for volume in volumes.values())


def test_a_volume_is_taken_by_its_number_and_that_is_on_record(tmp_path):
    folder = save(series(*ARRAYS, DiffusionBValue=[0.0, 50.0, 800.0]), tmp_path)
    with collect_notes() as notes:
        assert np.array_equal(read_series(folder, 2).array, ARRAYS[2])
    assert [note.code for note in notes] == ["SEVERAL_VOLUMES"]
    with refusal("MULTI_VOLUME", "volume 3 was requested", "2: DiffusionBValue 800", "image_channel"):
        read_series(folder, 3)
    with refusal("MULTI_VOLUME", "3 volumes in one series"):
        read_series(folder)


def test_equal_corners_of_two_time_points_are_not_taken_for_a_file_that_came_twice(tmp_path):
    """The first slices of both show nothing but air."""
    early, late = (array.copy() for array in ARRAYS[:2])
    early[:, :, 0] = late[:, :, 0] = 7
    volumes = list(read_volumes(save(series(early, late, AcquisitionNumber=[1, 2]), tmp_path)).values())
    assert np.array_equal(volumes[0].array, early)
    assert np.array_equal(volumes[1].array, late)


def test_shuffled_instance_numbers_tell_no_volumes_apart(tmp_path):
    shuffled = np.random.default_rng(1).permutation(15)
    found = series(*ARRAYS, InstanceNumber=lambda v, k: int(shuffled[5 * v + k]))
    with refusal("MULTI_VOLUME", "no attribute that distinguishes their volumes"):
        read_series(save(found, tmp_path))


def test_a_time_that_differs_from_slice_to_slice_makes_no_volumes_of_a_single_one(tmp_path):
    found = series(ARRAYS[0], TriggerTime=lambda v, k: 40.0 * k, AcquisitionNumber=lambda v, k: k)
    assert list(read_volumes(save(found, tmp_path))) == [""]


def test_a_volume_that_lacks_a_slice_is_refused_and_its_neighbour_is_not(tmp_path):
    found = series(*ARRAYS[:2], DiffusionBValue=[0.0, 800.0])
    del found[7]
    folder = save(found, tmp_path)
    assert np.array_equal(read_series(folder, 0).array, ARRAYS[0])
    with refusal("SLICE_GAP"):
        read_series(folder, 1)


def test_a_multi_frame_image_of_two_b_values_is_split_by_its_functional_groups(tmp_path):
    both = np.concatenate(ARRAYS[:2], axis=2)
    ds = enhanced(both, AFFINE)
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        diffusion, direction = Dataset(), Dataset()
        diffusion.DiffusionBValue = 1000.0
        direction.DiffusionGradientOrientation = [0.0, 0.0, 1.0] if n < 5 else [1.0, 0.0, 0.0]
        diffusion.DiffusionGradientDirectionSequence = [direction]
        frame.MRDiffusionSequence = [diffusion]
        frame.PlanePositionSequence = ds.PerFrameFunctionalGroupsSequence[n % 5].PlanePositionSequence
    assert told(read_volumes(save([ds], tmp_path))) == {
        "DiffusionGradientOrientation 0 0 1": 0,
        "DiffusionGradientOrientation 1 0 0": 1,
    }


def test_a_three_plane_localizer_is_one_volume_for_each_of_its_orientations(tmp_path):
    found = []
    for n, directions in enumerate(([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])):
        for ds in slices(ARRAYS[n], np.diag([1.0, 1, 4, 1]))[:1]:
            ds.ImageOrientationPatient, ds.ImageType = directions, ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            found.append(ds)
    volumes = read_volumes(save(found, tmp_path))
    assert list(volumes) == ["orientation 0", "orientation 1", "orientation 2"]
    assert all(volume.array.shape == (12, 9, 1) for volume in volumes.values())


def test_a_localizer_among_slices_is_left_out_on_record(tmp_path):
    found = series(ARRAYS[0])
    scout = slices(ARRAYS[1], AFFINE)[0]
    scout.ImageOrientationPatient, scout.ImageType = [1, 0, 0, 0, 0, -1], ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    with collect_notes() as notes:
        assert np.array_equal(read_series(save([scout, *found], tmp_path)).array, ARRAYS[0])
    assert [str(note) for note in notes] == ["note[LOCALIZER]: 1 localizer images in the series are left out"]
