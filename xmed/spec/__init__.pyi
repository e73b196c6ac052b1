from .archive_query import PacsSpec as PacsSpec
from .dataset import (
    SPLITS as SPLITS,
    DatasetSpec as DatasetSpec,
    FileSpec as FileSpec,
    FractionSplits as FractionSplits,
    Layout as Layout,
    MapsSpec as MapsSpec,
    PhantomSpec as PhantomSpec,
    Split as Split,
    Splits as Splits,
    StructureSpec as StructureSpec,
)
from .find_specs import (
    load_dataset as load_dataset,
    load_protocol as load_protocol,
    load_study as load_study,
    read_spec as read_spec,
    spec_folders as spec_folders,
    spec_names as spec_names,
    study_text_path as study_text_path,
)
from .study import (
    NETWORKS as NETWORKS,
    Accept as Accept,
    Budget as Budget,
    GridSpec as GridSpec,
    MethodSpec as MethodSpec,
    NetworkSpec as NetworkSpec,
    NonInferiority as NonInferiority,
    Primary as Primary,
    Protocol as Protocol,
    Study as Study,
    TaskSpec as TaskSpec,
)
