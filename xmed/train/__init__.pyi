from .arm_processes import (
    Job as Job,
    OnFailure as OnFailure,
    fit_all as fit_all,
    fit_single_threaded as fit_single_threaded,
    jobs as jobs,
    skipped_because as skipped_because,
)
from .arms import fit as fit
from .candidate_decision import promote as promote, reselect as reselect
from .checkpoint import Trained as Trained
from .loop import train as train
