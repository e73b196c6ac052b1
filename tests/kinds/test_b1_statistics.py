"""B1: every statistic gives a number, or null with a reason, of however few and however strange values; and right ones."""

import dataclasses
import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from scipy import stats as reference

from xmed import stats
from xmed.metrics import Calibration, measure_calibration, measure_structure, soft_dice_confidence

SHAPES = {
    "nothing": lambda n: [0.0] * n,
    "constant": lambda n: [0.7] * n,
    "constant but for rounding": lambda n: [0.1 + 0.2] * (n - 1) + [0.3] * (n > 0),
    "nearly constant": lambda n: [0.5 + (k % 2) * 1.2e-16 for k in range(n)],
    "rising": lambda n: [0.1 * k for k in range(n)],
    "falling": lambda n: [0.1 * (n - k) for k in range(n)],
    "ties": lambda n: [float(k % 2) for k in range(n)],
    "two by two": lambda n: [float((k // 2) % 2) for k in range(n)],
    "all but one nothing": lambda n: [0.0] * (n - 1) + [0.9] * (n > 0),
    "near one": lambda n: [1 - 1e-13 * k for k in range(n)],
    "of every size": lambda n: [10.0 ** (3 * k - 6) for k in range(n)],
    "far from zero": lambda n: [1e9 + 1e-7 * k for k in range(n)],
    "huge": lambda n: [1e200 * (k + 1) for k in range(n)],
    "tiny": lambda n: [1e-200 * (k + 1) for k in range(n)],
    "the smallest": lambda n: [5e-324 * k for k in range(n)],
}
TWO = {
    "bland_altman": stats.bland_altman,
    "ccc": stats.ccc,
    "icc_a1": stats.icc_a1,
    "paired": stats.compare_paired,
    "sensitivity": stats.paired_sensitivity,
    "noninferiority": lambda a, b: stats.assess_noninferiority(a, b, 0.05, "raters"),
    "gap_closed": lambda a, b: stats.gap_closed_interval(a, b, [0.9 for _ in a]),
    "risk_coverage": stats.risk_coverage_curve,
    "operating_point": lambda a, b: stats.operating_point(a, [one < 0.5 for one in b]),
    "failure_detection": lambda a, b: stats.failure_detection(a, b, 0.5),
    "estimate_card": lambda a, b: stats.estimate_card("a method", "a cohort", a, a, b),
    "ks": stats.ks_test,
    "psi_of": stats.psi_of_values,
    "agreement": stats.kendall_tau,
    "ranks": lambda a, b: stats.bootstrap_ranks([a, b]),
    "mean_ranks": lambda a, b: stats.mean_ranks([a, b]),
    "seeds_and_patients": lambda a, b: stats.seeds_and_patients(
        {(seed, f"p{k}"): one for seed, values in enumerate((a, b)) for k, one in enumerate(values)}
    ),
    "macro": lambda a, b: stats.macro_mean({"one": _named(a), "two": _named(b)}),
    "subgroups": lambda a, b: stats.compare_subgroups(
        _named([*a, *a, *b, *b]), {f"p{k}": "left" if k < 2 * len(a) else "right" for k in range(4 * len(a))}
    ),
}
ONE = {
    "mean_ci": stats.mean_ci,
    "t_ci": stats.t_ci,
    "bootstrap_ci": stats.bootstrap_ci,
    "median_ci": stats.median_ci,
    "defined": stats.count_defined,
    "conformal": stats.conformal_interval,
    "by_patient": lambda a: stats.mean_by_patient(a, ["p"] * len(a)),
    "tertiles": lambda a: stats.tertiles(_named(a)),
}
OF_TWO_SAMPLES = {
    "mmd2": lambda a, b: stats.mmd_test(np.array(a), np.array(b), permutations=19),
    "joint_shift": lambda a, b: stats.joint_shift(*({"one": np.array(side)[:, None]} for side in (a, b))),
    "ks_components": lambda a, b: stats.ks_component_tests(*(np.stack([side, side[::-1]], 1) for side in (a, b))),
}


def _named(values):
    return {f"p{k}": one for k, one in enumerate(values)}


def numbers(found, at=""):
    """Every number below a result, with where it stands."""
    if dataclasses.is_dataclass(found):
        for one in dataclasses.fields(found):
            yield from numbers(getattr(found, one.name), f"{at}.{one.name}")
    elif isinstance(found, dict):
        for key, one in found.items():
            yield from numbers(one, f"{at}.{key}")
    elif isinstance(found, list | tuple):
        for k, one in enumerate(found):
            yield from numbers(one, f"{at}[{k}]")
    elif isinstance(found, float | np.floating):
        yield at, float(found)


def unexplained(found, at=""):
    """Intervals without a number, or without limits, that do not say why."""
    if isinstance(found, stats.Interval | stats.Median):
        if None in (found.value, found.lo, found.hi) and not found.degenerate:
            yield at
    elif dataclasses.is_dataclass(found):
        for one in dataclasses.fields(found):
            yield from unexplained(getattr(found, one.name), f"{at}.{one.name}")


def sound(found):
    assert [(at, one) for at, one in numbers(found) if not math.isfinite(one)] == []
    assert list(unexplained(found)) == []
    if isinstance(found, stats.Interval) and found.lo is not None:
        slack = 1e-12 * max(abs(found.lo), abs(found.hi))
        assert found.lo - slack <= found.mean <= found.hi + slack or "bootstrap" in found.method


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ONE)
def test_of_values_of_one_kind(name, shape):
    for n in range(6):
        sound(ONE[name](SHAPES[shape](n)))


PAIRS = [*((one, "rising") for one in SHAPES), ("rising", "falling"), ("falling", "rising"), ("ties", "two by two"),
         ("constant but for rounding", "nearly constant"), ("nothing", "the smallest"), ("nothing", "tiny"),
         ("huge", "nothing"), ("huge", "huge"), ("constant", "constant")]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS, ids=" & ".join)
@pytest.mark.parametrize("name", TWO)
def test_of_two_measurements_of_the_same_patients(name, pair):
    for n in range(5):
        sound(TWO[name](*(SHAPES[one](n) for one in pair)))


@pytest.mark.parametrize("pair", PAIRS, ids=" & ".join)
@pytest.mark.parametrize("name", OF_TWO_SAMPLES)
def test_of_two_samples(name, pair):
    for n in (2, 3, 4):
        sound(OF_TWO_SAMPLES[name](*(SHAPES[one](n) for one in pair)))


ordinary = st.floats(-1e6, 1e6).map(lambda one: round(one, 3)) | st.sampled_from([0.0, 1.0, 0.5])
strange = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e250, max_value=1e250)
values = st.lists(st.tuples(ordinary, ordinary) | st.tuples(strange, strange), max_size=8)


