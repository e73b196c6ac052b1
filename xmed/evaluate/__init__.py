"""Compare predictions with reference segmentations: one row per case and structure, on the scanner's own grid."""

from xmed.evaluate.dicom_objects import write_objects
from xmed.evaluate.evaluate_run import evaluate, judged
from xmed.evaluate.remeasure import remeasure
from xmed.evaluate.repredict import repredict
from xmed.methods.without_training import BASELINES

__all__ = ["BASELINES", "evaluate", "judged", "remeasure", "repredict", "write_objects"]
