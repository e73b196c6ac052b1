"""Train: the one loop that every method shares, and the arms of a study that go through it."""

from xmed.train.arms import fit, fit_all
from xmed.train.loop import Progress, Trained, train

__all__ = ["Progress", "Trained", "fit", "fit_all", "train"]
