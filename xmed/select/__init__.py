"""Select: which checkpoint, which method, and whether to adapt at all, without a single target label."""

from xmed.select.checkpoint import RULE, Evidence, choose, judge
from xmed.select.findings import VALIDATORS, Bench, Findings
from xmed.select.oracle import oracle, regret, weighted_spearman
from xmed.select.ranking import SOURCE, decide, pick
from xmed.select.trivial import best, estimate, told, trivial

__all__ = [
    "RULE", "SOURCE", "VALIDATORS", "Bench", "Evidence", "Findings", "best", "choose", "decide", "estimate", "judge",
    "oracle", "pick", "regret", "told", "trivial", "weighted_spearman",
]  # fmt: skip
