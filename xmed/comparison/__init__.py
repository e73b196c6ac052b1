"""Comparison: how several methods did on one study: how good each is, and how certain that is."""

from xmed.comparison.comparison_document import compose_comparison
from xmed.comparison.comparison_page import write_comparison

__all__ = ["compose_comparison", "write_comparison"]
