from .mirroring import measure_mirroring as measure_mirroring
from .rank_models import SOURCE as SOURCE, rank_models as rank_models, select_model as select_model
from .regret import oracle as oracle, regret as regret, weighted_spearman as weighted_spearman
from .select_checkpoint import (
    RULE as RULE,
    Evidence as Evidence,
    Verdict as Verdict,
    measure_candidate as measure_candidate,
    select_checkpoint as select_checkpoint,
    volumes_to_measure as volumes_to_measure,
)
from .trivial_estimates import (
    best_baseline as best_baseline,
    estimate as estimate,
    estimate_baselines as estimate_baselines,
    reason_for_baseline as reason_for_baseline,
)
from .unlabelled_measures import VALIDATORS as VALIDATORS, CandidateInputs as CandidateInputs, Findings as Findings
