"""The training loop that every method shares, and the arms of a run that go through it."""

from xmed.files.progress import Progress
from xmed.train.arm_processes import Job, OnFailure, fit_all, fit_single_threaded, jobs, skipped_because
from xmed.train.arms import fit
from xmed.train.candidate_decision import promote, reselect
from xmed.train.checkpoint import Trained
from xmed.train.loop import train

__all__ = [
    "Job",
    "OnFailure",
    "Progress",
    "Trained",
    "fit",
    "fit_all",
    "fit_single_threaded",
    "jobs",
    "promote",
    "reselect",
    "skipped_because",
    "train",
]
