"""Phantom: seeded people, physics that can be measured in the pictures, files that read back as they were made."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from xmed import phantom
from xmed.io import read_label, read_series
from xmed.phantom import b_mode, mr
from xmed.phantom.b_mode import ScannerSettings
from xmed.phantom.pelvis import Pelvis
from xmed.phantom.pelvis_layout import TissueLayer
from xmed.phantom.probe import CurvedProbe
from xmed.phantom.shapes import MAX_WAVE_SD, Ellipsoid, PlaneWaves, Trunk, Tube, rotation_matrix
from xmed.phantom.tissue import BLADDER, PROSTATE, RECTUM, Tissue, structure_labels
from xmed.spec import PhantomSpec, load_dataset, load_study

MR, US, CT = (PhantomSpec(modality=modality, patients=2, seed=3) for modality in ("MR", "US", "CT"))


@pytest.fixture(scope="module")
def scans():
    """The first patient of either modality: image and label map."""
    return {spec.modality: phantom.draw_patient(spec, 1) for spec in (MR, US, CT)}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Both modalities as files: one patient each."""
    folder = tmp_path_factory.mktemp("phantom")
    for spec in (MR, US, CT):
        phantom.write_patients(spec.model_copy(update={"patients": 1}), folder / spec.modality)
    return folder


@pytest.mark.parametrize("spec", [MR, US, CT], ids=["MR", "US", "CT"])
def test_modality_seed_and_number_determine_a_patient(spec, scans):
    again = phantom.draw_patient(spec, 1)
    for first, second in zip(scans[spec.modality], again):
        np.testing.assert_array_equal(first.array, second.array)
        np.testing.assert_array_equal(first.affine, second.affine)


def test_no_two_patients_have_the_same_anatomy():
    people = [Pelvis.draw(np.random.default_rng([3, number])) for number in range(12)]
    sizes = np.array([[4.19e-3 * organ.radii.prod() for organ in (p.prostate, p.bladder)] for p in people])
    assert (sizes.max(axis=0) > 1.8 * sizes.min(axis=0)).all(), "organs vary widely in size"
    assert np.ptp([p.bladder.centre - p.prostate.centre for p in people], axis=0).min() > 8, "and in place, in mm"


def test_source_and_target_patients_are_other_people(scans):
    assert scans["MR"][1].array.shape != scans["US"][1].array.shape
    assert not set(phantom.patient_ids(MR)) & set(phantom.patient_ids(US))
    one, other = scans["MR"][1], phantom.draw_patient(MR.model_copy(update={"seed": 4}), 1)[1]
    assert not one.grid.same(other.grid)


@pytest.mark.parametrize("modality", ["MR", "US", "CT"])
def test_every_structure_is_seen_and_none_outside_the_field_of_view(modality, scans):
    image, label = scans[modality]
    assert set(np.unique(label.array)) == {0, PROSTATE, BLADDER, RECTUM}
    assert (label.array == PROSTATE).sum() * label.grid.voxel_ml > 10
    assert not label.array[~image.inside].any()


def test_ultrasound_is_black_outside_its_sector_and_nowhere_inside(scans):
    image, _ = scans["US"]
    assert image.array[image.fov].min() >= 1
    assert not image.array[~image.fov].any()
    assert 0.3 < image.fov.mean() < 0.8


def test_urine_is_bright_in_mr_and_dark_in_ultrasound(scans):
    def ratio(modality):
        image, label = scans[modality]
        urine = ndimage.binary_erosion(label.array == BLADDER, iterations=4)  # without the wall
        return np.median(image.array[urine]) / np.median(image.array[image.inside & (label.array == 0)])

    assert ratio("MR") > 1.2
    assert ratio("US") < 0.6


def test_ct_has_the_hounsfield_units_of_what_it_shows(scans):
    image, label = scans["CT"]
    urine = ndimage.binary_erosion(label.array == BLADDER, iterations=4)
    assert image.array.dtype == np.int16
    assert np.median(image.array[urine]) == pytest.approx(6, abs=15)
    assert np.median(image.array[ndimage.binary_erosion(label.array == PROSTATE, iterations=3)]) > 15 + 6
    assert image.array.max() > 500, "bone"
    assert image.array.min() < -900, "gas or air"


