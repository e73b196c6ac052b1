"""Evaluate: predicts and measures the test cases of a run, on the scanner's own grid, trivial baselines included."""

from xmed.evaluate.dicom_objects import write_objects
from xmed.evaluate.evaluate_run import evaluate, judged
from xmed.evaluate.remeasure import remeasure
from xmed.evaluate.repredict import redraw
from xmed.methods.baselines import BASELINES

__all__ = ["BASELINES", "evaluate", "judged", "redraw", "remeasure", "write_objects"]
