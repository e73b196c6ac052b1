"""Evaluate: predictions × truth → tidy rows, on the scanner's own grid, trivial baselines included."""

from xmed.evaluate.judge import evaluate, judged
from xmed.evaluate.objects import write_objects
from xmed.evaluate.redraw import redraw
from xmed.evaluate.remeasure import remeasure
from xmed.methods.baselines import BASELINES

__all__ = ["BASELINES", "evaluate", "judged", "redraw", "remeasure", "write_objects"]
