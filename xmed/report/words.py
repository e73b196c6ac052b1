"""Words: what the report says in sentences; the order and captions of its sections are data here."""

from __future__ import annotations

from typing import Any

ARM_NAMES = {
    "trivial_threshold": "Threshold",
    "trivial_position": "Mean position",
    "source_only": "Source only",
    "adapted": "Adapted",
    "target_supervised": "Target-supervised",
}
ARM_NOTES = {
    "trivial_threshold": "no learning: intensity threshold and largest piece",
    "trivial_position": "no learning: the mean source mask placed in the field of view",
    "source_only": "trained on the labelled source, used as it is",
    "adapted": "this model: source labels, unlabelled target",
    "target_supervised": "the ceiling: trained with target labels, not deployable",
}
METRIC_NAMES = {
    "dice": "Dice",
    "nsd": "NSD",
    "hd95_mm": "HD95 mm",
    "assd_mm": "ASSD mm",
    "volume_error_ml": "Volume error ml",
}
SEXES = {"M": "male", "F": "female", "O": "other"}
"""What (0010,0040) of a header says, PS3.3 C.7.1.1."""
FACTS = {"age_band": "age", "vendor": "manufacturer", "field_t": "field strength"}
"""What a header says of patients and scanners, where people call it otherwise."""
VALIDATORS = {
    "consistency": "Dice between predictions of a volume and of the same otherwise lit or a little turned",
    "proxy": "Dice on labelled source in random appearance",
    "reverse": "Dice of predicted masks laid onto labelled source masks",
    "position": "Dice with where labelled source cases have the structure in their field of view",
    "information": "confidence, held against how common each structure is",
}
CRITERION_NAMES = {
    "gap_closed": "Gap closed",
    "dice": "Dice",
    "gain_over_trivial": "Gain over the best trivial baseline",
    "not_below_source_only": "Not below source only",
    "not_all_failed": "Not every case failed",
    "patients": "More than one patient",
    "reference": "A test patient who has it",
    "ceiling": "Target labels do better than the best trivial baseline",
    "no_leakage": "No patient or image in training and test",
    "protocol_unchanged": "Protocol unchanged since it was fixed",
}
SECTIONS = (
    ("summary", "Summary", ""),
    (
        "intended",
        "Intended use and limits",
        "What the model is for and where it must not be used. Better is a use that names people, patients and "
        "task. Where it says not provided, a person has to write it before a board reads on.",
    ),
    (
        "data",
        "Data",
        "From what was received to what was tested: nothing disappears on the way without a reason. Better is "
        "an empty quarantine, and partitions that look alike. Where they differ, read the subgroups before "
        "the means.",
    ),
    (
        "leakage",
        "Leakage",
        "Whatever stands both where something was learned or chosen and in the test makes the test worthless. "
        "Looked for by identity, by identifiers, by the voxels themselves and by likeness. Every line must "
        "say none; a line that could not be checked says why.",
    ),
    (
        "reference",
        "Reference standard",
        "Against what the model was judged. No method can be shown to be better than the people it is "
        "compared with agree among themselves: without a second rater, that ceiling is unknown.",
    ),
    (
        "model",
        "Model and adaptation",
        "What was trained, from what, and how its weights were chosen without a single target label. Loss "
        "curves should settle, and those of several seeds lie together; the dashed mark is the step that was "
        "kept. A loss that rises or seeds that part ways ask for another look.",
    ),
    (
        "results",
        "Primary results",
        "Means over the target's test patients, with 95 % intervals over patients beneath. The adapted row "
        "should stand close to the target-supervised ceiling and clear of both trivial baselines: a method "
        "that does not beat a threshold has learned nothing worth deploying.",
    ),
    (
        "statistics",
        "Statistics",
        "Effects with their intervals come first, p-values after. Three ways to the same interval should "
        "agree; where they do not, trust the widest. Not significant does not mean equal: only the margin "
        "answers that.",
    ),
    (
        "volume",
        "Volume agreement",
        "Each dot is a patient: predicted minus reference volume, over their mean. Better is a bias near zero "
        "and narrow limits of agreement. Dots that fan out or slope say that the error grows with size; then "
        "read the ratio.",
    ),
    (
        "calibration",
        "Calibration",
        "Of the voxels to which the model gives a probability, how many belong to the structure? Better is "
        "close to the diagonal. Below it the model is too sure of itself, and its confidence needs correcting "
        "before anyone acts on it.",
    ),
    (
        "risk",
        "Risk and coverage",
        "If the least confident cases go to a person, how good is the rest? Better is a line that starts low "
        "and rises only at the right: then confidence finds the failures. A flat line means that confidence "
        "says nothing.",
    ),
    (
        "subgroups",
        "Subgroups and fairness",
        "Mean Dice of each group of patients with its interval; the upright line is the mean of all. Better "
        "is every interval over the line. A group whose interval ends before it needs its own look, whatever "
        "the overall mean. Groups of fewer than 3 patients are not shown, of fewer than 5 not judged.",
    ),
    (
        "robustness",
        "Robustness",
        "The same test volumes, made worse in steps. Better is a line that stays level. Where it falls, do "
        "not use the model on such images without checking.",
    ),
    (
        "failures",
        "Failure analysis",
        "Worst case first. The prediction's line should cover the truth's; where they part, something was "
        "left out or invented. All planes of a case have one scale and pass through the primary structure "
        "where it is largest. Causes are decided from numbers by the rules below, not by eye.",
    ),
    (
        "monitoring",
        "Deployment monitoring",
        "What the model met here, to compare with what it meets later: every value, the middle half and the "
        "5th to 95th percentile. New data should lie inside. When a rule below is broken, stop and validate "
        "again.",
    ),
    (
        "previous",
        "Comparison with the previous version",
        "What changed since the version that is registered now, and what that did to each patient. Better is "
        "more wins than losses and no regression. A regression is a patient who would have been better off "
        "before.",
    ),
    (
        "claim",
        "CLAIM 2024 checklist",
        "What the pipeline can vouch for, and what a person must write. Not provided is a gap that is meant "
        "to be seen: a board-ready report has none.",
    ),
    (
        "methods",
        "Methods",
        "Text for a manuscript, free to use (CC0), with its references.",
    ),
    (
        "errors",
        "Errors and warnings",
        "Everything that went wrong or was put right on the way, by code.",
    ),
    (
        "reproducibility",
        "Reproducibility and provenance",
        "What it takes to make this report again, and to notice if anything in it was changed.",
    ),
    (
        "signoff",
        "Sign-off",
        "A report is evidence, not a decision. People decide, by name.",
    ),
)
MEASURES = {"confidence": "Confidence", "volume_ml": "Volume", "image": "Image", "spacing_mm": "Voxel edge"}
PARTS = {
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


def metric_of(key: str) -> tuple[str, str]:
    """A metric's name as people write it, and its unit with a blank before it: hd95_mm is HD95 and mm."""
    unit = key.rpartition("_")[2] if key.endswith(("_mm", "_ml")) else ""
    name = METRIC_NAMES.get(key, key.removesuffix(f"_{unit}").replace("_", " "))
    return name.removesuffix(f" {unit}"), f" {unit}" if unit else ""


def fact(name: str) -> str:
    """A header's fact by its name in words."""
    return FACTS.get(name, name.replace("_", " "))


def level(of: str, value: str) -> str:
    """One level of such a fact in words: F is female, 60-69 is 60–69 years, 3 of field_t is at 3 T."""
    if of == "sex":
        return SEXES.get(value, value)
    if of == "age_band":
        return f"{value.replace('-', '–')} years"
    return f"at {value} T" if of == "field_t" else value


def measure(name: str) -> str:
    """A reference distribution's name as people read it: volume_ml.prostate is Volume, prostate."""
    kind, _, part = name.partition(".")
    return ", ".join(
        filter(None, (MEASURES.get(kind, kind.replace("_", " ")), PARTS.get(part, part.replace("_", " "))))
    )


def promotion(report: dict[str, Any]) -> str:
    """Whether the adapted model may become a candidate, and why, in one sentence."""
    found = report["selection"]
    if found.get("registered") is False:
        return f"Nothing is registered, decided before any test label was read: {found['reason']}."
    start = "Promoted" if found["promoted"] else "Not promoted, and registered without the alias “candidate”"
    return f"{start}, decided before any test label was read: {found['reason']}."