def test_people_that_datasets_share_have_one_anatomy_one_id_and_other_scans():
    specs = [PhantomSpec(modality=modality, patients=1, seed=5, people=7) for modality in ("MR", "CT", "US")]
    assert {name for spec in specs for name in phantom.patient_ids(spec)} == {"PHANTOM-P7-01"}
    volumes = [(label.array == BLADDER).sum() * label.grid.voxel_ml for _, label in map(draw_first, specs[:2])]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.05)
    of_others = draw_first(specs[0].model_copy(update={"people": 8}))[1]
    assert (of_others.array == BLADDER).sum() * of_others.grid.voxel_ml != pytest.approx(volumes[0], rel=0.05)


def draw_first(spec):
    return phantom.draw_patient(spec, 1)


def test_distractors_are_made_of_what_the_organs_are_made_of_and_are_not_labelled():
    plain, misleading = (Pelvis.draw(np.random.default_rng(4), distractors) for distractors in (False, True))
    points = np.stack(np.meshgrid(*(np.arange(-110.0, 111, 4),) * 3, indexing="ij"), -1)
    urine = [np.isin(person.tissue(points), (Tissue.URINE, Tissue.PERIPHERAL_ZONE)) for person in (plain, misleading)]
    inside = [person.structures(points) > 0 for person in (plain, misleading)]
    assert not (urine[0] & ~inside[0]).any()
    assert (urine[1] & ~inside[1]).sum() > 50


@pytest.mark.slow
def test_a_whole_pelvis_has_a_clinical_size_and_lies_somewhere_else_in_every_image():
    spec = PhantomSpec(modality="CT", patients=3, seed=2, people=3, extent="pelvis", distractors=True)
    labels = [phantom.draw_patient(spec, number)[1] for number in (1, 2, 3)]
    assert {label.array.shape for label in labels} == {(256, 256, 160)}
    assert {tuple(np.round(label.spacing, 6)) for label in labels} == {(1.5, 1.5, 1.5)}
    places = np.array([np.argwhere(label.array == PROSTATE).mean(0) for label in labels])
    assert np.ptp(places, axis=0).max() * 1.5 > 20
    assert all(set(np.unique(label.array)) == {0, PROSTATE, BLADDER, RECTUM} for label in labels)


# --- shapes and anatomy


def test_distances_are_exact_on_the_axes_of_an_ellipsoid_and_along_a_tube():
    ball = Ellipsoid(np.array([1.0, 2, 3]), np.array([5.0, 10, 20]), rotation_matrix(0, 0, 90))
    points = np.array([[1.0, 2 + 7, 3], [1 + 13, 2, 3], [1, 2, 3 + 15]], dtype=np.float32).T
    np.testing.assert_allclose(ball.distance(points), [2, 3, -5], atol=1e-4)
    tube = Tube(np.array([[0.0, 0, 0], [10, 0, 0]]), np.array([2.0, 4]))
    points = np.array([[5.0, 7, 0], [-3, 0, 0], [10, 0, 1]], dtype=np.float32).T
    np.testing.assert_allclose(tube.distance(points), [4, 1, -3], atol=1e-4)


def test_waves_have_the_strength_they_were_asked_for_and_never_exceed_their_crest():
    points = np.random.default_rng(0).uniform(-2000, 2000, (3, 40_000)).astype(np.float32)
    values = PlaneWaves.draw(np.random.default_rng(1), (20, 60), 2.5, channels=3)(points)
    np.testing.assert_allclose(values.std(axis=1), 2.5, rtol=0.05)
    assert np.abs(values).max() <= MAX_WAVE_SD * 2.5


def test_structures_are_those_of_the_tissue():
    person = Pelvis.draw(np.random.default_rng(5))
    spots = np.stack(np.meshgrid(*[np.linspace(-70, 70, 40)] * 3, indexing="ij"), axis=-1)
    np.testing.assert_array_equal(structure_labels(person.tissue(spots)), person.structures(spots))


def test_tissue_does_not_depend_on_how_points_are_cut_into_blocks():
    person = Pelvis.draw(np.random.default_rng(6))
    spots = np.stack(np.meshgrid(*[np.linspace(-90, 90, 31)] * 3, indexing="ij"), axis=-1)
    apart = np.concatenate([person.tissue(spots[n : n + 1]) for n in range(31)])
    assert (person.tissue(spots) != apart).mean() < 1e-4, "but for rounding on a surface"


