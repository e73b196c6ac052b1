"""De-identification: nothing crosses that is not permitted, what belongs together still does, and pixels name nobody."""

import base64
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, SecondaryCaptureImageStorage

from support.planted_identifiers import (
    COLUMNS,
    FOLDER,
    IDENTIFIERS,
    REGION,
    ROWS,
    plant,
    planted,
    planted_nifti,
    survivors,
)
from support.synthetic_dicom import enhanced, film, oblique, refusal, save, slices, texture
from xmed.cli.main import main
from xmed.cohort import ingest_cases, summarise_cohorts
from xmed.deidentify import (
    Crosswalk,
    Policy,
    Secret,
    deidentify_files,
    deidentify_folder as room,
    explain_rules,
    explanation_lines,
)
from xmed.deidentify.allowed_attributes import PERMITTED, RULES
from xmed.deidentify.burned_in_text import MIN_LETTERS, longest_line
from xmed.io import read_nifti, read_series
from xmed.io.dicom.write_series import SeriesIdentity, write_series, write_ultrasound_volume
from xmed.records.record import content
from xmed.spec import DatasetSpec
from xmed.volume import Volume

KEY = "0123456789abcdef" * 4
SECRET = Secret.of(KEY, "the test")
X0, Y0, X1, Y1 = REGION[:4]


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("XMED_DEID_KEY", KEY)


def clean(datasets, tmp_path, policy=None, name="in"):
    """The de-identified data sets of these, ordered by instance number; codes of what was withheld."""
    save(datasets, tmp_path / name)
    out = tmp_path / f"{name}-out"
    outcome = deidentify_files(tmp_path / name, out, tmp_path / "home", policy)
    found = [pydicom.dcmread(path) for path in out.rglob("*.dcm")]
    return sorted(found, key=lambda ds: int(ds.InstanceNumber)), outcome.codes


def tissue(seed=0, frames=5, size=(ROWS, COLUMNS)):
    """Moving speckle (frames, rows, columns), darker than what scanners write in."""
    return np.random.default_rng(seed).rayleigh(18, (frames, *size)).clip(0, 120).astype(np.uint8)


# --- 62 identifiers ---------------------------------------------------------------------------------------------------


def test_the_search_finds_all_62_identifiers_where_nothing_was_removed(tmp_path):
    plant(tmp_path)
    assert len(set(IDENTIFIERS)) == 62
    assert survivors(tmp_path) == set(IDENTIFIERS)


