"""Export a model as a MONAI bundle, which MONAI's own commands verify and run without xmed."""

from xmed.model.export.write_bundle import write_bundle

__all__ = ["write_bundle"]
