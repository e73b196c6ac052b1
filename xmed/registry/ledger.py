"""Writes the steps of registered models as audit records, and notes in the registry where the log stands."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from pydantic import JsonValue

from xmed.errors import XmedError
from xmed.files import documents
from xmed.home import Home
from xmed.records.audit_trail import AuditRecord, LogPosition
from xmed.records.record import parse, read_record
from xmed.records.sign_off import SignOffs
from xmed.registry import audit_log, audit_state, ownership, signatures
from xmed.registry.audit_verification import verify_log
from xmed.registry.tracking_store import client, is_shared, is_there

ANCHOR = "audit_head"
"""Tag of a registered model: seq and sha256 of the last record about it, and which home's log that is in."""


def record(
    home: Path, event: str, name: str, version: int | None = None, by: str | None = None, **facts: Any
) -> AuditRecord:
    """Write a record about a model, then note it in the registry as the last one.

    Args:
        home: The home.
        event: What happened.
        name: The registered model.
        version: Its version, where it is about one.
        by: The person who answers for it; None for xmed itself.
        **facts: Further fields of the record.

    Returns:
        The record.

    Raises:
        XmedError: As `audit_log.append`.
    """
    has_records, before = audit_state.has_records(home, name), noted_last(home, name)
    written = audit_log.append(home, event, by=by, model=name, version=version, **facts)
    is_there_still = before is not None and any(earlier.sha256 == before.sha256 for earlier in audit_log.records(home))
    if is_there_still or (before is None and not has_records):
        _note_last(home, name, written)  # else the note is gone, or names a lost record: it stays so, to be found
    return written


def _note_last(home: Path, name: str, last: AuditRecord) -> None:
    position: dict[str, JsonValue] = {"seq": last.seq, "sha256": last.sha256, "log": audit_log.first(home)}
    signed = signatures.sealed("anchor", signatures.key(), name=name, **position)
    anchor = position | {key: value for key, value in signed.items() if key == signatures.SEAL}
    with contextlib.suppress(MlflowException):  # a name that nothing was registered under has nowhere to keep it
        client(home).set_registered_model_tag(name, ANCHOR, json.dumps(anchor))


def note_first_registration(home: Path, name: str, version: int) -> None:
    """Note the registration of the first version as the last record, where a killed process could not.

    Args:
        home: The home.
        name: The registered model.
        version: The version that was registered.
    """
    if noted_last(home, name) is None:
        about_model = [record for record in audit_log.records(home) if record.model == name]
        if len(about_model) == 1 and about_model[0].version == version:
            _note_last(home, name, about_model[0])


def check_name(home: Path, name: str) -> None:
    """Check that a model name does not belong to another home.

    Args:
        home: The home.
        name: The name under which a model will be registered.

    Raises:
        XmedError: REGISTRY_ELSEWHERE.
    """
    if is_there(home):
        check_owner(home, name)


def check_owner(home: Path, name: str) -> None:
    """Check that the steps of a model are kept in this home's log.

    Several homes may share a server, each with models of its own: a lock on a file binds the processes of one home, and
    MLflow offers nothing that would bind two. A name that exists and that this home has no record of belongs to
    another.

    Args:
        home: The home.
        name: The registered model.

    Raises:
        XmedError: REGISTRY_ELSEWHERE.
    """
    # In this order: another process of this home writes down that it makes a name before the name is taken.
    if audit_state.has_records(home, name) or not _is_taken(home, name) or ownership.has_made_name(home, name):
        return
    raise XmedError(
        "REGISTRY_ELSEWHERE",
        f"'{name}' is kept by another home: this one's audit log does not know it",
        "the XMED_HOME that registered it first",
        "work there, or register under another name",
    )


def _is_taken(home: Path, name: str) -> bool:
    try:
        return is_there(home) and client(home).get_registered_model(name) is not None
    except MlflowException as problem:
        if problem.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False


def noted_last(home: Path, name: str) -> LogPosition | None:
    """Read which record the registry notes as the last one about a model; None where it notes none."""
    try:
        tags = client(home).get_registered_model(name).tags if is_there(home) else {}
    except MlflowException as problem:
        if problem.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return _anchor(tags[ANCHOR]) if ANCHOR in tags else None


def verify_audit(home: Path, name: str | None = None) -> list[str]:
    """Find everything that is wrong with the audit log, and what the registry shows without a record.

    Args:
        home: The home.
        name: Only look at this model in the registry. In a registry that several homes share, each verifies its own.

    Returns:
        One sentence per problem.
    """
    if not is_there(home):
        return verify_log(home)
    models = list(client(home).search_registered_models(max_results=1000))
    anchors = {model.name: _anchor(model.tags[ANCHOR]) for model in models if ANCHOR in model.tags}
    if is_shared(home):  # in a store of its own a log that is gone altogether is found, too
        first_sha256, names = audit_log.first(home), {record.model for record in audit_log.records(home)}
        anchors = {
            model: anchor for model, anchor in anchors.items() if model in names or anchor.log in (None, first_sha256)
        }
    without_anchor = [
        f"{model.name}: the registry no longer names the last record about it"
        for model in models
        if ANCHOR not in model.tags and audit_state.has_records(home, model.name) and name in (None, model.name)
    ]
    return [
        *verify_log(home, anchors),
        *without_anchor,
        *_unrecorded_sign_offs(home),
        *audit_state.contradictions(home, name),
    ]


def _unrecorded_sign_offs(home: Path) -> list[str]:
    """Decisions that stand beside a run's report, and of which the log has no record: it is older than they are."""
    records, problems = audit_log.records(home), list[str]()
    hashes, runs = {record.sha256 for record in records}, {record.run for record in records}
    for path in sorted(Home(home).runs.glob(f"*/report/{SignOffs.FILE}")):
        run = path.parts[-3]
        if run not in runs:  # fetched from elsewhere, with what people said of it there
            continue
        try:
            decisions = [line for line in read_record(SignOffs, path).root if line.record not in hashes]
        except XmedError:
            problems.append(f"run {run}: its {SignOffs.FILE} cannot be read")
            continue
        problems += [f"run {run}: '{line.decision}' of {line.at} is not in the audit log" for line in decisions]
    return problems


def _anchor(text: str) -> LogPosition:
    """Read a tag that `_note_last` wrote; any other text becomes the position of a record that does not exist."""
    try:
        return parse(LogPosition, documents.parse_json(text, "a tag"), "a tag")
    except XmedError:
        return LogPosition(seq=-1, sha256=text, log=None)


def is_hash(tag: str) -> bool:
    """Whether a version's tag identifies some content, so that records repeat it."""
    return tag.endswith(("sha256", "_id", "fingerprint"))


def version_records(home: Path, name: str, version: int, event: str | None = None) -> list[AuditRecord]:
    """Read the records of one version.

    Args:
        home: The home.
        name: The registered model.
        version: Its version.
        event: Only records of this event; None: all.
    """
    about_version = [record for record in audit_log.records(home) if (record.model, record.version) == (name, version)]
    return [record for record in about_version if event in (None, record.event)]
