"""Compare: the ranking follows from the rows, its uncertainty from the patients, and the page shows both."""
# ruff: noqa: F811 - fixtures of another module are asked for by their names

import re

import numpy as np
import pytest

from support.compared_runs import DICE, PATIENTS, entry, make  # noqa: F401
from xmed import comparison
from xmed.comparison.comparison_page import cost, forest
from xmed.comparison.ranking import differences
from xmed.errors import XmedError
from xmed.report import write_report

SHAPE = (24, 20, 6)


def test_every_cell_has_a_row_with_what_scripts_read(make):
    run = make()
    comparison.write_comparison(run)
    rows = run.read("comparison")["rows"]
    assert sorted((row["method"], row["seed"]) for row in rows) == sorted((m, s) for m in DICE for s in (0, 1))
    promised = {"method", "seed", "structure", "dice_mean", "dice_ci", "gap_closed", "seconds", "selected_by"}
    assert all(promised <= set(row) for row in rows)
    (row,) = [row for row in rows if (row["method"], row["seed"]) == ("gin", 1)]
    dice = [r["dice"] for r in run.read("rows") if (r["arm"], r["seed"]) == ("gin", 1)]
    assert row["dice_mean"] == pytest.approx(np.mean(dice))
    assert row["dice_ci"][0] < row["dice_mean"] < row["dice_ci"][1]
    assert row["gap_closed"] == pytest.approx(3 / 7, abs=0.05)
    assert row["selected_by"] == "the last step"


def test_methods_are_ranked_by_mean_dice_and_those_that_saw_labels_are_not(make):
    ranking = comparison.compose_comparison(make())["ranking"]["prostate"]
    assert [one["method"] for one in ranking] == ["bridge", "gin", "source_only", "target_supervised"]
    assert [one["rank"] and one["rank"]["value"] for one in ranking] == [1, 2, 3, None]
    assert ranking[0]["rank"] == {"value": 1, "ci": [1, 1], "first": 1.0, "mean": 1.0}
    assert ranking[0]["gain_over_trivial"]["value"] == pytest.approx(0.4, abs=0.04)
    assert ranking[0]["minus_best"] is None
    assert ranking[1]["minus_bridge"]["value"] == ranking[1]["minus_best"]["value"] < 0


def test_an_order_that_hangs_on_how_ranks_are_averaged_is_said_to(make):
    """A method that is better on most patients, and much worse on one, is second by its mean and first by its ranks."""
    run = make({"source_only": 0.2, "gin": 0.6, "bridge": 0.6}, seeds=(0,), wobble=0.0)
    assert "gives another order" not in comparison.write_comparison(run).read_text()
    low = {"source_only": {}, "gin": {0: -0.5}, "bridge": dict.fromkeys(range(1, PATIENTS), -0.01)}
    rows = run.read("rows")
    for row in (row for row in rows if row["arm"] in low):
        row["dice"] += low[row["arm"]].get(int(row["case"].partition("-")[2]), 0)
    run.write("rows", rows)
    document = comparison.compose_comparison(run)
    assert [one["method"] for one in document["ranking"]["prostate"][:2]] == ["bridge", "gin"]
    assert entry(document, "gin")["rank"]["mean"] < entry(document, "bridge")["rank"]["mean"]
    assert document["rank_agreement"]["prostate"] < 1
    assert "gives another order" in comparison.write_comparison(run).read_text()


def test_a_lead_that_patients_do_not_agree_on_is_called_one(make):
    close = make({"source_only": 0.2, "gin": 0.7, "bridge": 0.701, "target_supervised": 0.9}, wobble=0.1)
    document = comparison.compose_comparison(close)
    assert entry(document, "gin")["rank"]["ci"] == entry(document, "bridge")["rank"]["ci"] == [1, 2]
    assert "do not tell it from" in document["verdict"][1]
    clear = comparison.compose_comparison(make())
    assert clear["verdict"][0].startswith("Of 3 methods that see no target label, bridge has the highest mean Dice")
    assert clear["verdict"][1].startswith("Every other method is worse by a paired test over patients (Holm, 0.05)")


def test_a_handful_of_patients_is_said_to_be_too_few(make):
    assert (
        "4 patients are too few to tell it from any of the 2 others"
        in comparison.compose_comparison(make(patients=4))["verdict"][1]
    )


def test_methods_that_gain_nothing_are_said_to_gain_nothing(make):
    flat = make({"source_only": 0.25, "gin": 0.2, "target_supervised": 0.9})
    (first, _) = comparison.compose_comparison(flat)["verdict"]
    assert "source only has the highest mean Dice" in first
    assert "no adaptation does better" in first
    assert "so nothing here is worth deploying" in first


