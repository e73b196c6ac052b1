"""Domain adaptation for medical images: train on a labelled modality, adapt to an unlabelled one, validate, report.

The names below are for scripts and notebooks; docs/python.md has an example of each. Each is imported when it is first
used, so that `import xmed` itself loads no other package.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