# --- probe


def probe(samples=(200, 64, 24)):
    return CurvedProbe(np.zeros(3), np.eye(3), 40.0, 25.0, 120.0, 0.55, 0.45, samples)


def test_a_beam_sample_is_found_at_its_own_index():
    held = probe((7, 5, 3))
    index = held.index(held.beams().reshape(-1, 3).astype(np.float64)).reshape(3, 7, 5, 3)
    np.testing.assert_allclose(index, np.indices((7, 5, 3)), atol=1e-4)


def test_the_sectors_grid_holds_every_beam():
    held = probe()
    grid = held.grid((1.4, 1.4, 2.4))
    index = (held.beams().reshape(-1, 3) - grid.affine[:3, 3]) / grid.spacing
    assert (index > -0.01).all()
    assert (index < np.array(grid.shape) - 0.99).all()


def test_the_probes_pose_differs_between_patients_by_tens_of_degrees():
    people = [np.random.default_rng([3, number]) for number in range(10)]
    poses = [CurvedProbe.held(Pelvis.draw(random), random) for random in people]
    turns = [np.degrees(np.arccos((np.trace(a.axes.T @ b.axes) - 1) / 2)) for a in poses for b in poses]
    assert np.max(turns) > 60
    assert np.median(turns) > 20
    assert np.ptp([pose.depth for pose in poses]) > 15


# --- acoustics


def settings(**changes):
    plain = ScannerSettings.draw(np.random.default_rng(0), 120.0)
    return replace(plain, haze=-200, reverberation=-200, clutter=-200, noise_floor=-200, **changes)


def body(*layers):
    """Pelvic fat without end, and what the layers put into it; neither bent nor rough."""
    still = PlaneWaves(np.zeros((6, 3), "f4"), np.zeros((6, 1), "f4"), np.zeros((3, 6), "f4"))
    endless = Trunk(np.zeros(3), np.full(2, 1e4))
    whole = TissueLayer(endless, ((0, Tissue.PELVIC_FAT),))
    ball = Ellipsoid(np.zeros(3), np.ones(3), np.eye(3))
    return Pelvis((whole, *layers), still, replace(still, weights=still.weights[:1]), endless, ball, ball, 1)


def disc(tissue, depth, radius):
    return TissueLayer(Ellipsoid(np.array([0.0, depth, 0]), np.full(3, float(radius)), np.eye(3)), ((0, tissue),))


def test_speckle_is_fully_developed():
    """The envelope of many unresolved scatterers is Rayleigh distributed: mean / sd = sqrt(π / (4 - π)) = 1.913."""
    held, random = probe(), np.random.default_rng(0)
    envelope = np.abs(
        b_mode.apply_point_spread(b_mode.circular_noise(random, held.samples), held, settings(focus=70.0))
    )
    assert envelope.mean() / envelope.std() == pytest.approx(1.913, abs=0.04)
    assert (envelope**2).mean() == pytest.approx(1, abs=0.05), "and the point-spread function keeps the power"


def test_speckle_grows_wider_away_from_the_focus():
    held, random = probe((300, 64, 24)), np.random.default_rng(0)
    seen = b_mode.apply_point_spread(b_mode.circular_noise(random, held.samples), held, settings(focus=30.0, width=0.9))

    def likeness(depth):
        """Correlation of neighbouring beams per mm between them."""
        row = slice(int(depth / held.step) - 8, int(depth / held.step) + 8)
        one, next_one = seen[row, :-1], seen[row, 1:]
        alike = np.abs((one * next_one.conj()).mean()) / (np.abs(seen[row]) ** 2).mean()
        apart = (held.radius + depth) * (held.polar()[1][1] - held.polar()[1][0])
        return apart / np.sqrt(-np.log(alike))  # a Gaussian's width

    assert likeness(110) > 1.7 * likeness(30)


def level(anatomy, depth, beam, **changes):
    """Mean echo in dB about a depth in mm and a lateral beam index, of a probe at the origin."""
    held = probe()
    seen = b_mode.received_amplitude(anatomy, held, settings(**changes), np.random.default_rng(2))
    row = slice(int((depth - 8) / held.step), int((depth + 8) / held.step))
    return 10 * np.log10((seen[row, beam - 4 : beam + 4, 9:15] ** 2).mean())


