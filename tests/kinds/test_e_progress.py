"""E: what is said while something is worked on is what happens, and what was finished is shown as finished."""

import json

import pytest

from support.validated_model import balls, model  # noqa: F401
from xmed.app import external_validation
from xmed.cohort import load_cohort
from xmed.evaluate import evaluate


@pytest.mark.parametrize("robust", [True, False])
@pytest.mark.parametrize("cases", [1, 2, 3])
def test_disturbed_volumes_are_told_of_where_there_are_any_and_every_bar_is_full(model, tmp_path, home, robust, cases):  # noqa: F811
    spec, _ = balls(tmp_path, "new", {"test": [f"n{n}" for n in range(cases)]}, 20, home)
    study = external_validation.external_study(model, spec, None).model_copy(update={"robustness": robust})
    run = external_validation.begin(model, "models:/balls/3", study, home)
    external_validation.describe(run, load_cohort(spec.name, home), home)
    told = []
    evaluate(run, home, lambda what, done, total, note: told.append((what, done, total, note)))
    assert any("disturbed" in what for what, *_ in told) == robust
    last = {what: (done, total) for what, done, total, _ in told}
    assert all(done == total for done, total in last.values()), last
    counted = [done for what, done, _, _ in told if what == "evaluate"]
    assert counted == sorted(set(counted)), "never twice the same, never back"
    assert json.loads((run.folder / "rows.json").read_text())
