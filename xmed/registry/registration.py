"""Registers the adapted model of a reported run as a version with the alias `candidate`, and nothing more."""

from __future__ import annotations

from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from xmed.errors import XmedError
from xmed.files.permissions import close_to_others
from xmed.records.model_version import ListedVersion
from xmed.records.record import content
from xmed.records.run_state import RegisteredVersion
from xmed.registry import audit_log, audit_state, ledger, ownership
from xmed.registry.audit_state import CANDIDATE
from xmed.registry.package import pack
from xmed.registry.recheck import REGISTERED, disproved, made_with
from xmed.registry.relocation import ARTIFACTS
from xmed.registry.tracked_runs import arm_run, write_run
from xmed.registry.tracking_store import client, is_there, registry_lock
from xmed.registry.version_evidence import SAME, evidence, nothing_learned
from xmed.run import Arm, Run

EVALUATION, USE = "clinical-evaluation", "clinical-use"
ALIASES = (USE, EVALUATION, CANDIDATE)
"""From the most trusted to the least."""


def register(run: Run, home: Path) -> RegisteredVersion:
    """Register the adapted arm's net of the first seed under the study's `register_as`, alias `candidate`.

    A failing verdict registers too: it is a candidate, its tags say so, and approval is somebody else's decision. A net
    that is estimated, without target labels, to be no better than source-only is registered without the alias, and its
    tag `not_promoted` says why; an earlier candidate stays. Where a trivial baseline is estimated to be better than
    every net, nothing is registered: `version` is None, and `not_registered` says why.
    Idempotent, and one process at a time: a net that is registered with the same report is not registered again.

    Args:
        run: A run with a report.
        home: The home.

    Returns:
        The version and its tags, or why there is none.

    Raises:
        XmedError: MODEL_REFUSED (no report, a report on another protocol, not deployable, target labels used) or
            MODEL_INVALID (weights that do not match their checksum); what is refused is on record too.
            REGISTRY_ELSEWHERE where another home that shares the server has models of that name.
    """
    name, seed = run.study.register_as, run.study.seeds[0]
    ledger.check_owner(home, name)
    if why := nothing_learned(run):
        if is_there(home):
            ledger.record(home, "registration refused", name, run=run.id, reasons=[why])
        return RegisteredVersion(name=name, version=None, alias=None, uri=None, not_registered=why)
    try:
        tags = evidence(run, seed)
    except XmedError as problem:
        if is_there(home):
            ledger.record(home, "registration refused", name, run=run.id, reasons=[problem.what])
        raise
    if not _is_registered(name, tags, home):
        _refuse_disproved(run, name, home)
    with registry_lock(home):
        parent = write_run(run, home)
        entry = _existing_version(name, tags, home) or _new_version(run, name, parent, tags, home)
        _record_registration(run, entry, home)
        promoted = "not_promoted" not in tags
        if promoted:
            _make_candidate(entry, home)
    if (home / ARTIFACTS).is_dir():
        # MLflow copies files with the mode that they had in the installed package.
        close_to_others(home / ARTIFACTS, home)
    fields = {
        "name": name,
        "version": int(entry.version),
        "alias": CANDIDATE if promoted else None,
        "uri": f"models:/{name}@{CANDIDATE}" if promoted else f"models:/{name}/{entry.version}",
    }
    return RegisteredVersion.model_validate({**fields, **dict(entry.tags)})


def versions(home: Path) -> list[ListedVersion]:
    """List every version of every registered model.

    Args:
        home: The home.

    Returns:
        The versions by name, the newest first within a name; none where there is no registry.
    """
    if not is_there(home):
        return []
    registry, rows = client(home), list[ListedVersion]()
    for model in registry.search_registered_models(max_results=1000):
        aliases: dict[str, list[str]] = {}
        for alias, number in (model.aliases or {}).items():
            aliases.setdefault(str(number), []).append(alias)
        for entry in versions_of(model.name, home):
            fields = {
                "name": entry.name,
                "version": int(entry.version),
                "aliases": aliases.get(str(entry.version), []),
                "created": int(entry.creation_timestamp),
            }
            tags = {key: value for key, value in entry.tags.items() if key not in fields}
            rows.append(ListedVersion.model_validate({**fields, **tags}))
    return sorted(rows, key=lambda row: (row.name, -row.version))


