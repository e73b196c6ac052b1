"""Display names: what the pages and cards call the arms, metrics, image attributes and verdicts of a document."""

from __future__ import annotations

ARM_NAMES = {
    "trivial_threshold": "Threshold",
    "trivial_position": "Mean position",
    "source_only": "Source only",
    "adapted": "Adapted",
    "target_supervised": "Target-supervised",
}
METRIC_NAMES = {
    "dice": "Dice",
    "nsd": "NSD",
    "hd95_mm": "HD95 mm",
    "assd_mm": "ASSD mm",
    "volume_error_ml": "Volume error ml",
}
SEX_NAMES = {"M": "male", "F": "female", "O": "other"}
"""Values of Patient's Sex, (0010,0040), PS3.3 C.7.1.1."""
ATTRIBUTE_NAMES = {"age_band": "age", "vendor": "manufacturer", "field_t": "field strength"}
"""Attributes of an image header whose usual name is not their key."""
MEASUREMENT_NAMES = {"confidence": "Confidence", "volume_ml": "Volume", "image": "Image", "spacing_mm": "Voxel edge"}
STATISTIC_NAMES = {
    "sd": "standard deviation",
    "p05": "5th percentile",
    "p50": "median",
    "p95": "95th percentile",
    "max": "largest",
}
VERDICTS = {
    "pass": ("Pass", "Every criterion fixed before the test labels were read is met."),
    "fail": ("Fail", "At least one criterion fixed before the test labels were read is not met."),
    "inconclusive": ("Inconclusive", "At least one criterion cannot be judged, or the test set cannot judge at all."),
}
"""verdict -> (name, meaning)."""
INTERVAL_METHODS = {"t": "t-interval", "BCa bootstrap": "BCa bootstrap"}


def metric_name_and_unit(key: str) -> tuple[str, str]:
    """Return a metric's display name, and its unit with a space before it.

    For example, `hd95_mm` gives `("HD95", " mm")` and `dice` gives `("Dice", "")`.

    Args:
        key: Key of the metric.

    Returns:
        (name, unit); the unit is empty where the metric has none.
    """
    unit = key.rpartition("_")[2] if key.endswith(("_mm", "_ml")) else ""
    name = METRIC_NAMES.get(key, key.removesuffix(f"_{unit}").replace("_", " "))
    return name.removesuffix(f" {unit}"), f" {unit}" if unit else ""


def attribute_name(attribute: str) -> str:
    """Return the display name of an image header's attribute.

    Args:
        attribute: Key of the attribute, as data.json has it.

    Returns:
        The name for readers.
    """
    return ATTRIBUTE_NAMES.get(attribute, attribute.replace("_", " "))


def attribute_value(attribute: str, value: str) -> str:
    """Return the display text of an attribute's value: F is female, 60-69 is 60–69 years, 3 of field_t is at 3 T.

    Args:
        attribute: Key of the attribute.
        value: Its value, as data.json has it.

    Returns:
        The text for readers.
    """
    if attribute == "sex":
        return SEX_NAMES.get(value, value)
    if attribute == "age_band":
        return f"{value.replace('-', '–')} years"
    return f"at {value} T" if attribute == "field_t" else value


def measurement_name(key: str) -> str:
    """Return the display name of a reference distribution: `volume_ml.prostate` is Volume, prostate.

    Args:
        key: Key of the distribution: kind, a dot, and structure or statistic.

    Returns:
        The name for readers.
    """
    kind, _, part = key.partition(".")
    kind_name = MEASUREMENT_NAMES.get(kind, kind.replace("_", " "))
    part_name = STATISTIC_NAMES.get(part, part.replace("_", " "))
    return ", ".join(filter(None, (kind_name, part_name)))
