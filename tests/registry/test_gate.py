"""The gate: no version becomes a clinical one without a sound report, a person's name, and a record of both."""

import json
import shutil
import sys
import types

import pytest

from support.registrable_runs import CASES, STUDY, FakeModel, build, case, finished, report, verify
from xmed import registry
from xmed.errors import XmedError
from xmed.files.digest import digest, file_digest, folder_digest
from xmed.records.record import content
from xmed.registry import audit_log, gate, ledger, package
from xmed.registry.registration import EVALUATION, USE, holder
from xmed.registry.tracking_store import client
from xmed.run import stack_file

NAME = STUDY.register_as
FIRST, SECOND = "Ada Reader", "Ben Surgeon"
SAYS = "reviewed the report; for evaluation on the research scanner only"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """A net of three numbers, and a report that verifies as long as it says what it said when it was written."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv(audit_log.KEY, raising=False)
    monkeypatch.setitem(sys.modules, "xmed.model.prediction", types.SimpleNamespace(Model=FakeModel))
    monkeypatch.setattr("xmed.report.verify_report", verify)
    monkeypatch.setattr("xmed.report.write_report", build)


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    home = tmp_path_factory.mktemp("blank")
    client(home).search_experiments()
    return home / "mlflow.db"


@pytest.fixture
def home(blank, tmp_path):
    shutil.copy(blank, tmp_path)
    return tmp_path


def entry(home, version=1):
    return client(home).get_model_version(NAME, str(version))


def approve(home, version=1, by=FIRST, alias=EVALUATION, **how):
    return registry.approve(NAME, version, home, by=by, meaning=SAYS, alias=alias, **how)


def why(answer):
    assert answer.approved is False
    return [reason.text for reason in answer.refused]


@pytest.fixture(scope="module")
def shelf(blank, tmp_path_factory):
    """One registered version, as many tests look at it; each puts back what it changes."""
    home = tmp_path_factory.mktemp("shelf")
    shutil.copy(blank, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "xmed.model.prediction", types.SimpleNamespace(Model=FakeModel))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        run = finished(home)
        registry.register(run, home)
    return home, run


@pytest.fixture
def registered(shelf, tmp_path):
    """(home, run) with the alias `candidate`; files are as they were once the test is over."""
    home, run = shelf
    kept = [home / "runs", home / "mlartifacts", home / audit_log.LOG, home / audit_log.HEAD]
    for path in kept:
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    yield home, run
    for path in kept:
        if (tmp_path / path.name).is_dir():
            shutil.rmtree(path, ignore_errors=True)
        (shutil.copytree if (tmp_path / path.name).is_dir() else shutil.copy)(tmp_path / path.name, path)


def test_a_version_carries_all_that_its_evidence_can_be_checked_with(registered):
    home, run = registered
    tags = entry(home).tags
    names = {"weights", "model", "package", "report", "findings", "protocol", "sbom"}
    assert names == {key.removesuffix("_sha256") for key in tags if key.endswith("_sha256")}
    assert (tags["data.source.fingerprint"], tags["data.target.fingerprint"]) == ("a" * 64, "b" * 64)
    unpacked = package.unpack(entry(home), home / "unpacked", home)
    evidence = unpacked / "artifacts" / "evidence"
    assert json.loads((evidence / "report.json").read_text())["report_id"] == tags["report_id"]
    assert json.loads((evidence / "protocol.json").read_text())["sha256"] == tags["protocol_sha256"]
    bill = json.loads((evidence / "sbom.cdx.json").read_text())
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": tags["weights_sha256"]}]
    assert (unpacked / "code" / "xmed" / "model" / "deployed.py").is_file()
    assert folder_digest(unpacked) == tags["package_sha256"]
    (record,) = audit_log.records(home)
    assert (record.event, record.model, record.version, record.run) == ("registered", NAME, 1, run.id)
    assert record.hashes["weights_sha256"] == tags["weights_sha256"]
    shutil.rmtree(home / "unpacked")


def test_nothing_speaks_against_a_version_that_is_as_it_was_registered(registered):
    home, _ = registered
    assert gate.gate_refusals(entry(home), EVALUATION, home) == []
    (refusal,) = gate.gate_refusals(entry(home), USE, home)
    assert refusal.text == f"it does not hold the alias {EVALUATION}, which comes before {USE}"


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edited_number(home, run):
    found = json.loads((run.report / "report.json").read_text())
    found["summary"]["adapted"]["prostate"]["dice"]["mean"] = 0.99
    (run.report / "report.json").write_text(json.dumps(found))


def easier_protocol(home, run):
    protocol = run.read("protocol")
    protocol["protocol"]["accept"]["gap_closed"] = 0.01
    run.write("protocol", protocol)


def swapped_weights(home, run):
    for path in (home / "mlartifacts").rglob("weights.safetensors"):
        path.write_bytes((run.arm("adapted", 0) / "model" / "weights.safetensors").read_bytes()[:-1] + b"\1")


def changed_code(home, run):
    for path in (home / "mlartifacts").rglob("code/xmed/model/deployed.py"):
        path.write_text(path.read_text() + "\nimport os\n")


def other_loader(home, run):
    for path in (home / "mlartifacts").rglob("MLmodel"):
        path.write_text(path.read_text().replace("mlflow.pyfunc.loaders.code_model", "antigravity"))


def worse_than_source_only(home, run):
    dice = {"mean": 0.8, "ci": [0.7, 0.9], "n": 3, "n_failed": 0}
    adapted = {"prostate": {"dice": {**dice, "mean": 0.79999}}}
    report(run, summary={"adapted": adapted, "source_only": {"prostate": {"dice": dice}}})


def log_without_it(home, run):
    (home / audit_log.LOG).unlink()
    (home / audit_log.HEAD).unlink()
    audit_log.append(home, "registered", model="another", version=1)


def labels_used(home, run):
    edit(run.arm("adapted", 0) / "train.json", target_labels_used=True)


def retrained(home, run):
    edit(run.arm("adapted", 0) / "train.json", weights_sha256="0" * 64)


OTHER = "its report says something else than the one it was registered with"
NUMBERS = "its numbers are not those it was registered with"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (edited_number, [NUMBERS, "its report does not verify: 1 difference(s) to what its files give"]),
        (easier_protocol, ["the protocol was changed after it was fixed"]),
        (swapped_weights, ["it is not the model that was registered"]),
        (changed_code, ["its package (code, signature, evidence) is not the one that was registered"]),
        (other_loader, ["its package (code, signature, evidence) is not the one that was registered"]),
        (lambda home, run: shutil.rmtree(home / "mlartifacts"), ["its package cannot be fetched"]),
        (
            lambda home, run: report(run, verdict="fail"),
            [OTHER, NUMBERS, "the verdict of its report is fail, not pass"],
        ),
        (lambda home, run: report(run, exploratory=True), [OTHER, NUMBERS, "its report is exploratory"]),
        (
            worse_than_source_only,
            [OTHER, NUMBERS, "it is worse than source-only: dice of prostate 0.79999 against 0.8"],
        ),
        (
            lambda home, run: report(run, summary={}),
            [OTHER, NUMBERS, "adapted or source-only has no number to compare"],
        ),
        (labels_used, ["it was trained on target labels, or its method is not deployable"]),
        (retrained, ["it is not the model that was trained and validated"]),
        (lambda home, run: shutil.rmtree(run.folder), ["run {run} is not here, so its report cannot be verified"]),
        (lambda home, run: shutil.rmtree(run.report), ["its report cannot be read or recomputed"]),
        (
            lambda home, run: (home / audit_log.LOG).write_text(
                (home / audit_log.LOG).read_text().replace("pass", "fail")
            ),
            ["the audit log does not verify: 2 problem(s)"],  # the edit, and a tag that says otherwise
        ),
        (
            log_without_it,
            [
                "the audit log does not verify: 2 problem(s)",
                "the audit log has no record of this version's registration with these checksums",
            ],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", "").strip("<>") or None,
)
def test_every_harm_closes_the_gate_and_is_named(registered, harm, says):
    home, run = registered
    known = entry(home)
    harm(home, run)
    found = gate.gate_refusals(known, EVALUATION, home)
    assert [one.text for one in found] == [text.format(run=run.id) for text in says]


def test_a_refusal_names_no_case_in_the_record_and_tells_it_to_whoever_asks(registered):
    home, run = registered
    edited_number(home, run)
    *_, found = gate.gate_refusals(entry(home), EVALUATION, home)
    assert found.detail == ("report.cases[0].case: c9 stands there, the files give c0",)
    assert "c9" not in found.text


def test_two_persons_make_a_model_clinical_and_the_report_shows_both(home):
    run = finished(home)
    registry.register(run, home)
    first = approve(home)
    assert first.approved is True
    assert holder(NAME, EVALUATION, home) == 1
    again = approve(home, by=SECOND)
    assert again.already is True
    assert why(approve(home, by=" ADA  reader", alias=USE)) == [
        "ADA reader approved its clinical-evaluation: clinical-use needs a second person"
    ]
    second = approve(home, by=SECOND, alias=USE)
    assert second.approved is True
    assert holder(NAME, USE, home) == 1
    shown = json.loads((run.report / "report.json").read_text())["signoff"]
    assert [(one["by"], one["alias"], one["decision"]) for one in shown] == [
        (FIRST, EVALUATION, "approved"),
        (SECOND, USE, "approved"),
    ]
    assert shown[0]["meaning"] == SAYS
    assert shown[0]["weights_sha256"] == entry(home).tags["weights_sha256"]
    assert [record.event for record in audit_log.records(home)] == ["registered", "approved", "refused", "approved"]
    assert [one["record"] for one in shown] == [first.record, second.record]
    assert registry.verify_audit(home) == []
    assert registry.register(run, home).version == 1  # a signature makes no other model of it
    taken = registry.withdraw(NAME, 1, home, by=FIRST, meaning="bladder missed in two patients")
    assert taken.withdrawn == [USE, EVALUATION]
    assert holder(NAME, EVALUATION, home) is holder(NAME, USE, home) is None
    assert "it does not hold the alias" in why(approve(home, by=SECOND, alias=USE))[0]


def test_a_version_that_is_worse_than_the_holder_is_refused_on_the_patients_that_both_have(home):
    registry.register(finished(home), home)
    assert approve(home).approved
    cases = [case(0, 0.85), case(1, 0.7), {**case(2, None), "status": "missing"}, case(7, 1.0)]
    run = finished(home, shift=1, cases=cases)
    assert registry.register(run, home).parent_version == "1"
    (text,) = why(approve(home, 2, by=SECOND))
    assert text == (
        "it is worse than version 1, which holds a clinical alias: dice of prostate "
        "0.516667 against 0.8 on 3 test case(s) of both"
    )
    assert holder(NAME, EVALUATION, home) == 1
    registry.register(finished(home, shift=2, cases=[case(9, 0.9)]), home)
    (text,) = why(approve(home, 3))
    assert text.startswith("it cannot be compared with version 1, which holds a clinical alias: no test case in common")
    registry.register(finished(home, shift=3, cases=CASES[:2]), home)
    assert approve(home, 4).approved
    assert holder(NAME, EVALUATION, home) == 4


def test_what_never_was_the_candidate_is_refused_with_the_label_free_reason(home):
    run = finished(home)
    run.write("selection", {"promoted": False, "reason": "adapted does not lead"})
    registry.register(run, home)
    assert why(approve(home)) == ["it never was the candidate: adapted does not lead"]


def test_a_decline_is_on_record_and_gives_no_alias(home):
    run = finished(home)
    registry.register(run, home)
    answer = approve(home, decision="decline")
    assert (answer.approved, answer.declined) == (False, True)
    assert holder(NAME, EVALUATION, home) is None
    assert [(line.decision, line.by) for line in run.signoff] == [("declined", FIRST)]


def test_a_report_that_was_tampered_with_is_not_drawn_anew_by_a_decline(home):
    run = finished(home)
    registry.register(run, home)
    edited_number(home, run)
    before = (run.report / "report.json").read_text()
    approve(home, decision="decline")
    assert (run.report / "report.json").read_text() == before


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"by": "x1"}, r"error\[USAGE\]: found --by 'x1' · expected the name of the person who answers for it"),
        ({"by": "Ada\x07"}, r"error\[USAGE\]: found --by"),
        ({"meaning": " "}, r"error\[USAGE\]: found --meaning of 0 characters"),
        (
            {"alias": "candidate"},
            r"error\[USAGE\]: found alias 'candidate' · expected one of clinical-evaluation, clinical-use",
        ),
        ({"version": 9}, r"error\[MODEL_NOT_FOUND\]"),
    ],
)
def test_a_decision_needs_a_person_a_meaning_and_a_version(registered, asked, says):
    home, _ = registered
    how = {"by": FIRST, "meaning": SAYS, "version": 1, **asked}
    with pytest.raises(XmedError, match=says):
        registry.approve(NAME, how.pop("version"), home, **how)


def test_a_registration_that_was_killed_before_its_record_gets_it_the_next_time(home):
    run = finished(home)
    registry.register(run, home)
    for path in (home / audit_log.LOG, home / audit_log.HEAD):
        path.unlink()
    client(home).delete_registered_model_tag(NAME, ledger.ANCHOR)
    assert registry.register(run, home).version == 1
    assert [one.event for one in audit_log.records(home)] == ["registered"]


def test_a_refused_registration_is_on_record_when_there_is_a_registry(home):
    run = finished(home)
    (run.arm("adapted", 0) / "model" / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(XmedError, match="MODEL_INVALID"):
        registry.register(run, home)
    assert [one.event for one in audit_log.records(home)] == ["registration refused"]
    assert registry.verify_audit(home) == []
    assert registry.versions(home) == []


# --- two homes with one server


@pytest.fixture
def shared(blank, tmp_path, monkeypatch):
    """Two homes whose MLflow is one; the first has registered a model."""
    shutil.copy(blank, tmp_path / "shared.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'shared.db'}")
    monkeypatch.chdir(tmp_path)  # where MLflow puts artifacts of a store that was not told
    one, two = tmp_path / "one", tmp_path / "two"
    registry.register(finished(one), one)
    return one, two


def test_a_model_belongs_to_the_home_that_registered_it_first(shared):
    one, two = shared
    other = finished(two)
    elsewhere = pytest.raises(
        XmedError, match=r"error\[REGISTRY_ELSEWHERE\]: found 'toy-prostate-us' is kept by another home"
    )
    with elsewhere:
        registry.register(other, two)
    with elsewhere:
        approve(two)
    with elsewhere:
        registry.withdraw(NAME, 1, two, by=FIRST, meaning="from afar")
    assert len(registry.versions(one)) == 1
    assert approve(one).approved
    assert registry.verify_audit(one) == []


def test_each_home_verifies_its_own_models_and_finds_what_was_cut_off_of_them(shared):
    one, two = shared
    assert registry.verify_audit(two) == [], "a log that nothing was written to yet"
    registry.register(finished(two, STUDY.model_copy(update={"register_as": "another"})), two)
    assert registry.verify_audit(one) == registry.verify_audit(two) == []
    assert approve(one).approved, "what the other home keeps closes no gate here"
    lines = (one / audit_log.LOG).read_text().splitlines(keepends=True)
    (one / audit_log.LOG).write_text(lines[0])
    (one / audit_log.HEAD).unlink()
    (problem,) = [said for said in registry.verify_audit(one) if "registry names" in said]
    assert problem == "record 1, which the registry names as the last about toy-prostate-us, is not there"
    assert registry.verify_audit(two) == []
    (one / audit_log.LOG).unlink()
    stack_file(one).parent.mkdir()
    stack_file(one).touch()
    assert len(registry.verify_audit(one)) >= 2, "with servers of its own nobody else keeps a model"


def test_an_approval_gives_no_alias_where_another_home_wrote_at_the_same_moment(shared, monkeypatch):
    one, _ = shared
    record = ledger.record

    def interrupted(home, event, *where, **facts):
        made = record(home, event, *where, **facts)
        if event == "approved":
            client(home).set_registered_model_tag(NAME, ledger.ANCHOR, json.dumps({"seq": 7, "sha256": "f" * 64}))
        return made

    monkeypatch.setattr(ledger, "record", interrupted)
    assert why(approve(one)) == ["another home wrote about this model at the same moment: the alias was not given"]
    assert holder(NAME, EVALUATION, one) is None
    assert [one.event for one in audit_log.records(one)] == ["registered", "approved", "refused"]


# --- people write on a report after its model was registered


def said(run, words, **changes):
    """The run's report with what people say of it, as `xmed report build --text` makes it."""
    found = json.loads((run.report / "report.json").read_text())
    found = {key: value for key, value in found.items() if key not in ("report_id", "signoff")} | {
        "text": words,
        **changes,
    }
    document = {"report_id": digest(found), **found, "signoff": [content(line) for line in run.signoff]}
    (run.report / "report.json").write_text(json.dumps(document))
    return document["report_id"]