def test_0_of_62_identifiers_survive_in_anything_deidentify_writes_or_says(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("XMED_DEID_KEY")
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "home"))
    plant(tmp_path / "in")
    broken = tmp_path / "in" / FOLDER / "ZQFILEXV-broken.dcm"
    shutil.copy(next((tmp_path / "in").rglob("*.dcm")), broken)
    broken.write_bytes(broken.read_bytes()[:-9000])
    assert main(["deidentify", str(tmp_path / "in"), str(tmp_path / "out"), "--debug", "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["codes"] == {"DICOM_TRUNCATED": 1}
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1
    assert survivors(tmp_path / "out", tmp_path / "home", said=said.out + said.err) == set()


def test_0_of_62_identifiers_survive_ingest_in_store_quarantine_and_what_reports_are_made_of(tmp_path, capsys):
    for case, end in (("ZQ01NAME^JANE", None), ("ZQ02ID", -9000), ("good", None)):
        path = plant(tmp_path / "in" / case)
        path.write_bytes(path.read_bytes()[:end])
    for path in (tmp_path / "in" / "good").rglob("*.dcm"):
        save([film(tissue(1), [REGION])], path.parent, [path.name])
    spec = DatasetSpec.model_validate(
        {
            "name": "films",
            "modality": "US",
            "root": str(tmp_path / "in"),
            "layout": {"image": "{case}"},
            "labels": {1: {"name": "ball", "category": "49755003", "type": "4147007"}},
            "splits": {"fraction": {"train": 1.0}},
        }
    )
    heard = []
    home = tmp_path / "home"
    found = ingest_cases(spec, home, progress=lambda *said: heard.append(said))
    assert (len(found.cases), len(found.quarantined)) == (2, 1)
    assert "file 1 of 1" in found.quarantined[0].message
    said = json.dumps([content(summarise_cohorts(found, found)), heard]) + capsys.readouterr().err
    assert survivors(home, said=said) == set()
    behind = {record["pseudonym"]: record["original"] for record in Crosswalk.below(home, SECRET).read()}
    assert behind[found.quarantined[0].case] == "ZQ02ID"


def test_ids_that_a_spec_names_are_kept(clinic, home):
    assert [case.id for case in ingest_cases(clinic.spec(), home).cases] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="cannot hide them"):
        clinic.spec(pseudonyms=True)


def test_nifti_loses_its_text_fields_extensions_and_tail_and_keeps_its_voxels_and_place(tmp_path):
    given = tmp_path / "in" / "ZQFOLDERXV" / "ZQFILEXV.nii.gz"
    tokens = [*planted_nifti(given), "ZQFOLDERXV", "ZQFILEXV"]
    assert survivors(tmp_path / "in", tokens=tokens) == set(tokens)
    deidentify_files(tmp_path / "in", tmp_path / "out", tmp_path / "home")
    (written,) = (tmp_path / "out").rglob("*.nii.gz")
    assert survivors(tmp_path / "out", tmp_path / "home", tokens=tokens) == set()
    old, new = read_nifti(given), read_nifti(written)
    assert np.array_equal(old.array, new.array)
    assert old.array.dtype == new.array.dtype
    assert np.array_equal(old.affine, new.affine)


def test_an_image_and_its_label_map_keep_one_name(tmp_path):
    for kind in ("image", "label"):
        planted_nifti(tmp_path / "in" / kind / "doe.nii.gz")
    deidentify_files(tmp_path / "in", tmp_path / "out", tmp_path / "home")
    paths = list((tmp_path / "out").rglob("*.nii.gz"))
    assert len({path.parent for path in paths}) == 2
    assert len({path.name for path in paths}) == 1


def test_no_traceback_and_no_log_quotes_what_a_reader_stumbled_over(tmp_path, monkeypatch, capsys):
    def odd(*asked, **named):
        raise RuntimeError(IDENTIFIERS[0])

    monkeypatch.setenv("XMED_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys.modules["xmed.io.inspect"], "groupby", odd)  # a reader calls it, and fails
    plant(tmp_path / "in")
    assert main(["inspect", str(tmp_path / "in"), "--debug"]) == 3
    said = capsys.readouterr()
    assert "RuntimeError" in said.err
    assert "Traceback" in said.err
    assert list((tmp_path / "home" / "logs").glob("*.log"))
    assert survivors(tmp_path / "home", said=said.out + said.err) == set()


# --- keys, names, times -----------------------------------------------------------------------------------------------


def test_a_key_is_made_once_for_its_owner_alone_and_said(tmp_path, monkeypatch):
    monkeypatch.delenv("XMED_DEID_KEY")
    first, made = Secret.find(tmp_path)
    again, unmade = Secret.find(tmp_path)
    assert made == tmp_path / "deidentify" / "key"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert (again, unmade) == (first, None)
    made.chmod(0o644)
    with refusal("KEY_INVALID", "others may read"):
        Secret.find(tmp_path)


def test_a_short_key_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XMED_DEID_KEY", "secret")
    with refusal("KEY_INVALID", "too short"):
        Secret.find(tmp_path)


def test_no_text_of_a_secret_shows_its_key():
    assert KEY not in repr(SECRET) + str(SECRET)


def test_names_agree_across_processes_with_the_key_and_with_no_other():
    code = "import os; from xmed.deidentify import Secret; s = Secret.of(os.environ['K'], ''); print(s.name('patient', 'x'), s.uid('1.2'), s.shift('x'))"

    def elsewhere(key):
        env = {**os.environ, "K": key, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        ).stdout.split()

    here = [SECRET.name("patient", "x"), SECRET.uid("1.2"), str(SECRET.shift("x"))]
    assert elsewhere(KEY) == here
    assert not set(elsewhere(KEY[::-1])) & set(here)


def test_a_pseudonym_is_no_unkeyed_hash_and_differs_from_kind_to_kind():
    name = SECRET.name("patient", "4711")
    digests = [
        getattr(hashlib, kind)(text).digest()
        for kind in ("md5", "sha1", "sha256")
        for text in (b"4711", b"patient\x004711")
    ]
    assert not any(base64.b32encode(digest).decode().lower().startswith(name) for digest in digests)
    assert name != SECRET.name("case", "4711")


def test_a_series_stays_one_series_in_one_place_with_new_uids(tmp_path):
    given = slices(texture((12, 14, 4)), oblique())
    found, codes = clean(given, tmp_path)
    assert codes == {}
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert {ds[keyword].value for ds in found} == {SECRET.uid(given[0][keyword].value)}
    assert len({ds.SOPInstanceUID for ds in found}) == 4
    before, after = read_series(tmp_path / "in"), read_series(tmp_path / "in-out")
    assert np.array_equal(before.array, after.array)
    np.testing.assert_allclose(before.affine, after.affine, atol=1e-9)


def test_series_of_one_patient_move_in_time_by_one_amount_and_keep_their_intervals(tmp_path):
    given = [ds for n in (1, 2) for ds in slices(texture((8, 8, 2), n), oblique())]
    for n, ds in enumerate(given, start=1):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{n}"
        ds.StudyDate, ds.StudyTime, ds.InstanceNumber = f"2024022{6 + n // 3}", "235959.5", n
        ds.AcquisitionDateTime = f"2024022{n}101112.25+0100"
        del ds.ContentDate
        ds.ContentTime = f"10111{n}"
    found, _ = clean(given, tmp_path)
    assert {ds.StudyDate for ds in found}.isdisjoint({"20240226", "20240227"})

    def moments(datasets, key):
        return [np.datetime64(f"{t[:4]}-{t[4:6]}-{t[6:8]}T{t[8:10]}:{t[10:12]}:{t[12:21]}") for t in map(key, datasets)]

    for key in (lambda ds: ds.StudyDate + ds.StudyTime, lambda ds: ds.AcquisitionDateTime.split("+")[0]):
        shifts = {b - a for a, b in zip(moments(given, key), moments(found, key))}
        assert shifts == {np.timedelta64(-SECRET.shift("ZZ-4711"), "s")}
    assert all("+" not in ds.AcquisitionDateTime for ds in found)
    seconds = [int(ds.ContentTime[4:6]) for ds in found]
    assert [(b - a) % 60 for a, b in pairwise(seconds)] == [1, 1, 1]


def test_two_patients_move_by_different_amounts():
    assert len({SECRET.shift(str(n)) for n in range(100)}) == 100
    assert all(86400 <= SECRET.shift(str(n)) <= 3651 * 86400 for n in range(100))


def test_nothing_crosses_that_the_table_does_not_name(tmp_path):
    (found,), _ = clean([planted()], tmp_path)
    made = {"PatientName", "PatientID", "PatientBirthDate", "PatientSex", "ReferringPhysicianName", "StudyID",
            "AccessionNumber", "Manufacturer", "PositionReferenceIndicator", "Laterality", "PixelData",
            "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
            "LongitudinalTemporalInformationModified", "BurnedInAnnotation", "CodeValue", "CodingSchemeDesignator",
            "CodeMeaning"}  # fmt: skip
    assert {element.keyword for element in found.iterall()} <= made | set(RULES)
    assert found.Manufacturer == "GE"
    assert found.ImageType == ["ORIGINAL", "PRIMARY", "OTHER"]
    assert found.preamble == b"\0" * 128
    assert "SourceApplicationEntityTitle" not in found.file_meta


def test_a_number_that_is_none_withholds_the_image_rather_than_changing_what_it_means(tmp_path):
    given = slices(texture((8, 8, 1)), oblique())
    given[0].add_new(0x00281053, "LO", "ZQJANE")
    assert clean(given, tmp_path)[1] == {"DEID_UNSAFE": 1}


@pytest.mark.parametrize("modality", ["MR", "PT"])
def test_weight_crosses_only_where_an_uptake_is_computed_from_it(tmp_path, modality):
    given = slices(texture((8, 8, 2)), oblique())
    for ds in given:
        ds.PatientWeight, ds.PatientSex, ds.Modality = "70", "F", modality
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = (
            "1.2.840.10008.5.1.4.1.1.128" if modality == "PT" else ds.SOPClassUID
        )
    found, _ = clean(given, tmp_path)
    codes = {item.CodeValue for item in found[0].DeidentificationMethodCodeSequence}
    assert ("PatientWeight" in found[0], found[0].PatientSex == "F", "113108" in codes) == (modality == "PT",) * 3


def test_a_code_gets_the_standards_meaning_and_an_unknown_one_stays(tmp_path):
    (given,) = [enhanced(texture((8, 8, 2)), oblique())]
    anatomy, known, unknown = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    known.CodeValue, known.CodingSchemeDesignator, known.CodeMeaning = "T-D1100", "SRT", "ZQJANE"
    unknown.CodeValue, unknown.CodingSchemeDesignator, unknown.CodeMeaning = "ZQJANE", "99ZQ", "ZQJANE"
    anatomy.AnatomicRegionSequence = [known, unknown]
    given.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
    (found,), _ = clean([given], tmp_path, Policy(face="retained"))
    (code,) = found.SharedFunctionalGroupsSequence[0].FrameAnatomySequence[0].AnatomicRegionSequence
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("69536005", "SCT", "Head")
    assert found.RecognizableVisualFeatures == "YES"


def test_images_of_a_head_wait_for_a_decision_about_faces(tmp_path):
    given = slices(texture((8, 8, 2)), oblique())
    for ds in given:
        ds.SeriesDescription = "t1 brain"
    assert clean(given, tmp_path)[1] == {"FACE_VISIBLE": 2}
    found, codes = clean(given, tmp_path, Policy(face="defaced"))
    assert codes == {}
    assert "face defaced" in found[0].DeidentificationMethod


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian dicom3tools) is not installed")
def test_what_was_valid_stays_valid(tmp_path):
    array, affine = np.random.default_rng(0).integers(1, 200, (16, 12, 4)), np.diag([1.0, 1.0, 2.0, 1.0])
    header = SeriesIdentity("zz", "xmed", "phantom", "words")
    write_series(Volume(array.astype(np.uint16), affine), tmp_path / "in" / "mr", header)
    write_ultrasound_volume(Volume(array.astype(np.uint8), affine), tmp_path / "in" / "us.dcm", header)
    deidentify_files(tmp_path / "in", tmp_path / "out", tmp_path / "home")
    written = list((tmp_path / "out").rglob("*.dcm"))
    assert len(written) == 5
    for path in written:
        said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True).stderr
        assert [line for line in said.splitlines() if line.startswith("Error")] == []


