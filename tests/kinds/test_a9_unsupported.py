"""A9: values that no reference can support: a structure that no test patient has is said to be without a reference."""

import io
import json

import pytest
from rich.console import Console

from support.chosen_dice import built, invented, judged, run_of, without
from support.evaluated_runs import undefined
from xmed import report
from xmed.console.tables import show_dice, show_result
from xmed.records.answers import AdaptedRun
from xmed.records.validation_report import Report

NOBODY = "no test patient has it"


def absent(name="bladder", drawn=True, **how):
    change = without(name)
    return {"also": change if drawn else (lambda row: undefined(row) if row["structure"] == name else row), **how}


INPUTS = {
    "drawn by the net and by the baselines": absent(),
    "drawn by nobody": absent(drawn=False),
    "one test patient in all": absent(patients=1),
    "three seeds": absent(seeds=(0, 1, 2)),
    "spacing not credible": absent(credible=False),
    "without trivial baselines": absent(trivial=False),
}


@pytest.mark.parametrize("name", INPUTS)
def test_a_structure_that_no_test_patient_has_is_no_result(tmp_path, name):
    run = run_of(tmp_path / "run", **INPUTS[name])
    document, page = built(run)
    for arm in ("source_only", "adapted", "target_supervised", "trivial_threshold", "trivial_position"):
        cell = document["summary"][arm].get("bladder")
        if cell is None:
            continue
        assert cell["dice"]["mean"] is None
        assert cell["dice"]["ci"] is None
        assert cell["dice"]["n"] == 0
        assert NOBODY in cell["dice"]["reason"]
        assert cell["dice"]["failure_rate"]["value"] is None
        assert document["failures"]["by_arm"][arm]["bladder"]["rate"] is None
    assert NOBODY in page
    assert any(
        "bladder" in line and "no test patient has" in line.lower() for line in document["limitations"]["machine"]
    )
    for key in ("gap_closed", "gain_over_trivial", "adapted_minus_source_only"):
        assert document["intervals"][key]["bladder"]["value"] is None
        assert NOBODY in document["intervals"][key]["bladder"]["reason"]
    assert all(case["metrics"]["bladder"]["dice"] is None for case in document["cases"])
    assert document["volume_agreement"]["bladder"]["bias_ml"] is None
    assert document["calibration"]["bladder"]["pooled"]["ece"] is None
    assert all(one["gap"]["value"] is None for one in document["subgroups"] if one["structure"] == "bladder")
    assert report.verify_report(run.folder) == report.verify_report(run.report) == []
    card = (run.report / "README.md").read_text()
    line = next(line for line in card.splitlines() if line.startswith("| Bladder | Adapted"))
    assert "0.000" not in line
    assert NOBODY in card
    assert "100" not in json.dumps(document["headline"])


@pytest.mark.parametrize("name", INPUTS)
def test_the_terminal_says_so(tmp_path, name):
    document = judged(run_of(tmp_path / "run", **INPUTS[name]))
    out = io.StringIO()
    show_dice(Console(file=out, width=160), Report.model_validate(document))
    assert NOBODY in out.getvalue()
    assert "0.000" not in out.getvalue()


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize("patients", [1, 5])
def test_a_primary_structure_that_nobody_has_leaves_no_verdict(tmp_path, drawn, patients):
    run = run_of(tmp_path / "run", patients=patients, **absent("prostate", drawn))
    document = judged(run)
    assert document["verdict"] == "inconclusive"
    assert any("no test patient has" in reason.lower() for reason in document["banner"]["reasons"])
    assert "no test patient has" in document["headline"]["sentence"].lower()
    out = io.StringIO()
    registered = {"name": "m", "version": 1, "alias": "candidate"}
    result = AdaptedRun.model_validate({"run": "r", "folder": "f", "report": "p", "registered": registered})
    show_result(Console(file=out, width=200), result, Report.model_validate(document))
    assert "no test patient has" in out.getvalue().lower()


def test_what_was_invented_is_counted(tmp_path):
    document, _page = built(run_of(tmp_path / "run", **absent()))
    assert any("8 of 8" in line and "bladder" in line for line in document["limitations"]["machine"])
    assert next(one["n"] for one in document["failures"]["causes"] if one["code"] == "invented") == 8


def test_one_patient_who_has_the_primary_structure_is_one_patient(tmp_path):
    def also(row):
        mine = row["structure"] == "prostate" and not row["patient"].endswith("-000")
        return undefined(row) if mine else row

    document = judged(run_of(tmp_path / "run", also=also))
    assert document["verdict"] == "inconclusive"
    assert document["summary"]["adapted"]["prostate"]["dice"]["n"] == 1


def test_one_patient_who_has_it_among_inventions_is_one_patient(tmp_path):
    def also(row):
        mine = row["structure"] == "prostate" and not row["patient"].endswith("-000")
        return (invented(row) if row["arm"] != "target_supervised" else undefined(row)) if mine else row

    document = judged(run_of(tmp_path / "run", also=also))
    assert document["verdict"] in ("inconclusive", "fail")
    assert any("1 of 8" in line and "prostate" in line for line in document["limitations"]["machine"])


def test_some_who_lack_it_are_counted_and_the_others_judged(tmp_path):
    def also(row):
        return undefined(row) if row["structure"] == "bladder" and row["patient"].endswith(("-000", "-001")) else row

    document = judged(run_of(tmp_path / "run", also=also))
    cell = document["summary"]["adapted"]["bladder"]["dice"]
    assert (cell["n"], cell["n_failed"], cell["n_excluded"]) == (6, 0, 2)
    assert cell["mean"] > 0.5
    assert document["verdict"] == "pass"


def test_a_structure_that_was_missed_everywhere_is_a_failure_and_stays_one(tmp_path):
    document = judged(run_of(tmp_path / "run", {"adapted": 0.0}, spread=0.0))
    cell = document["summary"]["adapted"]["prostate"]["dice"]
    assert (cell["mean"], cell["n_failed"]) == (0.0, 8)
    assert document["verdict"] == "fail"


def test_a_net_that_crashed_where_nobody_has_the_structure_has_crashed(tmp_path):
    def also(row):
        if row["structure"] != "bladder":
            return row
        none = undefined(row)
        return {**none, "status": "error", "reason": "out of memory"} if row["arm"] == "adapted" else none

    document = judged(run_of(tmp_path / "run", also=also))
    assert document["summary"]["adapted"]["bladder"]["dice"]["mean"] is None
    assert {case["status"] for case in document["cases"]} == {"error"}


def test_disturbed_volumes_of_it_show_nothing(tmp_path):
    run = run_of(tmp_path / "run", robust=True, **absent())
    document = judged(run)
    assert document["robustness"]["baseline"]["bladder"]["dice"] is None
    assert document["robustness"]["baseline"]["prostate"]["dice"] is not None
