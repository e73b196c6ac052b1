"""A11: every attribute of a frame comes from the macro that the standard puts it in (PS3.3 C.7.6.16.2 and C.8.13.5,
C.8.15.3, C.8.22.5, C.8.24.6), whatever else stands in a functional group.

The right places are those the files are made with; dcm2niix reads the plain ones as a second opinion.
"""

import copy
import shutil
import subprocess

import nibabel
import numpy as np
import pytest
from pydicom import DataElement, Dataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    SegmentationStorage,
    generate_uid,
)

from support.numbered_slices import item, shown, tried
from support.synthetic_dicom import enhanced, image, oblique, save, texture
from xmed.errors import XmedError
from xmed.io import read_label, read_series, read_volumes
from xmed.labels import LabelTable, Structure

ARRAY = texture((11, 9, 5), 4)
AFFINE = oblique()
KINDS = {"MR": EnhancedMRImageStorage, "CT": EnhancedCTImageStorage, "PT": EnhancedPETImageStorage}
FRAME_TYPE = {"MR": "MRImageFrameTypeSequence", "CT": "CTImageFrameTypeSequence", "PT": "PETFrameTypeSequence"}
WRONG = {
    "ImagePositionPatient": [-0.35, 0.65, 1000.0],
    "ImageOrientationPatient": [0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    "PixelSpacing": [9.0, 9.0],
    "SliceThickness": 9.0,
    "SpacingBetweenSlices": 9.0,
    "RescaleSlope": 3.0,
    "RescaleIntercept": 77.0,
    "RescaleType": "US",
    "DiffusionBValue": 500.0,
    "EffectiveEchoTime": 77.0,
    "EchoTime": 77.0,
    "FrameType": ["DERIVED", "SECONDARY", "OTHER"],
    "TemporalPositionIndex": 3,
    "StackID": "9",
    "FrameAcquisitionDateTime": "19990101000000",
    "NominalCardiacTriggerDelayTime": 5.0,
}


def multiframe(modality="MR", array=ARRAY, affine=AFFINE):
    """An enhanced image with shared geometry and rescaling, values = 2 · stored - 5."""
    ds = enhanced(array, affine)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = KINDS[modality]
    ds.Modality, ds.ImageType = modality, ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    shared = ds.SharedFunctionalGroupsSequence[0]
    setattr(shared, FRAME_TYPE[modality], [item(FrameType=ds.ImageType)])
    shared.PixelValueTransformationSequence = [item(RescaleSlope=2, RescaleIntercept=-5, RescaleType="US")]
    return ds


def wrong(n=0):
    """A data set of attributes that stand elsewhere in the standard, another one for each frame."""
    made = item(**copy.deepcopy(WRONG))
    made.ImagePositionPatient = [WRONG["ImagePositionPatient"][0], 0.65, 1000.0 + n * n]
    made.TemporalPositionIndex, made.DiffusionBValue = n + 1, 500.0 + n
    return made


def private(groups, content, group=0x2005, creator="Philips MR Imaging DD 005", element=0x0F):
    groups.private_block(group, creator, create=True).add_new(element, "SQ", [content])


def behind(ds):
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        private(frame, wrong(n))


def before(ds):
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        private(frame, wrong(n), 0x0019, "SOMEBODY'S GROUP")


def everywhere(ds):
    before(ds)
    behind(ds)
    private(ds.SharedFunctionalGroupsSequence[0], wrong(), 0x0019, "SOMEBODY'S GROUP")


def shared(ds):
    private(ds.SharedFunctionalGroupsSequence[0], wrong())


def several_items(ds):
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", [wrong(n), wrong(9)])


def root(ds):
    private(ds, wrong())


def inside(ds):
    """A private block, with a sequence of its own, within the items of the standard's own macros."""
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        for macro in (frame.PlanePositionSequence, frame.FrameContentSequence):
            private(macro[0], wrong(n))
    for macro in ("PixelMeasuresSequence", "PlaneOrientationSequence", "PixelValueTransformationSequence"):
        private(ds.SharedFunctionalGroupsSequence[0][macro].value[0], wrong())


def references(ds):
    """Other standard sequences of a functional group that hold items with places (PS3.3 C.7.6.16.2.5 and 6)."""
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.ReferencedImageSequence = [wrong(n)]
        frame.DerivationImageSequence = [wrong(n)]
        frame.DerivationImageSequence[0].SourceImageSequence = [wrong(n)]


def macros(ds):
    """The standard's attributes in the wrong one of its macros, behind the right one in the order of tags."""
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.FrameVOILUTSequence = [wrong(n)]
        frame.FrameAnatomySequence = [wrong(n)]


def unknown(ds):
    """Elements that no dictionary names, in a macro and beside it."""
    for frame in ds.PerFrameFunctionalGroupsSequence:
        frame.add(DataElement(0x00209FFF, "SQ", [wrong()]))
        frame.PlanePositionSequence[0].add(DataElement(0x00209FFE, "LO", "unknown"))


def no_creator(ds):
    """A private sequence whose creator is gone."""
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.add(DataElement(0x2005140F, "SQ", [wrong(n)]))


def the_other_space(ds):
    """Positions of an ultrasound volume in an image that is none."""
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionVolumeSequence = [item(ImagePositionVolume=[0.0, 0.0, 1000.0 + n * n])]
        frame.PlaneOrientationVolumeSequence = [item(ImageOrientationVolume=WRONG["ImageOrientationPatient"])]


def said_twice(ds):
    """Two items with one and the same content, where the standard allows one."""
    for frame in ds.PerFrameFunctionalGroupsSequence:
        frame.PlanePositionSequence = [frame.PlanePositionSequence[0], copy.deepcopy(frame.PlanePositionSequence[0])]


def position_shared(ds):
    """Every frame states its place, and the shared groups state one as well: the frame's own counts."""
    ds.SharedFunctionalGroupsSequence[0].PlanePositionSequence = [item(ImagePositionPatient=[0.0, 0.0, 0.0])]


def per_frame(ds):
    """What may be shared stands in every frame, and something else in the shared groups."""
    groups = ds.SharedFunctionalGroupsSequence[0]
    for macro in ("PixelMeasuresSequence", "PlaneOrientationSequence", "PixelValueTransformationSequence"):
        for frame in ds.PerFrameFunctionalGroupsSequence:
            setattr(frame, macro, copy.deepcopy(groups[macro].value))
    groups.PixelMeasuresSequence = [item(PixelSpacing=[5.0, 5.0])]


HOSTILE = [
    behind, before, everywhere, shared, several_items, root, inside, references, macros, unknown, no_creator,
    the_other_space, said_twice, position_shared, per_frame,
]  # fmt: skip


@pytest.mark.parametrize("modality", KINDS)
@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_a_frame_lies_where_its_own_macros_say(tmp_path, modality, change):
    ds = multiframe(modality)
    change(ds)
    volume = read_series(save([ds], tmp_path))
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-6)
    np.testing.assert_allclose(volume.array, 2.0 * ARRAY - 5)


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_values_are_rescaled_frame_by_frame_by_the_macro_alone(tmp_path, modality):
    ds = multiframe(modality)
    ds.SharedFunctionalGroupsSequence[0].pop("PixelValueTransformationSequence")
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.PixelValueTransformationSequence = [item(RescaleSlope=n + 1, RescaleIntercept=10 * n)]
        private(frame, item(RescaleSlope=7.0, RescaleIntercept=1.0))
    volume = read_series(save([ds], tmp_path))
    np.testing.assert_allclose(volume.array, ARRAY * np.arange(1.0, 6) + 10 * np.arange(5.0), rtol=1e-6)


