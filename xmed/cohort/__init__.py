"""Cohort: the cases of a dataset after ingest: readable, split by patient, stored by content; others in quarantine."""

from xmed.cohort.case import Case, Cohort, QuarantinedCase
from xmed.cohort.case_reader import ReadResult, ReadShards, Shard
from xmed.cohort.ingest import GenerateData, ingest_cases, load_cohort
from xmed.cohort.leakage import find_leakage
from xmed.cohort.source_files import find_image_files
from xmed.cohort.summary import describe_cohort, summarise_cohorts
from xmed.files.progress import Progress

__all__ = [
    "Case",
    "Cohort",
    "GenerateData",
    "Progress",
    "QuarantinedCase",
    "ReadResult",
    "ReadShards",
    "Shard",
    "describe_cohort",
    "find_image_files",
    "find_leakage",
    "ingest_cases",
    "load_cohort",
    "summarise_cohorts",
]  # fmt: skip
