"""C5: a version is looked at whenever it is approved, and one that was withdrawn comes back by two people who know it."""

import json

import pytest

from support import registrable_runs
from support.registered_home import (
    EVALUATION,
    FIRST,
    NAME,
    SECOND,
    THIRD,
    USE,
    approve,
    blank,
    empty,
    home,
    shelf,
    surroundings,
    why,
)
from xmed import registry
from xmed.registry.registration import holder
from xmed.run import Run

__all__ = ["blank", "empty", "home", "shelf", "surroundings"]


def run_of(home):
    return Run(next((home / "runs").iterdir()))


def edited_report(home):
    path = run_of(home).report / "report.json"
    found = json.loads(path.read_text())
    found["summary"]["adapted"]["prostate"]["dice"]["mean"] = 0.99
    path.write_text(json.dumps(found))


def swapped_weights(home):
    for path in (home / "mlartifacts").rglob("weights.safetensors"):
        path.write_bytes(path.read_bytes()[:-1] + b"\1")


def changed_code(home):
    for path in (home / "mlartifacts").rglob("code/xmed/model/deployed.py"):
        path.write_text(path.read_text() + "\nimport os\n")


def easier_protocol(home):
    run = run_of(home)
    protocol = run.read("protocol")
    protocol["protocol"]["accept"]["gap_closed"] = 0.01
    run.write("protocol", protocol)


def retrained(home):
    path = run_of(home).arm("adapted", 0) / "train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "weights_sha256": "0" * 64}))


@pytest.mark.parametrize("alias", [EVALUATION, USE])
@pytest.mark.parametrize("harm", [edited_report, swapped_weights, changed_code, easier_protocol, retrained],
                         ids=lambda harm: harm.__name__)  # fmt: skip
def test_who_holds_the_alias_is_looked_at_as_everybody(home, harm, alias):
    assert approve(home).approved
    if alias == USE:
        assert approve(home, by=SECOND, alias=USE).approved
    harm(home)
    why(approve(home, by=THIRD, alias=alias))
    assert registry.check_version(NAME, 1, home, alias=alias).approved is False


def test_who_holds_it_and_is_sound_is_approved_already(home):
    assert approve(home).approved
    again = approve(home, by=SECOND)
    assert (again.approved, again.already) == (True, True)
    assert approve(home, by=SECOND, alias=USE).approved
    assert approve(home, by=THIRD, alias=USE).already


def withdrawn(home, alias=EVALUATION):
    """Approved for both, then withdrawn from one; returns the day and the record of the last withdrawal."""
    assert approve(home).approved
    assert approve(home, by=SECOND, alias=USE).approved
    registry.withdraw(NAME, 1, home, by=THIRD, meaning="misses small bladders", alias=alias)
    from xmed.registry import audit_log

    return [one for one in audit_log.records(home) if one.event == "withdrawn"][-1]


@pytest.mark.parametrize("by", [FIRST, SECOND, THIRD])
def test_one_name_does_not_bring_it_back(home, by):
    withdrawn(home)
    why(approve(home, by=by))
    why(approve(home, by=by, meaning="reviewed once more, fine now"))
    assert holder(NAME, EVALUATION, home) is None


@pytest.mark.parametrize("who", ["the same twice", "the same, spelt otherwise"])
def test_one_person_twice_does_not_either(home, who):
    gone = withdrawn(home)
    says = f"the withdrawal of {gone.at[:10]} was about a scanner that is no longer in use"
    why(approve(home, meaning=says))
    why(approve(home, meaning=says, by=FIRST if who == "the same twice" else "Dr. READER, Ada"))
    assert holder(NAME, EVALUATION, home) is None


@pytest.mark.parametrize("names", ["date", "record number", "hash"])
def test_two_who_name_the_withdrawal_do(home, names):
    gone = withdrawn(home)
    what = {"date": gone.at[:10], "record number": f"record {gone.seq}", "hash": gone.sha256[:12]}[names]
    says = f"the withdrawal ({what}) was about a scanner that is no longer in use"
    assert "a second person" in why(approve(home, meaning=says))
    assert approve(home, meaning=says, by=SECOND).approved
    assert holder(NAME, EVALUATION, home) == 1
    assert registry.verify_audit(home) == []


def test_the_second_must_name_it_too(home):
    gone = withdrawn(home)
    why(approve(home, meaning=f"the withdrawal of {gone.at[:10]} is settled"))
    why(approve(home, by=SECOND))
    assert holder(NAME, EVALUATION, home) is None


def test_a_proposal_does_not_outlast_the_next_withdrawal(home):
    gone = withdrawn(home)
    says = f"the withdrawal of {gone.at[:10]} is settled"
    why(approve(home, meaning=says))
    assert approve(home, meaning=says, by=SECOND).approved
    registry.withdraw(NAME, 1, home, by=THIRD, meaning="misses them still")
    why(approve(home, meaning=says, by=SECOND))
    assert holder(NAME, EVALUATION, home) is None


def test_withdrawn_from_use_alone_it_needs_two_for_use(home):
    gone = withdrawn(home, alias=USE)
    assert holder(NAME, EVALUATION, home) == 1
    why(approve(home, by=SECOND, alias=USE))
    says = f"record {gone.seq} is settled"
    why(approve(home, by=SECOND, alias=USE, meaning=says))
    assert approve(home, by=THIRD, alias=USE, meaning=says).approved


def test_the_same_model_under_another_number_is_the_one_that_was_withdrawn(home):
    withdrawn(home)
    run = run_of(home)
    registrable_runs.report(
        run, summary=json.loads((run.report / "report.json").read_text())["summary"], extra="said anew"
    )
    made = registry.register(run, home)
    assert made.version == 2
    why(approve(home, 2))
    assert holder(NAME, EVALUATION, home) is None


def test_the_same_weights_under_another_name_are_the_ones_that_were_withdrawn(home):
    withdrawn(home)
    study = registrable_runs.STUDY.model_copy(update={"register_as": "other-name"})
    registry.register(registrable_runs.finished(home, study), home)
    answer = registry.approve("other-name", 1, home, by=FIRST, meaning="reviewed the report")
    assert answer.approved is False


def test_another_model_of_that_name_is_approved_by_one(home):
    withdrawn(home)
    made = registry.register(registrable_runs.finished(home, shift=1.0), home)
    assert approve(home, made.version).approved
