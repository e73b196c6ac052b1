"""Cohort: a dataset's cases as ingest left them: whole, split by patient, content-addressed."""

from xmed.cohort.case import Case, Cohort, Refusal
from xmed.cohort.ingest import Generate, Progress, ingest, load
from xmed.cohort.summary import summary

__all__ = ["Case", "Cohort", "Generate", "Progress", "Refusal", "ingest", "load", "summary"]
