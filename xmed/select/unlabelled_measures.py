"""Measure finished models on unlabelled target volumes and on perturbed labelled source cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from xmed.model.deployed import Model
from xmed.model.prediction import method_of_model, predicted_probabilities
from xmed.prepare import Sample, normalise
from xmed.prepare.geometry import PROBE_MODALITIES
from xmed.records.record import content
from xmed.records.selection import ModelFindings
from xmed.rendering import randomise
from xmed.rendering.field_of_view_pose import pose_anatomy
from xmed.rendering.synthesise import pictures_as_source, render_as_target
from xmed.select import validators
from xmed.select.perturbed_volume import PlaneRotation, change_intensities
from xmed.select.validators import Atlas
from xmed.tasks.location_prior import LabelledCase, LocationPrior, mask_overlap

VOLUMES, VIEWS, REFERENCES, POSES = 6, 4, 8, 24
"""Numbers of target volumes, of labelled views of each kind, of atlases, and of poses of labelled cases that tell where
structures lie. With these a model is measured in seconds: three predictions of each target volume, one of each view.
"""
VALIDATORS = ("consistency", "proxy", "reverse", "position", "information")
"""Names of the validators, in the order of the documents."""


DOCUMENT_KEYS = {"source_dice": "known"}
"""Field of `Findings` → its key in findings.json, where that is another one."""


@dataclass(frozen=True)
class Findings:
    """Measures of one model.

    Attributes:
        method: The method that made it.
        scores: Validator → score, higher is better, None where this study cannot have it. consistency: Dice with its
            own predictions of volumes with other intensities and of rotated volumes. proxy: Dice on labelled source
            cases in random appearance. reverse: see `validators.reverse_accuracy`. position: Dice with where structures
            lie on average in labelled cases in the target scanner's pose. information: see `validators.information`.
        source_dice: Dice on labelled cases in the appearance that it reads best: as they are, in the target's
            physics, or random.
        empty: Per structure, share of target volumes without it.
        volume_ml: Per structure, median predicted volume in ml.
        outside: Share of the foreground outside the field of view.
        quick: Whether it predicted quickly (see `Model.probabilities`).
        labels: Its label maps of the target volumes.
    """

    method: str
    scores: dict[str, float | None]
    source_dice: float
    empty: list[float]
    volume_ml: list[float]
    outside: float
    quick: bool
    labels: list[np.ndarray] = field(repr=False, compare=False)

    def record(self, model_sha256: str) -> ModelFindings:
        """Return everything but the label maps, as findings.json has it.

        Args:
            model_sha256: sha256 (hex) of the model's folder.

        Returns:
            The record.
        """
        numbers = {DOCUMENT_KEYS.get(key, key): value for key, value in vars(self).items() if key != "labels"}
        return ModelFindings.model_validate({"model_sha256": model_sha256, **numbers})

    @classmethod
    def of(cls, record: ModelFindings, labels: list[np.ndarray]) -> Findings:
        """Make the measures of what was stored.

        Args:
            record: The stored measures.
            labels: The stored label maps of the target volumes, uint8 (i, j, k).

        Returns:
            The measures.
        """
        stored = content(record)
        numbers = {
            field.name: stored[DOCUMENT_KEYS.get(field.name, field.name)]
            for field in fields(cls)
            if field.name != "labels"
        }
        return cls(**numbers, labels=labels)


@dataclass(frozen=True, eq=False)
class CandidateInputs:
    """What every candidate is shown: the same volumes, changes and views, so that only the models differ.

    Attributes:
        target: Unlabelled target volumes.
        relit: The same with other intensities.
        turns: A rotation for each of them.
        references: Atlases of labelled source cases.
        usual: Where labelled cases have the structures.
        prior: Share of each class in labelled cases, (classes,).
        raw: Labelled source cases as they are.
        rendered: Labelled source cases in the target's physics.
        random: Labelled source cases in random appearance; empty where a scene draws the source.
    """

    target: list[Sample]
    relit: list[Sample]
    turns: list[PlaneRotation]
    references: list[Atlas]
    usual: LocationPrior
    prior: np.ndarray
    raw: list[Sample]
    rendered: list[Sample]
    random: list[Sample]

    @classmethod
    def of(
        cls, model: Model, unlabelled: Sequence[Sample], labelled: Sequence[Sample], seed: int, scene: str | None = None
    ) -> CandidateInputs:
        """Draw the inputs, for models with the same input as `model`.

        Where a scene draws the source there is no proxy: half of the methods learn from the scene itself, the others
        from plain pictures of it.

        Args:
            model: Any of the candidates.
            unlabelled: Target samples.
            labelled: Source samples, preferably ones that no candidate learned from.
            seed: Determines what is drawn.
            scene: Name of the scene that draws the source, if one does.

        Returns:
            The inputs.
        """
        random = np.random.default_rng([seed, 19])
        target = [unlabelled[n] for n in evenly_spread(len(unlabelled), VOLUMES)]
        cases = [labelled[n % len(labelled)] for n in range(REFERENCES)]
        through = [target[int(random.integers(len(target)))] for _ in cases]
        pairs = list(zip(cases, through))
        if scene is None:
            drawn = [_random_appearance(*pair, model, random) for pair in pairs]
            raw, views = [labelled[n] for n in evenly_spread(len(labelled), VIEWS // 2)], drawn[:VIEWS]
            posed = [posed_labels(labelled[n % len(labelled)], target, model, random) for n in range(POSES)]
        else:
            drawn = [render_as_target(*pair, model.modality, model.window, random, scene) for pair in pairs]
            raw, views = list(pictures_as_source(VIEWS // 2, labelled, target, scene, random)), []
            posed = [(s.case, s.reference, s.fov) for s in drawn]
        classes = len(model.structures) + 1
        shares = [np.bincount(s.reference[s.fov], minlength=classes) / max(int(s.fov.sum()), 1) for s in drawn]
        return cls(
            target,
            [change_intensities(case, random) for case in target],
            [PlaneRotation.draw(case, random) for case in target],
            [Atlas.of(s.reference, classes) for s in drawn], LocationPrior.of(posed, classes),
            np.mean(shares, axis=0), raw,
            [render_as_target(*pair, model.modality, model.window, random, scene) for pair in pairs[: VIEWS // 2]],
            views,
        )  # fmt: skip

    def findings(self, model: Model, quick: bool = True) -> Findings:
        """Measure one model.

        Args:
            model: The model.
            quick: Predict quickly. Models that are compared must all be measured alike.

        Returns:
            Its measures.
        """
        classes = len(model.structures) + 1
        labels, means, entropies, stable, reverse, position = [], [], [], [], [], []
        for case, other, turn in zip(self.target, self.relit, self.turns):
            p = predicted_probabilities(model, case, quick)
            label, turned = model.decode(p, case.fov), turn.image(case)
            means.append(p[:, case.fov].mean(1))
            entropies.append(validators.entropies(p, case.fov))
            expected = np.where(turned.fov, turn.label(label), 0)
            stable.append(validators.mean_overlap(label, _label(model, other, quick), classes))
            stable.append(validators.mean_overlap(expected, _label(model, turned, quick), classes))
            reverse.append(validators.reverse_accuracy(label, self.references, classes))
            position.append(self.usual.agreement(label, case.fov))
            labels.append(label)
        views = [
            [_dice_on_labelled(model, sample, classes, quick) for sample in samples]
            for samples in (self.raw, self.rendered, self.random)
            if samples
        ]
        ml = np.array([[float((lab == v).sum()) for v in range(1, classes)] for lab in labels])
        outside = sum(int((lab[~case.fov] > 0).sum()) for lab, case in zip(labels, self.target))
        scores = {
            "consistency": float(np.mean(stable)),
            "proxy": float(np.mean(views[-1])) if self.random else None,
            "reverse": float(np.mean(reverse)),
            "position": float(np.mean(position)),
            "information": validators.information(np.mean(means, axis=0), np.mean(entropies, axis=0), self.prior),
        }
        return Findings(
            method=method_of_model(model),
            scores={name: scores[name] for name in VALIDATORS},
            source_dice=max(float(np.mean(view)) for view in views),
            empty=(ml == 0).mean(0).tolist(),
            volume_ml=np.median(ml * [[case.grid.voxel_ml] for case in self.target], axis=0).tolist(),
            outside=outside / max(float(ml.sum()), 1.0),
            quick=quick,
            labels=labels,
        )


def evenly_spread(count: int, most: int) -> list[int]:
    """Return at most `most` indices spread evenly over `count`."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))


