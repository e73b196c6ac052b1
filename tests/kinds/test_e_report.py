"""E: a report's tiles, footnotes and sentences say what its own document says, in words and with units."""

import json
import math
import re

import pytest

from support.drift_reference import reference
from support.evaluated_runs import missed, undefined, written
from support.page_text import numbers, seen
from xmed import report
from xmed.records.record import content


def adapted(change):
    return lambda rows: [change(row) if row["arm"] == "adapted" else row for row in rows]


STUDIES = {
    "as it is": {},
    "one patient": {"patients": 1, "seeds": (0,)},
    "two patients": {"patients": 2},
    "three structures": {"names": ("prostate", "bladder", "seminal_vesicles")},
    "a name with an underscore": {"names": ("left_kidney",)},
    "several images a patient": {"per_patient": 2},
    "all failed": {"change": adapted(missed)},
    "nothing there": {"change": lambda rows: [undefined(row) for row in rows]},
    "one seed, no ceiling": {"seeds": (0,), "arms": ("source_only", "adapted")},
    "pictures without scale": {"credible": False},
    "volumes too small": {"change": adapted(lambda row: {**row, "volume_ml": 0.8 * row["reference_volume_ml"]})},
    "volumes too large": {"change": adapted(lambda row: {**row, "volume_ml": 1.3 * row["reference_volume_ml"]})},
    "no probabilities": {"probabilities": False},
    "disturbed": {"robust": True},
    "judged by distance": {"protocol": {"primary": {"metric": "hd95_mm", "structure": "prostate"}}},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    known = {}

    def built(name, **how):
        key = name, json.dumps(how, sort_keys=True, default=str)
        if key not in known:
            run = written(tmp_path_factory.mktemp("toy") / "toy", **{"patients": 8, **STUDIES.get(name, {}), **how})
            report.write_report(run)
            known[key] = content(report.read_report(run.report)), seen(run.report / "report.html"), run
        return known[key]

    return built


@pytest.mark.parametrize("study", STUDIES)
def test_every_tile_shows_a_value_inside_its_own_interval(built, study):
    document, page, _ = built(study)
    assert page.tiles
    for label, text in page.tiles.items():
        found = numbers(text)
        if len(found) == 3:
            value, low, high = found
            assert low <= value <= high, f"{label}: {text}"
    for one in document["headline"]["strip"]:
        if one["value"] is not None and one["ci"]:
            assert one["ci"][0] <= one["value"] <= one["ci"][1], one["id"]


@pytest.mark.parametrize("study", ["as it is", "volumes too small", "volumes too large", "several images a patient"])
def test_the_volume_tile_is_the_bias_of_the_table_with_its_sign_and_unit(built, study):
    document, page, _ = built(study)
    bias = document["volume_agreement"]["prostate"]["bias_ml"]
    (text,) = [text for label, text in page.tiles.items() if label.lower().startswith("volume")]
    assert numbers(text.replace("+", ""))[0] == pytest.approx(bias, abs=0.051)
    assert "ml" in text


CHECKS = {"patient_overlap", "study_overlap", "series_overlap", "pixel_overlap", "near_duplicates"}
"""The names that the toy run gives to its checks for leakage, where a run has sentences."""
RAW = re.compile(r"\b[a-z]+_[a-z0-9_]+\b")


@pytest.mark.parametrize("study", STUDIES)
def test_no_key_of_the_document_stands_in_the_text(built, study):
    _, page, _ = built(study)
    assert sorted(set(RAW.findall(page.words)) - CHECKS) == []


@pytest.mark.parametrize("study", STUDIES)
def test_no_list_and_no_null_of_python_stands_in_the_text(built, study):
    _, page, _ = built(study)
    assert not re.search(r"\bNone\b(?! was|\.)|\[\d+(\.\d+)?,|\bnan\b|\binf\b|\bTrue\b|\bFalse\b", page.words)
    assert not re.search(r"\b1 do not apply|\b1 cases\b|\b1 patients\b", page.words)


def facts(**of_all):
    return {f"patient-{n:03d}": dict(of_all) for n in range(8)}


HALF = {f"patient-{n:03d}": {"sex": "FM"[n % 2], "age_band": ("50-59", "60-69")[n % 2]} for n in range(8)}


@pytest.mark.parametrize(
    ("known", "filled"),
    [
        ({}, False),
        (facts(sex="O"), False),  # other, of everybody, and no age: nobody is described
        (facts(sex="M"), False),
        (facts(age_band="60-69"), False),
        (facts(sex="M", age_band="60-69"), True),
        (HALF, True),
        ({"patient-000": {"sex": "F", "age_band": "60-69"}}, False),  # hidden, as it could identify someone
    ],
)
def test_demographics_are_provided_when_they_are(built, known, filled):
    document = built("as it is", facts=known)[0]
    item = document["claim"][35]
    assert item["item"] == 36
    assert item["status"] == ("filled" if filled else "human_required")
    assert not re.search(r"(age|Sex)\s*[.;]", item["machine"] or "")
    if filled:
        assert not re.search(r"\b[MFO] \d", item["text"])


def cohort_row(page, start="Target, test"):
    return next(cells for section, cells in page.rows if section == "data" and cells[0].startswith(start))


@pytest.mark.parametrize(("code", "word"), [("M", "male"), ("F", "female"), ("O", "other")])
def test_sexes_are_words(built, code, word):
    _, page, _ = built("as it is", facts=facts(sex=code, age_band="60-69"))
    assert f"8 {word}" in cohort_row(page)[4] or f"{word} 8" in cohort_row(page)[4]


def test_field_strength_and_vendor_are_counted_with_their_units(built):
    _, page, _ = built("as it is", facts=facts(field_t="3", vendor="SIEMENS"))
    text = " | ".join(cohort_row(page))
    assert re.search(r"3 T\b(?! \d)", text)
    assert "3 8 T" not in text
    assert "not given" not in cohort_row(page)[6]


def test_what_is_not_given_is_said_once_and_of_what_it_is_not(built):
    _, page, _ = built("as it is", facts=facts(field_t="1.5"))
    text = cohort_row(page)[6]
    assert "1.5 T" in text
    assert text.count("not given") <= 1


def test_missing_data_are_named_in_words_with_what_was_counted(built):
    page = built("as it is")[1]
    rows = [cells for section, cells in page.rows if section == "data" and "left out of subgroups" in " ".join(cells)]
    assert {cells[1].lower() for cells in rows} == {"sex", "age", "manufacturer"}
    assert all("case" in cells[2] for cells in rows)


VALIDATORS = ("consistency", "proxy", "reverse", "position", "information")


@pytest.mark.parametrize(
    "there", [VALIDATORS, VALIDATORS[:1], VALIDATORS[2:], ("consistency", "reverse", "position", "information")]
)
def test_the_footnote_explains_the_validators_of_the_table_and_no_other(tmp_path, there):
    run = written(tmp_path / "toy", patients=4, seeds=(0,))
    one = {"kept": True, "guards": {}, "scores": dict.fromkeys(there, 0.5)}
    candidates = [{"name": name, "mean_rank": n, **one} for n, name in enumerate(("adapted", "source_only"), 1)]
    seed = {
        "rule": "by rank",
        "validators": list(there),
        "candidates": candidates,
        "chosen": "adapted",
        "reason": "it is better",
    }
    run.write("selection", {"promoted": True, "reason": "it is better", "seeds": {"0": seed}})
    report.write_report(run)
    text = seen(run.report / "report.html").sections["model"]
    footnote = text[text.index("Every score is label-free") :].split("Training")[0].lower()
    for name in VALIDATORS:
        assert (f"{name}:" in footnote) == (name in there), name


@pytest.mark.parametrize("study", ["as it is", "pictures without scale", "one patient"])
def test_a_range_that_is_pointed_to_is_where_it_is_said_to_be(built, study):
    _, page, run = built(study)
    text = page.sections["intended"]
    assert "range above" not in text
    assert "range above" not in (run.report / "README.md").read_text()
    if "outside the tested range" in text and "below" in text.split("outside the tested range")[1][:30]:
        assert text.index("Tested on") > text.index("outside the tested range")


def rule(document):
    return next((one["text"] for one in document["monitoring"]["rules"] if one["id"] == "spacing"), None)


def test_one_voxel_size_is_no_range_and_two_are(tmp_path, built):
    document, _, _ = built("as it is")
    assert "3 to 3" not in rule(document)
    assert "other than 3 mm" in rule(document)
    run = written(tmp_path / "toy", patients=4, seeds=(0,))
    data = run.read("data")
    for n, case in enumerate(data["target"]["cases"]):
        case["spacing_mm"] = [1.0, 1.0, 2.44 + 0.1 * (n % 2)]
    run.write("data", data)
    report.write_report(run)
    assert "2.44 to 2.54 mm" in rule(content(report.read_report(run.report)))


@pytest.mark.parametrize("alarms", [0, 4, 6, 20])
def test_false_alarms_stand_beside_what_the_rule_promises(tmp_path, alarms):
    run = written(tmp_path / "toy", patients=8, seeds=(0,))
    simulation = {"n_reference": 8, "n_new": 5, "repeats": 100, "in_control": {"alarms": alarms, "rate": alarms / 100},
                  "disturbed": [], "reason": None}  # fmt: skip
    text = "alarm when the images differ, p at most 0.04; in at most 5 of 100 checks of data that have not changed"
    run.write("monitor", {**content(reference()), "rule": text, "simulation": simulation})
    report.write_report(run)
    page = seen(run.report / "report.html")
    (cells,) = [cells for section, cells in page.rows if section == "monitoring" and cells[0] == "As they are"]
    value, low, high = numbers(cells[2])[-3:]
    assert (value, low <= value <= high) == (alarms, True)
    assert high - low > 2, "100 checks do not tell a share to the percent"
    said = page.sections["monitoring"]
    assert ("more often than the rule allows" in said) == (low > 5)


def test_the_endpoint_names_its_metric_and_its_unit(built):
    document, _, _ = built("judged by distance")
    sentence = document["headline"]["endpoint"]["sentence"]
    assert "HD95" in sentence
    assert "mm" in sentence
    assert "hd95_mm" not in sentence
    assert "mean Dice of prostate" in built("as it is")[0]["headline"]["endpoint"]["sentence"]


@pytest.mark.parametrize("study", ["as it is", "three structures"])
def test_a_worst_case_shows_the_dice_of_the_case_or_says_of_which_seed_it_is(built, study):
    document, page, _ = built(study)
    means = {case["case"]: case["metrics"]["prostate"]["dice"] for case in document["cases"]}
    different = [one for one in document["headline"]["worst"] if abs(one["dice"] - means[one["case"]]) > 0.005]
    assert different
    assert "worst seed" in page.sections["summary"]


@pytest.mark.parametrize("study", STUDIES)
def test_every_interval_of_a_table_holds_its_value(built, study):
    """Cells of the forms '0.862 0.84 to 0.89' and '+0.795 (+0.76 to +0.83)'."""
    _, page, _ = built(study)
    shape = re.compile(
        r"^([+−]?\d+(?:\.\d+)?)(?: %)? \(?([+−]?\d+(?:\.\d+)?)(?: %)? to ([+−]?\d+(?:\.\d+)?)(?: %)?\)?$"
    )
    for section, cells in page.rows:
        for cell in cells if section in ("results", "volume", "calibration") else ():
            match = shape.match(cell)
            if match:
                value, low, high = (float(one.replace("−", "-")) for one in match.groups())
                assert low - 0.006 <= value <= high + 0.006, (section, cell)


def test_a_number_that_rounds_to_nothing_has_no_sign():
    from xmed.html.render import signed

    assert [signed(value, 3) for value in (0.0, 0.0004, -0.0004, 0.0006)] == ["0.000", "0.000", "0.000", "+0.001"]


@pytest.mark.parametrize("study", STUDIES)
def test_the_model_card_and_the_checklist_use_words(built, study):
    document, _, run = built(study)
    for item in document["claim"]:
        if item["item"] not in (42,):
            assert set(RAW.findall(item["text"])) <= CHECKS, item
            assert not re.search(r"\[\d+(\.\d+)?,", item["text"]), item
    card = (run.report / "README.md").read_text(encoding="utf-8").partition("# toy-us")[2]
    body = re.sub(r"`[^`]*`", "", card).replace("\\_", "_")
    assert sorted(set(RAW.findall(body)) - {"seminal_vesicles", "left_kidney"}) == []
    assert not re.search(r"MODALITY_MISMATCH", body)


@pytest.mark.parametrize("study", ["as it is", "all failed", "one patient"])
def test_the_summary_agrees_with_the_table_below_it(built, study):
    document, page, _ = built(study)
    cell = document["summary"]["adapted"]["prostate"]["dice"]
    sentence = document["headline"]["sentence"]
    assert f"{cell['mean']:.2f}" in sentence
    assert f"{cell['n']} " in sentence
    failures = next(text for label, text in page.tiles.items() if label.lower().startswith("fail"))
    assert numbers(failures)[0] == pytest.approx(100 * cell["n_failed"] / cell["n_cases"], abs=0.5)
    assert not math.isnan(numbers(failures)[0])
