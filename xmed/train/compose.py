"""Compose: a model made of other methods' finished trainings: their ensemble, or the one that is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xmed.errors import XmedError
from xmed.model.deployed import Model
from xmed.networks import Ensemble
from xmed.records.training import Training
from xmed.run import Run


def ensemble(models: Sequence[Model]) -> Model:
    """Models of one architecture and one way of seeing → the Model whose probabilities are their mean.

    Raises XmedError METHOD_NEEDS when they differ in grid, network or input.
    """
    first = models[0]
    for other in models[1:]:
        if (other.grid, other.network, other.window) != (first.grid, first.network, first.window):
            what = f"{other.card.get('method')} and {first.card.get('method')} with different networks"
            raise XmedError("METHOD_NEEDS", f"an ensemble of {what}", "methods that share the study's network")
    spec = first.network.model_copy(update={"members": first.network.members * len(models)})
    nets_of = [
        net for model in models for net in (model.net.members if isinstance(model.net, Ensemble) else [model.net])
    ]
    return replace(first, net=Ensemble(nets_of).eval(), network=spec, enlarges=False)


def cost(run: Run, arms: Sequence[str], seed: int) -> float:
    """Seconds of training that went into the given arms."""
    return sum(float(run.read(Training, arm, seed).seconds) for arm in arms)