def volumes_of(*changes):
    """Two or more volumes of one object at the same places; a change sets the groups of the frames of one volume."""
    arrays = [texture((9, 7, 4), n) for n in range(len(changes))]
    for v, array in enumerate(arrays):
        array[0, 0] = shown(v + 1, 4)
    ds = enhanced(np.concatenate(arrays, axis=2), np.diag([1.0, 1.0, 2.0, 1.0]))
    places = [frame.PlanePositionSequence for frame in ds.PerFrameFunctionalGroupsSequence[:4]]
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence = places[n % 4]
        changes[n // 4](frame)
        private(frame, wrong(n % 3))
    return ds


def diffusion(b, direction=None, kind=None, frame_type=None):
    def change(frame):
        macro = item(DiffusionBValue=float(b))
        if direction:
            macro.DiffusionGradientDirectionSequence = [item(DiffusionGradientOrientation=direction)]
        if kind:
            macro.DiffusionDirectionality = kind
        frame.MRDiffusionSequence = [macro]
        if frame_type:
            frame.MRImageFrameTypeSequence = [item(FrameType=frame_type)]

    return change


def echo(time):
    return lambda frame: setattr(frame, "MREchoSequence", [item(EffectiveEchoTime=time)])


def temporal(index):
    return lambda frame: setattr(frame, "FrameContentSequence", [item(TemporalPositionIndex=index)])


def cardiac(delay):
    return lambda frame: setattr(frame, "CardiacSynchronizationSequence", [item(NominalCardiacTriggerDelayTime=delay)])


TRACE = ["DERIVED", "PRIMARY", "DIFFUSION", "TRACE"]
ADC = ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]
SEVERAL = {
    "b-values": [diffusion(0), diffusion(800)],
    "directions": [diffusion(1000, [0.0, 0.0, 1.0]), diffusion(1000, [1.0, 0.0, 0.0])],
    "directions and their trace": [
        diffusion(0),
        diffusion(1000, [1.0, 0.0, 0.0], "DIRECTIONAL"),
        diffusion(1000, [0.0, 1.0, 0.0], "DIRECTIONAL"),
        diffusion(1000, None, "ISOTROPIC", TRACE),
    ],
    "trace and ADC": [
        diffusion(0), diffusion(1000, None, "ISOTROPIC", ADC), diffusion(1000, None, "ISOTROPIC", TRACE),
    ],
    "echoes": [echo(10.0), echo(20.0), echo(30.0)],
    "times": [temporal(1), temporal(2)],
    "heart phases": [cardiac(0.0), cardiac(120.0)],
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERAL)
def test_volumes_of_one_object_come_apart_by_the_standards_macros(tmp_path, name):
    changes = SEVERAL[name]
    found, code = tried([volumes_of(*changes)], tmp_path)
    assert found is not None, code
    assert sorted(found) == [shown(v + 1, 4) for v in range(len(changes))]