# --- crosswalk --------------------------------------------------------------------------------------------------------


def test_the_crosswalk_is_encrypted_for_its_owner_alone_and_opens_with_its_key_only(tmp_path):
    clean(slices(texture((8, 8, 1)), oblique()), tmp_path)
    crosswalk = Crosswalk.below(tmp_path / "home", SECRET)
    assert stat.S_IMODE(crosswalk.path.stat().st_mode) == 0o600
    assert survivors(crosswalk.path, tokens=["ZZ-4711", SECRET.name("patient", "ZZ-4711")]) == set()
    assert {"kind": "patient", "pseudonym": SECRET.name("patient", "ZZ-4711"), "original": "ZZ-4711"} in list(
        crosswalk.read()
    )
    with refusal("KEY_INVALID", "does not open"):
        list(Crosswalk(crosswalk.path, Secret.of(KEY[::-1], "")).read())


def test_no_file_leaves_before_the_crosswalk_knows_it(tmp_path, monkeypatch):
    real, seen = room._write, []

    def killed(out, cleaned, left):
        known = {record["pseudonym"] for record in Crosswalk.below(tmp_path / "home", SECRET).read()}
        seen.append(all(pseudonym in known for _, pseudonym, _ in cleaned.pairs))
        if len(seen) == 2:
            raise KeyboardInterrupt
        real(out, cleaned, left)

    monkeypatch.setattr(room, "_write", killed)
    save(slices(texture((8, 8, 4)), oblique()), tmp_path / "in")
    with pytest.raises(KeyboardInterrupt):
        deidentify_files(tmp_path / "in", tmp_path / "out", tmp_path / "home")
    assert seen == [True, True]
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1
    monkeypatch.undo()
    monkeypatch.setenv("XMED_DEID_KEY", KEY)
    assert deidentify_files(tmp_path / "in", tmp_path / "out", tmp_path / "home").written == 4


