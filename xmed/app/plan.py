"""Check a study and everything it names before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from xmed import methods
from xmed.errors import XmedError
from xmed.run import Run, home
from xmed.spec import NETWORKS, DatasetSpec, MethodSpec, Splits, Study, load_dataset, load_study
from xmed.spec.strict import did_you_mean


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        study: The study.
        source: Its source dataset.
        target: Its target dataset.
        run: The run that it continues, if any.
        methods: The methods of a comparison; empty for an ordinary run.
    """

    study: Study
    source: DatasetSpec
    target: DatasetSpec
    run: Run | None = None
    methods: tuple[str, ...] = ()


def as_path(folder: str | Path | None) -> Path | None:
    """Turn what a script gave for a folder into a path.

    Args:
        folder: A folder, or None.

    Returns:
        Its path; None for None.
    """
    return None if folder is None else Path(folder)


def plan_study(
    study: str | Path | Study,
    seeds: list[int] | None = None,
    source_root: str | Path | None = None,
    target_root: str | Path | None = None,
    resume: str | Path | None = None,
) -> Plan:
    """Read and check a study, or the run that is to be resumed; nothing is written.

    Args:
        study: A study: its name, its YAML file, or the study itself.
        seeds: Random seeds, in place of the study's.
        source_root: Folder of the source's files, in place of its spec's.
        target_root: Folder of the target's files, in place of its spec's.
        resume: Id or folder of the run to continue.

    Returns:
        What the run will do.

    Raises:
        XmedError: SPEC_NOT_FOUND, SPEC_INVALID, METHOD_UNKNOWN, METHOD_NEEDS, PATH_NOT_FOUND, RUN_NOT_FOUND, USAGE.
    """
    run = Run.find(resume, home()) if resume else None
    if run is not None and run.methods:
        raise XmedError("USAGE", f"run {run.id} is a comparison", "a run", "`xmed compare` goes on with it")
    return _plan(study, seeds, source_root, target_root, run)


def plan_comparison(
    study: str | Path,
    names: list[str] | None,
    seeds: list[int] | None = None,
    source_root: str | Path | None = None,
    target_root: str | Path | None = None,
    resume: str | Path | None = None,
) -> Plan:
    """Read and check a comparison; nothing is written.

    Source-only, target-supervised and the methods that others begin with are added.

    Args:
        study: A study: its name or YAML file.
        names: Names of methods, or `["all"]`; None with `resume`, which has its methods and seeds already.
        seeds: Random seeds, in place of the study's.
        source_root: Folder of the source's files, in place of its spec's.
        target_root: Folder of the target's files, in place of its spec's.
        resume: Id or folder of the comparison to continue.

    Returns:
        What the comparison will do.

    Raises:
        XmedError: As `plan_study`.
    """
    run = Run.find(resume, home()) if resume else None
    if run is not None and (names or not run.methods):
        what = "--methods with --resume" if run.methods else f"run {run.id} is no comparison"
        raise XmedError("USAGE", what, "a comparison, which has its methods already", "leave --methods out")
    if run is None and not names:
        raise XmedError("USAGE", "no --methods", "methods with commas between, or all", "see `xmed methods`")
    plan = _plan(study, seeds, source_root, target_root, run)
    chosen = [*methods.names(), *methods.COMPOSITIONS] if names == ["all"] else names or []
    compared = list(dict.fromkeys(run.methods if run else ["source_only", *chosen, "target_supervised"]))
    for name in compared:
        spec = plan.study.method if name == plan.study.method.name else MethodSpec(name=name)
        for needed in [name, *methods.needs(spec)]:
            methods.check_hyperparameters(MethodSpec(name=needed))
    return replace(plan, methods=tuple(compared))


def _plan(
    study: str | Path | Study,
    seeds: list[int] | None,
    source_root: str | Path | None,
    target_root: str | Path | None,
    run: Run | None,
) -> Plan:
    spec = study if isinstance(study, Study) else load_study(study)
    if run is not None:
        if seeds or run.study.name != spec.name:
            what = "--seeds with --resume" if seeds else f"run {run.id} is of study {run.study.name}"
            raise XmedError("USAGE", what, "the run's own study and seeds", "leave --seeds out, name its study")
        spec = run.study  # as the run began, whatever the file says today: its protocol is fixed
    elif seeds:
        spec = spec.model_copy(update={"seeds": list(dict.fromkeys(seeds))})
    source, target = plan_dataset(spec.source, source_root), plan_dataset(spec.target, target_root)
    methods.check_hyperparameters(spec.method)
    _check_network(spec)
    for side, dataset in (("source", source), ("target", target)):
        names = dataset.label_table.names
        for structure in spec.structures:
            if structure not in names:
                what = f"{side} {dataset.name} has no structure '{structure}'"
                raise XmedError("SPEC_INVALID", what, f"one of {', '.join(names)}")
    _check_images(source, target)
    return Plan(spec, source, target, run)


def _check_images(source: DatasetSpec, target: DatasetSpec) -> None:
    """Check that the source has labels, and images or a scene that renders them, and that the target has images."""
    if source.layout.label is None or target.layout.image is None:
        bare = (
            f"source {source.name} has no labels"
            if source.layout.label is None
            else f"target {target.name} has no images"
        )
        raise XmedError("SPEC_INVALID", bare, "a labelled source, and a target with images", "see the spec's layout")
    if source.layout.image is None and source.scene is None:
        from xmed.rendering.scenes import scene_names

        what = f"source {source.name} is label maps without images"
        raise XmedError(
            "METHOD_NEEDS", what, f"`scene` in its spec, one of {', '.join(scene_names())}", "or give it images"
        )
    if source.scene is not None:
        from xmed.rendering.scenes import find_scene  # it loads torch; most studies have none

        find_scene(source.scene)


def plan_dataset(name: str | Path, root: str | Path | None = None) -> DatasetSpec:
    """Read a dataset spec, and check that its folder exists or that xmed makes the data itself.

    Args:
        name: A dataset: its name or YAML file.
        root: Folder of the dataset's files, in place of the spec's.

    Returns:
        The spec.

    Raises:
        XmedError: SPEC_NOT_FOUND, SPEC_INVALID, PATH_NOT_FOUND.
    """
    spec = load_dataset(name)
    folder = spec.folder(as_path(root))
    spec.link_folders()
    if not (spec.made or spec.pacs or folder.is_dir()):
        raise XmedError("PATH_NOT_FOUND", f"dataset {spec.name}: no folder {folder}", "its root", "or pass --data-root")
    if isinstance(spec.splits, Splits) and not any((spec.splits.train, spec.splits.select, spec.splits.test)):
        raise XmedError("SPEC_INVALID", f"dataset {spec.name}: no patients in splits", "patients in train or test")
    return spec


def _check_network(study: Study) -> None:
    network, patch = study.network, study.grid.patch[: study.grid.spatial_dims]
    if network.name not in NETWORKS:
        what = f"network '{network.name}'{did_you_mean(network.name, NETWORKS)}"
        raise XmedError("SPEC_INVALID", what, f"one of {', '.join(NETWORKS)}")
    if any(edge % network.stride for edge in patch):
        expected = f"edges that are multiples of {network.stride} for {len(network.channels)} network levels"
        raise XmedError("SPEC_INVALID", f"grid.patch {list(patch)}", expected)
