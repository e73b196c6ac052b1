"""Select: which checkpoint, which method, and whether to adapt at all, without a single target label."""

from xmed.select.rank_models import SOURCE, decide, pick
from xmed.select.regret import oracle, regret, weighted_spearman
from xmed.select.select_checkpoint import RULE, Evidence, Verdict, choose, judge
from xmed.select.trivial_estimates import best, estimate, told, trivial
from xmed.select.unlabelled_measures import VALIDATORS, Bench, Findings

__all__ = [
    "RULE", "SOURCE", "VALIDATORS", "Bench", "Evidence", "Findings", "Verdict", "best", "choose", "decide", "estimate",
    "judge", "oracle", "pick", "regret", "told", "trivial", "weighted_spearman",
]  # fmt: skip