@pytest.mark.parametrize("name", [*TWO, *ONE])
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(pairs=values)
def test_of_any_values(name, pairs):
    a, b = [one for one, _ in pairs], [two for _, two in pairs]
    sound(TWO[name](a, b) if name in TWO else ONE[name](a))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [*TWO, *ONE])
def test_what_is_no_number_is_refused_and_never_passed_on(name, bad):
    a, b = [0.1, bad, 0.5], [0.2, 0.3, bad]
    try:
        found = TWO[name](a, b) if name in TWO else ONE[name](a)
    except ValueError:
        return
    sound(found)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_p_values_stay_p_values(share):
    for n in range(5):
        found = stats.holm_adjusted([share] * n)
        assert all(0 <= one <= 1 for one in found)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_shares_of_so_few(n):
    for events in range(n + 1):
        found = stats.proportion_interval(events, n)
        assert all(math.isfinite(one) for _, one in numbers(found))
        low, high = (0.0, 1.0) if n == 0 else _clopper(events, n)
        assert (found.lo, found.hi) == (pytest.approx(low), pytest.approx(high))


def _clopper(k, n):
    return (
        reference.beta.ppf(0.025, k, n - k + 1) if k else 0.0,
        reference.beta.ppf(0.975, k + 1, n - k) if k < n else 1.0,
    )


def test_no_category_and_one_category():
    for old, new in (([], []), (["a"], []), (["a"], ["a"]), (["a"], ["b"]), (["a", "b"], ["a", "b", "c"])):
        found = stats.chi2_test(old, new)
        assert all(math.isfinite(one) for _, one in numbers(found))
        assert found.statistic is not None or found.note


def test_raters_that_are_not_there_give_no_margin():
    with pytest.raises(ValueError, match="rater"):
        stats.margin_from_raters([])
    assert stats.margin_from_raters([1.0]) == 0.0


# --- and right values


def by_hand(pairs):
    """ICC(A,1) from the two-way table in exact fractions (McGraw & Wong 1996, table 4, case 2A)."""
    n, k = len(pairs), 2
    table = [[Fraction(str(one)) for one in row] for row in pairs]
    grand = sum(map(sum, table)) / (n * k)
    rows, columns = [sum(row) / k for row in table], [sum(column) / n for column in zip(*table)]
    msr = k * sum((one - grand) ** 2 for one in rows) / (n - 1)
    msc = n * sum((one - grand) ** 2 for one in columns) / (k - 1)
    rest = sum((table[i][j] - rows[i] - columns[j] + grand) ** 2 for i in range(n) for j in range(k))
    mse = rest / ((n - 1) * (k - 1))
    below = msr + (k - 1) * mse + Fraction(k) * (msc - mse) / n
    return None if below == 0 else float((msr - mse) / below)


