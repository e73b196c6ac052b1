"""Ledger: each step of a registered model as an audit record, its place in the log kept in the registry as well."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from xmed import audit
from xmed.errors import XmedError
from xmed.registry.store import client, is_shared, is_there

ANCHOR = "audit_head"
"""Tag of a registered model: seq and sha256 of the last record about it, and which home's log that is in."""


def record(
    home: Path, event: str, name: str, version: int | None = None, by: str | None = None, **facts: Any
) -> audit.Record:
    """Write a record about a model, then tell the registry where it stands. Raises as `audit.append` does."""
    made = audit.append(home, event, by=by, model=name, version=version, **facts)
    anchor = json.dumps({"seq": made["seq"], "sha256": made["sha256"], "log": audit.first(home)})
    with contextlib.suppress(MlflowException):  # a name that nothing was registered under has nowhere to keep it
        client(home).set_registered_model_tag(name, ANCHOR, anchor)
    return made


def ours(home: Path, name: str) -> None:
    """A model's steps are kept in one home's log. Raises XmedError REGISTRY_ELSEWHERE in any other.

    Several homes may share a server, each with models of its own: a lock on a file binds the processes of one home, and
    MLflow offers nothing that would bind two.
    """
    if last(home, name) and not any(one.get("model") == name for one in audit.records(home)):
        raise XmedError(
            "REGISTRY_ELSEWHERE",
            f"'{name}' is kept by another home: this one's audit log does not know it",
            "the XMED_HOME that registered it first",
            "work there, or register under another name",
        )


def last(home: Path, name: str) -> audit.Record | None:
    """Which record the registry names as the last about a model, and of which log: seq, sha256, log."""
    try:
        tags = client(home).get_registered_model(name).tags if is_there(home) else {}
    except MlflowException as problem:
        if problem.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return _anchor(tags[ANCHOR]) if ANCHOR in tags else None


def verify(home: Path) -> list[str]:
    """Everything that is wrong with the audit log, or with what the registry shows that the log knows nothing of.

    Of a registry that several homes share, models that another home keeps are that one's to verify.
    """
    if not is_there(home):
        return audit.verify(home)
    models = list(client(home).search_registered_models(max_results=1000))
    anchors = {model.name: _anchor(model.tags[ANCHOR]) for model in models if ANCHOR in model.tags}
    if is_shared(home):  # in a store of its own a log that is gone altogether is found, too
        here, known = audit.first(home), {one.get("model") for one in audit.records(home)}
        anchors = {name: one for name, one in anchors.items() if name in known or one["log"] in (None, here)}
    return audit.verify(home, anchors)


def _anchor(text: str) -> audit.Record:
    """A tag as it was written; whatever else somebody put there matches no record."""
    try:
        found = json.loads(text)
        return {"seq": int(found["seq"]), "sha256": str(found["sha256"]), "log": found.get("log")}
    except (ValueError, KeyError, TypeError):
        return {"seq": -1, "sha256": text, "log": None}


def is_hash(tag: str) -> bool:
    """Whether a version's tag says which very content something has; records repeat those."""
    return tag.endswith(("sha256", "_id", "fingerprint"))


def about(home: Path, name: str, version: int, event: str | None = None) -> list[audit.Record]:
    """The records of one version, of one kind or of all."""
    mine = [one for one in audit.records(home) if (one.get("model"), one.get("version")) == (name, version)]
    return [one for one in mine if event in (None, one["event"])]
