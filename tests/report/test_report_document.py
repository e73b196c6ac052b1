"""The document: every number follows from the rows, nothing is lost, and whatever came out is told truthfully."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from support.evaluated_runs import missed, undefined, written
from xmed import report
from xmed.errors import XmedError
from xmed.records.evaluation import CaseRow
from xmed.records.record import content
from xmed.records.validation_report import Report
from xmed.report.author_text import TEXTS
from xmed.report.build_report import schema_problems
from xmed.report.cases_csv import cases_csv, read_cases
from xmed.report.compose_report import completed, compose_report
from xmed.report.failure_causes import causes
from xmed.report.sections.previous_version.compute import prior_of
from xmed.report.sources import Sources


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """The report of a toy study, by what is changed in it; composed once for all tests that ask for the same."""
    known = {}

    def document(**how):
        key = json.dumps(how, sort_keys=True, default=id)
        if key not in known:
            found = compose_report(Sources.of(written(tmp_path_factory.mktemp("toy"), **how)))
            assert schema_problems(found) == []
            # With what was asked: a function that nobody holds any more leaves its id to another one.
            known[key] = how, json.loads(json.dumps(found, allow_nan=False))
        return known[key][1]

    return document


def adapted(rows, of=lambda row: True):
    return [row for row in rows if row["arm"] == "adapted" and of(row)]


def numbers_digest(document):
    return report.numbers_digest(Report.model_validate(document))


def on(change, of):
    """A change of the adapted rows for which `of` holds."""
    return lambda rows: [change(row) if row["arm"] == "adapted" and of(row) else row for row in rows]


# --- the first page


def test_the_strip_has_six_numbers_each_with_the_path_it_was_taken_from(document):
    found = document()
    strip = found["headline"]["strip"]
    names = ["patients", "dice", "nsd", "hd95_mm", "volume_bias_ml", "failure_rate"]
    assert [one["id"] for one in strip] == names
    cells = found["summary"]["adapted"]["prostate"]
    assert strip[1]["value"] == cells["dice"]["mean"]
    assert strip[1]["ci"] == cells["dice"]["ci"]
    assert strip[4]["value"] == found["volume_agreement"]["prostate"]["bias_ml"] == strip[4]["signed"]
    assert strip[4]["ci"][0] <= strip[4]["value"] <= strip[4]["ci"][1]
    assert strip[5]["value"] == 0.0
    assert strip[5]["ci"][1] == pytest.approx(0.3694, abs=1e-4)  # 0 of 8, Clopper–Pearson


def test_the_endpoint_is_a_sentence_with_its_interval_and_its_number_of_patients(document):
    found = document()["headline"]["endpoint"]
    assert found["sentence"].startswith(f"Primary endpoint: mean Dice of prostate, {found['estimate']:.3f} (95 % CI ")
    assert "8 patients, t-interval)" in found["sentence"]
    assert found["non_inferiority"].endswith("the protocol names no margin; no verdict.")


def test_the_worst_cases_stand_on_the_first_page_with_their_cause(document):
    found = document(change=on(missed, lambda row: row["case"] == "us-3-0"))
    first = found["headline"]["worst"][0]
    assert (first["case"], first["dice"], first["cause"]) == ("us-3-0", 0.0, "empty")
    assert [one["case"] for one in found["failures"]["failed"]] == ["us-3-0", "us-3-0"]  # both structures
    assert found["cases"][0]["anchor"] == first["anchor"] == "#c001"


# --- numbers over patients


def test_used_and_excluded_cases_add_up_and_failures_are_never_excluded(document):
    def change(rows):
        rows = on(undefined, lambda row: row["case"] == "us-1-0")(rows)
        return on(missed, lambda row: row["case"] == "us-2-0")(rows)

    cell = document(change=change)["summary"]["adapted"]["prostate"]["dice"]
    assert (cell["n_used"], cell["n_excluded"], cell["n_cases"], cell["n"], cell["n_failed"]) == (7, 1, 8, 7, 1)
    assert cell["min"] == 0.0


def test_patients_count_and_not_their_volumes(document):
    cell = document(per_patient=3)["summary"]["adapted"]["prostate"]["dice"]
    assert (cell["n"], cell["n_cases"]) == (8, 24)


def test_the_spread_of_seeds_stands_apart_from_the_interval_over_patients(document):
    found = document(seeds=(0, 1, 2))
    cell, seeds = found["summary"]["adapted"]["prostate"]["dice"], found["statistics"]["seeds"]["prostate"]
    assert seeds["sd"] == cell["sd_between_seeds"] == pytest.approx(np.std(list(seeds["means"].values()), ddof=1))
    assert cell["n"] == 8  # three seeds of eight patients are eight patients
    assert document(seeds=(0,))["statistics"]["seeds"]["prostate"]["reason"] == "fewer than two seeds"


def test_non_inferiority_needs_a_margin_with_its_source(document):
    without = document()["statistics"]["non_inferiority"][0]
    assert without["verdict"] is None
    assert without["estimate"] is not None
    margin = {"non_inferiority": {"margin": 0.5, "source": "a board's decision", "sd": None}}
    primary, other = document(protocol=margin)["statistics"]["non_inferiority"]
    assert (primary["verdict"], primary["margin"], primary["source"]) == ("established", 0.5, "a board's decision")
    assert other["verdict"] is None  # the margin was fixed for the primary structure alone
    tight = {"non_inferiority": {"margin": 0.001, "source": "a board's decision", "sd": None}}
    found = document(protocol=tight)
    assert found["statistics"]["non_inferiority"][0]["verdict"] == "not_established"
    assert "was not established" in found["headline"]["endpoint"]["non_inferiority"]


def test_planned_and_reached_patients_stand_side_by_side(document):
    assert document()["statistics"]["planned"]["reason"] == "the protocol names no number of patients"
    planned = document(protocol={"planned_n": 20})["statistics"]["planned"]
    assert (planned["n"], planned["achieved"], planned["reached"]) == (20, 8, False)


def test_the_family_of_tests_is_corrected_together_and_its_floor_is_printed(document):
    found = document(patients=5)["statistics"]["holm"]
    assert [one["structure"] for one in found] == ["prostate", "bladder"]
    assert all(one["p_holm"] == pytest.approx(2 * one["p_sign_flip"]) for one in found)  # both at the floor, 1/16
    assert found[0]["smallest_p"] == 0.0625
    assert "cannot reach" in found[0]["note"]


def test_every_assumption_has_its_own_line(document):
    found = document()["statistics"]["sensitivity"]
    mine = next(one for one in found if one["comparison"] == "adapted_minus_source_only")
    assert [line["method"] for line in mine["rows"]] == [
        "t", "patient bootstrap, BCa", "sign-flip permutation", "Wilcoxon",
    ]  # fmt: skip
    assert all(line["p"] is not None or line["reason"] for line in mine["rows"])


# --- what went wrong, told from numbers


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"status": "error", "dice": 0.0}, ["missing"]),
        ({"status": "missing", "dice": 0.0}, ["missing"]),
        ({"status": "empty_prediction", "dice": 0.0}, ["empty"]),
        ({"dice": 0.0, "reference_empty": True, "reference_volume_ml": 0.0}, ["invented"]),
        ({"dice": 0.0}, ["wrong_place"]),
        ({"dice": 0.3, "centre_inside": False}, ["wrong_place"]),
        ({"dice": 0.6, "volume_ml": 31.0}, ["too_large"]),
        ({"dice": 0.6, "volume_ml": 13.0, "largest_share": 0.8}, ["too_small", "fragmented"]),
        ({"dice": 0.6}, ["boundary"]),
        ({"dice": 0.6, "volume_ml": None, "reference_volume_ml": None, "largest_share": None}, ["boundary"]),
        ({"dice": 0.71, "volume_ml": 90.0}, []),
    ],
)
def test_a_cause_is_decided_from_numbers(changes, expected):
    row = {**dict.fromkeys(("nsd", "hd95_mm", "hd_mm", "assd_mm")), "arm": "adapted", "seed": 0, "case": "c", "patient": "p",
           "structure": "prostate", "status": "ok", "dice": 0.9, "volume_ml": 20.0, "reference_volume_ml": 20.0, "components": 1,
           "largest_share": 1.0, "centre_inside": True, "reference_empty": False}  # fmt: skip
    assert causes(CaseRow.model_validate({**row, **changes}), 0.7) == expected


def test_failures_are_counted_by_cause_and_with_an_exact_interval(document):
    found = document(change=on(missed, lambda row: row["case"] in ("us-0-0", "us-5-0")))["failures"]
    rate = found["by_arm"]["adapted"]["prostate"]
    assert (rate["n_failed"], rate["n_cases"]) == (2, 8)
    assert rate["ci"] == pytest.approx([0.0319, 0.6509], abs=1e-4)
    empty = next(one for one in found["causes"] if one["code"] == "empty")
    assert empty["cases"] == ["us-0-0", "us-5-0"]
    assert found["by_arm"]["source_only"]["prostate"]["n_failed"] == 0


# --- certainty


def test_without_probabilities_certainty_says_so_in_every_place(document):
    found = document(probabilities=False)
    assert found["calibration"]["prostate"]["reason"]
    assert found["risk_coverage"]["prostate"]["reason"]
    assert found["label_free"]["case"]["prostate"]["reason"]
    assert found["cases"][0]["confidence"] == {"prostate": None, "bladder": None}


def test_calibration_pools_what_each_case_left_behind(document):
    found = document()["calibration"]["prostate"]
    assert found["n_cases"] == 8
    assert found["n_voxels"] == sum(one["n"] for one in found["bins"])
    assert found["pooled"]["ece"] == pytest.approx(0.1)  # 0.9 where it is, 0.1 where it is not
    assert found["per_case"]["ece"]["n"] == 8


def test_a_conformal_interval_is_refused_for_too_few_patients(document):
    few = document(patients=8)["label_free"]["case"]["prostate"]["conformal"]
    assert few["half_width"] is None
    assert few["reason"]
    many = document(patients=24)["label_free"]["case"]["prostate"]
    assert many["conformal"]["half_width"] == pytest.approx(0.05, abs=1e-9)  # the rows' confidence is Dice + 0.05
    assert many["conformal"]["coverage"]["n"] == 24


def test_the_operating_point_keeps_what_the_protocol_calls_good_enough(document):
    found = document(protocol={"failure_below": 0.75})["risk_coverage"]["prostate"]
    assert found["detector"]["tau"] == 0.75
    assert "Dice below 0.75" in found["operating_point"]["rule"]
    assert found["points"][-1]["coverage"] == 1.0


# --- subgroups, population, monitoring


def test_small_groups_are_not_shown_and_single_patients_not_described(document):
    facts = {f"patient-{n:03d}": {"sex": "F" if n < 2 else "M", "vendor": "Acme", "study": "k"} for n in range(8)}
    found = document(facts=facts)
    sex = next(one for one in found["subgroups"] if one["factor"] == "sex" and one["structure"] == "prostate")
    few = next(level for level in sex["levels"] if level["level"] == "F")
    assert (few["mean"], few["ci"]) == (None, None)
    assert few["suppressed"]
    tested = next(row for row in found["data"]["cohort"] if (row["side"], row["partition"]) == ("target", "test"))
    assert tested["sex"] == {"suppressed": "a level with fewer than 3 patients"}
    assert tested["vendor"] == {"Acme": 8}
    assert all("facts" not in case for case in found["data"]["target"]["cases"])


def test_headers_without_facts_leave_a_reason_and_a_line_among_the_missing(document):
    found = document()
    sex = next(one for one in found["subgroups"] if one["factor"] == "sex")
    assert sex["reason"] == "the headers give no sex"
    assert {"side": "target", "partition": "test", "what": "sex", "n_missing": 8, "n": 8,
            "handling": "left out of subgroups by it"} in found["data"]["missing"]  # fmt: skip


def test_a_protocol_may_name_the_subgroups(document):
    found = document(protocol={"subgroups": ["size"]})["subgroups"]
    assert {one["factor"] for one in found} == {"size"}


def test_every_case_received_is_refused_or_stands_in_a_partition(document):
    steps = document()["data"]["steps"]["target"]
    assert steps["quarantined"] == {"n": 1, "by_code": {"SLICE_GAP": 1}}
    placed = sum(part["cases"] for part in steps["partition"].values())
    assert steps["received"] == steps["in_no_partition"] + steps["quarantined"]["n"] + placed


def test_monitoring_keeps_values_but_not_whose_they_are(document):
    found = document()["monitoring"]
    values = found["distributions"]["volume_ml.prostate"]["values"]
    assert values == sorted(values)
    assert len(values) == 8
    assert {rule["id"] for rule in found["rules"]} >= {"modality", "spacing", "confidence", "drift"}


def test_robustness_is_a_curve_per_disturbance_or_a_reason(document):
    found = document(robust=True)["robustness"]
    last = found["curves"][0]["levels"][2]["structures"]["prostate"]
    assert last["change"] == pytest.approx(-0.3)
    assert document()["robustness"]["reason"] == "evaluation measured no disturbed volume"


def test_the_version_before_is_compared_patient_by_patient(tmp_path):
    before = written(tmp_path / "before")
    report.write_report(before)

    def worse(rows):
        return on(lambda row: {**row, "dice": row["dice"] - 0.2}, lambda row: row["case"] == "us-4-0")(rows)

    run = written(tmp_path / "after", change=worse)
    run.write(prior_of(before.report / "report.json", "toy-us", 3))
    found = compose_report(Sources.of(run))["previous"]
    mine = found["structures"]["prostate"]
    assert (found["version"], found["same_test_set"], found["changed"]) == (3, True, {})
    assert (mine["wins"], mine["losses"], mine["ties"]) == (0, 1, 7)
    assert mine["regressions"][0]["patient"] == "patient-004"
    assert mine["regressions"][0]["change"] == pytest.approx(-0.2)


# --- CLAIM and what people say


def test_the_machine_fills_at_least_25_items_of_claim_each_with_a_text(document):
    found = document(robust=True)
    filled = [one for one in found["claim"] if one["status"] == "filled"]
    assert len(found["claim"]) == 44
    assert len(filled) >= 25
    assert all(one["text"] and one["by"] == "machine" for one in filled)
    assert {one["text"] for one in found["claim"] if one["status"] == "human_required"} == {"NOT PROVIDED"}
    assert found["claim_counts"]["filled"] == len(filled)
    assert {one["anchor"][1:] for one in found["claim"]} <= set(found["sections"])


def test_a_study_without_results_does_not_claim_any(document):
    claim = {one["item"]: one["status"] for one in document(arms=(), trivial=False)["claim"]}
    assert {claim[n] for n in (2, 22, 24, 25, 26, 27, 29, 30, 32, 37, 38, 39)} == {"human_required"}


def test_findings_are_the_same_whatever_people_say_and_others_with_any_number(document, tmp_path):
    run, before = written(tmp_path / "toy", patients=4), document(patients=4)
    run.write("text", {"file": "t.yaml", "sha256": "0" * 64, "items": dict.fromkeys(TEXTS, "said")})
    items = [{"case": "us-0-0", "rating": 3, "comment": "misses the apex"}]
    run.write("ratings", {"file": "r.json", "sha256": "0" * 64, "rater": "Ada", "items": items})
    after = compose_report(Sources.of(run))
    assert before["report_id"] != after["report_id"]
    assert numbers_digest(before) == numbers_digest(json.loads(json.dumps(after)))
    worse = document(patients=4, change=on(missed, lambda row: row["case"] == "us-1-0"))
    assert numbers_digest(before) != numbers_digest(worse)


def test_that_a_model_enlarges_small_volumes_is_among_the_limitations(tmp_path):
    sources = Sources.of(written(tmp_path / "toy"))
    for enlarges in (False, True):
        limitations = compose_report(replace(sources, cards=[{"enlarges": enlarges}]))["limitations"]["machine"]
        assert any(line.startswith("The model enlarges volumes") for line in limitations) is enlarges


@pytest.mark.parametrize(
    ("used", "says"), [(True, "as means over mirrored copies (4 "), (False, "without mirrored copies (4 ")]
)
def test_the_methods_say_what_mirrored_copies_cost_and_gain(tmp_path, used, says):
    run = written(tmp_path / "toy")
    assert "mirrored" not in " ".join(compose_report(Sources.of(run))["methods"]["paragraphs"])
    path = run.arm("adapted", 0) / "train.json"
    mirroring = {
        "used": used,
        "copies": 4,
        "volumes": 4,
        "dice_mirrored": 0.8125,
        "dice_plain": 0.8,
        "times_as_long": 3.94,
    }
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mirroring": mirroring}))
    text = " ".join(compose_report(Sources.of(run))["methods"]["paragraphs"])
    assert says in text
    assert "3.9 times as long as one; mean Dice on 4 renderings" in text
    assert "0.812 with them and 0.800 without" in text


def test_what_people_write_fills_what_only_people_can(tmp_path):
    run = written(tmp_path / "toy")
    text = tmp_path / "toy.text.yaml"
    text.write_text("".join(f"{key}: Said by a person, {key}.\n" for key in TEXTS))
    report.write_report(run, text=text)
    found = content(report.read_report(run.report))
    assert found["claim_counts"]["human_required"] == 0
    assert found["intended_use"]["human"]["intended_use"] == "Said by a person, intended_use."
    both = next(one for one in found["claim"] if one["item"] == 40)
    assert both["by"] == "people"
    assert "Said by a person, limitations." in both["text"]
    report.write_report(run)  # kept in the run: the next build knows it, too
    assert content(report.read_report(run.report))["text"]["missing"] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [("indented_use: x\n", "indented_use"), ("funding: 3\n", "funding is no text"), ("- a\n", "a mapping")],
)
def test_a_text_of_another_shape_is_refused(tmp_path, text, says):
    run = written(tmp_path / "toy", patients=1)
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(XmedError, match=says):
        report.write_report(run, text=tmp_path / "x.yaml")
    assert not run.has("text")


def test_ratings_come_back_as_evidence(tmp_path):
    run = written(tmp_path / "toy", patients=2)
    path = tmp_path / "ratings.json"
    path.write_text(json.dumps({"rater": "R1", "items": [{"case": "us-1-0", "rating": 3, "comment": "apex missed"}]}))
    report.write_report(run, ratings=path)
    found = content(report.read_report(run.report))["ratings"]
    assert (found["n"], found["of"], found["by_rating"]["bad"]) == (1, 2, 1)
    path.write_text(json.dumps({"rater": "R1", "items": [{"case": "us-9-0", "rating": 1}]}))
    with pytest.raises(XmedError, match="us-9-0"):
        report.write_report(run, ratings=path)


# --- whatever came out


@pytest.mark.parametrize(
    "how",
    [
        {"patients": 1}, {"patients": 1, "seeds": (0,)}, {"names": ("prostate",)}, {"arms": ("adapted",), "trivial": False},
        {"arms": (), "trivial": True}, {"arms": (), "trivial": False}, {"credible": False}, {"probabilities": False},
        {"change": on(missed, lambda row: True)}, {"change": on(undefined, lambda row: True)},
        {"change": lambda rows: [undefined(row) for row in rows]}, {"change": lambda rows: [missed(row) for row in rows]},
        {"change": lambda rows: [{**row, "dice": 0.5, "volume_ml": 20.0, "reference_volume_ml": 20.0} for row in rows]},
        {"change": lambda rows: []}, {"patients": 2, "change": on(missed, lambda row: row["seed"] == 0)},
    ],
    ids=["one patient", "one of all", "one structure", "adapted alone", "no arm", "nothing", "no millimetres",
         "no probabilities", "all fail", "nothing to find", "nothing anywhere", "everybody fails", "constant", "no rows",
         "one seed fails"],
)  # fmt: skip
def test_whatever_came_out_makes_a_truthful_document(document, how):
    found = document(**how)  # the fixture checks the schema, and that nothing is NaN
    assert found["verdict"] in ("pass", "fail", "inconclusive")
    assert found["banner"]["reasons"]
    cell = found["summary"]["adapted"].get("prostate", {}).get("dice")
    if cell:
        assert cell["n_used"] + cell["n_excluded"] == cell["n_cases"]
        assert cell["mean"] is not None or cell["reason"]


def test_a_study_in_which_all_fails_is_told_as_one(document):
    found = document(change=on(missed, lambda row: True))
    assert found["summary"]["adapted"]["prostate"]["dice"]["mean"] == 0.0
    assert found["headline"]["strip"][5]["value"] == 1.0
    assert found["verdict"] == "fail"
    assert next(one for one in found["failures"]["causes"] if one["code"] == "empty")["n"] == 16


def test_one_patient_passes_nothing_and_has_no_interval(document):
    found = document(patients=1)
    cell = found["summary"]["adapted"]["prostate"]["dice"]
    assert (cell["n"], cell["ci"], cell["reason"]) == (1, None, "one patient has no interval")
    assert found["verdict"] == "inconclusive"
    assert found["banner"]["reasons"] == ["patients: cannot be judged (one patient says nothing about others)"]


def test_where_no_arm_finds_anything_the_verdict_is_fail_whatever_cannot_be_judged(document):
    found = document(change=lambda rows: [missed(row) for row in rows])
    assert found["summary"]["gap_closed"]["prostate"] is None
    assert found["verdict"] == "fail"
    assert "not every case failed, prostate: 8 reached, 7 asked" in found["banner"]["reasons"]


def test_equal_values_are_no_certainty_and_empty_references_no_number(document):
    same = document(change=lambda rows: [{**row, "dice": 0.5, "nsd": 0.5} for row in rows])
    cell = same["summary"]["adapted"]["prostate"]["dice"]
    assert (cell["ci"], cell["reason"]) == ([0.5, 0.5], "all patients have the same value")
    assert same["verdict"] == "inconclusive"
    nothing = document(change=lambda rows: [undefined(row) for row in rows])
    cell = nothing["summary"]["adapted"]["prostate"]["dice"]
    assert (cell["mean"], cell["n_used"], cell["n_excluded"], cell["n_failed"]) == (None, 0, 8, 0)
    assert cell["reason"].startswith("not defined")
    assert nothing["verdict"] == "inconclusive"


# --- the document itself


def test_the_same_files_give_the_same_bytes_also_in_another_process(tmp_path):
    run = written(tmp_path / "toy", patients=12)
    report.write_report(run)
    before = {path.name: path.read_bytes() for path in run.report.iterdir()}
    build = "import sys; from xmed import report; from xmed.run import Run; from pathlib import Path; report.write_report(Run(Path(sys.argv[1])))"
    subprocess.run([sys.executable, "-c", build, str(run.folder)], check=True, env={"PYTHONHASHSEED": "7", **_env()})
    assert {path.name: path.read_bytes() for path in run.report.iterdir()} == before


def _env():
    import os

    return {key: value for key, value in os.environ.items() if key != "PYTHONHASHSEED"}


def test_every_row_comes_back_from_the_case_table_bit_by_bit(tmp_path):
    def odd(rows):
        return [
            {**row, "reason": '=cmd|" /C calc"!A0, "quoted"\nand more'} if n == 0 else row for n, row in enumerate(rows)
        ]

    run = written(tmp_path / "toy", patients=3, change=odd)
    rows = completed(Sources.of(run)).rows
    path = tmp_path / "cases.csv"
    path.write_text(cases_csv(rows), encoding="utf-8")
    assert "\n'=cmd" not in path.read_text()
    assert "'=cmd" in path.read_text()  # no spreadsheet takes it for a formula
    for one, other in zip(rows, read_cases(path), strict=True):
        assert one.model_copy(update={"calibration": None}) == other


@pytest.mark.slow
def test_500_cases_are_composed_in_well_under_a_minute(tmp_path):
    run = written(tmp_path / "toy", patients=500, seeds=(0,), names=("prostate",))
    start = time.perf_counter()
    found = compose_report(Sources.of(run))
    assert len(found["cases"]) == 500
    assert time.perf_counter() - start < 60
