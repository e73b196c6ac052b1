"""C7: verdicts that common sense would not sign: no pass without a supported gain over the trivial baselines."""

import json

import pytest

from support.chosen_dice import CLEAR, built, first_paragraph, judged, run_of
from xmed import report
from xmed.run import Run
from xmed.spec import Study, load_study

WIDE = [0.72, 0.24, 0.65, 0.31, 0.58, 0.29, 0.70, 0.35]  # mean 0.48


def around(mean):
    """Eight Dice that vary as WIDE does, with another mean."""
    return [one - 0.48 + mean for one in WIDE]


INPUTS = {
    # what the patients were like: (Dice of the arms, what else, the verdict that a reader would sign)
    "a hundredth above a threshold that has its own luck": ({"adapted": around(0.49), "trivial_threshold": 0.48, "source_only": 0.1, "target_supervised": 0.7}, {}, "inconclusive"),
    "well above, and as wide": ({"adapted": around(0.55), "trivial_threshold": 0.48, "source_only": 0.1, "target_supervised": 0.7}, {}, "inconclusive"),
    "exactly as good as the mean mask": ({"adapted": 0.6, "trivial_position": 0.6, "target_supervised": 0.7}, {}, "fail"),
    "a little worse than the mean mask, and wide": ({"adapted": around(0.6), "trivial_position": 0.62, "target_supervised": 0.7}, {}, "fail"),
    "clearly worse than the mean mask": ({"adapted": 0.6, "trivial_position": 0.68, "target_supervised": 0.7}, {}, "fail"),
    "clearly better": ({}, {}, "pass"),
    "better by little, on every patient": ({"adapted": 0.70, "trivial_position": 0.68, "target_supervised": 0.72}, {}, "pass"),
    "one patient": ({}, {"patients": 1}, "inconclusive"),
    "two patients that disagree": ({"adapted": [0.9, 0.45], "trivial_position": 0.42, "target_supervised": 0.9}, {"patients": 2}, "inconclusive"),
    "three patients that disagree": ({"adapted": [0.9, 0.45, 0.5], "trivial_position": 0.42, "target_supervised": 0.9}, {"patients": 3}, "inconclusive"),
    "two seeds, better by one patient alone": ({"adapted": [0.95, *[0.41] * 7], "source_only": 0.1, "target_supervised": 0.6}, {"seeds": (0, 1)}, "inconclusive"),
    "judged by NSD, worse than the mean mask": ({"adapted": 0.6, "trivial_position": 0.62, "target_supervised": 0.7}, {"protocol": {"primary": {"metric": "nsd", "structure": "prostate"}}}, "fail"),
    "no ceiling, and worse than a threshold": ({"adapted": 0.6, "trivial_threshold": 0.62}, {"arms": ("source_only", "adapted"), "accept": {"gap_closed": None}}, "fail"),
    "no ceiling, and clearly better": ({}, {"arms": ("source_only", "adapted"), "accept": {"gap_closed": None}}, "pass"),
    "no trivial baseline": ({}, {"trivial": False}, "inconclusive"),
    "a number asked for and reached": ({}, {"accept": {"gain_over_trivial": 0.1}}, "pass"),
    "a number asked for and not reached": ({"adapted": 0.8}, {"accept": {"gain_over_trivial": 0.45}}, "fail"),
    "a number asked for, reached by luck": ({"adapted": around(0.58), "trivial_position": 0.45, "target_supervised": 0.7, "source_only": 0.1}, {"accept": {"gain_over_trivial": 0.1}}, "inconclusive"),
    "a negative number asked for": ({"adapted": 0.6, "trivial_position": 0.62, "target_supervised": 0.7}, {"accept": {"gain_over_trivial": -0.5}}, "fail"),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_a_pass_has_a_gain_over_the_trivial_baselines_that_its_interval_supports(tmp_path, name):
    dice, how, expected = INPUTS[name]
    document = judged(run_of(tmp_path / "run", dice, **how))
    assert document["verdict"] == expected
    if expected != "pass":
        assert document["banner"]["reasons"]


@pytest.mark.parametrize("accept", [{}, {"gap_closed": 0.6}, {"dice": 0.5}, {"not_below_source_only": True}], ids=str)
def test_a_study_that_names_no_gain_asks_for_one(tmp_path, accept):
    study = load_study("phantom-mr-to-us").model_dump(mode="json")
    study["protocol"]["accept"] = accept
    run = Run.create(Study.model_validate(study), tmp_path)
    made = run_of(tmp_path / "run", {"adapted": 0.6, "trivial_position": 0.65, "target_supervised": 0.7})
    protocol = made.read("protocol")
    asked = run.read("protocol")["protocol"]["accept"]
    document = _judged(made, {**protocol["protocol"], "accept": asked})
    assert document["verdict"] == "fail"
    assert "gain_over_trivial" in {one["id"] for one in document["criteria"]}


def _judged(run, protocol):
    from xmed.files.digest import digest

    study = {**run.read("study"), "protocol": protocol}
    fixed = {key: study[key] for key in ("name", "source", "target", "structures", "protocol")}
    run.write("study", study)
    run.write("protocol", {**fixed, "sha256": digest(fixed), "fixed_at": "2026-01-01T00:00:00+00:00"})
    return judged(run)


@pytest.mark.parametrize(
    "dice",
    [
        {"source_only": 0.36, "adapted": 0.56, "target_supervised": 0.50, "trivial_position": 0.62},  # as on CT
        {"source_only": 0.10, "adapted": 0.70, "target_supervised": 0.50, "trivial_position": 0.62},  # clears them both
        {"source_only": 0.10, "adapted": 0.40, "target_supervised": 0.50, "trivial_threshold": 0.50},  # just as good
        {"source_only": 0.45, "adapted": 0.44, "target_supervised": 0.50, "trivial_threshold": 0.9},
    ],
    ids=str,
)
def test_a_ceiling_that_is_not_above_the_trivial_baselines_cannot_judge(tmp_path, dice):
    run = run_of(tmp_path / "run", dice)
    document, page = built(run)
    assert document["verdict"] == "inconclusive"
    first = first_paragraph(run)
    assert "cannot judge" in first
    assert "cannot judge" in document["headline"]["sentence"]
    assert any("cannot judge" in reason for reason in document["banner"]["reasons"])
    assert document["summary"]["gap_closed"]["prostate"] is None
    assert document["intervals"]["gap_closed"]["prostate"]["reason"]
    assert "143 %" not in page
    assert "cannot judge" in (run.report / "README.md").read_text()
    assert "cannot judge" in (run.report / "chai_model_card.xml").read_text()


def test_a_ceiling_below_a_baseline_is_said_in_the_terminal(tmp_path, capsys):
    from rich.console import Console

    from xmed.console.tables import show_result
    from xmed.records.answers import AdaptedRun
    from xmed.records.validation_report import Report

    dice = {"source_only": 0.36, "adapted": 0.65, "target_supervised": 0.56, "trivial_position": 0.62}
    document = judged(run_of(tmp_path / "run", dice))
    registered = {"name": "m", "version": 1, "alias": "candidate"}
    result = AdaptedRun.model_validate({"run": "r", "folder": "f", "report": "p", "registered": registered})
    show_result(Console(width=160), result, Report.model_validate(document))
    text = capsys.readouterr().out
    assert "cannot judge" in text
    assert "1.45" not in text


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_ceiling_whose_lead_is_not_certain_is_said(tmp_path, seeds):
    dice = {"adapted": 0.8, "target_supervised": around(0.5), "trivial_position": 0.45, "source_only": 0.1}
    document, _page = built(run_of(tmp_path / "run", dice, seeds=seeds))
    said = " ".join(document["limitations"]["machine"])
    assert "target labels" in said
    assert "not certain" in said


def test_only_the_primary_structure_decides_and_the_others_are_said(tmp_path):
    def also(row):
        worse = {"adapted": 0.5, "trivial_threshold": 0.6, "trivial_position": 0.6, "target_supervised": 0.55}
        return {**row, "dice": worse.get(row["arm"], 0.2)} if row["structure"] == "bladder" else row

    document = judged(run_of(tmp_path / "run", also=also))
    assert document["verdict"] == "pass"
    assert document["summary"]["gap_closed"]["bladder"] is None
    assert any("bladder" in line and "trivial" in line for line in document["limitations"]["machine"])


@pytest.mark.parametrize(
    ("accept", "said"),
    [({"gap_closed": 0.6, "dice": 0.77}, "0.77"), ({"gap_closed": 0.93}, "gap")],
)
def test_a_threshold_within_its_interval_is_met_and_said_to_lie_there(tmp_path, accept, said):
    dice = {"adapted": [0.95, 0.6, 0.94, 0.62, 0.93, 0.6, 0.95, 0.78 if "dice" in accept else 0.99]}
    if "dice" not in accept:
        dice["target_supervised"] = [0.8, 0.84, 0.82, 0.83, 0.81, 0.82, 0.83, 0.84]
        dice["adapted"] = [0.95, 0.66, 0.94, 0.68, 0.93, 0.67, 0.95, 0.71]
    document = judged(run_of(tmp_path / "run", dice, accept=accept))
    assert document["verdict"] == "pass"
    reasons = " ".join(document["banner"]["reasons"]).lower()
    assert said in reasons
    assert "interval" in reasons


@pytest.mark.parametrize("off", [None, False])
def test_a_study_that_switches_the_gain_off_says_so_first(tmp_path, off):
    study = load_study("phantom-mr-to-us").model_dump(mode="json")
    study["protocol"]["accept"] = {"gap_closed": 0.6, "gain_over_trivial": off}
    asked = Run.create(Study.model_validate(study), tmp_path).read("protocol")["protocol"]["accept"]
    run = run_of(tmp_path / "run", {"adapted": 0.6, "trivial_position": 0.65, "target_supervised": 0.7})
    _judged(run, {**run.read("protocol")["protocol"], "accept": asked})
    built(run)
    first = first_paragraph(run)
    assert "trivial" in first
    assert "does not ask" in first


@pytest.mark.parametrize("accept", [{"gain_over_trivial": 0.0}, {"gain_over_trivial": None}], ids=str)
def test_a_report_verifies_with_its_verdict(tmp_path, accept):
    run = run_of(tmp_path / "run", {"adapted": around(0.49), "trivial_threshold": 0.48}, accept=accept)
    built(run)
    assert report.verify_report(run.folder) == report.verify_report(run.report) == []


def test_a_model_that_found_nothing_has_failed_whatever_else(tmp_path):
    zero = dict.fromkeys(CLEAR, 0.0)
    document = judged(run_of(tmp_path / "run", zero, spread=0.0))
    assert document["verdict"] == "fail"
    assert "NaN" not in json.dumps(document)
