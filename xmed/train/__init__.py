"""Train: the one loop that every method shares, and the arms of a run that go through it."""

from xmed.train.arms import fit
from xmed.train.checkpoint import Trained
from xmed.train.loop import Progress, train
from xmed.train.promote import promote
from xmed.train.workers import fit_all

__all__ = ["Progress", "Trained", "fit", "fit_all", "promote", "train"]
