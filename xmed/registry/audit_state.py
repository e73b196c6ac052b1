"""What the audit log says about names, versions and aliases, and where the registry shows something else.

Whoever reaches the registry can set an alias or a tag there; only what the log has a record of counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion, RegisteredModel

from xmed.registry import audit_log
from xmed.registry.tracking_store import client, is_shared, is_there

CANDIDATE = "candidate"
NAMED, CHANGED = "registered", "report changed"
"""Records that repeat a version's checksums."""
SAID = ("verdict", "xmed.run")
"""Tags that say something and are no checksums; a record has them under `verdict` and `run`."""
DECIDED = ("approved", "withdrawn")
"""Decisions that a version shows in a tag, `approved.clinical-use` say: who, and when."""


@dataclass
class Standing:
    """The state of one model name according to the log.

    Attributes:
        holders: Alias → versions that may hold it.
        withdrawn: Version → its last withdrawal, where no clinical alias was given to it since.
    """

    holders: dict[str, set[int]] = field(default_factory=dict)
    withdrawn: dict[int, audit_log.Record] = field(default_factory=dict)

    @classmethod
    def of(cls, records: list[audit_log.Record], name: str) -> Standing:
        found = cls()
        for one in records:
            if one.get("model") == name and isinstance(one.get("version"), int):
                found._after(one)
        return found

    def _after(self, one: audit_log.Record) -> None:
        version, alias = one["version"], one.get("alias")
        if one["event"] == NAMED and "promoted" not in one:  # of before: any of these was the candidate once
            self.holders.setdefault(CANDIDATE, set()).add(version)
        elif (one["event"] == NAMED and one["promoted"]) or one["event"] == CANDIDATE:
            self.holders[CANDIDATE] = {version}
        elif one["event"] == "approved" and alias:
            self.holders[alias] = {version}
            self.withdrawn.pop(version, None)
        elif one["event"] == "withdrawn" and alias:
            self.holders.get(alias, set()).discard(version)
            self.withdrawn[version] = one
        elif one["event"] == "refused" and one.get("undoes") and alias:
            self.holders.get(alias, set()).discard(version)


def of(home: Path, name: str) -> Standing:
    """Read the state of a model name from the log."""
    return Standing.of(audit_log.records(home), name)


def known(home: Path, name: str) -> bool:
    """Whether the log has a record of any version of a model name."""
    return any(one.get("model") == name and one.get("version") is not None for one in audit_log.records(home))


def untold(entry: ModelVersion, records: list[audit_log.Record]) -> list[str]:
    """Find what a version's tags say without a record; where there is no record at all, the first line says so."""
    mine = [one for one in records if (one.get("model"), one.get("version")) == (entry.name, int(entry.version))]
    named = [one for one in mine if one["event"] in (NAMED, CHANGED) and one.get("hashes")]
    what = f"{entry.name} version {entry.version}"
    if not named:
        return [f"{what}: the audit log has no record of its registration"]
    tags, last = entry.tags, named[-1]
    wrong = [key for key, value in last["hashes"].items() if tags.get(key) != value]
    first = next((one for one in named if one["event"] == NAMED), last)
    wrong += [key for key, there in zip(SAID, ("verdict", "run")) if there in first and tags.get(key) != first[there]]
    if "promoted" in first and first["promoted"] == ("not_promoted" in tags):
        wrong.append("not_promoted")
    found = [f"{what}: the tag {key} is not what the audit log says" for key in wrong]
    given = {(f"{one['event']}.{one.get('alias')}", f"{one['by']}, {one['at']}") for one in mine}
    for key, value in tags.items():
        if key.partition(".")[0] in DECIDED and (key, value) not in given:
            found.append(f"{what}: the tag {key} has no record in the audit log")
    return found


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
    for model in models if name is None else [one for one in models if one.name == name]:
        versions = list(client(home).search_model_versions(f"name = '{model.name}'", max_results=1000))
        problems += _of_model(model, versions, records, is_shared(home))
    return problems


def _of_model(
    model: RegisteredModel, versions: list[ModelVersion], records: list[audit_log.Record], shared: bool
) -> Iterator[str]:
    if not any(one.get("model") == model.name and one.get("version") is not None for one in records):
        ours = [entry for entry in versions if "weights_sha256" in entry.tags or "xmed.run" in entry.tags]
        if not shared and (ours or model.aliases):
            yield f"{model.name}: the registry has it, and the audit log has no record of it"
        return
    for entry in versions:
        yield from untold(entry, records)
    standing = Standing.of(records, model.name)
    for alias, version in sorted((model.aliases or {}).items()):
        if int(version) not in standing.holders.get(alias, set()):
            yield f"{model.name} version {version} holds the alias {alias}, and no record in the audit log gave it"
