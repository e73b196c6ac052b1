"""A person's decision about a version: recorded before anything follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from mlflow.entities.model_registry import ModelVersion

from xmed import report as reports
from xmed.errors import XmedError
from xmed.records.record import read_record, write
from xmed.records.sign_off import SignOff, SignOffs
from xmed.registry import audit_state, ledger, reinstatement
from xmed.registry.fetch_model import version_of
from xmed.registry.gate import CLINICAL, Refusal, refusals
from xmed.registry.person_names import same
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
) -> dict[str, Any]:
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
        name, version, alias, by, approved (it holds the alias, nothing speaks against it), refused, record (sha256).

    Raises:
        XmedError: MODEL_NOT_FOUND, USAGE (no person, no meaning, another alias), AUDIT_BROKEN, REGISTRY_ELSEWHERE.
    """
    person, said = _person(by), _said(meaning)
    _clinical(alias)
    with registry_lock(home):
        entry = version_of(f"models:/{name}/{version}", home)
        ledger.ours(home, name)
        answer = {"name": name, "version": int(entry.version), "alias": alias, "by": person, "approved": True}
        if decision == "decline":
            made = _sign(entry, "declined", alias, person, said, home)
            _show(entry, home, made)
            return {**answer, "approved": False, "declined": True, "refused": [], "record": made["sha256"]}
        found = refusals(entry, alias, home)
        if _holds(entry, alias, home):
            if not found:
                return {**answer, "already": True, "refused": []}
            found.append(Refusal("held", f"it holds {alias} until it is withdrawn: xmed withdraw {name} {version}"))
        else:
            found += _second_person(entry, alias, person, home)
            found += reinstatement.refusals(entry, alias, person, said, bool(found), home)
        if found:
            reasons = [one.text for one in found]
            made = ledger.record(home, "refused", name, version, person, alias=alias, meaning=said, reasons=reasons)
            return {**answer, "approved": False, "refused": _told(found), "record": made["sha256"]}
        made = _sign(entry, "approved", alias, person, said, home)
        if (ledger.last(home, name) or {}).get("sha256") != made["sha256"]:
            return _interleaved(answer, alias, said, made["sha256"], home)
        client(home).set_registered_model_alias(name, alias, entry.version)  # after its record, never before
        client(home).set_model_version_tag(name, entry.version, f"approved.{alias}", f"{person}, {made['at']}")
        _show(entry, home, made)
    return {**answer, "refused": [], "record": made["sha256"]}


def check(name: str, version: int, home: Path, *, alias: str = EVALUATION) -> dict[str, Any]:
    """Check what `approve` would refuse, before a person is asked; nothing is recorded.

    Returns:
        As `approve`, with an empty `by`.

    Raises:
        XmedError: MODEL_NOT_FOUND, USAGE.
    """
    _clinical(alias)
    entry = version_of(f"models:/{name}/{version}", home)
    answer = {"name": name, "version": int(entry.version), "alias": alias, "by": "", "approved": False, "refused": []}
    found = refusals(entry, alias, home)
    if _holds(entry, alias, home) and not found:
        return {**answer, "approved": True, "already": True}
    return {**answer, "refused": _told(found)}


def decided(name: str, version: int, home: Path, *, alias: str, record: str) -> dict[str, Any]:
    """Read from an audit record what was decided about a version.

    Raises:
        XmedError: USAGE, where there is no such record.
    """
    for one in ledger.about(home, name, version):
        if (one["sha256"], one.get("alias")) == (record, alias) and one["event"] in ("approved", "declined"):
            answer = {
                "name": name,
                "version": version,
                "alias": alias,
                "by": one["by"],
                "refused": [],
                "record": record,
            }
            return {**answer, "approved": holder(name, alias, home) == version, "declined": one["event"] == "declined"}
    raise XmedError("USAGE", f"no decision {record[:12]}… on record", "the sha256 of an audit record")


def withdraw(name: str, version: int, home: Path, *, by: str, meaning: str, alias: str = EVALUATION) -> dict[str, Any]:
    """Take a clinical alias from the version that holds it, on record; clinical-use goes with clinical-evaluation.

    Returns:
        name, version, by, withdrawn (the aliases that were taken away).

    Raises:
        XmedError: MODEL_NOT_FOUND, USAGE, AUDIT_BROKEN.
    """
    person, said = _person(by), _said(meaning)
    with registry_lock(home):
        entry = version_of(f"models:/{name}/{version}", home)
        ledger.ours(home, name)
        lost = [one for one in ((USE, EVALUATION) if alias == EVALUATION else (alias,)) if one in CLINICAL]
        held = [one for one in lost if holder(name, one, home) == int(entry.version)]
        for one in held:
            client(home).delete_registered_model_alias(name, one)  # before its record: safety goes first
            made = _sign(entry, "withdrawn", one, person, said, home)
            client(home).set_model_version_tag(name, entry.version, f"withdrawn.{one}", f"{person}, {made['at']}")
            _show(entry, home, made)
    return {"name": name, "version": int(entry.version), "by": person, "withdrawn": held}


