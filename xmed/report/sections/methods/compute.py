"""Section Methods: the methods section of a manuscript from the run's files, free to use (CC0), with its references."""

from __future__ import annotations

from typing import Any

from xmed import __version__
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sections.methods.references import REFERENCES, bibtex
from xmed.report.sources import Sources, case_flow

Document = dict[str, Any]


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return methods: paragraphs, and the references that they cite in the order of citation."""
    paragraphs = [_training(sources, report), _selection(sources), _evaluation(sources), _statistics(report)]
    if report["robustness"]["curves"]:
        paragraphs.append(_robustness(report))
    text = " ".join(paragraphs)
    cited = sorted((key for key in REFERENCES if f"[@{key}]" in text), key=lambda key: text.index(f"[@{key}]"))
    for n, key in enumerate(cited, start=1):
        paragraphs = [paragraph.replace(f"[@{key}]", f"[{n}]") for paragraph in paragraphs]
    references = [
        {"n": n, "key": key, "text": REFERENCES[key]["text"], "doi": REFERENCES[key].get("doi"), "bibtex": bibtex(key)}
        for n, key in enumerate(cited, start=1)
    ]
    return {"methods": {"paragraphs": paragraphs, "references": references, "licence": "CC0-1.0"}}


def _training(sources: Sources, report: Document) -> str:
    study, model = sources.study, report["model"]
    source, target = sources.data.source, sources.data.target
    cited = f" ({model['cite']})" if model["cite"] else ""
    if report["kind"] == "external":
        return (
            f"A finished model ({model['name']}, method “{model['method']}”{cited}) was validated on {target.name} "
            f"({target.modality}), data it was not made from; nothing was trained or chosen here."
        )
    edges, unit = (study["grid"]["fit"], "voxels") if study["grid"].get("fit") else (study["grid"]["spacing_mm"], "mm")
    grid = " × ".join(f"{edge:g}" for edge in edges) + f" {unit}"
    patch = " × ".join(str(n) for n in study["grid"]["patch"])
    seeds = len({record.seed for record in sources.trained})
    return (
        f"A network was trained on {case_flow(source).train} labelled {source.modality} cases ({source.name}) "
        f"and adapted to {case_flow(target).train} unlabelled {target.modality} cases ({target.name}) with the "
        f"method “{model['method']}”{cited}. Volumes were resampled to {grid} and their intensities normalised; "
        f"patches were {patch} voxels. Weights were initialised at random, without pretraining; "
        f"{seeds} seed{'s were' if seeds != 1 else ' was'} trained, without ensembling. xmed {__version__} is built on "
        f"PyTorch [@paszke2019] and MONAI [@cardoso2022]."
    )


def _selection(sources: Sources) -> str:
    if sources.external:
        return "Its weights are those that the registry holds, checked against their checksum."
    return (
        "The weights were selected without target labels: guards and validators judge candidates on unlabelled target "
        "volumes and on labelled source cases in other appearance [@valindria2017]."
    )


def _evaluation(sources: Sources) -> str:
    mm = sources.metrics.spacing_credible
    surface = f" and normalised surface Dice at {sources.metrics.nsd_tolerance_mm:.3g} mm [@nikolov2021]" if mm else ""
    return (
        f"Predictions were made by sliding window{_mirroring(sources)}, resampled to the scanner's own grid as "
        "probabilities, and judged "
        f"there on {len(sources.tested)} test cases with Dice{surface}, after recommendations for metric choice "
        "[@maierhein2024]. A missing, crashed or empty prediction counts as a failure with Dice 0. The primary "
        "endpoint and the acceptance criteria were fixed and hashed before any test label was read. Confidence of a "
        "case is soft Dice confidence [@borges2024]; failure detection is judged by the area under the generalised "
        "risk-coverage curve [@traub2024]; calibration is measured around the structure, not in the background "
        "[@guo2017]."
    )


def _mirroring(sources: Sources) -> str:
    """Whether they are means over mirrored copies, with cost and gain; empty for runs that did not measure it."""
    measured = next((record.mirroring for record in sources.trained if record.mirroring), None)
    if measured is None:
        return ""
    return f" {'as means over' if measured.used else 'without'} mirrored copies ({measured.sentence})"


def _statistics(report: Document) -> str:
    adapted = report["summary"]["adapted"]
    used = {cell["method"] for metrics in adapted.values() for cell in metrics.values()} - {"none"}
    intervals = (
        "t-intervals"
        if used <= {"t"}
        else "t-intervals below 50 patients and BCa bootstrap intervals [@efron1987] above"
    )
    return (
        f"The patient is the unit of analysis; cases and seeds of one patient were averaged first. Intervals are "
        f"{intervals}; those of medians use order statistics, those of proportions are exact [@clopper1934]. The "
        "adapted and the source-only model were compared by a sign-flip permutation test, with Holm's correction over "
        "structures [@holm1979]. Volumes are compared by limits of agreement [@bland1986] and concordance [@lin1989]."
    )


def _robustness(report: Document) -> str:
    robustness = report["robustness"]
    kinds = ", ".join(curve["text"] for curve in robustness["curves"])
    return (
        f"The adapted model of seed {robustness['seed']} was measured again on {robustness['n_cases']} test volumes, "
        f"disturbed by {kinds}, each in three severities."
    )


SECTION = Section(
    title="Methods",
    order=180,
    how_to_read="Text for a manuscript, free to use (CC0), with its references.",
    provides=("methods",),
    needs=("model", "summary", "robustness"),
    compute=compute,
)
