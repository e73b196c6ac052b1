"""Evaluate: predictions × truth → tidy rows, on the scanner's own grid, trivial baselines included."""

from xmed.evaluate.dicom_objects import write_objects
from xmed.evaluate.evaluate_run import evaluate, judged
from xmed.evaluate.remeasure import remeasure
from xmed.evaluate.repredict import repredict
from xmed.methods.without_training import BASELINES

__all__ = ["BASELINES", "evaluate", "judged", "remeasure", "repredict", "write_objects"]