def test_p_values_are_adjusted_for_all_methods_together():
    base = {str(n): 0.1 for n in range(8)}
    dice = {"source_only": base} | {
        name: {p: 0.1 + 0.01 * (k + int(p)) for p in base} for k, name in enumerate("abc", 1)
    }
    found = differences(dice, "source_only", ["source_only", "a", "b", "c"])
    assert set(found) == {"a", "b", "c"}
    assert [one["p_sign_flip"] for one in found.values()] == [pytest.approx(2 / 256)] * 3
    assert [one["p_holm"] for one in found.values()] == [pytest.approx(6 / 256)] * 3


def test_seconds_count_what_a_method_begins_with_once(make):
    run = make({**DICE, "coral": 0.3, "ensemble": 0.72})
    document = comparison.compose_comparison(run)
    assert entry(document, "source_only")["seconds"] == 10.0
    assert entry(document, "gin")["seconds"] == 20.0
    assert entry(document, "ensemble")["seconds"] == 50.0  # bridge and gin, which it is made of


def test_a_missing_seed_is_left_out_and_a_failure_told(make):
    failure = {"method": "gin", "seed": 1, "code": "TRAINING_DIVERGED", "message": "step 3"}
    run = make(missing=[("gin", 1)], failed=[failure])
    comparison.write_comparison(run)
    document = run.read("comparison")
    assert entry(document, "gin")["seeds"] == [0]
    assert document["failed"] == [failure]
    assert "gin seed 1 (step 3)" in (run.folder / "comparison.html").read_text()


def test_regret_is_what_the_label_free_choice_costs(make):
    run = make(wobble=0.0)
    candidates = [
        {"name": name, "kept": True, "scores": {"consistency": score}, "guards": {}, "mean_rank": rank}
        for name, score, rank in (("source_only", 0.1, 3.0), ("gin", 0.9, 2.0), ("bridge", 0.5, 1.0))
    ]
    record = {"chosen": "gin", "reason": "gin ranks first", "candidates": candidates}
    run.write("selection", {"seeds": {"0": record, "1": {**record, "chosen": "bridge"}}})
    found = comparison.compose_comparison(run)["selection"]
    assert [one["regret"] for one in found["seeds"]] == [pytest.approx(0.2), 0.0]
    assert found["regret"] == pytest.approx(0.1)
    assert found["seeds"][0]["over_source_only"] == pytest.approx(0.3)
    validator, together = found["validators"]
    assert (together["name"], together["regret"]) == ("mean_rank", 0.0)  # the rank that was chosen by, low is good
    assert (validator["name"], validator["regret"]) == ("consistency", pytest.approx(0.2))
    assert validator["weighted_spearman"] == pytest.approx(-0.357, abs=1e-3)  # the two that matter are reversed


def test_the_page_is_one_file_and_shows_every_method_on_the_same_slices(make):
    run = make()
    run.pictures.mkdir()
    label = np.zeros(SHAPE, np.uint8)
    label[8:16, 6:14, 2:5] = 1
    for n in range(PATIENTS):
        image = np.random.default_rng(n).random(SHAPE).astype(np.float16)
        drawn = {arm: np.roll(label, k, 0) for k, arm in enumerate(DICE)}
        path = run.pictures / f"case-{n}.npz"
        np.savez(path, image=image, truth=label, spacing=np.ones(3), names=np.array(["prostate"]), **drawn)
    html = comparison.write_comparison(run).read_text()
    hardest = [one["case"] for one in run.read("comparison")["hardest"]]
    assert len(hardest) == 3
    assert all(html.count(f"{case}: {method} and the truth") == 1 for case in hardest for method in DICE)
    assert html.count("data:image/jpeg") == 3  # each picture once, however many methods are drawn on it
    assert html.count('class="o-method"') == 3 * len(DICE)
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", html)
    assert "<script" not in html
    for sentence in run.read("comparison")["verdict"]:
        assert sentence in html


def test_the_forest_marks_what_keeps_its_significance_and_spans_every_interval(make):
    figure = forest(comparison.compose_comparison(make())["ranking"]["prostate"], "prostate", "source_only")
    assert [line["method"] for line in figure["lines"]] == ["bridge", "gin"]
    assert all(line["sure"] for line in figure["lines"])
    assert all(figure["zero"] <= line["low"] < line["x"] < line["high"] <= figure["right"] for line in figure["lines"])
    bars = cost(comparison.compose_comparison(make())["ranking"]["prostate"])["lines"]
    assert [bar["width"] for bar in bars] == [520.0, pytest.approx(346.7), pytest.approx(173.3), pytest.approx(173.3)]


def test_a_run_is_no_comparison_and_a_comparison_no_run(make):
    run = make()
    with pytest.raises(XmedError, match=r"RUN_NOT_FOUND.*is a comparison"):
        write_report(run)
    (run.folder / "methods.json").unlink()
    with pytest.raises(XmedError, match=r"RUN_NOT_FOUND.*has no methods.json · expected a judged comparison"):
        comparison.write_comparison(run)
