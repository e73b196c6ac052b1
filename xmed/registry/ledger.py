"""Writes the steps of registered models as audit records, and notes in the registry where the log stands."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from xmed.errors import XmedError
from xmed.files import documents
from xmed.records.record import read_record
from xmed.records.sign_off import SignOffs
from xmed.registry import audit_log, audit_state, ownership, signatures
from xmed.registry.tracking_store import client, is_shared, is_there
from xmed.run import SIGNOFF

ANCHOR = "audit_head"
"""Tag of a registered model: seq and sha256 of the last record about it, and which home's log that is in."""


def record(
    home: Path, event: str, name: str, version: int | None = None, by: str | None = None, **facts: Any
) -> audit_log.Record:
    """Write a record about a model, then note it in the registry as the last one. Raises as `audit_log.append`."""
    known, before = audit_state.known(home, name), last(home, name)
    written = audit_log.append(home, event, by=by, model=name, version=version, **facts)
    there = any(before is not None and one["sha256"] == before["sha256"] for one in audit_log.records(home))
    if there or (before is None and not known):
        _anchor_at(home, name, written)  # else it is gone, or names a record that is: it stays so, and so it is found
    return written


def _anchor_at(home: Path, name: str, at: audit_log.Record) -> None:
    facts = {"seq": at["seq"], "sha256": at["sha256"], "log": audit_log.first(home)}
    signed = signatures.sealed("anchor", signatures.key(), name=name, **facts)
    anchor = facts | {key: value for key, value in signed.items() if key == signatures.SEAL}
    with contextlib.suppress(MlflowException):  # a name that nothing was registered under has nowhere to keep it
        client(home).set_registered_model_tag(name, ANCHOR, json.dumps(anchor))


def settle(home: Path, name: str, version: int) -> None:
    """Note the registration of the first version as the last record, where a killed process could not."""
    if last(home, name) is None:
        mine = [one for one in audit_log.records(home) if one.get("model") == name]
        if len(mine) == 1 and mine[0].get("version") == version:
            _anchor_at(home, name, mine[0])


def check_name(home: Path, name: str) -> None:
    """Check that a model name does not belong to another home.

    Raises:
        XmedError: REGISTRY_ELSEWHERE.
    """
    if is_there(home):
        ours(home, name)


def ours(home: Path, name: str) -> None:
    """Check that the steps of a model are kept in this home's log.

    Several homes may share a server, each with models of its own: a lock on a file binds the processes of one home, and
    MLflow offers nothing that would bind two. A name that exists and that this home has no record of belongs to
    another.

    Raises:
        XmedError: REGISTRY_ELSEWHERE.
    """
    # In this order: another process of this home writes down that it makes a name before the name is taken.
    if audit_state.known(home, name) or not _is_taken(home, name) or ownership.names(home, name):
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


def last(home: Path, name: str) -> audit_log.Record | None:
    """Read which record the registry notes as the last one about a model: seq, sha256, and the log it is in."""
    try:
        tags = client(home).get_registered_model(name).tags if is_there(home) else {}
    except MlflowException as problem:
        if problem.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return _anchor(tags[ANCHOR]) if ANCHOR in tags else None


def verify(home: Path, name: str | None = None) -> list[str]:
    """Find everything that is wrong with the audit log, and what the registry shows without a record.

    Args:
        home: The home.
        name: Only look at this model in the registry. In a registry that several homes share, each verifies its own.

    Returns:
        One sentence per problem.
    """
    if not is_there(home):
        return audit_log.verify(home)
    models = list(client(home).search_registered_models(max_results=1000))
    anchors = {model.name: _anchor(model.tags[ANCHOR]) for model in models if ANCHOR in model.tags}
    if is_shared(home):  # in a store of its own a log that is gone altogether is found, too
        here, known = audit_log.first(home), {one.get("model") for one in audit_log.records(home)}
        anchors = {name: one for name, one in anchors.items() if name in known or one["log"] in (None, here)}
    bare = [
        f"{model.name}: the registry no longer names the last record about it"
        for model in models
        if ANCHOR not in model.tags and audit_state.known(home, model.name) and name in (None, model.name)
    ]
    return [*audit_log.verify(home, anchors), *bare, *_signed_off(home), *audit_state.contradictions(home, name)]


def _signed_off(home: Path) -> list[str]:
    """Decisions that stand beside a run's report, and of which the log has no record: it is older than they are."""
    records, problems = audit_log.records(home), []
    there, ours = {one["sha256"] for one in records}, {one.get("run") for one in records}
    for path in sorted((home / "runs").glob(f"*/report/{SIGNOFF}")):
        if path.parts[-3] not in ours:  # fetched from elsewhere, with what people said of it there
            continue
        try:
            decisions = [line for line in read_record(SignOffs, path).root if line.record not in there]
        except XmedError:
            problems.append(f"run {path.parts[-3]}: its {SIGNOFF} cannot be read")
            continue
        problems += [f"run {path.parts[-3]}: '{one.decision}' of {one.at} is not in the audit log" for one in decisions]
    return problems


def _anchor(text: str) -> audit_log.Record:
    """A tag as it was written; whatever else somebody put there matches no record."""
    try:
        found = documents.mapping(documents.parse_json(text, "a tag"), "a tag")
        signed = {signatures.SEAL: found[signatures.SEAL]} if signatures.SEAL in found else {}
        return {"seq": int(found["seq"]), "sha256": str(found["sha256"]), "log": found.get("log"), **signed}
    except (XmedError, ValueError, KeyError, TypeError):
        return {"seq": -1, "sha256": text, "log": None}


def is_hash(tag: str) -> bool:
    """Whether a version's tag identifies some content, so that records repeat it."""
    return tag.endswith(("sha256", "_id", "fingerprint"))


def about(home: Path, name: str, version: int, event: str | None = None) -> list[audit_log.Record]:
    """The records of one version: of one kind of event, or all."""
    mine = [one for one in audit_log.records(home) if (one.get("model"), one.get("version")) == (name, version)]
    return [one for one in mine if event in (None, one["event"])]
