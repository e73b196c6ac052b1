"""B1: no number of any document is NaN, however few patients there were and whatever came out; the pages are written."""
# ruff: noqa: F811 - fixtures of another module are asked for by their names

import json
import math
import re

import pytest

from support.compared_runs import make  # noqa: F401
from support.drift_reference import about, built, composed, crowd, reference
from support.evaluated_runs import missed, undefined, written
from xmed import comparison, report

BY_PLACE = {f"us-{n}-0": n for n in range(4)}


def adapted(change):
    return lambda rows: [change(row) if row["arm"] == "adapted" else row for row in rows]


def anti(row):
    """Large where the truth is small: every patient has the same mean of both volumes."""
    n = BY_PLACE[row["case"]]
    return {**row, "volume_ml": 30.0 - 10 * n, "reference_volume_ml": 10.0 + 10 * n}


CHANGES = {
    "as it is": None,
    "volumes turned around": adapted(anti),
    "all the same": lambda rows: [
        {**row, "dice": 0.5, "nsd": 0.5, "hd95_mm": 3.0, "volume_ml": 30.0, "reference_volume_ml": 30.0} for row in rows
    ],
    "the same but for rounding": lambda rows: [
        {
            **row,
            "dice": 0.1 + 0.2 if row["case"] == "us-0-0" else 0.3,
            "volume_ml": 0.1 + 0.2,
            "reference_volume_ml": 0.3,
        }
        for row in rows
    ],
    "perfect": lambda rows: [
        {
            **row,
            "dice": 1.0,
            "nsd": 1.0,
            "hd95_mm": 0.0,
            "hd_mm": 0.0,
            "assd_mm": 0.0,
            "volume_ml": row["reference_volume_ml"],
        }
        for row in rows
    ],
    "nothing found": adapted(missed),
    "nothing found by anybody": lambda rows: [missed(row) for row in rows],
    "nothing there": lambda rows: [undefined(row) for row in rows],
    "no row": lambda rows: [],
    "no row of the adapted": lambda rows: [row for row in rows if row["arm"] != "adapted"],
    "crashed": adapted(lambda row: missed(row, "error") | {"reason": "out of memory"}),
    "one found, the others not": adapted(lambda row: row if row["case"] == "us-0-0" else missed(row)),
    "no reference volume": adapted(lambda row: {**row, "reference_volume_ml": 0.0}),
    "huge and tiny volumes": adapted(
        lambda row: {**row, "volume_ml": 1e200 if row["case"] == "us-0-0" else 1e-200, "reference_volume_ml": 1e-200}
    ),
    "a distance without end": adapted(lambda row: {**row, "hd95_mm": math.inf, "hd_mm": math.inf}),
    "a volume that is no number": adapted(lambda row: {**row, "volume_ml": math.nan}),
    "equal confidence": adapted(lambda row: {**row, "confidence": 0.5}),
}


def finite_json(path):
    """A document as any other program reads it: NaN and Infinity are no JSON."""

    def refuse(word):
        raise AssertionError(f"{path.name} holds {word}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("change", CHANGES)
def test_a_report_of_a_few_patients_is_written_whatever_came_out(tmp_path, change, n):
    run = written(tmp_path / "toy", patients=n, seeds=(0,), names=("prostate",), change=CHANGES[change])
    page = report.write_report(run)
    finite_json(run.report / "report.json")
    text = page.read_text(encoding="utf-8")
    assert "NaN" not in text.replace("never NaN", "")
    assert not any(f">{word}<" in text for word in ("nan", "inf", "−inf", "None"))
    assert report.verify_report(run.folder) == []


def test_a_run_that_ended_in_a_fault_for_its_statistics_is_finished_by_another_try(tmp_path):
    """The folder is as training and evaluation left it, without a report: three patients and a weak model."""
    run = written(
        tmp_path / "toy", patients=3, seeds=(0,), names=("prostate",), change=CHANGES["volumes turned around"]
    )
    assert not run.report.exists()
    report.write_report(run)
    found = finite_json(run.report / "report.json")["volume_agreement"]["prostate"]["icc"]
    assert found["value"] == pytest.approx(-3.0)  # −n/(n − 2): the formula, where the patients' means are all one
    assert (found["ci"], bool(found["reason"])) == (None, True)


def test_without_a_test_patient_there_is_still_a_document(tmp_path):
    run = written(tmp_path / "toy", patients=0, seeds=(0,), names=("prostate",))
    report.write_report(run)
    assert finite_json(run.report / "report.json")["verdict"] != "pass"


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_comparison_of_a_few_patients_is_written(make, n, level):
    run = make(dict.fromkeys(("source_only", "gin", "bridge", "target_supervised"), level), patients=n, wobble=0.0)
    page = comparison.write_comparison(run)
    finite_json(run.folder / "comparison.json")
    assert not re.search(r"\bnan\b", page.read_text(encoding="utf-8").lower())


@pytest.mark.parametrize("n", [1, 2, 3, 12])
@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("same", [True, False])
def test_a_check_for_drift_of_a_few_patients_is_written(tmp_path, n, m, same):
    new, known = crowd(m, 2), reference(n)
    if same:
        one = next(iter(new.values()))
        new, known = dict.fromkeys(new, one), known.model_copy(update={"patients": [one] * n})
    document = composed(about(m), known, new, [])
    page = built(document, tmp_path)
    finite_json(tmp_path / "drift.json")
    assert ">nan<" not in page.read_text(encoding="utf-8")
