"""Evaluate: predictions × truth → tidy rows, on the scanner's own grid, trivial baselines included."""

from xmed.evaluate.judge import evaluate, judged

__all__ = ["evaluate", "judged"]