def _random_appearance(source: Sample, target: Sample, model: Model, random: np.random.Generator) -> Sample:
    """Return a labelled case in random appearance, in the target scanner's pose (see `methods.synth`)."""
    anatomy = pose_anatomy(source, target, model.modality, random)
    grid = target.grid if model.modality in PROBE_MODALITIES else source.grid
    return Sample(
        source.case, normalise(randomise.render(anatomy, random), anatomy.fov), anatomy.fov, grid, anatomy.label
    )


def posed_labels(source: Sample, target: Sequence[Sample], model: Model, random: np.random.Generator) -> LabelledCase:
    """Return a labelled case in the target scanner's pose."""
    anatomy = pose_anatomy(source, target[int(random.integers(len(target)))], model.modality, random)
    return source.case, anatomy.label, anatomy.fov


def _label(model: Model, case: Sample, quick: bool) -> np.ndarray:
    return model.decode(predicted_probabilities(model, case, quick), case.fov)


def _dice_on_labelled(model: Model, case: Sample, classes: int, quick: bool) -> float:
    """Return the mean Dice over the structures that the case has, 0 where it has none."""
    label, values = _label(model, case, quick), [v for v in range(1, classes) if (case.reference == v).any()]
    return float(np.mean([mask_overlap(label == v, case.reference == v) for v in values])) if values else 0.0