@pytest.mark.parametrize(
    "pairs",
    [
        [(10, 11), (20, 19), (30, 33)],
        [(10, 30), (20, 20), (30, 10)],  # a weak model: large where the truth is small; every mean the same
        [(1, 3), (2, 2), (3, 1), (2, 2)],
        [(0, 1), (1, 0)],  # two patients, exchanged: nothing to divide by
        [(5, 7), (6, 8), (9, 11)],  # a constant shift
        [(5, 5), (5, 7), (5, 9)],
        [(0, 3), (0, 3), (0, 3)],
        [(12.5, 11.1), (14.0, 17.2), (9.9, 10.0), (22.3, 20.5)],
    ],
)
def test_icc_is_that_of_the_table_worked_by_hand(pairs):
    found, expected = stats.icc_a1(*zip(*pairs)), by_hand(pairs)
    sound(found)
    assert found.mean == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_limits_of_agreement_are_those_that_bland_and_altman_published():
    """Peak flow of 17 people by two meters, Lancet 1986: −2.1 l/min, limits −79.7 and 75.5; −114.3 to −45.1, 40.9 to 110.1."""
    wright = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
    mini = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
    found = stats.bland_altman(wright, mini)
    assert (round(found.bias.mean, 1), round(found.sd, 1)) == (-2.1, 38.8)
    # they took 2 standard deviations and rounded on the way
    assert (found.lower.value, found.upper.value) == (pytest.approx(-79.7, abs=2), pytest.approx(75.5, abs=2))
    assert (found.lower.lo, found.lower.hi) == (pytest.approx(-114.3, abs=3), pytest.approx(-45.1, abs=3))
    assert (found.bias.lo, found.bias.hi) == (pytest.approx(-22.0, abs=0.2), pytest.approx(17.8, abs=0.2))


@pytest.mark.parametrize("scale", [1.0, 1e-150, 1e150, -3.0])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_intervals_are_those_of_scipy_at_any_scale(n, scale):
    x = np.array([0.62, 0.71, 0.55, 0.9][:n])
    found = stats.mean_ci((x * scale).tolist())
    low, high = sorted(end * scale for end in reference.t.interval(0.95, n - 1, x.mean(), reference.sem(x)))
    assert found.mean == pytest.approx(x.mean() * scale)
    assert (found.lo, found.hi) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize("scale", [1.0, 1e-150, 1e150])
def test_agreement_does_not_hang_on_the_unit(scale):
    x, y = [11.0, 19, 33, 44, 56], [10.0, 20, 30, 40, 50]
    here, there = stats.bland_altman(x, y), stats.bland_altman([scale * v for v in x], [scale * v for v in y])
    for one in ("ccc", "icc", "slope"):
        assert getattr(there, one).mean == pytest.approx(getattr(here, one).mean)
        assert getattr(there, one).lo == pytest.approx(getattr(here, one).lo)
    assert there.bias.mean == pytest.approx(scale * here.bias.mean)
    assert there.upper.value == pytest.approx(scale * here.upper.value)
    assert there.pearson == pytest.approx(reference.pearsonr(x, y).statistic)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2, 3], [1, 2, 3], 1.0),
        ([1, 2, 3], [2, 2, 2], 0.0),
        ([2, 2, 2], [5, 5, 5], None),
    ],
)
def test_concordance_in_the_corners(x, y, expected):
    """Lin 1989: −1 for a mirror, 1 for the same, 0 where one is constant, not defined where both are."""
    assert stats.ccc(x, y).mean == (None if expected is None else pytest.approx(expected))


# --- metrics that feed the document


def test_calibration_of_certainties_and_of_nothing():
    box = np.zeros((6, 6, 6), bool)
    box[2:4, 2:4, 2:4] = True
    for p in (0.0, 1.0, 0.5):
        for truth in (box, ~box, np.zeros_like(box)):
            found = measure_calibration(np.full(box.shape, p, np.float32), box, truth, (1.0, 1.0, 1.0))
            for one in (found.ece(), found.ace(), found.brier(), found.nll()):
                assert one is None or math.isfinite(one)
    nothing = Calibration()
    assert [nothing.ece(), nothing.ace(), nothing.brier(), nothing.nll()] == [None] * 4


@pytest.mark.parametrize("prediction", ["nothing", "a voxel", "everything"])
@pytest.mark.parametrize("truth", ["nothing", "a voxel", "everything"])
def test_measures_of_masks_that_are_hardly_there(prediction, truth):
    masks = {name: np.zeros((5, 5, 3), bool) for name in ("nothing", "a voxel", "everything")}
    masks["a voxel"][2, 2, 1] = True
    masks["everything"][:] = True
    found = measure_structure(masks[prediction], masks[truth], (1.0, 1.0, 3.0), 2.0)
    assert [(at, one) for at, one in numbers(found) if not math.isfinite(one)] == []
    score = soft_dice_confidence(masks[prediction].astype(np.float32), masks[prediction])
    assert score is None or math.isfinite(score)
