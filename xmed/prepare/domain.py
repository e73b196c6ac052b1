"""Domain: a cohort's cases as a study's net sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xmed.cohort import Case, Cohort
from xmed.errors import XmedError
from xmed.prepare import Sample, map_sample, sample, window_of
from xmed.spec import Split, Study
from xmed.volume import Volume


def truth(cohort: Cohort, case: Case, study: Study) -> Volume:
    """A case's label map on its native grid, in the study's values 1, 2, ... Raises XmedError LABEL_MISSING."""
    label = cohort.label(case)
    return label.with_array(cohort.spec.label_table.renumber(label.array, study.structures))


def samples(cohort: Cohort, study: Study, splits: Sequence[Split], labelled: bool) -> list[Sample]:
    """The cases of some splits on the study's grid. Without `labelled`, no label file is opened.

    A case that is a label map alone has it, ids and all, as its image: a scene draws from it.

    Raises XmedError NO_CASES when there are none.
    """
    window = window_of(cohort.spec.modality, cohort.spec.window)
    named = cohort.spec.label_table.select(study.structures) if labelled else ()
    fluid = {structure.value: structure.fluid for structure in named if structure.fluid is not None}
    out = []
    for case in cohort.split(*splits):
        if labelled and case.label is None:
            continue
        if labelled and case.image is None:
            dense = map_sample(case.id, cohort.label(case), study.grid)
            names = cohort.spec.label_table.renumber(dense.image, study.structures)
            out.append(replace(dense, label=names, fluid=fluid))
            continue
        label = truth(cohort, case, study) if labelled else None
        out.append(replace(sample(case.id, cohort.image(case), study.grid, window, label), fluid=fluid))
    if not out:
        wanted = "labelled cases" if labelled else "cases"
        raise XmedError("NO_CASES", f"{cohort.spec.name} has no {wanted} in {' or '.join(splits)}", "at least one")
    return out
