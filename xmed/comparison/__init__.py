"""Compare: several methods on one study: how each did, and how sure that is."""

from xmed.comparison.build_comparison import build
from xmed.comparison.comparison_document import compose

__all__ = ["build", "compose"]
