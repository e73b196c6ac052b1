"""A4: what scales stored values is applied, kept or refused; a de-identified copy means what the original meant.

Numbers are worked by hand from PS3.3 C.11.1 (modality values), C.7.6.16.2.11 (real-world values), C.8.9.1 (PET) and
the pseudo-code of the QIBA FDG-PET/CT profile, appendix G.
"""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from support.scaled_series import (
    ARRAY,
    F18,
    by_weight,
    ct,
    deidentified,
    factor,
    mapping,
    mr,
    multiframe,
    pet,
    philips_pet,
    read,
    written,
)
from support.synthetic_dicom import save

HOUR = 3600.0


def when(at, tm=None):
    """Injection by a DT, and by a TM where it is given."""
    return {"RadiopharmaceuticalStartDateTime": at, "RadiopharmaceuticalStartTime": tm}


# --- PET: zones, dates, doses -----------------------------------------------------------------------------------------

ONE_HOUR = {
    "no zone anywhere": pet(),
    "local date and time without a zone": pet(when("20240102100000")),
    "UTC in the DT, the data set in +0200": pet(when("20240102080000+0000"), TimezoneOffsetFromUTC="+0200"),
    "the DT's own +0200, the data set in +0200": pet(when("20240102100000+0200"), TimezoneOffsetFromUTC="+0200"),
    "a DT without a zone is in the data set's": pet(when("20240102100000"), TimezoneOffsetFromUTC="-0500"),
    "UTC in the DT, the data set in -0500": pet(when("20240102150000+0000"), TimezoneOffsetFromUTC="-0500"),
    "+0530 in the DT, the data set in +0000": pet(when("20240102153000.00+0530"), TimezoneOffsetFromUTC="+0000"),
    "UTC in the DT, the data set's zone told by the time beside it": pet(when("20240102080000+0000", "100000")),
    "the zone of the place in the DT, no other": pet(when("20240102100000+0200")),
    "UTC in the DT across midnight": pet(
        when("20240101233000+0000"), TimezoneOffsetFromUTC="+0200", SeriesTime="023000", AcquisitionTime="023000"
    ),
    "the series just after midnight": pet(
        {"RadiopharmaceuticalStartTime": "233000"}, SeriesTime="003000", AcquisitionTime="003000"
    ),
    "a date alone, and the time beside it": pet(when("20240102", "100000")),
    "a fraction of a second": pet({"RadiopharmaceuticalStartTime": "100000.000000"}),
    "hours and minutes": pet({"RadiopharmaceuticalStartTime": "1000"}),
    "acquisition told by a date and time in one": pet(
        AcquisitionTime=None, AcquisitionDate=None, AcquisitionDateTime="20240102110000"
    ),
}


@pytest.mark.parametrize("name", ONE_HOUR)
def test_an_hour_is_an_hour_in_whatever_zone_it_is_told(name, tmp_path):
    assert factor(ONE_HOUR[name], tmp_path) == pytest.approx(by_weight(HOUR), rel=1e-5)


OTHERS = {
    "ADMIN: nothing has decayed": (pet(DecayCorrection="ADMIN"), by_weight(0)),
    "two days, iodine-124": (
        pet(when("20231231110000") | {"RadionuclideHalfLife": 360_806.4}),
        by_weight(48 * HOUR, half_life=360_806.4),
    ),
    "slices of several beds, all corrected to the start of the series": (pet(), by_weight(HOUR)),
    "already SUV by body weight": (pet(Units="GML", SUVType="BW"), 1.0),
    "already SUV, by body weight unless said otherwise": (pet(Units="GML"), 1.0),
    "Philips counts by their own factor": (philips_pet(pet(Units="CNTS"), suv="0.000551"), 0.000551),
    "Philips counts, the block at 42": (philips_pet(pet(Units="CNTS"), suv="0.000551", block=0x42), 0.000551),
    "Philips counts by the activity of one": (
        philips_pet(pet(Units="CNTS"), activity="1.5"),
        1.5 * by_weight(HOUR),
    ),
    "Philips counts, a SUV factor of zero and an activity": (
        philips_pet(pet(Units="CNTS"), suv="0", activity="1.5"),
        1.5 * by_weight(HOUR),
    ),
    "Philips in Bq/ml: its factor is for counts": (philips_pet(pet(), suv="0.000551"), by_weight(HOUR)),
}
for _bed, _slice in enumerate(OTHERS["slices of several beds, all corrected to the start of the series"][0]):
    _slice.AcquisitionTime = f"110{_bed}30"


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_way_to_an_uptake(name, tmp_path):
    series, expected = OTHERS[name]
    assert factor(series, tmp_path) == pytest.approx(expected, rel=1e-5)