def test_a_line_that_a_crash_cut_short_costs_that_line_only(tmp_path):
    crosswalk = Crosswalk(tmp_path / "crosswalk", SECRET)
    crosswalk.commit([("patient", "p", "Jane")])
    with crosswalk.path.open("ab") as file:
        file.write(b"gAAAAABcut")
    Crosswalk(crosswalk.path, SECRET).commit([("patient", "q", "Joe")])
    assert [record["original"] for record in crosswalk.read()] == ["Jane", "Joe"]


def test_the_same_input_gives_the_same_bytes_again(tmp_path):
    save(slices(texture((8, 8, 3)), oblique()), tmp_path / "in")
    for out, home in (("one", "here"), ("two", "there")):
        deidentify_files(tmp_path / "in", tmp_path / out, tmp_path / home)
    one, two = (
        {p.relative_to(tmp_path / o): p.read_bytes() for p in (tmp_path / o).rglob("*.dcm")} for o in ("one", "two")
    )
    assert one == two
    assert len(one) == 3


def test_two_files_under_one_identifier_do_not_overwrite_each_other(tmp_path):
    given = slices(texture((8, 8, 2)), oblique())
    given[1].SOPInstanceUID = given[1].file_meta.MediaStorageSOPInstanceUID = given[0].SOPInstanceUID
    found, codes = clean(given, tmp_path)
    assert (len(found), codes) == (1, {"OUTPUT_EXISTS": 1})


