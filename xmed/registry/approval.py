"""A person's decision about a version: recorded before anything follows from it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from mlflow.entities.model_registry import ModelVersion

from xmed import report as reports
from xmed.errors import XmedError
from xmed.records.audit_trail import AuditRecord
from xmed.records.model_version import RefusalReason, VersionDecision, Withdrawal
from xmed.records.record import content, read_record, write
from xmed.records.sign_off import SignOff, SignOffs
from xmed.registry import audit_state, ledger, reinstatement
from xmed.registry.fetch_model import version_of
from xmed.registry.gate import CLINICAL, Refusal, gate_refusals
from xmed.registry.person_names import may_be_same_person
from xmed.registry.registration import EVALUATION, USE, holder
from xmed.registry.tracked_runs import RUN_TAG
from xmed.registry.tracking_store import client, registry_lock
from xmed.run import Run

SIGNED = ("report_id", "weights_sha256", "protocol_sha256", "package_sha256")
"""What a signature is bound to."""
LONGEST = 2000
"""Characters of a meaning; a log is no place for essays."""
Decision = Literal["approve", "decline"]


def approve(
    name: str,
    version: int,
    home: Path,
    *,
    by: str,
    meaning: str,
    alias: str = EVALUATION,
    decision: Decision = "approve",
) -> VersionDecision:
    """Record a person's decision, and give the version the clinical alias where nothing speaks against it.

    A version that holds the alias already is checked like any other. A version that was withdrawn comes back only if
    two people both name the withdrawal in `meaning`. Every answer is an audit record; declines and approvals also stand
    in the report's sign-off. Nobody checks who `by` is: the record adds the account.

    Args:
        name: The registered model.
        version: Its version.
        home: The home.
        by: Full name of the person who decides.
        meaning: What the signature means.
        alias: clinical-evaluation or clinical-use.
        decision: `approve` or `decline`.

    Returns:
        Whether it was approved, what speaks against it, and the audit record.

    Raises:
        XmedError: MODEL_NOT_FOUND, USAGE (no person, no meaning, another alias), AUDIT_BROKEN, REGISTRY_ELSEWHERE.
    """
    person, text = _checked_person(by), _checked_meaning(meaning)
    _check_alias(alias)
    with registry_lock(home):
        entry = version_of(f"models:/{name}/{version}", home)
        ledger.check_owner(home, name)
        if decision == "decline":
            return _record_decline(entry, alias, person, text, home)
        refusals = gate_refusals(entry, alias, home)
        if _holds(entry, alias, home):
            if not refusals:
                return _decision(entry, alias, person)(approved=True, already=True, refused=[])
            why = f"it holds {alias} until it is withdrawn: xmed withdraw {name} {version}"
            refusals.append(Refusal("held", why))
        else:
            refusals += _second_person_refusals(entry, alias, person, home)
            refusals += reinstatement.return_refusals(entry, alias, person, text, bool(refusals), home)
        if refusals:
            return _record_refusal(entry, alias, person, text, refusals, home)
        return _record_approval(entry, alias, person, text, home)


def check_version(name: str, version: int, home: Path, *, alias: str = EVALUATION) -> VersionDecision:
    """Check what `approve` would refuse, before a person is asked; nothing is recorded.

    Args:
        name: The registered model.
        version: Its version.
        home: The home.
        alias: clinical-evaluation or clinical-use.

    Returns:
        As `approve`, with an empty `by` and without an audit record.

    Raises:
        XmedError: MODEL_NOT_FOUND, USAGE.
    """
    _check_alias(alias)
    entry = version_of(f"models:/{name}/{version}", home)
    refusals, answer = gate_refusals(entry, alias, home), _decision(entry, alias, person="")
    if _holds(entry, alias, home) and not refusals:
        return answer(approved=True, refused=[], already=True)
    return answer(approved=False, refused=_reasons(refusals))


def decided(name: str, version: int, home: Path, *, alias: str, record: str) -> VersionDecision:
    """Read from an audit record what was decided about a version.

    Args:
        name: The registered model.
        version: Its version.
        home: The home.
        alias: The clinical alias that was decided about.
        record: sha256 (hex) of the audit record.

    Returns:
        As `approve`; `approved` says whether the version holds the alias now.

    Raises:
        XmedError: USAGE, where there is no such record.
    """
    for entry in ledger.version_records(home, name, version):
        if (entry.sha256, entry.alias) == (record, alias) and entry.event in ("approved", "declined"):
            return VersionDecision(
                name=name, version=version, alias=alias, by=entry.by or "", refused=[], record=record,
                approved=holder(name, alias, home) == version, declined=entry.event == "declined",
            )  # fmt: skip
    raise XmedError("USAGE", f"no decision {record[:12]}… on record", "the sha256 of an audit record")


def withdraw(name: str, version: int, home: Path, *, by: str, meaning: str, alias: str = EVALUATION) -> Withdrawal:
    """Take a clinical alias from the version that holds it, on record; clinical-use goes with clinical-evaluation.

    Args:
        name: The registered model.
        version: Its version.
        home: The home.
        by: Full name of the person who decides.
        meaning: Why it is withdrawn.
        alias: clinical-evaluation or clinical-use.

    Returns:
        The aliases that were taken away.

    Raises:
        XmedError: MODEL_NOT_FOUND, USAGE, AUDIT_BROKEN.
    """
    person, text = _checked_person(by), _checked_meaning(meaning)
    with registry_lock(home):
        entry = version_of(f"models:/{name}/{version}", home)
        number = int(entry.version)
        ledger.check_owner(home, name)
        asked_aliases = (USE, EVALUATION) if alias == EVALUATION else (alias,)
        withdrawn = [each for each in asked_aliases if each in CLINICAL and holder(name, each, home) == number]
        for lost_alias in withdrawn:
            client(home).delete_registered_model_alias(name, lost_alias)  # before its record: safety goes first
            record = _sign(entry, "withdrawn", lost_alias, person, text, home)
            tag, value = f"withdrawn.{lost_alias}", f"{person}, {record.at}"
            client(home).set_model_version_tag(name, entry.version, tag, value)
            _show_in_report(entry, home, record)
    return Withdrawal(name=name, version=number, by=person, withdrawn=withdrawn)


def _decision(entry: ModelVersion, alias: str, person: str) -> Callable[..., VersionDecision]:
    """What makes an answer about a version from the rest of its fields."""
    return partial(VersionDecision, name=entry.name, version=int(entry.version), alias=alias, by=person)


def _record_decline(entry: ModelVersion, alias: str, person: str, meaning: str, home: Path) -> VersionDecision:
    record = _sign(entry, "declined", alias, person, meaning, home)
    _show_in_report(entry, home, record)
    return _decision(entry, alias, person)(approved=False, declined=True, refused=[], record=record.sha256)


def _record_refusal(
    entry: ModelVersion, alias: str, person: str, meaning: str, refusals: list[Refusal], home: Path, **undoes: str
) -> VersionDecision:
    """Record why a version does not get an alias. undoes: sha256 of the approval's audit record that it takes back."""
    facts = {"alias": alias, "meaning": meaning, "reasons": [refusal.text for refusal in refusals], **undoes}
    record = ledger.record(home, "refused", entry.name, int(entry.version), person, **facts)
    return _decision(entry, alias, person)(approved=False, refused=_reasons(refusals), record=record.sha256)