def holder(name: str, alias: str, home: Path) -> int | None:
    """Find the version that holds an alias.

    Args:
        name: The registered model.
        alias: The alias, such as candidate.
        home: The home.

    Returns:
        The version; None where no version holds it.
    """
    try:
        return int(client(home).get_model_version_by_alias(name, alias).version)
    except MlflowException as problem:
        if problem.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def versions_of(name: str, home: Path) -> list[ModelVersion]:
    """Every version of a model name; none where there is no such name."""
    return list(client(home).search_model_versions(f"name = '{name}'", max_results=1000))


def _existing_version(name: str, tags: dict[str, str], home: Path) -> ModelVersion | None:
    """The version that this net has already, if its registration was finished."""
    identity = {key: tags.get(key) for key in SAME}
    same = [entry for entry in versions_of(name, home) if {key: entry.tags.get(key) for key in SAME} == identity]
    same = [entry for entry in same if _was_made_here(entry, home)]
    return max(same, key=lambda entry: int(entry.version), default=None)


def _was_made_here(entry: ModelVersion, home: Path) -> bool:
    """Whether this home made a version: others can make one with the same tags, and other contents."""
    if ledger.version_records(home, entry.name, int(entry.version), REGISTERED):
        return not audit_state.unrecorded_tags(entry, audit_log.records(home))
    return ownership.has_made_package(home, entry.name, entry.tags.get("package_sha256"))


def _make_candidate(entry: ModelVersion, home: Path) -> None:
    """Give a version the alias `candidate`; where its registration did not, after a record that does."""
    number = int(entry.version)
    if audit_state.standing_of(home, entry.name).holders.get(CANDIDATE) != {number}:
        ledger.record(home, CANDIDATE, entry.name, number, alias=CANDIDATE)
    if holder(entry.name, CANDIDATE, home) != number:
        client(home).set_registered_model_alias(entry.name, CANDIDATE, entry.version)


def _is_registered(name: str, tags: dict[str, str], home: Path) -> bool:
    """Whether this net is registered already, with this report and on record."""
    entry = _existing_version(name, tags, home) if is_there(home) else None
    return entry is not None and bool(ledger.version_records(home, name, int(entry.version), REGISTERED))


def _refuse_disproved(run: Run, name: str, home: Path) -> None:
    """Refuse, after a record, a run that says something about itself that does not come out again.

    Raises:
        XmedError: MODEL_REFUSED.
    """
    claims = disproved(run, home, whole=False)
    if not claims:
        return
    if is_there(home):
        reasons = [claim.text for claim in claims]
        ledger.record(home, "registration refused", name, run=run.id, reasons=reasons)
    what = "; ".join(f"{claim.text} ({claim.lines[0]})" for claim in claims)
    raise XmedError("MODEL_REFUSED", f"run {run.id}: {what}", "a run as it ended", "run the study again")


def _new_version(run: Run, name: str, parent: str, tags: dict[str, str], home: Path) -> ModelVersion:
    """Make a new version of `name`; the one that it would replace, if any, is its parent."""
    ownership.note_name(home, name)
    try:
        client(home).create_registered_model(name)
    except MlflowException as problem:
        if problem.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    before = next((number for alias in ALIASES if (number := holder(name, alias, home))), None)
    lineage = {"study_run": parent, **({"parent_version": str(before)} if before else {})}
    source = arm_run(run, Arm.ADAPTED, run.study.seeds[0], home) or parent
    return pack(run, run.arm(Arm.ADAPTED, run.study.seeds[0]) / "model", name, source, {**tags, **lineage}, home)


def _record_registration(run: Run, entry: ModelVersion, home: Path) -> None:
    """Record a registration, unless the log has it: a process may have been killed between the registry and the log."""
    if ledger.version_records(home, entry.name, int(entry.version), REGISTERED):
        ledger.note_first_registration(home, entry.name, int(entry.version))
        return
    tags = dict(entry.tags)
    ledger.record(
        home,
        REGISTERED,
        entry.name,
        int(entry.version),
        run=run.id,
        verdict=tags["verdict"],
        parent=tags.get("parent_version"),
        hashes={key: value for key, value in sorted(tags.items()) if ledger.is_hash(key)},
        made=content(made_with(run)),
        promoted="not_promoted" not in tags,
    )
