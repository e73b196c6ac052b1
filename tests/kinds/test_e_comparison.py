"""E: a comparison ranks only what achieved anything, ties are ties, and its page says what its document says."""
# ruff: noqa: F811 - fixtures of another module are asked for by their names

import re

import numpy as np
import pytest

from support.compared_runs import entry, make  # noqa: F401
from support.page_text import seen
from xmed import comparison

BLIND = ("source_only", "gin", "bridge")


def nothing(run, arms):
    """Every prediction of these arms is empty: a failure of Dice 0, as evaluation writes it."""
    empty = {"dice": 0.0, "nsd": 0.0, "status": "empty_prediction", "volume_ml": 0.0, "components": 0}
    run.write("rows", [{**row, **empty} if row["arm"] in arms else row for row in run.read("rows")])
    return run


@pytest.mark.parametrize("n", [1, 2, 10])
def test_nobody_is_first_where_every_method_failed_on_every_case(make, n):
    run = nothing(make(patients=n), BLIND)
    comparison.write_comparison(run)
    found = run.read("comparison")
    assert [entry(found, arm)["rank"] for arm in BLIND] == [None] * 3
    said = " ".join(found["verdict"])
    assert "failed" in said
    assert "first in" not in said
    assert "highest mean Dice" not in said
    page = seen(run.folder / "comparison.html")
    assert "first in" not in page.words
    for _, cells in page.rows:
        if len(cells) > 2 and cells[1] in ("source only", "gin", "bridge"):
            assert "saw labels" not in cells[0]


@pytest.mark.parametrize("alive", ["gin", "bridge", "source_only"])
def test_those_that_failed_everywhere_are_not_ranked_beside_the_one_that_did_not(make, alive):
    run = nothing(make(), [arm for arm in BLIND if arm != alive])
    found = comparison.compose_comparison(run)
    assert entry(found, alive)["rank"]["value"] == 1
    assert [entry(found, arm)["rank"] for arm in BLIND if arm != alive] == [None, None]
    assert "highest mean Dice" in " ".join(found["verdict"]) or alive in found["verdict"][0]
    assert "first in 100" not in " ".join(found["verdict"])


@pytest.mark.parametrize("level", [0.3, 0.7])
def test_ties_are_ties(make, level):
    found = comparison.compose_comparison(make({"source_only": 0.1, "gin": level, "bridge": level}, wobble=0.0))
    first = [entry(found, arm)["rank"] for arm in ("gin", "bridge")]
    assert [one["value"] for one in first] == [1, 1]
    said = found["verdict"][0]
    assert "gin" in said
    assert "bridge" in said
    assert not re.search(r"\b(gin|bridge) has the highest", said)
    assert "first in 100" not in " ".join(found["verdict"])


def test_a_clear_winner_is_still_named_with_how_sure_it_is(make):
    found = comparison.compose_comparison(make())
    assert "bridge has the highest mean Dice" in found["verdict"][0]
    assert "first in 100 %" in found["verdict"][1]


def test_one_patient_resampled_is_no_certainty(make):
    found = comparison.compose_comparison(make(patients=1))
    assert "first in 100" not in " ".join(found["verdict"])


@pytest.mark.parametrize("scores", [(0.0, 0.0), (0.2, 0.0)])
def test_the_tile_does_not_praise_what_gained_nothing(make, scores):
    run = nothing(make({"source_only": scores[0], "gin": scores[1], "target_supervised": 0.9}), ["gin"])
    comparison.write_comparison(run)
    page = seen(run.folder / "comparison.html")
    assert "Gap closed by gin" not in page.words


@pytest.mark.parametrize("n", [1, 2, 6])
def test_every_interval_of_the_page_holds_its_value(make, n):
    run = make(patients=n)
    comparison.write_comparison(run)
    page = seen(run.folder / "comparison.html")
    shape = re.compile(r"^([+−]?\d+\.\d+) ([+−]?\d+\.\d+) to ([+−]?\d+\.\d+)")
    for _, cells in page.rows:
        for cell in cells:
            if match := shape.match(cell):
                value, low, high = (float(one.replace("−", "-")) for one in match.groups())
                assert low - 0.006 <= value <= high + 0.006, cell
    assert not re.search(r"\b1 patients\b|[a-z]+_[a-z]+", re.sub(r"\w+, 2026", "", page.words))


def test_patients_are_counted_once_for_ranks(make):
    found = comparison.compose_comparison(make(patients=3))
    lows = [entry(found, arm)["rank"]["ci"] for arm in BLIND]
    assert all(1 <= low <= high <= 3 for low, high in lows)
    assert np.isfinite([entry(found, arm)["rank"]["first"] for arm in BLIND]).all()
