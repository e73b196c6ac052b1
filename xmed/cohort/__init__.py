"""Cohort: the cases of a dataset after ingest: readable, split by patient, stored by content; others in quarantine."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
