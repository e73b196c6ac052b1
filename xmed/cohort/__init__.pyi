from .case import Case as Case, Cohort as Cohort, QuarantinedCase as QuarantinedCase
from .case_reader import ReadResult as ReadResult, ReadShards as ReadShards, Shard as Shard
from .ingest import GenerateData as GenerateData, ingest_cases as ingest_cases, load_cohort as load_cohort
from .leakage import find_leakage as find_leakage
from .source_files import find_image_files as find_image_files
from .summary import describe_cohort as describe_cohort, summarise_cohorts as summarise_cohorts