def _record_approval(entry: ModelVersion, alias: str, person: str, meaning: str, home: Path) -> VersionDecision:
    """Record an approval and give the alias, unless another home wrote about the model at the same moment."""
    record = _sign(entry, "approved", alias, person, meaning, home)
    last = ledger.noted_last(home, entry.name)
    if last is None or last.sha256 != record.sha256:
        why = "another home wrote about this model at the same moment: the alias was not given"
        refusals = [Refusal("elsewhere", why)]
        return _record_refusal(entry, alias, person, meaning, refusals, home, undoes=record.sha256)
    registry = client(home)
    registry.set_registered_model_alias(entry.name, alias, entry.version)  # after its record, never before
    registry.set_model_version_tag(entry.name, entry.version, f"approved.{alias}", f"{person}, {record.at}")
    _show_in_report(entry, home, record)
    return _decision(entry, alias, person)(approved=True, refused=[], record=record.sha256)


def _second_person_refusals(entry: ModelVersion, alias: str, person: str, home: Path) -> list[Refusal]:
    """For clinical use: somebody else than whoever approved the evaluation of this very version."""
    if alias != USE:
        return []
    approvers = _approved_by(entry, EVALUATION, home)
    if not approvers:
        return [Refusal("person", f"the audit log has no approval of it for {EVALUATION}")]
    for approver in approvers:
        if may_be_same_person(person, approver):
            what, how = f"{person} approved its {EVALUATION}", ""
            if person.casefold() != approver.casefold():
                what = f"{person} may be {approver}, who approved its {EVALUATION}"
                how = "; if these are two people, give full names that differ"
            return [Refusal("person", f"{what}: {USE} needs a second person{how}")]
    return []