def test_ge_tells_the_start_of_a_scan_whose_series_was_made_later(tmp_path):
    """QIBA: of a series made after its images the scan's start is (0009,xx0D) of GEMS_PETD_01."""
    series = pet(SeriesTime="150000", FrameReferenceTime=None, ActualFrameDuration=None, AcquisitionTime="110300")
    for ds in series:
        ds.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20240102110000.00")
    assert factor(series, tmp_path) == pytest.approx(by_weight(HOUR), rel=1e-5)


def _mixed(keyword, value, **changes):
    series = pet(**changes)
    setattr(series[2], keyword, value)
    return series


def _two_drugs():
    series = pet()
    for ds in series:
        other = Dataset()
        other.RadionuclideTotalDose, other.RadionuclideHalfLife = 100e6, 1223.4
        other.RadiopharmaceuticalStartTime = "103000"
        ds.RadiopharmaceuticalInformationSequence.append(other)
    return series


def _nuclide(half_life):
    series = pet(RadionuclideCodeSequence=None, injection={"RadionuclideHalfLife": half_life})
    for ds in series:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C-111A1", "SRT", "^18^Fluorine"
        ds.RadiopharmaceuticalInformationSequence[0].RadionuclideCodeSequence = [code]
        ds.SeriesTime = ds.AcquisitionTime = "100200"
    return series