@pytest.mark.parametrize(("source", "out"), [("in", "in/out"), ("in", "in"), ("in/deep", "in")])
def test_output_within_input_is_refused(tmp_path, source, out):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    with refusal("USAGE", "within each other"):
        deidentify_files(tmp_path / source, tmp_path / out, tmp_path / "home")


# --- pixels -----------------------------------------------------------------------------------------------------------

SIZES = (8, 10, 12, 14, 16, 18, 20, 22)
OUTSIDE = ((4, 2), (30, 104), (70, 1))
INSIDE = ((24, 34), (26, 52), (28, 70))


def painted(frames, text, position, size, fill=255):
    """`frames` (n, rows, columns[, 3]) with a line of text drawn into every one of them."""
    out = []
    for frame in frames:
        picture = Image.fromarray(frame)
        colour = (fill,) * 3 if frame.ndim == 3 else fill
        ImageDraw.Draw(picture).text(position, text, fill=colour, font=ImageFont.load_default(size))
        out.append(np.asarray(picture))
    return np.stack(out)


def grey(frames):
    return film(frames, [REGION])


def rgb(frames):
    ds = film(frames, [REGION])
    coloured = np.stack([frames, frames // 2, frames], axis=-1)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.PixelData = coloured.tobytes()
    return ds


def jpeg(frames):
    ds = rgb(frames)
    packed = []
    for frame in np.stack([frames, frames // 2, frames], axis=-1):
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=92, subsampling="4:2:2")
        packed.append(file.getvalue())
    ds.PhotometricInterpretation = "YBR_FULL_422"
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PixelData = encapsulate(packed)
    ds["PixelData"].is_undefined_length = True
    return ds


def palette(frames):
    ds = film(frames, [REGION])
    ds.PhotometricInterpretation = "PALETTE COLOR"
    for colour, shift in (("Red", 0), ("Green", 3), ("Blue", 7)):
        table = (np.arange(256, dtype=np.uint16) + shift).clip(0, 255) * 257
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(ds, f"{colour}PaletteColorLookupTableData", table.astype("<u2").tobytes())
    return ds


def shown(ds):
    """What a viewer shows (frames, rows, columns, channels), uint8."""
    pixels = ds.pixel_array
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        pixels = (pydicom.pixels.apply_color_lut(pixels, ds) >> 8).astype(np.uint8)
    return pixels.reshape(int(ds.NumberOfFrames), ds.Rows, ds.Columns, -1)


@pytest.mark.parametrize("kind", [grey, rgb, jpeg, palette])
def test_of_24_fonts_and_places_outside_the_region_nothing_is_left_and_tissue_is_the_same_to_the_bit(tmp_path, kind):
    frames = tissue()
    given = []
    for n, (size, position) in enumerate((s, p) for s in SIZES for p in OUTSIDE):
        ds = kind(painted(frames, "DOE JANE", position, size))
        ds.InstanceNumber, ds.BurnedInAnnotation = n + 1, "NO"
        given.append(ds)
    found, _ = clean(given, tmp_path, Policy(written=True))
    assert len(found) == 24
    for old, new in zip(given, found):
        before, after = shown(old), shown(new)
        assert np.array_equal(before[:, Y0 : Y1 + 1, X0 : X1 + 1], after[:, Y0 : Y1 + 1, X0 : X1 + 1])
        after = after.copy()
        after[:, Y0 : Y1 + 1, X0 : X1 + 1] = 0
        assert not after.any()
        assert new.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert new.PhotometricInterpretation == ("MONOCHROME2" if kind is grey else "RGB")
        assert not [e for e in new if "Palette" in e.keyword]


def test_of_24_fonts_and_places_inside_the_region_every_one_is_withheld(tmp_path):
    given = [grey(painted(tissue(), "DOE JANE", place, size)) for size in SIZES for place in INSIDE]
    found, codes = clean(given, tmp_path)
    assert found == []
    assert codes == {"BURNED_IN_TEXT": 24}


def test_a_clean_film_passes_and_says_that_its_pixels_were_cleaned(tmp_path):
    (found,), codes = clean([grey(painted(tissue(), "DOE JANE", (4, 2), 12))], tmp_path)
    assert codes == {}
    assert {item.CodeValue for item in found.DeidentificationMethodCodeSequence} == {"113100", "113101", "113107"}
    assert (found.PatientIdentityRemoved, found.BurnedInAnnotation) == ("YES", "NO")


def test_writing_that_somebody_looked_at_is_passed_on_and_not_called_clean(tmp_path):
    (found,), _ = clean([grey(painted(tissue(), "DOE JANE", INSIDE[0], 12))], tmp_path, Policy(written=True))
    assert found.BurnedInAnnotation == "YES"
    assert "113101" not in {item.CodeValue for item in found.DeidentificationMethodCodeSequence}


@pytest.mark.parametrize(
    "regions",
    [
        [],
        [(0, 0, None, None, 0.02, 0.02)],
        [(0, 0, 4_000_000_000, 4_000_000_000, 0.02, 0.02)],
        [(80, 60, 20, 30, 0.02, 0.02)],
    ],
)
def test_a_screen_without_regions_or_with_one_all_over_it_is_never_passed_on(tmp_path, regions):
    ds = film(tissue(), regions)
    ds.BurnedInAnnotation = "NO"
    assert clean([ds], tmp_path)[1] == {"US_NO_REGION": 1}


def test_a_region_that_ends_before_the_picture_begins_shows_nothing(tmp_path):
    ds = film(tissue(), [(5, 5, 9, 9, 0.02, 0.02)])
    for tag in (0x0018601C, 0x0018601E):
        ds.SequenceOfUltrasoundRegions[0].add_new(tag, "SL", -3)  # no VR of the standard for it; some file will have it
    assert clean([ds], tmp_path)[1] == {"US_NO_REGION": 1}


def test_colour_flow_is_shown_only_when_it_is_asked_for(tmp_path):
    ds = film(tissue(), [(20, 30, 79, 99, 0.02, 0.02), (80, 30, 139, 99, 0.02, 0.02)])
    ds.SequenceOfUltrasoundRegions[1].RegionDataType = 2
    (without,), _ = clean([ds], tmp_path, name="without")
    (both,), _ = clean([ds], tmp_path, Policy(flow=True), name="with")
    assert not without.pixel_array[:, :, 80:].any()
    assert np.array_equal(both.pixel_array[:, 30:100, 20:140], ds.pixel_array[:, 30:100, 20:140])


def test_what_hides_above_the_stored_bits_or_behind_the_last_pixel_is_gone(tmp_path):
    ds = slices(texture((8, 8, 1)), oblique())[0]
    plain = texture((8, 8, 1))[:, :, 0].T
    ds.BitsStored, ds.HighBit = 12, 11
    ds.PixelData = (plain | 0x8000).astype("<u2").tobytes() + b"ZQJANE"
    (found,), _ = clean([ds], tmp_path)
    assert found.PixelData == plain.astype("<u2").tobytes()


def test_a_screenshot_or_a_picture_file_is_withheld(tmp_path):
    ds = slices(texture((8, 8, 1)), oblique())[0]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    save([ds], tmp_path / "in")
    Image.fromarray(tissue()[0]).save(tmp_path / "in" / "jane.png")
    assert deidentify_files(tmp_path / "in", tmp_path / "out", tmp_path / "home").codes == {"DEID_UNSAFE": 2}


@pytest.mark.parametrize("fill", [255, 200])
@pytest.mark.parametrize("frames", [1, 5])
def test_writing_is_told_from_speckle(fill, frames):
    pictures = tissue(frames=frames)
    assert longest_line(pictures) < MIN_LETTERS
    for size in SIZES:
        assert longest_line(painted(pictures, "DOE JANE", INSIDE[0], size, fill)) >= MIN_LETTERS


def test_dark_writing_on_bright_tissue_is_found_as_well():
    assert longest_line(painted(255 - tissue(), "DOE JANE", INSIDE[0], 14, 0)) >= MIN_LETTERS


def test_real_ultrasound_without_writing_passes(xmed_data):
    paths = sorted((xmed_data / "usgra-seg" / "dataset" / "images").iterdir())[::12]
    found = [longest_line(np.asarray(Image.open(path).convert("L"))[np.newaxis]) for path in paths]
    assert len(found) > 10
    assert max(found) < MIN_LETTERS


# --- what it says of itself -------------------------------------------------------------------------------------------


def test_explain_names_every_permitted_attribute_and_nothing_else(capsys):
    assert main(["deidentify", "--explain", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == content(explain_rules())
    assert {keyword for group in said["attributes"].values() for keyword in group} == {
        k for g in PERMITTED.values() for k in g
    }
    assert all(keyword in "\n".join(explanation_lines(explain_rules())) for keyword in RULES)


def test_the_crosswalk_is_shown_to_who_has_the_key(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "home"))
    clean(slices(texture((8, 8, 1)), oblique()), tmp_path)
    assert main(["deidentify", "--crosswalk", "--json"]) == 0
    assert "ZZ-4711" in {record["original"] for record in json.loads(capsys.readouterr().out)}


def test_without_in_and_out_it_says_what_is_missing(capsys):
    assert main(["deidentify"]) == 2
    assert "error[USAGE]" in capsys.readouterr().err