def test_places_that_contradict_each_other_within_a_macro_are_refused_or_the_first_is_taken(tmp_path):
    ds = multiframe()
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence = [frame.PlanePositionSequence[0], item(ImagePositionPatient=[0.0, 0.0, 9.0 * n])]
    try:
        volume = read_series(save([ds], tmp_path))
    except XmedError as problem:
        assert problem.code != "READER_FAILED"  # noqa: PT017
    else:
        np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-6)


def test_a_place_that_only_a_private_group_states_is_none(tmp_path):
    ds = multiframe()
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        del frame.PlanePositionSequence
        private(frame, item(ImagePositionPatient=[0.0, 0.0, 2.0 * n]))
    with pytest.raises(XmedError) as problem:
        read_series(save([ds], tmp_path))
    assert problem.value.code == "NO_GEOMETRY"


@pytest.mark.parametrize("turned", [False, True])
def test_two_stacks_are_two_volumes_or_refused(tmp_path, turned):
    """StackID tells them apart (C.7.6.16.2.2); the second lies half a step beside the first, or another way."""
    arrays = [texture((9, 7, 4), n) for n in range(2)]
    for v, array in enumerate(arrays):
        array[0, 0] = shown(v + 1, 4)
    ds = enhanced(np.concatenate(arrays, axis=2), np.diag([1.0, 1.0, 2.0, 1.0]))
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        v, k = divmod(n, 4)
        frame.FrameContentSequence = [item(StackID=str(v + 1), InStackPositionNumber=k + 1)]
        along = 2.0 * k + v
        frame.PlanePositionSequence = [item(ImagePositionPatient=[along, 0, 0] if turned and v else [0, 0, along])]
        directions = [0, 1, 0, 0, 0, 1] if turned and v else [1, 0, 0, 0, 1, 0]
        frame.PlaneOrientationSequence = [item(ImageOrientationPatient=directions)]
        private(frame, wrong(n))
    found, code = tried([ds], tmp_path)
    assert found in (None, [shown(1, 4), shown(2, 4)]), code
    assert code != "READER_FAILED"


