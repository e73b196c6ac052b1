"""Choose a checkpoint, a method, and whether to adapt at all, without target labels."""

from xmed.select.rank_models import SOURCE, rank_models, select_model
from xmed.select.regret import oracle, regret, weighted_spearman
from xmed.select.select_checkpoint import RULE, Evidence, Verdict, measure_candidate, select_checkpoint
from xmed.select.trivial_estimates import best_baseline, estimate, estimate_baselines, reason_for_baseline
from xmed.select.unlabelled_measures import VALIDATORS, CandidateInputs, Findings

__all__ = [
    "RULE",
    "SOURCE",
    "VALIDATORS",
    "CandidateInputs",
    "Evidence",
    "Findings",
    "Verdict",
    "best_baseline",
    "estimate",
    "estimate_baselines",
    "measure_candidate",
    "oracle", "rank_models",
    "reason_for_baseline",
    "regret",
    "select_checkpoint",
    "select_model",
    "weighted_spearman",
]  # fmt: skip
