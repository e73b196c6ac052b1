"""Measures of one finished model on unlabelled target volumes and on perturbed labelled source cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xmed.model.deployed import Model
from xmed.model.prediction import made_by, probabilities
from xmed.prepare import Sample, normalise
from xmed.prepare.geometry import PROBE_MODALITIES
from xmed.records.selection import ModelFindings
from xmed.rendering import randomise
from xmed.rendering.field_of_view_pose import place
from xmed.rendering.synthesise import imitate, likenesses
from xmed.select import validators
from xmed.select.perturbed_volume import Turn, relit
from xmed.select.validators import Reference
from xmed.tasks.location_prior import Labelled, Usual

VOLUMES, VIEWS, REFERENCES, POSES = 6, 4, 8, 24
"""Target volumes, labelled views of each kind, atlas references, and poses of labelled cases that tell where structures
lie. A model is judged in seconds with these: three predictions of each target volume, one of each view."""
VALIDATORS = ("consistency", "proxy", "reverse", "position", "information")
RENDERED_BY = {"synth": "proxy"}
"""Methods that learn from the very pictures of a validator: among candidates with one of these it is not ranked.
In prototypes proxy Dice misled wherever a candidate had been trained on the proxy's own renderer (Spearman with true
Dice -1.0 to 0.0); so it is drawn by no modality's physics, and of all methods only these learn from it."""


@dataclass(frozen=True)
class Findings:
    """Of one model. scores: validators by name, higher is better, None where this study cannot have it.

    consistency: Dice with its own predictions of the relit, and of the turned, volumes. proxy: Dice on labelled source
    cases in random appearance. reverse: see validators.reverse. position: Dice with where structures lie on average in
    labelled cases held as the target's scanner would hold them.
    information: see validators.information. known: Dice on labelled cases in the light it reads best: as they are, in
    the target's physics or in random appearance. empty, volume_ml: per structure, share of target volumes without it,
    and median volume. outside: share of foreground outside the field of view. labels: its label maps of the target
    volumes. method: which made it.
    """

    method: str
    scores: dict[str, float | None]
    known: float
    empty: list[float]
    volume_ml: list[float]
    outside: float
    labels: list[np.ndarray] = field(repr=False, compare=False)

    def record(self, model_sha256: str) -> ModelFindings:
        """Everything but the label maps. model_sha256: of the model's folder."""
        numbers = {key: value for key, value in vars(self).items() if key != "labels"}
        return ModelFindings(model_sha256=model_sha256, **numbers)


@dataclass(frozen=True, eq=False)
class Bench:
    """What every candidate is shown: the same volumes, disturbances and views, so that only models differ."""

    target: list[Sample]
    relit: list[Sample]
    turns: list[Turn]
    references: list[Reference]
    usual: Usual
    prior: np.ndarray
    raw: list[Sample]
    rendered: list[Sample]
    random: list[Sample]

    @classmethod
    def of(
        cls, model: Model, unlabelled: Sequence[Sample], labelled: Sequence[Sample], seed: int, scene: str | None = None
    ) -> Bench:
        """For models that see what `model` sees. labelled: source cases, best ones that no candidate learned from.

        scene: what draws the source where it is label maps alone: then there is no proxy, since one half of the methods
        learns from the scene itself, the other from plain pictures of it.
        """
        random = np.random.default_rng([seed, 19])
        target = [unlabelled[n] for n in spread(len(unlabelled), VOLUMES)]
        cases = [labelled[n % len(labelled)] for n in range(REFERENCES)]
        through = [target[int(random.integers(len(target)))] for _ in cases]
        pairs = list(zip(cases, through))
        if scene is None:
            shown = [_random_light(*pair, model, random) for pair in pairs]
            raw, drawn = [labelled[n] for n in spread(len(labelled), VIEWS // 2)], shown[:VIEWS]
            held = [posed(labelled[n % len(labelled)], target, model, random) for n in range(POSES)]
        else:
            shown = [imitate(*pair, model.modality, model.window, random, scene) for pair in pairs]
            raw, drawn = likenesses(VIEWS // 2, labelled, target, scene, random), []
            held = [(s.case, s.truth, s.fov) for s in shown]
        classes = len(model.structures) + 1
        shares = [np.bincount(s.truth[s.fov], minlength=classes) / max(int(s.fov.sum()), 1) for s in shown]
        return cls(
            target, [relit(case, random) for case in target], [Turn.draw(case, random) for case in target],
            [Reference.of(s.truth, classes) for s in shown], Usual.of(held, classes),
            np.mean(shares, axis=0), raw,
            [imitate(*pair, model.modality, model.window, random, scene) for pair in pairs[: VIEWS // 2]], drawn,
        )  # fmt: skip

    def findings(self, model: Model) -> Findings:
        """What one model shows here."""
        classes = len(model.structures) + 1
        labels, means, entropies, stable, reverse, position = [], [], [], [], [], []
        for case, other, turn in zip(self.target, self.relit, self.turns):
            p = probabilities(model, case)
            label, turned = model.decode(p, case.fov), turn.image(case)
            means.append(p[:, case.fov].mean(1))
            entropies.append(validators.entropies(p, case.fov))
            expected = np.where(turned.fov, turn.label(label), 0)
            stable.append(validators.agreement(label, _label(model, other), classes))
            stable.append(validators.agreement(expected, _label(model, turned), classes))
            reverse.append(validators.reverse(label, self.references, classes))
            position.append(self.usual.agreement(label, case.fov))
            labels.append(label)
        views = [[_known(model, s, classes) for s in some] for some in (self.raw, self.rendered, self.random) if some]
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
            method=made_by(model),
            scores={name: scores[name] for name in VALIDATORS},
            known=max(float(np.mean(view)) for view in views),
            empty=(ml == 0).mean(0).tolist(),
            volume_ml=np.median(ml * [[case.grid.voxel_ml] for case in self.target], axis=0).tolist(),
            outside=outside / max(float(ml.sum()), 1.0),
            labels=labels,
        )


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` indices spread over `count`."""
    return sorted(set(np.linspace(0, count - 1, min(count, wanted)).round().astype(int).tolist()))


def _random_light(source: Sample, target: Sample, model: Model, random: np.random.Generator) -> Sample:
    """A labelled case as no scanner shows it, held as the target's scanner would hold it (see methods.synth)."""
    anatomy = place(source, target, model.modality, random)
    grid = target.grid if model.modality in PROBE_MODALITIES else source.grid
    return Sample(
        source.case, normalise(randomise.render(anatomy, random), anatomy.fov), anatomy.fov, grid, anatomy.label
    )


def posed(source: Sample, target: Sequence[Sample], model: Model, random: np.random.Generator) -> Labelled:
    """A labelled case as the target's scanner would hold it."""
    anatomy = place(source, target[int(random.integers(len(target)))], model.modality, random)
    return source.case, anatomy.label, anatomy.fov


def _label(model: Model, case: Sample) -> np.ndarray:
    return model.decode(probabilities(model, case), case.fov)


def _known(model: Model, case: Sample, classes: int) -> float:
    """Mean Dice over the structures that the case has, 0 where it has none."""
    label, there = _label(model, case), [v for v in range(1, classes) if (case.truth == v).any()]
    return float(np.mean([validators.dice(label == v, case.truth == v) for v in there])) if there else 0.0
