"""Section Model and adaptation: what was trained, from what, and how its weights were chosen without target labels."""

from __future__ import annotations

from typing import Any

from xmed.records.record import content
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sections.data.figure import flow_charts
from xmed.report.sections.model.figure import loss_curves
from xmed.report.sources import Sources
from xmed.run import Run

Document = dict[str, Any]
VALIDATOR_MEANINGS = {
    "consistency": "Dice between predictions of a volume and of the same otherwise lit or a little turned",
    "proxy": "Dice on labelled source in random appearance",
    "reverse": "Dice of predicted masks laid onto labelled source masks",
    "position": "Dice with where labelled source cases have the structure in their field of view",
    "information": "confidence, held against how common each structure is",
}


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return model, selection and training, from train.json of every arm and seed and from selection.json."""
    training = [
        {key: value for key, value in content(record).items() if key != "selection"} for record in sources.trained
    ]
    return {"model": _model(sources), "selection": _selection(sources), "training": training}


def _model(sources: Sources) -> Document:
    adapted = [record for record in sources.trained if record.arm == "adapted"]
    first: Document = content(adapted[0]) if adapted else {}
    study = sources.study
    return {
        "name": _external_name(sources.external) or study["register_as"],
        "method": study["method"]["name"],
        "hyperparameters": first.get("hyperparameters"),
        "cite": first.get("cite"),
        "weights_sha256": {str(record.seed): record.weights_sha256 for record in adapted},
        "parameters": first.get("parameters"),
        "network": adapted[0].network if adapted else study["network"],
    }


def _external_name(external: Document) -> str | None:
    """Name and version of a registered model that is validated on data of another study."""
    name, version = external.get("name"), external.get("version")
    return f"{name} version {version}" if name and version else name


def _selection(sources: Sources) -> Document:
    """How the deployed weights were chosen, and whether to adapt at all (selection.json, where there is one)."""
    arms = [{"arm": record.arm, "seed": record.seed, **content(record.selection)} for record in sources.trained]
    adapted, selection = [entry for entry in arms if entry["arm"] == "adapted"], sources.selection
    return {
        "rule": adapted[0]["rule"] if adapted else None,
        "used_target_labels": any(entry["used_target_labels"] for entry in adapted),
        "promoted": selection.get("promoted"),
        "reason": selection.get("reason"),
        **({"registered": selection["registered"]} if "registered" in selection else {}),
        "seeds": selection.get("seeds", {}),
        "arms": arms,
    }


def template_values(run: Run, report: Document) -> Document:
    """Loss curves, labelled cases of each dataset, and the guards and validators of the selection."""
    return {
        "flow_charts": flow_charts(report["data"]),
        "curves": loss_curves(run, report["training"], report["selection"]),
        "guards": _guards(report["selection"]),
        "promotion": _promotion(report["selection"]),
        "validator_meanings": VALIDATOR_MEANINGS,
    }


def _guards(selection: Document) -> list[str]:
    """Every guard that any candidate had to pass, in the order met: the columns of one table."""
    candidates = [candidate for arm in selection["arms"] for candidate in arm.get("candidates", [])]
    return list(dict.fromkeys(name for candidate in candidates for name in candidate["guards"]))


def _promotion(selection: Document) -> str:
    """Whether the adapted model may become a candidate, and why, in one sentence."""
    if selection.get("registered") is False:
        return f"Nothing is registered, decided before any test label was read: {selection['reason']}."
    start = "Promoted" if selection["promoted"] else "Not promoted, and registered without the alias “candidate”"
    return f"{start}, decided before any test label was read: {selection['reason']}."


SECTION = Section(
    title="Model and adaptation",
    order=60,
    how_to_read="What was trained, from what, and how its weights were chosen without a single target label. Loss "
    "curves should settle, and those of several seeds lie together; the dashed mark is the step that was "
    "kept. A loss that rises or seeds that part ways ask for another look.",
    provides=("model", "selection", "training"),
    not_in_id=("training",),
    compute=compute,
    template_values=template_values,
)
