"""Decide without target labels whether a model enlarges small volumes before its network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xmed.model.deployed import Model
from xmed.prepare import Sample
from xmed.records.training import ScaleTest
from xmed.tasks.location_prior import MIN_SHARED_AGREEMENT, LabelledCase, LocationPrior, leave_one_out_agreement


def learn_scale(
    model: Model, labelled: Sequence[LabelledCase], unlabelled: Sequence[Sample]
) -> tuple[Model, ScaleTest | None]:
    """Let a model enlarge small volumes if structures are then found where labelled cases have them.

    A network that mistakes one structure for another is as confident as ever, but it finds the structure where hardly
    a labelled case has it. The model stays as it is where its predictions of unlabelled volumes agree with the location
    prior as well as labelled patients do among each other. It also stays where there is only one patient, or labelled
    patients do not agree.

    Args:
        model: The model; it is not changed.
        labelled: Labelled cases.
        unlabelled: Samples of the target.

    Returns:
        The model, and the mean agreements with the location prior; None where nothing can be concluded.
    """
    classes = model.task.classes
    prior, shared = LocationPrior.of(labelled, classes), leave_one_out_agreement(labelled, classes)
    if not shared or np.mean(shared) < MIN_SHARED_AGREEMENT:
        return model, None
    among_labelled, as_it_is = float(np.mean(shared)), _agreement(model, prior, unlabelled)
    if as_it_is >= among_labelled:
        return model, ScaleTest(labelled=among_labelled, as_it_is=as_it_is)
    enlarging = replace(model, enlarges=True)
    enlarging = enlarging if model.places is None else enlarging.learn_places(unlabelled)
    enlarged = _agreement(enlarging, prior, unlabelled)
    evidence = ScaleTest(labelled=among_labelled, as_it_is=as_it_is, enlarged=enlarged)
    return (enlarging if enlarged > as_it_is else model), evidence


def _agreement(model: Model, prior: LocationPrior, samples: Sequence[Sample]) -> float:
    """Return the mean agreement of a model's predictions with the location prior, 0 to 1."""
    labels = [model.decode(model.probabilities(sample, quick=True), sample.fov) for sample in samples]
    return float(np.mean([prior.agreement(label, sample.fov) for label, sample in zip(labels, samples)]))
