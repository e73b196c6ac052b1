"""Cohort: a dataset's cases as ingest left them: whole, split by patient, content-addressed."""

from xmed.cohort.case import Case, Cohort, Refusal
from xmed.cohort.case_reader import Piece, Spread, Verdict
from xmed.cohort.ingest import Generate, ingest, load
from xmed.cohort.leakage import leakage
from xmed.cohort.source_files import image_files
from xmed.cohort.summary import described, summary
from xmed.files.progress import Progress

__all__ = [
    "Case", "Cohort", "Generate", "Piece", "Progress", "Refusal", "Spread", "Verdict", "described", "image_files",
    "ingest", "leakage", "load", "summary",
]  # fmt: skip