def _interleaved(answer: dict[str, Any], alias: str, meaning: str, undoes: str, home: Path) -> dict[str, Any]:
    """What becomes of an approval when another home wrote about the model at the same moment: nothing, on record."""
    why = Refusal("elsewhere", "another home wrote about this model at the same moment: the alias was not given")
    facts = {"alias": alias, "meaning": meaning, "reasons": [why.text], "undoes": undoes}
    made = ledger.record(home, "refused", answer["name"], answer["version"], answer["by"], **facts)
    return {**answer, "approved": False, "refused": _told([why]), "record": made["sha256"]}


def _second_person(entry: ModelVersion, alias: str, person: str, home: Path) -> list[Refusal]:
    """For clinical use: somebody else than whoever approved the evaluation of this very version."""
    if alias != USE:
        return []
    first = _approved_by(entry, EVALUATION, home)
    if not first:
        return [Refusal("person", f"the audit log has no approval of it for {EVALUATION}")]
    for one in first:
        if same(person, one):
            what = f"{person} approved its {EVALUATION}"
            if person.casefold() != one.casefold():
                what = f"{person} may be {one}, who approved its {EVALUATION}"
            full = (
                "" if person.casefold() == one.casefold() else "; if these are two people, give full names that differ"
            )
            return [Refusal("person", f"{what}: {USE} needs a second person{full}")]
    return []


def _holds(entry: ModelVersion, alias: str, home: Path) -> bool:
    """Whether a version holds an alias, and a record gave it."""
    recorded = audit_state.of(home, entry.name).holders.get(alias, set())
    return holder(entry.name, alias, home) == int(entry.version) and int(entry.version) in recorded


def _approved_by(entry: ModelVersion, alias: str, home: Path) -> list[str]:
    """Who approved this version for `alias` since it was last withdrawn from it."""
    people: list[str] = []
    for one in ledger.about(home, entry.name, int(entry.version)):
        if one.get("alias") == alias:
            people = (
                [*people, one["by"]] if one["event"] == "approved" else [] if one["event"] == "withdrawn" else people
            )
    return people


def _sign(entry: ModelVersion, event: str, alias: str, by: str, meaning: str, home: Path) -> dict[str, Any]:
    hashes = {key: entry.tags[key] for key in SIGNED if key in entry.tags}
    facts = {"alias": alias, "meaning": meaning, "hashes": hashes}
    return ledger.record(home, event, entry.name, int(entry.version), by, **facts)


def _show(entry: ModelVersion, home: Path, record: dict[str, Any]) -> None:
    """Put a decision beside the report, and draw the report with it.

    A report that does not verify stays as it is: drawing it again would hide what was done to it. A version may outlive
    its run; what must be on record is on record then, too.
    """
    try:
        run = Run.find(entry.tags[RUN_TAG], home)
        sound = not reports.verify_report(run.folder)
    except (KeyError, XmedError):
        return
    told = {key: record[key] for key in ("alias", "by", "account", "at", "meaning", "version")}
    line = {"decision": record["event"], "name": entry.name, **told, **record["hashes"], "record": record["sha256"]}
    path = run.report / SignOffs.FILE
    before = read_record(SignOffs, path).root if path.is_file() else []
    write(SignOffs([*before, SignOff.model_validate(line)]), path, ensure_ascii=False)
    if sound:
        reports.write_report(run)


def _told(found: list[Refusal]) -> list[dict[str, Any]]:
    return [{"code": one.code, "text": one.text, "detail": list(one.detail)} for one in found]


def _clinical(alias: str) -> None:
    if alias not in CLINICAL:
        raise XmedError("USAGE", f"alias '{alias}'", f"one of {', '.join(CLINICAL)}")


def _person(by: str) -> str:
    """A person's name in one line. Raises XmedError USAGE."""
    name = " ".join(by.split())
    least = 3 if name.isascii() else 2  # a whole Chinese name may have two characters
    if sum(map(str.isalpha, name)) < least or not name.isprintable() or len(name) > 100:
        raise XmedError("USAGE", f"--by {name[:40]!r}", "the name of the person who answers for it")
    return name


def _said(meaning: str) -> str:
    text = " ".join(meaning.split())
    if len(text) < 3 or len(text) > LONGEST:
        expected = f"what the signature means, in up to {LONGEST} characters"
        raise XmedError("USAGE", f"--meaning of {len(text)} characters", expected, "such as 'reviewed the report'")
    return text
