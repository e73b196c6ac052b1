"""Plan: a study with everything it names, checked before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xmed import methods
from xmed.errors import XmedError
from xmed.nets import NETWORKS, stride
from xmed.run import Run, home
from xmed.spec import DatasetSpec, Splits, Study, load_dataset, load_study


@dataclass(frozen=True)
class Plan:
    """What a run will do: a study, its two datasets, where their files lie, and the run it continues, if any."""

    study: Study
    source: DatasetSpec
    target: DatasetSpec
    roots: tuple[Path | None, Path | None]
    run: Run | None = None


def plan_study(
    study: str,
    seeds: list[int] | None = None,
    source_root: Path | None = None,
    target_root: Path | None = None,
    resume: str | None = None,
) -> Plan:
    """Read and check a study, or the run of it that is to be resumed; nothing is written.

    Raises XmedError SPEC_NOT_FOUND, SPEC_INVALID, METHOD_UNKNOWN, PATH_NOT_FOUND, RUN_NOT_FOUND or USAGE.
    """
    run = Run.find(resume, home()) if resume else None
    asked = load_study(study)
    if run is not None:
        if seeds or run.study.name != asked.name:
            what = "--seeds with --resume" if seeds else f"run {run.id} is of study {run.study.name}"
            raise XmedError("USAGE", what, "the run's own study and seeds", "leave --seeds out, name its study")
        asked = run.study  # what was asked then, whatever the file says today: its protocol is fixed
    elif seeds:
        asked = asked.model_copy(update={"seeds": list(dict.fromkeys(seeds))})
    source, target = plan_dataset(asked.source, source_root), plan_dataset(asked.target, target_root)
    methods.check(asked.method.name, asked.method.hyperparameters)
    _check_network(asked)
    for side, spec in (("source", source), ("target", target)):
        for structure in asked.structures:
            if structure not in spec.label_table.names:
                known = ", ".join(spec.label_table.names)
                raise XmedError("SPEC_INVALID", f"{side} {spec.name} has no structure '{structure}'", f"one of {known}")
    if source.layout.label is None or target.layout.image is None:
        bare = (
            f"source {source.name} has no labels"
            if source.layout.label is None
            else f"target {target.name} has no images"
        )
        raise XmedError("SPEC_INVALID", bare, "a labelled source, and a target with images", "see the spec's layout")
    return Plan(asked, source, target, (source_root, target_root), run)


def plan_dataset(name: str, root: Path | None = None) -> DatasetSpec:
    """A dataset spec whose folder is there, or can be written by the phantom. Raises XmedError PATH_NOT_FOUND too."""
    spec = load_dataset(name)
    folder = spec.folder(root)
    if spec.phantom is None and not folder.is_dir():
        raise XmedError("PATH_NOT_FOUND", f"dataset {spec.name}: no folder {folder}", "its root", "or pass --data-root")
    if isinstance(spec.splits, Splits) and not any((spec.splits.train, spec.splits.select, spec.splits.test)):
        raise XmedError("SPEC_INVALID", f"dataset {spec.name}: no patients in splits", "patients in train or test")
    return spec


def _check_network(study: Study) -> None:
    network, patch = study.network, study.grid.patch[: study.grid.spatial_dims]
    if network.name not in NETWORKS:
        raise XmedError("SPEC_INVALID", f"network '{network.name}'", f"one of {', '.join(NETWORKS)}")
    if any(edge % stride(network) for edge in patch):
        expected = f"edges that are multiples of {stride(network)} for {len(network.channels)} network levels"
        raise XmedError("SPEC_INVALID", f"grid.patch {list(patch)}", expected)
