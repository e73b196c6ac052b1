"""Select: chooses checkpoints and methods, and whether to adapt at all, without target labels."""

from xmed.select.rank_models import SOURCE, decide, pick
from xmed.select.regret import oracle, regret, weighted_spearman
from xmed.select.select_checkpoint import RULE, Evidence, choose, judge
from xmed.select.trivial_estimates import best, estimate, told, trivial
from xmed.select.unlabelled_measures import VALIDATORS, Bench, Findings

__all__ = [
    "RULE", "SOURCE", "VALIDATORS", "Bench", "Evidence", "Findings", "best", "choose", "decide", "estimate", "judge",
    "oracle", "pick", "regret", "told", "trivial", "weighted_spearman",
]  # fmt: skip
