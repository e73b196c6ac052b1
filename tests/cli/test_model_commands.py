"""The release commands: refusals are answers (exit 1) with every reason, wrong questions are errors (exit 2)."""

import json
import os
import types

import pytest

from xmed.cli import model_commands
from xmed.cli.main import main
from xmed.errors import XmedError
from xmed.records.model_version import RefusalReason, VersionDecision, Withdrawal
from xmed.registry import audit_log

SAID = ["--by", "Ada Reader", "--meaning", "reviewed the report"]
REASON = RefusalReason(code="report", text="its report does not verify", detail=["report.verdict: pass stands there"])
REFUSED = VersionDecision(
    name="toy", version=1, alias="clinical-evaluation", by="Ada Reader", approved=False, refused=[REASON]
)


@pytest.fixture(autouse=True)
def place(tmp_path):
    """An empty home; the environment, which a command prepares for its process, is put back."""
    before = dict(os.environ)
    os.environ["XMED_HOME"] = str(tmp_path / "home")
    for name in ("MLFLOW_TRACKING_URI", audit_log.KEY):
        os.environ.pop(name, None)
    yield tmp_path / "home"
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def registry(monkeypatch):
    """The registry's answers, as a test wants them."""
    import xmed.registry as room

    return lambda **functions: [monkeypatch.setattr(room, name, function) for name, function in functions.items()]


@pytest.mark.parametrize("name", ["register", "approve", "withdraw", "export", "audit verify", "audit show"])
def test_every_command_explains_itself_and_takes_json(name, capsys):
    assert main([*name.split(), "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_a_refusal_is_exit_1_with_every_reason(registry, capsys):
    registry(approve=lambda *_, **__: REFUSED)
    assert main(["approve", "toy", "1", *SAID]) == 1
    assert capsys.readouterr().out == (
        "toy version 1 does not become clinical-evaluation:\n"
        "  its report does not verify\n    report.verdict: pass stands there\n"
    )
    assert main(["approve", "toy", "1", *SAID, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["refused"][0]["code"] == "report"


def test_an_approval_passes_on_who_what_and_for_what(registry, capsys, monkeypatch):
    asked, told = [], []

    def approve(name, version, home, **how):
        asked.append((name, version, how))
        return REFUSED.model_copy(update={"approved": True, "alias": how["alias"], "refused": []})

    registry(approve=approve)
    monkeypatch.setattr(
        "xmed_pipelines.pending_approvals.resume_waiting_flows", lambda home, answer, meaning: told.append(meaning)
    )
    assert main(["approve", "toy", "1", *SAID, "--for", "clinical-use"]) == 0
    said = {"by": "Ada Reader", "meaning": "reviewed the report", "alias": "clinical-use", "decision": "approve"}
    assert asked == [("toy", 1, said)]
    assert told == ["reviewed the report"]
    assert capsys.readouterr().out == "toy version 1 holds clinical-use, approved by Ada Reader\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["approve", "toy", "1", *SAID], "error[MODEL_NOT_FOUND]: found no model 'models:/toy/1'"),
        (["approve", "toy", "1", "--by", "Ada Reader"], "error[USAGE]: found --meaning of 0 characters"),
        (["approve", "toy", "1", "--meaning", "reviewed"], "error[USAGE]: found --by ''"),
        (["approve", "toy", "1", *SAID, "--wait"], "error[USAGE]: found --wait with --by, --meaning or --decline"),
        (["approve", "toy", "1", *SAID, "--for", "candidate"], "error[USAGE]: found Invalid value for '--for'"),
        (["register", "toy-gone"], "error[RUN_NOT_FOUND]: found no run 'toy-gone'"),
        (["export", "no/such/model", "-o", "bundle"], "error[MODEL_NOT_FOUND]: found no model 'no/such/model'"),
    ],
)
def test_a_wrong_question_is_one_line_and_exit_2(arguments, line, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(line)


@pytest.mark.parametrize("code", model_commands.REFUSALS)
def test_a_refused_registration_is_an_answer(registry, monkeypatch, capsys, code):
    def refuse(run, home):
        raise XmedError(code, "it learned from target labels", "a deployable model")

    monkeypatch.setattr("xmed.run.Run.find", lambda *_: types.SimpleNamespace())
    registry(register=refuse)
    assert main(["register", "toy"]) == 1
    assert capsys.readouterr().out == "refused: it learned from target labels\n"


def test_a_withdrawal_of_nothing_is_a_no(registry, capsys):
    registry(withdraw=lambda *_, **__: Withdrawal(name="toy", version=1, by="Ada Reader", withdrawn=[]))
    assert main(["withdraw", "toy", "1", *SAID]) == 1
    assert "withdrawn from nothing" in capsys.readouterr().out


def test_the_audit_log_is_verified_shown_and_found_wanting(place, capsys):
    assert main(["audit", "verify"]) == 0
    for version in (1, 2):
        audit_log.append(place, "registered", model="toy", version=version)
    assert main(["audit", "verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2]) == {
        "ok": True, "records": 2, "problems": [], "signed": False,
    }  # fmt: skip
    assert main(["audit", "show", "toy", "--json"]) == 0
    assert [row["version"] for row in json.loads(capsys.readouterr().out)] == [1, 2]
    (place / audit_log.LOG).write_text((place / audit_log.LOG).read_text().replace('"version":1', '"version":3'))
    assert main(["audit", "verify"]) == 1
    assert capsys.readouterr().out == "record 0 was edited\n"
