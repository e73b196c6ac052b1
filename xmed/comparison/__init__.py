"""Comparison: how several methods did on one study: how good each is, and how certain that is."""

from xmed.comparison.build_comparison import build
from xmed.comparison.comparison_document import compose

__all__ = ["build", "compose"]
