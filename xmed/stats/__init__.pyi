from .conformal import (
    Conformal as Conformal,
    EstimateCard as EstimateCard,
    conformal_interval as conformal_interval,
    estimate_card as estimate_card,
)
from .coverage import (
    FailureDetection as FailureDetection,
    OperatingPoint as OperatingPoint,
    RiskCoverage as RiskCoverage,
    failure_detection as failure_detection,
    operating_point as operating_point,
    risk_coverage_curve as risk_coverage_curve,
)
from .gap import gap_closed_interval as gap_closed_interval
from .interval import (
    RESAMPLES as RESAMPLES,
    T_BELOW as T_BELOW,
    Interval as Interval,
    Median as Median,
    bootstrap_ci as bootstrap_ci,
    mean_ci as mean_ci,
    median_ci as median_ci,
    t_ci as t_ci,
)
from .joint import (
    LABELLINGS as LABELLINGS,
    GroupShift as GroupShift,
    JointShift as JointShift,
    joint_shift as joint_shift,
    smallest_p as smallest_p,
)
from .noninferiority import (
    NonInferiorityResult as NonInferiorityResult,
    assess_noninferiority as assess_noninferiority,
    margin_from_raters as margin_from_raters,
    planned_n as planned_n,
)
from .paired import (
    EXACT_UP_TO as EXACT_UP_TO,
    Paired as Paired,
    Sensitivity as Sensitivity,
    compare_paired as compare_paired,
    paired_sensitivity as paired_sensitivity,
)
from .patients import (
    Defined as Defined,
    count_defined as count_defined,
    macro_mean as macro_mean,
    mean_by_patient as mean_by_patient,
    seeds_and_patients as seeds_and_patients,
)
from .proportion import (
    Proportion as Proportion,
    clopper_pearson as clopper_pearson,
    proportion_interval as proportion_interval,
)
from .rank_intervals import (
    RankInterval as RankInterval,
    bootstrap_ranks as bootstrap_ranks,
    kendall_tau as kendall_tau,
    mean_ranks as mean_ranks,
)
from .subgroup_tests import (
    Level as Level,
    Subgroups as Subgroups,
    compare_subgroups as compare_subgroups,
    tertiles as tertiles,
)
from .two_samples import (
    ComponentShift as ComponentShift,
    MmdTest as MmdTest,
    Shift as Shift,
    chi2_test as chi2_test,
    holm_adjusted as holm_adjusted,
    ks_component_tests as ks_component_tests,
    ks_test as ks_test,
    mmd_test as mmd_test,
    psi as psi,
    psi_of_values as psi_of_values,
)
from .volume_agreement import (
    BlandAltman as BlandAltman,
    Limit as Limit,
    RatioLimits as RatioLimits,
    bland_altman as bland_altman,
    ccc as ccc,
    icc_a1 as icc_a1,
)