REFUSED = {
    "UTC in the DT, and no zone to tell the series' clock by": pet(when("20240102080000+0000")),
    "a zone that is none": pet(when("20240102080000+0000"), TimezoneOffsetFromUTC="CEST"),
    "two injections three hours apart in one header": pet(when("20240102100000+0200", "070000"), TimezoneOffsetFromUTC="+0200"),
    "injected after the scan": pet(when("20240102120000")),
    "injected after the scan, told in UTC": pet(when("20240102093000+0000"), TimezoneOffsetFromUTC="+0100", SeriesTime="102000"),
    "a date of injection without a time": pet(when("20240102")),
    "a time of injection to the hour": pet({"RadiopharmaceuticalStartTime": "10"}),
    "zirconium-89 without a date: the same day, or a week ago": pet({"RadionuclideHalfLife": 282_276.0}),
    "a clock that is five minutes late": pet({"RadiopharmaceuticalStartTime": "110500"}),
    "a dose in MBq": pet({"RadionuclideTotalDose": 370}),
    "a dose in kBq": pet({"RadionuclideTotalDose": 370e3}),
    "a dose in mBq": pet({"RadionuclideTotalDose": 370e9}),
    "a weight in grams": pet(PatientWeight=70_000),
    "no weight": pet(PatientWeight=None),
    "a half-life in minutes": _nuclide(109.77),
    "two drugs": _two_drugs(),
    "not corrected for decay": pet(DecayCorrection="NONE"),
    "not corrected for attenuation": pet(CorrectedImage=["DECY"]),
    "Philips counts not corrected for attenuation": philips_pet(pet(Units="CNTS", CorrectedImage=["DECY"]), suv="0.000551"),
    "Philips factors that differ from slice to slice": philips_pet(pet(Units="CNTS"), suv=lambda k: f"0.00055{k}"),
    "a Philips factor below zero": philips_pet(pet(Units="CNTS"), suv="-0.000551"),
    "two weights in one series": _mixed("PatientWeight", 35),
    "two units in one series": _mixed("Units", "GML"),
    "SUV by body weight and by lean mass in one series": _mixed("SUVType", "LBM", Units="GML", SUVType="BW"),
    "two kinds of decay correction in one series": _mixed("DecayCorrection", "ADMIN"),
    "two corrections in one series": _mixed("CorrectedImage", ["DECY"]),
    "a zone on one slice alone": _mixed("TimezoneOffsetFromUTC", "+0200"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_uptake_that_nobody_can_compute_is_none(name, tmp_path):
    assert factor(REFUSED[name], tmp_path) == "SUV_INVALID"


@pytest.mark.parametrize(
    "series",
    [pet(Units="GML", SUVType="LBM"), pet(Units="GML", SUVType="IBW"), pet(Units="CM2ML", SUVType="BSA"), pet(Units="CNTS"),
     pet(Units="PROPCPS"), pet(Units=None)],
    ids=["LBM", "IBW", "BSA", "counts", "proportional to counts", "none"],
)  # fmt: skip
def test_another_unit_is_kept_and_said(series, tmp_path):
    found, notes = read(save(series, tmp_path))
    assert np.array_equal(found[""], ARRAY)
    assert "PET_UNITS" in notes


# --- maps of values ---------------------------------------------------------------------------------------------------


def _with_maps(series, maps):
    for k, ds in enumerate(series):
        items = maps(k) if callable(maps) else maps
        ds.RealWorldValueMappingSequence = items
    return series


def _table(values, unit="1"):
    item = mapping(1, unit=unit, last=len(values) - 1)
    del item.RealWorldValueSlope, item.RealWorldValueIntercept
    item.RealWorldValueLUTData = [float(value) for value in values]
    return item


SQUARES = np.arange(4096.0) ** 2

MAPPED = {
    "no rescale, one line": (_with_maps(mr(), [mapping(2.5, 7)]), ARRAY * 2.5 + 7, True),
    "no rescale, a line for each slice": (
        _with_maps(mr(), lambda k: [mapping(1 + k, k)]),
        ARRAY * (1.0 + np.arange(4)) + np.arange(4),
        True,
    ),
    "no rescale, a table": (_with_maps(mr(), [_table(SQUARES)]), SQUARES[ARRAY], True),
    "no rescale, the same map twice": (_with_maps(mr(), [mapping(2.5, 7)] * 2), ARRAY * 2.5 + 7, True),
    "a map that says what the rescale says": (_with_maps(ct(), [mapping(1, -1024, "[hnsf'U]")]), ARRAY - 1024.0, False),
    "the first of two maps says what the rescale says": (
        _with_maps(ct(), [mapping(1, -1024, "[hnsf'U]"), mapping(0.001, 0)]),
        ARRAY - 1024.0,
        False,
    ),
    "a rescale, and one line into another unit": (_with_maps(ct(), [mapping(0.5, 3)]), ARRAY - 1024.0, True),
    "the identity": (_with_maps(mr(), [mapping(1, 0)]), ARRAY, False),
}


@pytest.mark.parametrize("name", MAPPED)
def test_a_real_world_map_is_applied_where_nothing_else_scales_and_said_where_it_is_not(name, tmp_path):
    series, expected, said = MAPPED[name]
    found, notes = read(save(series, tmp_path))
    np.testing.assert_allclose(found[""], expected, rtol=1e-6)
    assert bool(notes) is said


UNMAPPED = {
    "two maps, and nothing that says which": _with_maps(mr(), [mapping(2), mapping(3)]),
    "a map that does not reach every stored value": _with_maps(mr(), [mapping(2, last=100)]),
    "a slope that is no number": _with_maps(mr(), [mapping("nan")]),
    "a slope of zero": _with_maps(mr(), [mapping(0, 1)]),
    "a table shorter than its range": _with_maps(mr(), [_table(SQUARES[:50])]),
    "a map that differs from slice to slice beside one rescale": _with_maps(ct(), lambda k: [mapping(1 + k)]),
    "a map on some slices alone": _with_maps(mr(), lambda k: [mapping(2)] if k else []),
    "PET whose map and rescale disagree": _with_maps(pet(), [mapping(3, unit="Bq/ml")]),
}


@pytest.mark.parametrize("name", UNMAPPED)
def test_a_map_that_cannot_be_applied_is_a_refusal(name, tmp_path):
    assert read(save(UNMAPPED[name], tmp_path))[0] == "RESCALE_INVALID"


def _framed(shared=None, own=None, transform=None):
    ds = multiframe()
    if shared:
        ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = shared
    for k, groups in enumerate(ds.PerFrameFunctionalGroupsSequence):
        if own:
            groups.RealWorldValueMappingSequence = own(k)
        if transform:
            line = Dataset()
            line.RescaleSlope, line.RescaleIntercept, line.RescaleType = *transform(k), "US"
            groups.PixelValueTransformationSequence = [line]
    return [ds]


FRAMES = {
    "one map for all frames": (_framed(shared=[mapping(2.5)]), ARRAY * 2.5),
    "a map for each frame": (_framed(own=lambda k: [mapping(1 + k)]), ARRAY * (1.0 + np.arange(4))),
    "a transformation for each frame": (
        _framed(transform=lambda k: (1 + k, 5 * k)),
        ARRAY * (1.0 + np.arange(4)) + 5 * np.arange(4),
    ),
    "a transformation and the same map": (
        _framed(own=lambda k: [mapping(1 + k)], transform=lambda k: (1 + k, 0)),
        ARRAY * (1.0 + np.arange(4)),
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_scaled_each_by_its_own(name, tmp_path):
    series, expected = FRAMES[name]
    found, _ = read(save(series, tmp_path / "in"))
    np.testing.assert_allclose(found[""], expected, rtol=1e-6)


def _philips_mr(scale):
    series = mr(Manufacturer="Philips", RescaleSlope=2, RescaleIntercept=0)
    for k, ds in enumerate(series):
        block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0D, "FL", 0.0)
        block.add_new(0x0E, "FL", scale(k))
    return series


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(lambda k: 0.5, ARRAY * 2.0), (lambda k: 2.0**-k, ARRAY / (2.0 ** -np.arange(4)))],
    ids=["one scale for all slices: display values", "a scale for each slice: floating point values"],
)
def test_philips_scale_slope_is_applied_where_slices_would_not_compare_without_it(scale, expected, tmp_path):
    """FP = (PV · RS + RI) / (RS · SS), as dcm2niix -p y does (Chenevert et al. 2014, 10.1593/tlo.13811)."""
    found, _ = read(save(_philips_mr(scale), tmp_path))
    np.testing.assert_allclose(found[""], expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["Z_EFF", "ED", "MGML"])
def test_ct_in_another_unit_than_hounsfields_is_said(kind, tmp_path):
    found, notes = read(save(ct(RescaleType=kind), tmp_path))
    assert np.array_equal(found[""], ARRAY - 1024.0)
    assert notes


@pytest.mark.parametrize("kind", ["HU", "US", None])
def test_ct_in_hounsfields_is_said_nothing_of(kind, tmp_path):
    assert read(save(ct(RescaleType=kind), tmp_path))[1] == set()


def test_ct_slices_in_two_units_are_refused(tmp_path):
    series = ct(RescaleType="HU")
    series[1].RescaleType = "Z_EFF"
    assert read(save(series, tmp_path))[0] == "RESCALE_INVALID"


def test_an_empty_modality_table_is_none(tmp_path):
    series = ct(ModalityLUTSequence=[])
    assert np.array_equal(read(save(series, tmp_path))[0][""], ARRAY - 1024.0)


# --- de-identified = original -----------------------------------------------------------------------------------------


def _sloped(series):
    for k, ds in enumerate(series):
        ds.RescaleSlope = f"{1 + 0.1 * k:.1f}"
    return series


SAME = {
    **{f"PET: {name}": series for name, series in ONE_HOUR.items()},
    **{f"PET: {name}": series for name, (series, _) in OTHERS.items()},
    **{f"PET refused: {name}": series for name, series in REFUSED.items()},
    **{f"map: {name}": series for name, (series, *_) in MAPPED.items()},
    **{f"map refused: {name}": series for name, series in UNMAPPED.items()},
    **{f"frames: {name}": series for name, (series, _) in FRAMES.items()},
    "Philips PET as it was seen": _sloped(philips_pet(pet(Units="CNTS"), suv="0.000551", activity="1.5")),
    "Philips MR, a scale for each slice": _philips_mr(lambda k: 2.0**-k),
    "CT with a slope for each slice": _sloped(ct()),
    "CT in effective atomic numbers": ct(RescaleType="Z_EFF"),
    "lean mass by a name that is not the standard's": pet(Units="GML", SUVType="SUL"),
    "units in other letters": pet(Units="bqml"),
}
LEAVES = {name for name in SAME if "refused" not in name} - {
    "lean mass by a name that is not the standard's", "units in other letters"
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_a_deidentified_copy_has_the_quantities_of_its_original_or_is_withheld(name, tmp_path):
    out, codes = deidentified(SAME[name], tmp_path)
    if not codes:
        (before, said), (after, says) = read(tmp_path / "in"), read(out)
        assert said & {"PET_UNITS", "SUV"} == says & {"PET_UNITS", "SUV"}
        if isinstance(before, str) or isinstance(after, str):
            assert after == before
        else:
            assert sorted(after) == sorted(before)
            for volume, array in before.items():
                np.testing.assert_allclose(after[volume], array, rtol=2e-6)
    if name in LEAVES:
        assert not codes


@pytest.mark.parametrize("seed", range(12))
def test_any_zone_time_and_vendor_gives_equal_quantities(seed, tmp_path):
    draw = np.random.default_rng(seed)
    zone = draw.choice(["+0000", "-0500", "+0530", "+1300", ""])
    hour, minute = draw.integers(24), draw.integers(60)
    told = {"SeriesTime": f"{hour:02}{minute:02}12", "AcquisitionTime": f"{hour:02}{minute:02}12.5"}
    zones = {"TimezoneOffsetFromUTC": str(zone)} if zone else {}
    start = f"20240101{draw.integers(24):02}{draw.integers(60):02}05" + str(
        draw.choice(["", "+0000", "-0800", "+0200"])
    )
    drug = (
        when(start, None) if draw.integers(2) else {"RadiopharmaceuticalStartTime": f"{(hour - 1) % 24:02}{minute:02}"}
    )
    half_life = float(draw.choice([F18, 1223.4, 45_721.0]))
    series = _sloped(pet(drug | {"RadionuclideHalfLife": half_life}, **told, **zones))
    if draw.integers(3) == 0:
        philips_pet(series, suv="0.00061", activity="1.25", block=int(draw.integers(0x10, 0xFF)))
        for ds in series:
            ds.Units = "CNTS"
    out, codes = deidentified(series, tmp_path)
    assert codes == {}
    before, after = read(tmp_path / "in")[0], read(out)[0]
    if isinstance(before, str):
        assert after == before
    else:
        np.testing.assert_allclose(after[""], before[""], rtol=2e-6)


def test_the_copy_tells_no_place_and_no_private_word(tmp_path):
    series = philips_pet(pet(when("20240102080000+0000"), TimezoneOffsetFromUTC="+0530", Units="CNTS"), suv="0.000551")
    for ds in series:
        ds.add_new((0x7053, 0x1002), "LO", "ZQSECRET")
        ds.private_block(0x0009, "ZQ SECRET CREATOR", create=True).add_new(0x01, "LO", "ZQSECRET")
    out, codes = deidentified(series, tmp_path)
    assert codes == {}
    for ds in written(out):
        assert ds.get("TimezoneOffsetFromUTC", "+0000") == "+0000"
        text = str(ds)
        assert "ZQ" not in text
        assert "+0530" not in text
        assert str(ds.private_block(0x7053, "Philips PET Private Group")[0x00].value) == "0.000551"


def test_private_factors_that_are_no_numbers_do_not_cross(tmp_path):
    series = philips_pet(pet(Units="CNTS"), suv="ZQSECRET", kind="LO")
    out, codes = deidentified(series, tmp_path)
    assert codes or all("ZQ" not in str(ds) for ds in written(out))
