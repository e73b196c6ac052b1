"""An approval as a flow: the gate first, then a pause until a person decides, there or with `xmed approve`."""
# ruff: noqa: F811 - fixtures of another module are asked for by their names

import contextvars
import json
import threading
import time
from types import SimpleNamespace
from uuid import UUID

import pytest
from xmed_pipelines import pending_approvals

from support.stand_in_library import prefect_server  # noqa: F401
from xmed.records.model_version import RefusalReason, VersionDecision

ASKED = {"name": "toy", "version": 3, "alias": "clinical-evaluation"}
OPEN = VersionDecision(**ASKED, by="", approved=False, refused=[])
REASON = RefusalReason(code="verdict", text="the verdict of its report is fail", detail=[])
SHUT = OPEN.model_copy(update={"refused": [REASON]})


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XMED_HOME", str(tmp_path))
    return tmp_path


class Registry:
    """Stands in for the registry: says what the gate says, and remembers what it was told."""

    def __init__(self, gate):
        self.gate, self.told = gate, []

    def check_version(self, name, version, home, *, alias):
        assert {"name": name, "version": version, "alias": alias} == ASKED
        return self.gate

    def approve(self, name, version, home, **said):
        self.told.append(said)
        return self.gate.model_copy(update={"by": said["by"], "approved": said["decision"] == "approve"})

    def decided(self, name, version, home, *, alias, record):
        self.told.append(record)
        return self.gate.model_copy(update={"approved": True, "record": record})


@pytest.fixture
def ask(prefect_server, place, monkeypatch):
    """Start the flow in a thread; returns what to call for its answer."""
    from xmed_pipelines import approve_flow

    monkeypatch.setattr(approve_flow, "POLL_SECONDS", 1)

    def start(gate=OPEN, hours=1.0):
        registry, answers = Registry(gate), []
        monkeypatch.setattr(approve_flow, "registry", registry)
        context = contextvars.copy_context()  # where the test's server is known
        work = threading.Thread(
            target=lambda: answers.append(context.run(approve_flow.approve_flow, *ASKED.values(), hours)), daemon=True
        )
        work.start()

        def wait():
            work.join(60)
            assert not work.is_alive()
            return answers[0]

        return SimpleNamespace(registry=registry, answer=wait)

    return start


def marker(place):
    """The note of the flow that waits, once it is paused."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = list((place / pending_approvals.FOLDER).glob("*.json"))
        if found and paused(json.loads(found[0].read_text())["flow_run"]):
            return json.loads(found[0].read_text())
        time.sleep(0.1)
    raise AssertionError("nobody waits")


def paused(flow_run):
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(flow_run)).state
    return state is not None and state.is_paused()


@pytest.mark.slow
def test_a_decision_made_elsewhere_wakes_the_flow_and_is_not_recorded_twice(ask, place):
    flow = ask()
    assert {key: marker(place)[key] for key in ASKED} == ASKED
    refused = VersionDecision(**ASKED, by="Ada Reader", approved=False, refused=[])
    assert pending_approvals.resume_waiting_flows(place, refused, "reviewed") == 0
    other = refused.model_copy(update={"version": 4, "approved": True, "record": "ef" * 32})
    assert pending_approvals.resume_waiting_flows(place, other, "reviewed") == 0
    decided = refused.model_copy(update={"approved": True, "record": "ab" * 32})
    assert pending_approvals.resume_waiting_flows(place, decided, "reviewed") == 1
    assert flow.answer().approved is True
    assert flow.registry.told == ["ab" * 32]
    assert list((place / pending_approvals.FOLDER).iterdir()) == []
    assert pending_approvals.resume_waiting_flows(place, decided, "reviewed") == 0


@pytest.mark.slow
def test_a_decision_made_in_prefect_goes_through_the_registry_with_its_name_and_meaning(ask, place):
    from prefect.flow_runs import resume_flow_run

    flow = ask()
    said = {"by": "Ben Surgeon", "meaning": "reviewed the report", "decision": "approve"}
    resume_flow_run(UUID(marker(place)["flow_run"]), run_input=said)
    assert flow.answer().by == "Ben Surgeon"
    assert flow.registry.told == [{**said, "alias": "clinical-evaluation"}]


@pytest.mark.slow
def test_nobody_is_asked_about_what_the_gate_refuses(ask, place):
    assert ask(SHUT).answer() == SHUT
    assert not (place / pending_approvals.FOLDER).exists()


@pytest.mark.slow
def test_when_nobody_decides_the_answer_is_no(ask, place):
    answer = ask(hours=1 / 3600).answer()
    assert (answer.approved, answer.refused[0].code) == (False, "timeout")
    assert list((place / pending_approvals.FOLDER).iterdir()) == []


def test_without_anybody_waiting_prefect_is_not_even_imported(place, monkeypatch):
    monkeypatch.setattr(pending_approvals, "_resume", lambda *_: pytest.fail("nobody waits"))
    approved = VersionDecision(**ASKED, by="Ada Reader", approved=True, refused=[])
    assert pending_approvals.resume_waiting_flows(place, approved, "reviewed") == 0
