"""Train: the one loop that every method shares, and the arms of a run that go through it."""

from xmed.train.arms import fit
from xmed.train.checkpoint import Trained
from xmed.train.loop import Progress, train
from xmed.train.promote import promote, reselect
from xmed.train.workers import Job, Refuse, fit_all, fit_far, jobs, left_out

__all__ = [
    "Job",
    "Progress",
    "Refuse",
    "Trained",
    "fit",
    "fit_all",
    "fit_far",
    "jobs",
    "left_out",
    "promote",
    "reselect",
    "train",
]
