"""Compare: several methods on one study: how each did, and how sure that is."""

from xmed.compare.build import build
from xmed.compare.numbers import compose

__all__ = ["build", "compose"]