def test_bone_and_gas_cast_shadows():
    for tissue in (Tissue.BONE, Tissue.RECTAL_GAS):
        shaded = body(disc(tissue, 45, 12))
        assert level(shaded, 90, 32) < level(body(), 90, 32) - 20


def test_tissue_behind_urine_is_brighter():
    behind_urine = level(body(disc(Tissue.URINE, 50, 20)), 90, 32)
    assert behind_urine > level(body(), 90, 32) + 8


def test_a_wall_across_the_beam_echoes_and_one_along_it_does_not():
    held = probe()
    points = held.in_patient(held.beams())
    tissue = body(disc(Tissue.URINE, 60, 25)).tissue(points)
    echo = b_mode.specular_echoes(tissue, points, held.step)
    front, middle = int(35 / held.step), int(60 / held.step)
    facing = echo[front - 5 : front + 5, 32, 12].max()
    assert facing > 0.01
    assert echo[middle, :, 12].max() < facing / 5


def test_the_mr_of_air_is_rician_noise():
    person = Pelvis.draw(np.random.default_rng([3, 8]))
    nobody = replace(person, layers=person.layers[-person.organs :])
    image, _ = mr.scan_mr(nobody, np.random.default_rng(1))
    air = image.array[:, :20].astype(float)
    assert air.mean() / air.std() == pytest.approx(1.913, abs=0.1), "without signal, Rayleigh"


# --- files


@pytest.mark.parametrize("modality", ["MR", "US", "CT"])
def test_what_was_scanned_is_what_is_read_back(modality, root, scans):
    image, label = scans[modality]
    folder = root / modality / phantom.patient_ids({"MR": MR, "US": US, "CT": CT}[modality])[0]
    read = read_series(folder / "image")
    assert read.grid.distance(image.grid) < 1e-3
    np.testing.assert_array_equal(read.array, image.array)
    assert read.modality == modality
    assert read.frame
    table = load_dataset("phantom-mr").label_table
    np.testing.assert_array_equal(read_label(folder / "label.nii.gz", read, table).array, label.array)
    if modality == "US":
        assert not (image.fov & ~read.fov).any()
        assert (read.fov & ~image.fov).sum() < 0.02 * image.fov.sum(), "the hull adds only the lens under the arc"


def test_writing_again_changes_nothing_and_another_place_gets_the_same_bytes(root, tmp_path):
    spec = US.model_copy(update={"patients": 1})
    files = sorted(path for path in (root / "US").rglob("*") if path.is_file())
    before = [path.stat().st_mtime_ns for path in files]
    calls = []
    phantom.write_patients(spec, root / "US", lambda *note: calls.append(note))
    assert [path.stat().st_mtime_ns for path in files] == before
    assert calls == [("scan phantom US", 1, 1, "")]
    phantom.write_patients(spec, tmp_path)
    for path in files:
        assert (tmp_path / path.relative_to(root / "US")).read_bytes() == path.read_bytes()


def test_the_targets_in_3d_scan_the_same_people_and_nobody_of_the_source():
    source, ct, us = (load_dataset(f"phantom-3d-{modality}") for modality in ("mr", "ct", "us"))
    assert phantom.patient_ids(ct.phantom) == phantom.patient_ids(us.phantom)
    assert not set(phantom.patient_ids(source.phantom)) & set(phantom.patient_ids(ct.phantom))
    for spec in (source, ct, us):
        named = [*spec.splits.train, *spec.splits.select, *spec.splits.test]
        assert sorted(named) == phantom.patient_ids(spec.phantom)


def test_the_study_of_the_demo_names_exactly_the_patients_that_are_written():
    study = load_study("phantom-mr-to-us")
    source, target = load_dataset(study.source), load_dataset(study.target)
    for spec in (source, target):
        named = [*spec.splits.train, *spec.splits.select, *spec.splits.test]
        assert sorted(named) == phantom.patient_ids(spec.phantom)
    assert not source.splits.test
    assert len(target.splits.test) == 8
    assert source.phantom.seed != target.phantom.seed
