"""C1: what a run says of itself is computed again: from its kept predictions, its models and the stored truth."""

import json
import shutil
from itertools import count

import numpy as np
import pytest

from support import forged_runs
from support.forged_runs import NAME, better_rows, drawn, edit, nearly, promoted
from xmed import registry, report as reports
from xmed.errors import XmedError
from xmed.files.digest import digest, folder_digest

NUMBER = count()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "XMED_AUDIT_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A home with one honest run that failed."""
    return forged_runs.honest(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def forged(shelf, tmp_path):
    """The same home and run, to be forged."""
    return forged_runs.copy(*shelf, tmp_path)


def asked(home, run):
    """What registration and then approval answer: reasons, or nothing where the run has become a clinical model."""
    try:
        made = registry.register(run, home)
    except XmedError as problem:
        return [str(problem)]
    if made.version is None:
        return [made.not_registered]
    answer = registry.approve(NAME, made.version, home, by="Ada Reader", meaning="reviewed the report")
    return [] if answer.approved else [reason.text for reason in answer.refused]


def rows_and_selection(home, run):
    better_rows(run)
    promoted(run)


def rows_alone_where_nothing_was_selected(home, run):
    better_rows(run)
    (run.folder / "selection.json").unlink()


def reference_as_prediction(home, run):
    """All kept predictions of the registered arm are the reference; every digest and number fits them."""
    drawn(run, home, "adapted")
    drawn(run, home, "source_only", which=lambda truth, kept: np.roll(nearly(truth, kept), 4, 0))
    promoted(run)
    better_rows(run, adapted=None, source_only=None)


def shifted_reference(home, run):
    """The same, a voxel off, as a good model would do."""
    drawn(run, home, "adapted", which=lambda truth, kept: np.roll(nearly(truth, kept), 1, 0))
    drawn(run, home, "target_supervised", which=lambda truth, kept: np.roll(nearly(truth, kept), 1, 0))
    promoted(run)
    better_rows(run, adapted=None, target_supervised=None)


def worse_baselines(home, run):
    reference_as_prediction(home, run)
    better_rows(run, adapted=None, source_only=None, target_supervised=None)


def predictions_deleted(home, run):
    rows_and_selection(home, run)
    for path in run.folder.glob("arms/*/seed*/labels.npz"):
        path.unlink()
    edit(
        run.folder / "rows.json", lambda rows: [{k: v for k, v in r.items() if k != "prediction_sha256"} for r in rows]
    )


def store_deleted(home, run):
    rows_and_selection(home, run)
    shutil.rmtree(home / "store")


def bad_cases_dropped(home, run):
    """Two of four test cases are no longer there, neither in rows nor in data."""
    rows_and_selection(home, run)
    gone = {"dark-e", "dark-f"}
    edit(run.folder / "rows.json", lambda rows: [row for row in rows if row["case"] not in gone])
    edit(run.folder / "reference.json", lambda found: {k: v for k, v in found.items() if k not in gone})
    edit(
        run.folder / "data.json",
        lambda d: d["target"].update(cases=[c for c in d["target"]["cases"] if c["case"] not in gone]),
    )


def selection_found_otherwise(home, run):
    """The numbers that the selection was made from are edited, beside the models as in the selection."""
    rows_and_selection(home, run)
    for path in run.folder.glob("arms/*/seed*/findings.json"):

        def better(found, adapted="adapted" in str(path)):
            found["scores"] = {k: None if v is None else (0.9 if adapted else 0.2) for k, v in found["scores"].items()}
            found |= {"known": 0.9, "empty": [0.0], "outside": 0.0}

        edit(path, better)


def easier_protocol(home, run):
    """Nothing but a Dice of 0.01 is asked, and every hash fits."""
    promoted(run)

    def easy(document):
        document["protocol"]["accept"] |= {
            "gap_closed": None,
            "gain_over_trivial": None,
            "dice": 0.01,
            "not_below_source_only": False,
        }

    edit(run.folder / "study.json", easy)
    edit(run.folder / "protocol.json", easy)
    sha = digest({k: v for k, v in run.read("protocol").items() if k not in ("sha256", "fixed_at")})
    edit(run.folder / "protocol.json", lambda document: document.update(sha256=sha))
    for card in run.folder.glob("arms/*/seed*/model/model.json"):
        edit(card, lambda document: document.update(protocol_sha256=sha))
        edit(card.parents[1] / "train.json", lambda t, card=card: t.update(model_sha256=folder_digest(card.parent)))


def other_source_only(home, run):
    """Source-only's model is one that finds nothing, and its rows are measured from that."""
    from safetensors.numpy import load_file, save_file

    from xmed.files.digest import file_digest

    folder = run.arm("source_only", 0)
    weights = folder / "model" / "weights.safetensors"
    save_file({name: np.zeros_like(array) for name, array in load_file(weights).items()}, weights)
    edit(folder / "model" / "model.json", lambda card: card.update(weights_sha256=file_digest(weights)))
    edit(
        folder / "train.json",
        lambda t: t.update(weights_sha256=file_digest(weights), model_sha256=folder_digest(folder / "model")),
    )
    rows_and_selection(home, run)


def report_alone(home, run):
    found = json.loads((run.report / "report.json").read_text())
    found["verdict"] = "pass"
    (run.report / "report.json").write_text(json.dumps(found))


def failures_declared_errors(home, run):
    """Source-only is said to have been unable to read the cases, and its predictions are gone."""
    reference_as_prediction(home, run)
    path = run.arm("source_only", 0) / "labels.npz"
    np.savez_compressed(path)

    def failed(rows):
        for row in rows:
            if row["arm"] == "source_only":
                row |= {"status": "error", "reason": "unreadable", "dice": 0.0, "prediction_sha256": None}

    edit(run.folder / "rows.json", failed)


def stored_truth_replaced(home, run):
    """The labels in the store are what the model draws."""
    from xmed.cohort import load_cohort
    from xmed.cohort.store import Store

    promoted(run)
    target = load_cohort("dark", home)
    with np.load(run.arm("adapted", 0) / "labels.npz") as kept:
        for case in target.split("test"):
            path = Store(home).folder(case.label) / "image.npy"
            old = np.load(path)
            np.save(path, kept[f"case.{case.id}"].astype(old.dtype))
    better_rows(run)


def rows_gone_and_table_edited(home, run):
    """rows.json is deleted, so that the report is only held against its own table."""
    rows_and_selection(home, run)
    reports.write_report(run)
    (run.folder / "rows.json").unlink()


FORGERIES = [
    rows_and_selection, rows_alone_where_nothing_was_selected, reference_as_prediction, shifted_reference, worse_baselines,
    predictions_deleted, store_deleted, bad_cases_dropped, selection_found_otherwise, easier_protocol, other_source_only,
    report_alone, failures_declared_errors, stored_truth_replaced, rows_gone_and_table_edited,
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forged_run_becomes_no_clinical_model(forged, forge):
    home, run = forged
    forge(home, run)
    if forge not in (report_alone, rows_gone_and_table_edited):
        reports.write_report(run)
    reasons = asked(home, run)
    assert reasons
    assert not registry.versions(home) or "clinical-evaluation" not in registry.versions(home)[0].aliases


@pytest.mark.parametrize("forge", [rows_and_selection, reference_as_prediction, easier_protocol, other_source_only],
                         ids=lambda forge: forge.__name__)  # fmt: skip
def test_a_run_that_is_forged_after_it_was_registered_as_it_was_becomes_none_either(forged, forge):
    home, run = forged
    registry.register(run, home)
    forge(home, run)
    reports.write_report(run)
    assert asked(home, run)


@pytest.mark.parametrize("what", ["gain", "rows.json twice", "row of nobody"])
def test_small_edits_are_found_by_measuring_again(forged, what):
    """One number of one case; a case counted twice; a case that is not in the data."""
    from xmed.evaluate import remeasure

    home, run = forged
    rows = run.read("rows")
    if what == "gain":
        rows[[r["arm"] for r in rows].index("trivial_threshold")]["dice"] -= 0.001
    elif what == "rows.json twice":
        rows.append(dict(rows[0]))
    else:
        rows.append({**rows[0], "case": "dark-z"})
    run.write("rows", rows)
    assert remeasure(run, home)


def test_an_honest_run_is_registered_and_nothing_but_its_verdict_speaks_against_it(forged):
    home, run = forged
    told = asked(home, run)
    allowed = ("the mean source mask, which learns nothing", "the verdict of its report is", "it never was the candidate", "it is worse than source-only", "by today's rules",
               "no model is estimated", "trivial")  # fmt: skip
    assert told
    assert [text for text in told if not text.startswith(allowed)] == []
