"""Select: which checkpoint, which method, and whether to adapt at all, without a single target label."""

from xmed.select.checkpoint import RULE, Evidence, choose, judge
from xmed.select.findings import VALIDATORS, Bench, Findings
from xmed.select.oracle import oracle, regret, weighted_spearman
from xmed.select.ranking import SOURCE, decide, pick

__all__ = [
    "RULE", "SOURCE", "VALIDATORS", "Bench", "Evidence", "Findings", "choose", "decide", "judge", "oracle", "pick",
    "regret", "weighted_spearman",
]  # fmt: skip
