"""Report: from an evaluated run to a page that a clinician can read, and to the document that the page shows."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