def test_a_version_follows_what_people_write_on_its_report_on_record_and_the_gate_opens(home):
    run = finished(home)
    registry.register(run, home)
    before = entry(home).tags["report_id"]
    new = said(run, {"intended_use": "planning"})
    assert "its report says something else" in why(approve(home))[0]
    [told] = registry.relink(run, home)
    assert (told.name, told.version, told.relinked) == (NAME, 1, True)
    assert entry(home).tags["report_id"] == new != before
    assert entry(home).tags["report_sha256"] == file_digest(run.report / "report.json")
    record = audit_log.records(home)[-1]
    assert (record.event, record.before, record.hashes["report_id"]) == ("report changed", before, new)
    assert registry.relink(run, home) == []
    assert registry.register(run, home).version == 1
    assert approve(home).approved
    assert registry.verify_audit(home) == []


def test_a_report_with_other_numbers_is_not_followed_whatever_its_version_says_of_itself(home):
    run = finished(home)
    registry.register(run, home)
    new = said(run, {}, cases=[case(n, 0.99) for n in range(3)])
    [told] = registry.relink(run, home)
    assert told.relinked is False
    client(home).set_model_version_tag(NAME, "1", "report_id", new)
    assert "its numbers are not those it was registered with" in why(approve(home))


def test_a_report_that_was_signed_is_not_written_on_until_the_version_is_withdrawn(home, monkeypatch):
    run = finished(home)
    registry.register(run, home)
    registry.unsigned(run, home, adds_answers=True)
    assert approve(home).approved
    monkeypatch.setattr("xmed.report.identity_now", lambda run: entry(home).tags["report_id"])
    registry.unsigned(run, home, adds_answers=False)  # drawn again, and saying the same
    with pytest.raises(
        XmedError, match=r"error\[REPORT_SIGNED\]: found toy-prostate-us version 1 holds clinical-evaluation"
    ):
        registry.unsigned(run, home, adds_answers=True)
    registry.withdraw(NAME, 1, home, by=FIRST, meaning="to be written on")
    registry.unsigned(run, home, adds_answers=True)


def test_a_version_carries_the_bill_of_materials_that_its_report_names(home):
    run = finished(home)
    run.write("sbom", {"components": ["as they were when it was trained"]})
    registry.register(run, home)
    assert entry(home).tags["sbom_sha256"] == file_digest(run.folder / "sbom.json")


def test_the_bill_of_materials_follows_the_cyclonedx_schema():
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    from xmed.registry.sbom import sbom

    text = sbom("toy", "ab" * 32)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    assert {"xmed", "torch", "monai", "numpy"} <= {one["name"] for one in document["components"]}
    (pillow,) = [one for one in document["components"] if one["name"] == "pillow"]
    assert any("jpeg" in one["name"] for one in pillow["components"])
    assert sbom("toy", "ab" * 32) == text
