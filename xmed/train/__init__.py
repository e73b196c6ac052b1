"""Train: the one loop that every method shares, and the arms of a run that go through it."""

from xmed.files.progress import Progress
from xmed.train.arm_processes import Job, Refuse, fit_all, fit_far, jobs, left_out
from xmed.train.arms import fit
from xmed.train.checkpoint import Trained
from xmed.train.loop import train
from xmed.train.promotion import promote, reselect

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
