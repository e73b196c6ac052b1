"""A5: contours that are not drawn, or not drawn as meant: each is drawn, or noted by code and count."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from skimage.draw import polygon2mask

from support.synthetic_dicom import FRAME, oblique, refusal, rtstruct, save
from xmed.io import read_label
from xmed.io.notes import collect_notes
from xmed.labels import LabelTable, Structure
from xmed.volume import Volume

SHAPE = (40, 30, 8)
IMAGE = Volume(np.zeros(SHAPE), oblique(), FRAME, "CT")
ONE = LabelTable((Structure(1, "GTV"),))
TWO = LabelTable((Structure(1, "GTV"), Structure(2, "Bladder")))


def contour(ij, k, kind="CLOSED_PLANAR", image=IMAGE):
    """A contour item of voxel indices (i, j) on slice k."""
    points = image.grid.points(np.column_stack([np.asarray(ij, float), np.full(len(ij), float(k))]))
    item = Dataset()
    item.ContourGeometricType, item.NumberOfContourPoints = kind, len(points)
    item.ContourData = [f"{x:.6f}"[:16] for x in points.ravel()]
    return item


def box(i0, j0, i1, j1):
    """Corners of a rectangle between pixel edges: pixels i0..i1-1, j0..j1-1 are inside."""
    return [(i0 - 0.5, j0 - 0.5), (i1 - 0.5, j0 - 0.5), (i1 - 0.5, j1 - 0.5), (i0 - 0.5, j1 - 0.5)]


def read(tmp_path, rois, table=ONE, image=IMAGE, change=None):
    """(array, {code: text} of the notes)"""
    ds = rtstruct({name: [] for name in rois}, FRAME)
    for drawn, contours in zip(ds.ROIContourSequence, rois.values()):
        drawn.ContourSequence = contours
    if change:
        change(ds)
    folder = save([ds], tmp_path)
    with collect_notes() as notes:
        array = read_label(folder / "000.dcm", image, table).array
    return array, {made.code: made.text for made in notes}


def expected(*boxes):
    """boxes: (k, i0, j0, i1, j1) that are inside."""
    array = np.zeros(SHAPE, bool)
    for k, i0, j0, i1, j1 in boxes:
        array[i0:i1, j0:j1, k] = True
    return array


def said(notes, *words):
    """Whether one note says all of these."""
    return any(all(word in text for word in words) for text in notes.values())


FULL = range(2, 7)


# what is drawn, and how contours of one slice are combined
def test_interpolated_contours_are_drawn(tmp_path):
    kinds = ["CLOSED_PLANAR", "INTERPOLATED_PLANAR"]
    array, _ = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), k, kinds[k % 2]) for k in FULL]})
    np.testing.assert_array_equal(array > 0, expected(*[(k, 5, 5, 20, 15) for k in FULL]))


def test_a_structure_of_interpolated_contours_alone_is_drawn(tmp_path):
    array, _ = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), k, "INTERPOLATED_PLANAR") for k in FULL]})
    np.testing.assert_array_equal(array > 0, expected(*[(k, 5, 5, 20, 15) for k in FULL]))


@pytest.mark.parametrize("times", [2, 3, 4])
@pytest.mark.parametrize("turned", [False, True])
def test_the_same_contour_several_times_is_drawn_once(tmp_path, times, turned):
    points = box(5, 5, 20, 15)
    again = [points[::-1] if turned and n % 2 else points for n in range(times)]
    array, _ = read(tmp_path, {"GTV": [contour(one, 3) for one in again]})
    np.testing.assert_array_equal(array > 0, expected((3, 5, 5, 20, 15)))


def test_overlapping_closed_contours_are_one_area(tmp_path):
    array, _ = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), 3), contour(box(15, 10, 30, 25), 3)]})
    np.testing.assert_array_equal(array > 0, expected((3, 5, 5, 20, 15), (3, 15, 10, 30, 25)))


def test_touching_closed_contours_leave_no_seam(tmp_path):
    halves = [
        [(4.5, 4.5), (10.2, 4.5), (10.2, 14.5), (4.5, 14.5)],
        [(10.2, 4.5), (19.5, 4.5), (19.5, 14.5), (10.2, 14.5)],
    ]
    array, _ = read(tmp_path, {"GTV": [contour(half, 3) for half in halves]})
    np.testing.assert_array_equal(array > 0, expected((3, 5, 5, 20, 15)))


def test_a_closed_contour_within_another_cuts_no_hole_and_is_noted(tmp_path):
    array, notes = read(tmp_path, {"GTV": [contour(box(5, 5, 25, 25), 3), contour(box(10, 10, 20, 20), 3)]})
    np.testing.assert_array_equal(array > 0, expected((3, 5, 5, 25, 25)))
    assert said(notes, "1", "within")


@pytest.mark.parametrize("order", [1, -1])
def test_xor_contours_cut_holes_and_fill_islands_in_them(tmp_path, order):
    rings = [box(5, 5, 25, 25), box(10, 10, 20, 20), box(13, 13, 17, 17)][::order]
    array, _ = read(tmp_path, {"GTV": [contour(ring, 3, "CLOSEDPLANAR_XOR") for ring in rings]})
    wanted = expected((3, 5, 5, 25, 25))
    wanted[10:20, 10:20, 3] = False
    wanted[13:17, 13:17, 3] = True
    np.testing.assert_array_equal(array > 0, wanted)


@pytest.mark.parametrize("turned", [1, -1])
def test_a_keyhole_keeps_its_hole(tmp_path, turned):
    outer, inner = box(5, 5, 25, 25), box(10, 10, 20, 20)[::turned]
    array, _ = read(tmp_path, {"GTV": [contour([*outer, outer[0], *inner, inner[0]], 3)]})
    wanted = expected((3, 5, 5, 25, 25))
    wanted[10:20, 10:20, 3] = False
    np.testing.assert_array_equal(array > 0, wanted)


@pytest.mark.parametrize("points", [
    [*box(5, 5, 20, 15), box(5, 5, 20, 15)[0]],  # the first again at the end
    [p for p in box(5, 5, 20, 15) for _ in range(3)],  # each thrice
    box(5, 5, 20, 15)[::-1],  # the other way round
    [*box(5, 5, 20, 15), *box(5, 5, 20, 15)],  # the whole loop twice
    [*box(5, 5, 20, 15), (4.5, 9.5), (4.5, 5.5)],  # points along an edge
], ids=["closed", "repeated", "reversed", "twice round", "along an edge"])  # fmt: skip
def test_one_area_however_its_outline_is_written(tmp_path, points):
    array, _ = read(tmp_path, {"GTV": [contour(points, 3)]})
    np.testing.assert_array_equal(array > 0, expected((3, 5, 5, 20, 15)))


def test_a_figure_eight_fills_both_its_loops(tmp_path):
    array, _ = read(tmp_path, {"GTV": [contour([(4.5, 4.5), (24.5, 24.5), (24.5, 4.5), (4.5, 24.5)], 3)]})
    loops = 2 * 0.5 * 20 * 10
    assert (array > 0).sum() == pytest.approx(loops, rel=0.06)
    assert array[6, 15, 3]
    assert array[22, 15, 3]
    assert not array[15, 6, 3]
    assert not array[15, 23, 3]


@pytest.mark.parametrize("seed", range(4))
def test_any_polygon_is_where_another_tool_draws_it(tmp_path, seed):
    random = np.random.default_rng(seed)
    angle = np.sort(random.uniform(0, 2 * np.pi, 24))
    points = np.column_stack(
        [19 + random.uniform(5, 12, 24) * np.cos(angle), 14 + random.uniform(5, 12, 24) * np.sin(angle)]
    )
    array, _ = read(tmp_path, {"GTV": [contour(points, 3)]})
    fine = polygon2mask((SHAPE[0] * 16, SHAPE[1] * 16), (points + 0.5) * 16 - 0.5)
    share = fine.reshape(SHAPE[0], 16, SHAPE[1], 16).mean(axis=(1, 3))
    certain = np.abs(share - 0.5) > 0.05
    np.testing.assert_array_equal((array[:, :, 3] > 0)[certain], (share > 0.5)[certain])


# what is not drawn
EMPTY = {
    "no ContourData": lambda item: item.__delattr__("ContourData"),
    "empty ContourData": lambda item: setattr(item, "ContourData", None),
    "one point": lambda item: setattr(item, "ContourData", item.ContourData[:3]),
    "two points": lambda item: setattr(item, "ContourData", item.ContourData[:6]),
    "a number short of a point": lambda item: setattr(item, "ContourData", item.ContourData[:11]),
    "no number": lambda item: setattr(item, "ContourData", ["nan", *item.ContourData[1:]]),
    "an infinite number": lambda item: setattr(item, "ContourData", ["1e400", *item.ContourData[1:]]),
    "POINT": lambda item: setattr(item, "ContourGeometricType", "POINT"),
    "OPEN_PLANAR": lambda item: setattr(item, "ContourGeometricType", "OPEN_PLANAR"),
    "OPEN_NONPLANAR": lambda item: setattr(item, "ContourGeometricType", "OPEN_NONPLANAR"),
    "an unknown type": lambda item: setattr(item, "ContourGeometricType", "SPLINE"),
}


@pytest.mark.parametrize("what", EMPTY)
def test_a_contour_that_encloses_nothing_is_noted_and_the_others_are_drawn(tmp_path, what):
    bad = [contour(box(5, 5, 20, 15), 3), contour(box(5, 5, 20, 15), 4)]
    for item in bad:
        EMPTY[what](item)
    array, notes = read(tmp_path, {"GTV": [*[contour(box(5, 5, 20, 15), k) for k in FULL], *bad]})
    np.testing.assert_array_equal(array > 0, expected(*[(k, 5, 5, 20, 15) for k in FULL]))
    assert said(notes, "2", "GTV")


@pytest.mark.parametrize("what", EMPTY)
def test_where_it_was_the_only_one_of_its_slice_the_gap_is_seen_too(tmp_path, what):
    contours = [contour(box(5, 5, 20, 15), k) for k in FULL]
    EMPTY[what](contours[2])
    array, notes = read(tmp_path, {"GTV": contours})
    np.testing.assert_array_equal(array > 0, expected(*[(k, 5, 5, 20, 15) for k in FULL if k != 4]))
    assert len(notes) >= 2


def test_a_count_of_points_that_is_wrong_is_noted_and_the_contour_drawn(tmp_path):
    wrong = contour(box(5, 5, 20, 15), 3)
    wrong.NumberOfContourPoints = 7
    array, notes = read(tmp_path, {"GTV": [wrong]})
    np.testing.assert_array_equal(array > 0, expected((3, 5, 5, 20, 15)))
    assert said(notes, "1", "Number")


def test_a_contour_smaller_than_half_a_pixel_is_noted(tmp_path):
    tiny = contour([(10.0, 10.0), (10.3, 10.0), (10.3, 10.3)], 3)
    array, notes = read(tmp_path, {"GTV": [contour(box(5, 20, 20, 25), 3), tiny]})
    np.testing.assert_array_equal(array > 0, expected((3, 5, 20, 20, 25)))
    assert said(notes, "1", "pixel")


@pytest.mark.parametrize(("slices", "missing"), [((0, 2, 4, 6), 3), ((1, 2, 5), 2), ((0, 7), 6), ((3, 4, 6), 1)])
def test_gaps_between_contoured_slices_are_noted_with_their_number(tmp_path, slices, missing):
    array, notes = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), k) for k in slices]})
    np.testing.assert_array_equal(array > 0, expected(*[(k, 5, 5, 20, 15) for k in slices]))
    assert said(notes, f"{missing} ", "GTV", "between")


def test_a_whole_structure_is_drawn_without_a_word(tmp_path):
    array, notes = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), k) for k in FULL]})
    assert (array > 0).sum() == 5 * 150
    assert notes == {}


# what lies outside
@pytest.mark.parametrize(("slices", "outside"), [(range(2, 12), 4), (range(-3, 3), 3), (range(-2, 10), 4)])
def test_contours_beyond_the_slices_are_noted_with_their_number(tmp_path, slices, outside):
    array, notes = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), k) for k in slices]})
    np.testing.assert_array_equal(array > 0, expected(*[(k, 5, 5, 20, 15) for k in slices if 0 <= k < 8]))
    assert said(notes, f"{outside} ", "GTV", "outside")


@pytest.mark.parametrize(("corners", "inside"), [
    ((-6, 5, 10, 15), (0, 5, 10, 15)), ((30, 5, 60, 15), (30, 5, 40, 15)), ((5, -9, 20, 4), (5, 0, 20, 4)),
    ((5, 25, 20, 44), (5, 25, 20, 30)), ((-9, -9, 60, 60), (0, 0, 40, 30)),
])  # fmt: skip
def test_a_contour_across_the_edge_is_cut_there_and_noted(tmp_path, corners, inside):
    array, notes = read(tmp_path, {"GTV": [contour(box(*corners), k) for k in (3, 4)]})
    np.testing.assert_array_equal(array > 0, expected((3, *inside), (4, *inside)))
    assert said(notes, "2 ", "GTV", "edge")


def test_a_contour_beside_the_picture_is_noted_as_outside(tmp_path):
    array, notes = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), 3), contour(box(50, 5, 60, 15), 3)]})
    np.testing.assert_array_equal(array > 0, expected((3, 5, 5, 20, 15)))
    assert said(notes, "1 ", "outside")


def test_a_contour_along_the_edge_is_inside(tmp_path):
    array, notes = read(tmp_path, {"GTV": [contour(box(0, 0, 40, 30), 3)]})
    np.testing.assert_array_equal(array > 0, expected((3, 0, 0, 40, 30)))
    assert notes == {}


@pytest.mark.parametrize("k", [-4, 12])
def test_a_structure_wholly_outside_is_refused(tmp_path, k):
    with refusal("GRID_MISMATCH", "outside the image"):
        read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), k)]})


def test_a_structure_beside_the_picture_is_refused(tmp_path):
    with refusal("GRID_MISMATCH", "outside the image"):
        read(tmp_path, {"GTV": [contour(box(50, 5, 60, 15), 3)]})


def test_contours_beyond_the_slices_may_lie_between_where_slices_would_be(tmp_path):
    array, notes = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), k) for k in (6, 7, 8.4, 9.6)]})
    np.testing.assert_array_equal(array > 0, expected(*[(k, 5, 5, 20, 15) for k in (6, 7)]))
    assert said(notes, "2 ", "outside")


def test_contours_between_slices_or_tilted_against_them_are_refused(tmp_path):
    with refusal("GRID_MISMATCH", "slice"):
        read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), 3.4)]})
    tilted = contour(box(5, 5, 20, 15), 3)
    points = IMAGE.grid.points(np.array([(5, 5, 2), (20, 5, 2), (20, 15, 4), (5, 15, 4)]))
    tilted.ContourData = [f"{x:.6f}"[:16] for x in points.ravel()]
    with refusal("GRID_MISMATCH", "slice"):
        read(tmp_path, {"GTV": [tilted]})


# which contours belong to which structure
def test_contours_of_one_roi_in_two_items_are_all_drawn(tmp_path):
    def split(ds):
        extra = Dataset()
        extra.ReferencedROINumber = 1
        extra.ContourSequence = [contour(box(5, 5, 20, 15), 4)]
        ds.ROIContourSequence.append(extra)

    array, _ = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), 3)]}, change=split)
    np.testing.assert_array_equal(array > 0, expected((3, 5, 5, 20, 15), (4, 5, 5, 20, 15)))


def test_a_roi_without_contours_beside_one_with_is_noted(tmp_path):
    array, notes = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), 3)], "Bladder": []}, TWO)
    np.testing.assert_array_equal(array == 1, expected((3, 5, 5, 20, 15)))
    assert said(notes, "Bladder", "no contour")


def test_a_roi_that_is_listed_and_not_contoured_is_noted(tmp_path):
    def drop(ds):
        del ds.ROIContourSequence[1]

    array, notes = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), 3)], "Bladder": []}, TWO, change=drop)
    np.testing.assert_array_equal(array == 1, expected((3, 5, 5, 20, 15)))
    assert said(notes, "Bladder", "no contour")


def test_contours_of_a_number_that_no_roi_has_are_noted(tmp_path):
    def stray(ds):
        extra = Dataset()
        extra.ReferencedROINumber = 77
        extra.ContourSequence = [contour(box(5, 5, 20, 15), k) for k in (4, 5, 6)]
        ds.ROIContourSequence.append(extra)

    array, notes = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), 3)]}, change=stray)
    np.testing.assert_array_equal(array > 0, expected((3, 5, 5, 20, 15)))
    assert said(notes, "3 ")


def test_contours_without_any_number_are_noted(tmp_path):
    def stray(ds):
        extra = Dataset()
        extra.ContourSequence = [contour(box(5, 5, 20, 15), k) for k in (4, 5)]
        ds.ROIContourSequence.append(extra)

    _, notes = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), 3)]}, change=stray)
    assert said(notes, "2 ")


def test_two_rois_of_one_number_are_refused(tmp_path):
    def same(ds):
        ds.StructureSetROISequence[1].ROINumber = ds.ROIContourSequence[1].ReferencedROINumber = 1

    with refusal("LABEL_VALUES"):
        read(
            tmp_path,
            {"GTV": [contour(box(5, 5, 20, 15), 3)], "Bladder": [contour(box(9, 5, 30, 15), 3)]},
            TWO,
            change=same,
        )


def test_two_rois_of_one_name_are_refused(tmp_path):
    with refusal("LABEL_VALUES", "named"):
        read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), 3)], "gtv ": [contour(box(9, 5, 30, 15), 3)]})


def test_another_frame_of_reference_is_refused(tmp_path):
    def elsewhere(ds):
        ds.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = generate_uid()

    with refusal("FRAME_MISMATCH"):
        read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), 3)]}, change=elsewhere)


def test_a_roi_without_a_number_is_no_fault_of_the_reader(tmp_path):
    def nameless(ds):
        del ds.StructureSetROISequence[1].ROINumber

    rois = {"GTV": [contour(box(5, 5, 20, 15), 3)], "other": [contour(box(9, 5, 30, 15), 3)]}
    array, _ = read(tmp_path, rois, change=nameless)
    np.testing.assert_array_equal(array > 0, expected((3, 5, 5, 20, 15)))


def test_values_beyond_a_byte_are_kept(tmp_path):
    table = LabelTable((Structure(300, "GTV"),))
    array, _ = read(tmp_path, {"GTV": [contour(box(5, 5, 20, 15), 3)]}, table)
    np.testing.assert_array_equal(array == 300, expected((3, 5, 5, 20, 15)))


def test_structures_that_overlap_are_noted_with_their_voxels(tmp_path):
    rois = {"GTV": [contour(box(5, 5, 20, 15), 3)], "Bladder": [contour(box(15, 5, 30, 15), 3)]}
    array, notes = read(tmp_path, rois, TWO)
    np.testing.assert_array_equal(array == 2, expected((3, 15, 5, 30, 15)))
    assert said(notes, "50 ", "overlap")


# on other images
@pytest.mark.parametrize("affine", [
    np.diag([1.0, 1.0, 2.0, 1.0]),
    np.array([[0, 0, 1.0, 3], [1.0, 0, 0, -5], [0, -2.0, 0, 9], [0, 0, 0, 1]]),  # sagittal
    np.array([[1.0, 0, 0, 0], [0, 0, 2.0, 0], [0, -1.5, 0, 0], [0, 0, 0, 1]]),  # coronal
    oblique((0.5, 3.0, 1.0)),
], ids=["axial", "sagittal", "coronal", "oblique"])  # fmt: skip
def test_on_images_of_any_orientation(tmp_path, affine):
    image = Volume(np.zeros(SHAPE), affine, FRAME, "MR")
    rois = {"GTV": [contour(box(5, 5, 20, 15), k, image=image) for k in FULL]}
    array, notes = read(tmp_path, rois, image=image)
    np.testing.assert_array_equal(array > 0, expected(*[(k, 5, 5, 20, 15) for k in FULL]))
    assert notes == {}
