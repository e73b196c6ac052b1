"""Build a model from the finished trainings of several methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xmed.errors import XmedError
from xmed.model.deployed import Model
from xmed.networks import Ensemble
from xmed.records.training import Training
from xmed.run import Run


def ensemble(models: Sequence[Model]) -> Model:
    """Return the model whose probabilities are the mean of several models' probabilities.

    Args:
        models: Models of the same grid, network and intensity window.

    Raises:
        XmedError: METHOD_NEEDS where they differ.
    """
    first = models[0]
    for other in models[1:]:
        if (other.grid, other.network, other.window) != (first.grid, first.network, first.window):
            what = f"{other.origin.method} and {first.origin.method} with different networks"
            raise XmedError("METHOD_NEEDS", f"an ensemble of {what}", "methods that share the study's network")
    spec = first.network.model_copy(update={"members": first.network.members * len(models)})
    nets_of = [
        net for model in models for net in (model.net.members if isinstance(model.net, Ensemble) else [model.net])
    ]
    return replace(first, net=Ensemble(nets_of).eval(), network=spec, enlarges=False)


def training_seconds(run: Run, arms: Sequence[str], seed: int) -> float:
    """Return the seconds of training that went into the given arms."""
    return sum(float(run.read(Training, arm, seed).seconds) for arm in arms)