def _holds(entry: ModelVersion, alias: str, home: Path) -> bool:
    """Whether a version holds an alias, and a record gave it."""
    recorded = audit_state.standing_of(home, entry.name).holders.get(alias, set())
    return holder(entry.name, alias, home) == int(entry.version) and int(entry.version) in recorded


def _approved_by(entry: ModelVersion, alias: str, home: Path) -> list[str]:
    """Who approved this version for `alias` since it was last withdrawn from it."""
    people: list[str] = []
    for record in ledger.version_records(home, entry.name, int(entry.version)):
        if record.alias == alias and record.event == "approved" and record.by:
            people.append(record.by)
        elif record.alias == alias and record.event == "withdrawn":
            people = []
    return people


def _sign(entry: ModelVersion, event: str, alias: str, by: str, meaning: str, home: Path) -> AuditRecord:
    hashes = {key: entry.tags[key] for key in SIGNED if key in entry.tags}
    return ledger.record(home, event, entry.name, int(entry.version), by, alias=alias, meaning=meaning, hashes=hashes)


def _show_in_report(entry: ModelVersion, home: Path, record: AuditRecord) -> None:
    """Put a decision beside the report, and draw the report with it.

    A report that does not verify stays as it is: drawing it again would hide what was done to it. A version may outlive
    its run; what must be on record is on record then, too.
    """
    try:
        run = Run.find(entry.tags[RUN_TAG], home)
        verifies = not reports.verify_report(run.folder)
    except (KeyError, XmedError):
        return
    fields = content(record)
    line = {"decision": record.event, "name": entry.name}
    line |= {key: fields[key] for key in ("alias", "by", "account", "at", "meaning", "version")}
    line |= {**record.hashes, "record": record.sha256}
    path = run.report / SignOffs.FILE
    before = read_record(SignOffs, path).root if path.is_file() else []
    write(SignOffs([*before, SignOff.model_validate(line)]), path, ensure_ascii=False)
    if verifies:
        reports.write_report(run)


def _reasons(refusals: list[Refusal]) -> list[RefusalReason]:
    return [RefusalReason(code=refusal.code, text=refusal.text, detail=list(refusal.detail)) for refusal in refusals]


def _check_alias(alias: str) -> None:
    if alias not in CLINICAL:
        raise XmedError("USAGE", f"alias '{alias}'", f"one of {', '.join(CLINICAL)}")


def _checked_person(by: str) -> str:
    """A person's name in one line. Raises XmedError USAGE."""
    name = " ".join(by.split())
    least = 3 if name.isascii() else 2  # a whole Chinese name may have two characters
    if sum(map(str.isalpha, name)) < least or not name.isprintable() or len(name) > 100:
        raise XmedError("USAGE", f"--by {name[:40]!r}", "the name of the person who answers for it")
    return name


def _checked_meaning(meaning: str) -> str:
    """The meaning of a signature in one line. Raises XmedError USAGE."""
    text = " ".join(meaning.split())
    if len(text) < 3 or len(text) > LONGEST:
        expected = f"what the signature means, in up to {LONGEST} characters"
        raise XmedError("USAGE", f"--meaning of {len(text)} characters", expected, "such as 'reviewed the report'")
    return text
