"""E: a model validated elsewhere is asked what its own protocol asks, at its own tolerance, and called by its name."""

import json

import pytest

from support.validated_model import balls, model, validated  # noqa: F401
from xmed.app import external_validation
from xmed.records.record import content
from xmed.spec import Protocol

PROTOCOL = {
    "primary": {"metric": "dice", "structure": "ball"}, "accept": {"gap_closed": 0.6, "dice": 0.4, "gain_over_trivial": 0.0,
    "not_below_source_only": True}, "non_inferiority": None, "planned_n": 7, "failure_below": 0.55, "subgroups": None,
    "nsd_tolerance_mm": 2.5,
}  # fmt: skip


@pytest.fixture
def asked(model):  # noqa: F811
    """The same model, whose card holds the protocol that it was made under."""
    path = model / "model.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, "protocol": PROTOCOL}))
    return model


@pytest.mark.parametrize("tolerance", [2.5, 4.0])
def test_the_models_own_protocol_and_tolerance_are_the_default(asked, tmp_path, home, tolerance):
    path = asked / "model.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, "protocol": {**PROTOCOL, "nsd_tolerance_mm": tolerance}}))
    spec, _ = balls(tmp_path, "new", {"test": ["n1", "n2", "n3"]}, 20, home)
    study = external_validation.external_study(asked, spec, None)
    assert study.protocol.nsd_tolerance_mm == tolerance
    assert (study.protocol.accept.dice, study.protocol.failure_below) == (0.4, 0.55)
    _, found = validated(asked, spec, home)
    assert found["metrics_conventions"]["nsd_tolerance_mm"] == tolerance
    assert "the protocol asks for nothing" not in " ".join(found["banner"]["reasons"])
    assert {one["id"] for one in found["criteria"]} >= {"dice", "gain_over_trivial"}
    # what needs arms that are not trained again is not asked of a finished model
    assert {one["id"] for one in found["criteria"]} & {"gap_closed", "not_below_source_only"} == set()
    assert study.protocol.planned_n is None  # patients were planned for the study of the model, not for this one


def test_a_protocol_that_is_given_wins(asked, tmp_path, home):
    spec, _ = balls(tmp_path, "new", {"test": ["n1", "n2", "n3"]}, 20, home)
    given = Protocol.model_validate(
        {"primary": {"structure": "ball"}, "accept": {"dice": 0.9}, "nsd_tolerance_mm": 3.0}
    )
    study = external_validation.external_study(asked, spec, given)
    assert (study.protocol.accept.dice, study.protocol.nsd_tolerance_mm) == (0.9, 3.0)


def test_the_run_that_made_the_model_says_it_where_the_card_does_not(model, tmp_path, home, monkeypatch):  # noqa: F811
    """Models of version 0.1.0 name their run and the protocol's digest only."""
    from xmed.files.digest import digest

    monkeypatch.setenv("XMED_HOME", str(home))
    fixed = {"name": "balls", "source": "s", "target": "t", "structures": ["ball"], "protocol": PROTOCOL}
    sha = digest(fixed)
    folder = home / "runs" / "balls-1"
    folder.mkdir(parents=True)
    (folder / "study.json").write_text("{}")
    (folder / "protocol.json").write_text(json.dumps({**fixed, "sha256": sha, "fixed_at": "2026-01-01T00:00:00+00:00"}))
    path = model / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "protocol_sha256": sha}))
    spec, _ = balls(tmp_path, "new", {"test": ["n1", "n2", "n3"]}, 20, home)
    study = external_validation.external_study(model, spec, None)
    assert study.protocol.accept.dice == 0.4


@pytest.mark.parametrize("bad", ["a text", {"primary": {"structure": "cube"}}, {"primary": 3}, []])
def test_a_protocol_that_cannot_be_read_is_not_followed(model, tmp_path, home, bad):  # noqa: F811
    path = model / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "protocol": bad}))
    spec, _ = balls(tmp_path, "new", {"test": ["n1", "n2", "n3"]}, 20, home)
    study = external_validation.external_study(model, spec, None)
    assert study.protocol.primary.structure == "ball"
    assert study.protocol.accept.gain_over_trivial is not None


@pytest.mark.parametrize(
    ("reference", "name"), [("models:/ct-spleen/3", "ct-spleen"), ("models:/ct-spleen@candidate", "ct-spleen")]
)
def test_a_registered_model_is_called_by_its_own_name(model, tmp_path, home, reference, name):  # noqa: F811
    from xmed import report
    from xmed.cohort import load_cohort
    from xmed.evaluate import evaluate

    spec, _ = balls(tmp_path, "new", {"test": ["n1", "n2", "n3"]}, 20, home)
    run = external_validation.begin(model, reference, external_validation.external_study(model, spec, None), home)
    external_validation.describe(run, load_cohort(spec.name, home), home)
    evaluate(run, home)
    run.write("environment", {})
    run.write("errors", [])
    report.write_report(run)
    found = content(report.read_report(run.report))
    assert found["banner"]["model"].startswith(name)
    assert found["model"]["name"].startswith(name)
    assert found["external"]["model"] == reference
    assert report.verify_report(run.folder) == []
