"""What the audit log says about names, versions and aliases, and where the registry shows something else.

Whoever reaches the registry can set an alias or a tag there; only what the log has a record of counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion, RegisteredModel

from xmed.records.audit_trail import AuditRecord
from xmed.registry import audit_log
from xmed.registry.tracking_store import client, is_shared, is_there

CANDIDATE = "candidate"
NAMED, CHANGED = "registered", "report changed"
"""Events of records that repeat a version's checksums."""
DECIDED = ("approved", "withdrawn")
"""Decisions that a version shows in a tag, such as `approved.clinical-use`: who, and when."""


@dataclass
class Standing:
    """The state of one model name according to the log.

    Attributes:
        holders: Alias → versions that may hold it.
        withdrawn: Version → its last withdrawal, where no clinical alias was given to it since.
    """

    holders: dict[str, set[int]] = field(default_factory=dict)
    withdrawn: dict[int, AuditRecord] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Sequence[AuditRecord], name: str) -> Standing:
        """Derive the state of a model name from all records of a log."""
        standing = cls()
        for record in records:
            if record.model == name and record.version is not None:
                standing._after(record, record.version)
        return standing

    def _after(self, record: AuditRecord, version: int) -> None:
        alias = record.alias
        if record.event == NAMED and record.promoted is None:  # version 0.1.0: any of these was the candidate once
            self.holders.setdefault(CANDIDATE, set()).add(version)
        elif (record.event == NAMED and record.promoted) or record.event == CANDIDATE:
            self.holders[CANDIDATE] = {version}
        elif record.event == "approved" and alias:
            self.holders[alias] = {version}
            self.withdrawn.pop(version, None)
        elif record.event == "withdrawn" and alias:
            self.holders.get(alias, set()).discard(version)
            self.withdrawn[version] = record
        elif record.event == "refused" and record.undoes and alias:
            self.holders.get(alias, set()).discard(version)


def standing_of(home: Path, name: str) -> Standing:
    """Read the state of a model name from the log."""
    return Standing.of(audit_log.records(home), name)


def has_records(home: Path, name: str) -> bool:
    """Whether the log has a record of any version of a model name."""
    return _has_records(audit_log.records(home), name)


def unrecorded_tags(entry: ModelVersion, records: Sequence[AuditRecord]) -> list[str]:
    """Find tags of a version that the log does not confirm.

    Args:
        entry: The version.
        records: Every record of the log.

    Returns:
        One sentence per tag. Where the log has no record of the registration, there is only a sentence that says so.
    """
    of_version = [record for record in records if (record.model, record.version) == (entry.name, int(entry.version))]
    with_hashes = [record for record in of_version if record.event in (NAMED, CHANGED) and record.hashes]
    what = f"{entry.name} version {entry.version}"
    if not with_hashes:
        return [f"{what}: the audit log has no record of its registration"]
    tags, last = entry.tags, with_hashes[-1]
    wrong = [key for key, value in last.hashes.items() if tags.get(key) != value]
    registered = next((record for record in with_hashes if record.event == NAMED), last)
    recorded = {"verdict": registered.verdict, "xmed.run": registered.run}  # tags that are no checksums
    wrong += [key for key, value in recorded.items() if value is not None and tags.get(key) != value]
    if registered.promoted is not None and registered.promoted == ("not_promoted" in tags):
        wrong.append("not_promoted")
    problems = [f"{what}: the tag {key} is not what the audit log says" for key in wrong]
    decisions = {(f"{record.event}.{record.alias}", f"{record.by}, {record.at}") for record in of_version}
    for key, value in tags.items():
        if key.partition(".")[0] in DECIDED and (key, value) not in decisions:
            problems.append(f"{what}: the tag {key} has no record in the audit log")
    return problems


def contradictions(home: Path, name: str | None = None) -> list[str]:
    """Find aliases, tags, versions and names in the registry that the log has no record of.

    Args:
        home: The home.
        name: Only look at this model. In a store that homes share, names that this log does not know belong to others.

    Returns:
        One sentence per finding.
    """
    if not is_there(home):
        return []
    records, problems = audit_log.records(home), list[str]()
    models = client(home).search_registered_models(max_results=1000)
    for model in models if name is None else [model for model in models if model.name == name]:
        versions = list(client(home).search_model_versions(f"name = '{model.name}'", max_results=1000))
        problems += _model_problems(model, versions, records, is_shared(home))
    return problems


def _model_problems(
    model: RegisteredModel, versions: Sequence[ModelVersion], records: Sequence[AuditRecord], shared: bool
) -> Iterator[str]:
    if not _has_records(records, model.name):
        by_xmed = any("weights_sha256" in entry.tags or "xmed.run" in entry.tags for entry in versions)
        if not shared and (by_xmed or model.aliases):
            yield f"{model.name}: the registry has it, and the audit log has no record of it"
        return
    for entry in versions:
        yield from unrecorded_tags(entry, records)
    standing = Standing.of(records, model.name)
    for alias, version in sorted((model.aliases or {}).items()):
        if int(version) not in standing.holders.get(alias, set()):
            yield f"{model.name} version {version} holds the alias {alias}, and no record in the audit log gave it"


def _has_records(records: Sequence[AuditRecord], name: str) -> bool:
    return any(record.model == name and record.version is not None for record in records)