@pytest.mark.parametrize("by", ["FrameAcquisitionNumber", "FrameAcquisitionDateTime"])
def test_ct_phases_of_one_object_that_alternate_are_not_one_volume(tmp_path, by):
    arrays = [texture((9, 7, 6), n) for n in range(2)]
    for v, array in enumerate(arrays):
        array[0, 0] = shown(v + 1, 6)
    ds = multiframe("CT", np.concatenate(arrays, axis=2), np.diag([1.0, 1.0, 2.0, 1.0]))
    ds.SharedFunctionalGroupsSequence[0].pop("PixelValueTransformationSequence")
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        v, k = divmod(n, 6)
        moment = item(FrameAcquisitionDateTime=f"2024010210{v:02}00")
        if by == "FrameAcquisitionNumber":
            moment.FrameAcquisitionNumber = v + 1
        frame.FrameContentSequence = [moment]
        frame.PlanePositionSequence = [item(ImagePositionPatient=[0, 0, 2.0 * k + v])]
    found, _ = tried([ds], tmp_path)
    assert found == [shown(1, 6), shown(2, 6)]


def test_segments_of_a_seg_with_private_groups_lie_where_its_macros_say(tmp_path):
    of = multiframe()
    volume = read_series(save([of], tmp_path / "image"))
    ds = image(np.ones((1, 9, 11), dtype=np.uint8), SegmentationStorage, "SEG")
    ds.SeriesInstanceUID, ds.SegmentationType = generate_uid(), "FRACTIONAL"
    ds.MaximumFractionalValue = 1
    ds.SegmentSequence = [item(SegmentNumber=1, SegmentLabel="liver"), item(SegmentNumber=2, SegmentLabel="spleen")]
    ds.SharedFunctionalGroupsSequence = of.SharedFunctionalGroupsSequence
    place = of.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence
    frame = item(PlanePositionSequence=place, SegmentIdentificationSequence=[item(ReferencedSegmentNumber=1)])
    content = wrong()
    content.ReferencedSegmentNumber = 2
    private(frame, content, 0x6FF1, "SOMEBODY")
    ds.PerFrameFunctionalGroupsSequence = [frame]
    label = read_label(
        save([ds], tmp_path / "label"), volume, LabelTable((Structure(1, "liver"), Structure(2, "spleen")))
    )
    assert [int(label.array[:, :, k].max()) for k in range(5)] == [0, 0, 0, 1, 0]
    assert label.array[:, :, 3].all()


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
@pytest.mark.parametrize("modality", KINDS)
@pytest.mark.parametrize("change", [lambda ds: None, behind, everywhere], ids=["plain", "behind", "everywhere"])
def test_dcm2niix_puts_the_plain_file_where_we_put_all_of_them(tmp_path, modality, change):
    """Corners by their values: a converter may turn axes round (RAS, rows from below), but not move what it shows."""
    plain, hostile = multiframe(modality), multiframe(modality)
    change(hostile)
    for ds in (plain, hostile):
        ds.SeriesDescription = ds.ProtocolName = "x"
    (tmp_path / "out").mkdir()
    command = ["dcm2niix", "-b", "n", "-z", "n", "-f", "x", "-o", tmp_path / "out", save([plain], tmp_path / "plain")]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    (made,) = (tmp_path / "out").glob("*.nii")
    twin = nibabel.load(made)
    volume = read_series(save([hostile], tmp_path / "hostile"))
    across = np.linalg.inv(np.diag([-1.0, -1, 1, 1]) @ volume.affine) @ twin.affine
    ijk = across[:3, :3] @ np.indices(twin.shape).reshape(3, -1) + across[:3, 3:]
    assert np.abs(ijk - np.rint(ijk)).max() < 1e-3
    values = volume.array[tuple(np.rint(ijk).astype(int))].reshape(twin.shape)
    np.testing.assert_allclose(values, twin.get_fdata(), rtol=1e-5)


def test_attributes_that_a_converter_kept_aside_still_tell_volumes_apart(tmp_path):
    """Legacy Converted Enhanced MR: what no macro takes stands in the unassigned attributes (C.7.6.16.2.25.2)."""
    changes = [
        lambda frame, v=v: setattr(frame, "UnassignedPerFrameConvertedAttributesSequence", [item(EchoTime=10.0 * v)])
        for v in (1, 2)
    ]
    volumes = read_volumes(save([volumes_of(*changes)], tmp_path))
    assert list(volumes) == ["EchoTime 10", "EchoTime 20"]


def test_a_group_that_is_no_data_set_is_no_crash(tmp_path):
    ds = multiframe()
    for frame in ds.PerFrameFunctionalGroupsSequence:
        frame.FrameContentSequence = []
        frame.add(DataElement(0x00189114, "SQ", [Dataset()]))
    np.testing.assert_allclose(read_series(save([ds], tmp_path)).affine, AFFINE, atol=1e-6)
