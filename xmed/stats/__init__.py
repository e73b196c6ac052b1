"""Stats: intervals, tests and error measures over few patients.

The patient is the unit: slices, cases and seeds of one patient are averaged first, never counted as more evidence
(a bootstrap of slices gave intervals 4.7 times too narrow). Intervals are two-sided, of 95 % unless told otherwise. A
number that cannot be had is None with a reason, never NaN; NaN that comes in is refused.
"""

from xmed.stats.conformal import Conformal, EstimateCard, conformal, estimate_card
from xmed.stats.coverage import OperatingPoint, RiskCoverage, operating_point, risk_coverage
from xmed.stats.failure import FailureDetection, failure_detection
from xmed.stats.family import holm
from xmed.stats.gap import gap_closed
from xmed.stats.interval import RESAMPLES, T_BELOW, Interval, Median, bootstrap_ci, mean_ci, median_ci, t_ci
from xmed.stats.joint import LABELLINGS, GroupShift, JointShift, joint_shift, smallest_p
from xmed.stats.noninferiority import NonInferiority, margin_from_raters, noninferiority, planned_n
from xmed.stats.paired import EXACT_UP_TO, Paired, Sensitivity, paired, sensitivity
from xmed.stats.patients import Defined, by_patient, defined, macro, seeds_and_patients
from xmed.stats.proportion import Proportion, clopper_pearson, proportion
from xmed.stats.rank_intervals import Rank, agreement, mean_ranks, ranks
from xmed.stats.subgroup_tests import Level, Subgroups, subgroups, tertiles
from xmed.stats.two_samples import ComponentShift, Mmd, Shift, chi2, ks, ks_components, mmd2, psi, psi_of
from xmed.stats.volume_agreement import BlandAltman, Limit, RatioLimits, bland_altman, ccc, icc_a1

__all__ = [
    "EXACT_UP_TO",
    "LABELLINGS",
    "RESAMPLES",
    "T_BELOW",
    "BlandAltman",
    "ComponentShift",
    "Conformal",
    "Defined",
    "EstimateCard",
    "FailureDetection",
    "GroupShift",
    "Interval",
    "JointShift",
    "Level",
    "Limit",
    "Median",
    "Mmd",
    "NonInferiority",
    "OperatingPoint",
    "Paired",
    "Proportion",
    "Rank",
    "RatioLimits",
    "RiskCoverage",
    "Sensitivity",
    "Shift",
    "Subgroups",
    "agreement",
    "bland_altman",
    "bootstrap_ci",
    "by_patient",
    "ccc",
    "chi2",
    "clopper_pearson",
    "conformal",
    "defined",
    "estimate_card",
    "failure_detection",
    "gap_closed",
    "holm",
    "icc_a1",
    "joint_shift",
    "ks",
    "ks_components",
    "macro",
    "margin_from_raters",
    "mean_ci",
    "mean_ranks",
    "median_ci",
    "mmd2",
    "noninferiority",
    "operating_point",
    "paired",
    "planned_n",
    "proportion",
    "psi",
    "psi_of",
    "ranks",
    "risk_coverage",
    "seeds_and_patients",
    "sensitivity",
    "smallest_p",
    "subgroups",
    "t_ci",
    "tertiles",
]
