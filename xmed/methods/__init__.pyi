from .facts import facts as facts
from .lookup import (
    check_hyperparameters as check_hyperparameters,
    find as find,
    hyperparameters as hyperparameters,
    names as names,
    needs as needs,
    require_known as require_known,
)
from .method import Domains as Domains, Method as Method, Schedule as Schedule
from .without_training import BASELINES as BASELINES, COMPOSITIONS as COMPOSITIONS
