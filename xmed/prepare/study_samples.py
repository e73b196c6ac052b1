"""Study samples: the cases of a cohort on a study's grid, with the reference labels of the study's structures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from xmed.cohort import Case, Cohort
from xmed.errors import XmedError
from xmed.prepare import Sample, make_sample, map_sample, window_of
from xmed.prepare.sample_cache import SampleCache, held_within
from xmed.spec import Split, Study
from xmed.volume import Volume


def reference_labels(cohort: Cohort, case: Case, study: Study) -> Volume:
    """Open the reference segmentation of a case.

    Args:
        cohort: The cohort.
        case: A labelled case.
        study: The study.

    Returns:
        The label map on the image's native grid, in the study's values 1, 2, ...

    Raises:
        XmedError: LABEL_MISSING.
    """
    label = cohort.label(case)
    return label.with_array(cohort.spec.label_table.renumber(label.array, study.structures))


def load_samples(cohort: Cohort, study: Study, splits: Sequence[Split], labelled: bool) -> list[Sample]:
    """Load the cases of some partitions on the study's grid.

    The sample of a case that is a label map alone has the label map's values as its image; a scene renders it.

    Args:
        cohort: The cohort.
        study: The study, whose grid and structures are used.
        splits: The partitions.
        labelled: Whether to load labelled cases with their labels; otherwise all cases, and no label file is opened.

    Returns:
        The samples, in the order of the cases.

    Raises:
        XmedError: NO_CASES when there are none.
    """
    samples = held_within(*_prepared(cohort, study, splits, labelled))
    if not samples:
        what = "labelled cases" if labelled else "cases"
        raise XmedError("NO_CASES", f"{cohort.spec.name} has no {what} in {' or '.join(splits)}", "at least one")
    return samples


def _prepared(
    cohort: Cohort, study: Study, splits: Sequence[Split], labelled: bool
) -> tuple[Iterator[Sample], Callable[[int, Sample], Sample]]:
    """Return the samples of a cohort, each made or opened when it is its turn, and what writes one into the cache."""
    cases = [case for case in cohort.split(*splits) if case.label is not None or not labelled]
    table = cohort.spec.label_table.select(study.structures) if labelled else ()
    fluid = {structure.value: structure.fluid for structure in table if structure.fluid is not None}
    window, cache = window_of(cohort.spec.modality, cohort.spec.window), SampleCache(cohort.home)
    common = {
        "grid": study.grid.model_dump(mode="json"),
        "window": window,
        "modality": cohort.spec.modality,
        "values": [cohort.spec.label_table.values_of(name) for name in study.structures] if labelled else None,
    }
    inputs = [{**common, "image": case.image, "label": case.label if labelled else ""} for case in cases]

    def prepare(case: Case) -> Sample:
        if labelled and case.image is None:
            dense = map_sample(case.id, cohort.label(case), study.grid)
            label_array = cohort.spec.label_table.renumber(dense.image, study.structures)
            return replace(dense, label=label_array, fluid=fluid)
        label = reference_labels(cohort, case, study) if labelled else None
        return replace(make_sample(case.id, cohort.image(case), study.grid, window, label), fluid=fluid)

    samples = (cache.find(key, case.id, fluid) or prepare(case) for case, key in zip(cases, inputs))
    return samples, lambda number, sample: cache.keep(sample, inputs[number])
