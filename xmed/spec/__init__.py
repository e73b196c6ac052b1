"""Spec: the YAML files that say what exists (datasets) and what to do with it (studies)."""

from xmed.spec.archive_query import PacsSpec
from xmed.spec.dataset import (
    SPLITS,
    DatasetSpec,
    FileSpec,
    FractionSplits,
    Layout,
    MapsSpec,
    PhantomSpec,
    Split,
    Splits,
    StructureSpec,
)  # fmt: skip
from xmed.spec.find_specs import (
    load_dataset,
    load_protocol,
    load_study,
    names,
    read_yaml,
    spec_folders,
    text_beside,
)
from xmed.spec.study import (
    NETWORKS,
    Accept,
    Budget,
    GridSpec,
    MethodSpec,
    NetworkSpec,
    NonInferiority,
    Primary,
    Protocol,
    Study,
    TaskSpec,
)  # fmt: skip

__all__ = [
    "NETWORKS", "SPLITS", "Accept", "Budget", "DatasetSpec", "FileSpec", "FractionSplits", "GridSpec", "Layout",
    "MapsSpec", "MethodSpec", "NetworkSpec", "NonInferiority", "PacsSpec", "PhantomSpec", "Primary", "Protocol",
    "Split", "Splits", "StructureSpec", "Study", "TaskSpec", "load_dataset", "load_protocol", "load_study", "names",
    "read_yaml", "spec_folders", "text_beside",
]  # fmt: skip
