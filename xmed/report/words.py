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
CRITERION_NAMES = {
    "gap_closed": "Gap closed",
    "dice": "Dice",
    "gain_over_trivial": "Gain over the best trivial baseline",
    "not_below_source_only": "Not below source only",
    "no_leakage": "No patient or image in training and test",
    "protocol_unchanged": "Protocol unchanged since it was fixed",
}
SECTIONS = (
    ("summary", "Summary", ""),
    (
        "results",
        "Results",
        "How to read: mean over the target's test patients with its 95 % interval beneath. The adapted row should "
        "stand close to the target-supervised ceiling and clear of both trivial baselines; a method that does not beat "
        "a threshold has learned nothing worth deploying.",
    ),
    (
        "patients",
        "Every patient",
        "How to read: each dot is a patient, each thin line joins the same patient across arms; the bar is the mean "
        "with its 95 % interval. Lines that rise towards “Adapted” are patients helped by adaptation; a line that "
        "falls is a patient harmed by it.",
    ),
    (
        "cases",
        "Every test case",
        "Worst case first. How to read: the prediction's line should cover the truth's. Where they part, one was left "
        "out or invented. All planes of a case have one scale and pass through the largest section of the truth.",
    ),
    (
        "training",
        "Training",
        "How to read: smoothed loss per step, one line per seed. Lines should settle and lie together; the dashed mark "
        "is the step that was kept. A loss that rises or seeds that part ways ask for another look.",
    ),
    (
        "selection",
        "Selection",
        "Which weights were kept, decided without a single target label. Each guard compares a label-free number with "
        "its limit.",
    ),
    ("data", "Data", "From what was found to what was tested; nothing disappears on the way without a reason."),
    ("leakage", "Leakage", "Looked for by patient identity and by the digest of the voxels themselves."),
    ("methods", "Methods", "Text for a manuscript, free to use (CC0)."),
    (
        "conventions",
        "Definitions",
        "Libraries disagree by tens of millimetres on the same masks; this is what was computed here.",
    ),
    (
        "claim",
        "CLAIM 2024",
        "What the pipeline can vouch for, and what a person must write before a board sees this.",
    ),
    ("errors", "Errors", ""),
    ("provenance", "Provenance", "What it takes to make this report again."),
)
VERDICTS = {
    "pass": ("Pass", "Every criterion fixed before the test labels were read is met."),
    "fail": ("Fail", "At least one criterion fixed before the test labels were read is not met."),
    "inconclusive": ("Inconclusive", "At least one criterion cannot be judged: a number it needs is not defined."),
}


def headline(report: dict[str, Any]) -> str:
    """One sentence with the primary structure's numbers, and what is missing where something is."""
    structure = report["protocol"]["protocol"]["primary"]["structure"]
    method, target = report["model"]["method"], report["data"]["target"]["modality"]
    cell = {arm: report["summary"][arm].get(structure, {}).get("dice", {}) for arm in ARM_NAMES}
    adapted, source = cell["adapted"].get("mean"), cell["source_only"].get("mean")
    if adapted is None:
        return f"No adapted prediction of {structure} could be judged on {target}."
    n = cell["adapted"]["n"]
    who = f"On {n} {target} test patient{'s' * (n != 1)} unseen in training"
    text = f"{who}, {method} segmented {structure} with a mean Dice of {adapted:.2f}"
    if source is not None:
        text += f", against {source:.2f} without adaptation"
    if cell["target_supervised"].get("mean") is not None:
        text += f" and {cell['target_supervised']['mean']:.2f} with target labels"
    gain = report["intervals"]["gain_over_trivial"][structure]
    if gain["value"] is not None:
        side = "above" if gain["value"] >= 0 else "below"
        text += f". That is {abs(gain['value']):.2f} {side} the best baseline that learns nothing"
    failed = cell["adapted"]["n_failed"]
    return text + (f"; {failed} of {cell['adapted']['n_cases']} cases failed." if failed else "; no case failed.")


def promotion(report: dict[str, Any]) -> str:
    """Whether the adapted model may become a candidate, and why, in one sentence."""
    found = report["selection"]
    start = "Promoted" if found["promoted"] else "Not promoted, and registered without the alias “candidate”"
    return f"{start}, decided before any test label was read: {found['reason']}."


def methods(report: dict[str, Any]) -> list[str]:
    """Paragraphs of boilerplate, from the files alone."""
    study, data, model = report["study"], report["data"], report["model"]
    source, target = data["source"], data["target"]
    split = {side: data["flow"][side] for side in ("source", "target")}
    edges, unit = (study["grid"]["fit"], "voxels") if study["grid"].get("fit") else (study["grid"]["spacing_mm"], "mm")
    grid = " × ".join(f"{edge:g}" for edge in edges) + f" {unit}"
    patch = " × ".join(str(n) for n in study["grid"]["patch"])
    cited = f" ({model['cite']})" if model["cite"] else ""
    seeds = len({one["seed"] for one in report["training"]})
    tolerance = report["metrics_conventions"]["nsd_tolerance_mm"]
    surface = (
        f", and normalised surface Dice at {tolerance:g} mm"
        if report["metrics_conventions"]["spacing_credible"]
        else ""
    )
    return [
        f"A network was trained on {split['source']['train']} labelled {source['modality']} cases ({source['name']}) "
        f"and adapted to {split['target']['train']} unlabelled {target['modality']} cases ({target['name']}) with the "
        f"method “{model['method']}”{cited}. Volumes were resampled to {grid} and "
        f"their intensities normalised; patches were {patch} voxels. Weights were initialised at random, without "
        f"pretraining; {seeds} seed{'s were' if seeds != 1 else ' was'} trained, without ensembling.",
        f"The weights were selected without target labels. Predictions were made by sliding window, resampled to the "
        f"scanner's own grid, and judged there on {split['target']['test']} test cases with Dice{surface}. The primary "
        f"endpoint and the acceptance criteria were fixed and hashed before any test label was read. Intervals are "
        f"over patients; the adapted and the source-only model were compared by a sign-flip permutation test with "
        f"Holm's correction over structures.",
    ]
