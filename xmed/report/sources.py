"""Sources: every file that a report is computed from, of a run or of a report that was copied elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import file_digest
from xmed.records.data_summary import CaseFlow, CaseSummary, CohortSummary, DataSummary
from xmed.records.drift import ValidationReference
from xmed.records.evaluation import (
    CaseRow,
    CaseRows,
    DicomObjects,
    ImageDescription,
    MetricConventions,
    Robustness,
    TestImages,
)
from xmed.records.provenance import AuthorText, PriorVersion
from xmed.records.record import AnyRecord, content, parse
from xmed.records.training import Training
from xmed.report.cases_csv import read_cases
from xmed.report.edition import EDITION
from xmed.run import Run

Document = dict[str, Any]
REQUIRED = ("study", "protocol", "data", "rows", "metrics")
OPTIONAL = (
    "selection", "environment", "errors", "reference", "robustness", "monitor", "text", "ratings", "prior", "external",
    "objects", "sbom",
)  # fmt: skip
PLAIN = ("study", "protocol", "selection", "environment", "errors", "ratings", "external", "sbom")
"""Files that are kept as they are: the report repeats them, or takes a digest of them."""
SIDES = ("source", "target")
SELECTION_KEYS = ("promoted", "reason", "registered", "seeds")
"""What a report keeps of selection.json as it is."""


@dataclass(frozen=True)
class Sources:
    """The documents that `compose_report` reads, each as it stands in its file.

    Attributes:
        run: The run's id.
        trained: train.json of every trained arm and seed.
        cards: model.json of every trained arm and seed whose model is there.
        signoff: The entries of SIGNOFF.json.
        hashes: sha256 (hex) of the run's files, by file name.
        report: report.json, where the sources are a copied report's folder; None beside a run.
        edition: The edition by whose rules the report is computed; `verify_report` asks for the checked report's.

    The other attributes are named after the run's files, see `xmed.run`.
    """

    run: str
    study: Document
    protocol: Document
    data: DataSummary
    rows: list[CaseRow]
    metrics: MetricConventions
    trained: list[Training] = field(default_factory=list)
    cards: list[Document] = field(default_factory=list)
    selection: Document = field(default_factory=dict)
    environment: Document = field(default_factory=dict)
    errors: list[Document] = field(default_factory=list)
    reference: dict[str, ImageDescription] = field(default_factory=dict)
    robustness: Robustness | None = None
    monitor: ValidationReference | None = None
    text: AuthorText | None = None
    ratings: Document = field(default_factory=dict)
    prior: PriorVersion | None = None
    external: Document = field(default_factory=dict)
    objects: DicomObjects | None = None
    sbom: Document = field(default_factory=dict)
    signoff: list[Document] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    report: Document | None = None
    edition: int = EDITION

    @classmethod
    def of(cls, run: Run) -> Sources:
        """Read the files of an evaluated run.

        Raises:
            XmedError: RUN_NOT_FOUND for a comparison, or for a run that lacks a required file.
        """
        if run.methods:
            what = f"run {run.id} is a comparison"
            raise XmedError("RUN_NOT_FOUND", what, "an ordinary run", "see comparison.html there")
        for name in REQUIRED:
            if not run.has(name):
                raise XmedError(
                    "RUN_NOT_FOUND", f"run {run.id} has no {name}.json", "an evaluated run", "finish the run first"
                )
        names = [*REQUIRED, *(name for name in OPTIONAL if run.has(name))]
        plain: Document = {name: run.read(name) for name in names if name in PLAIN}
        cards = [run.arm(arm, seed) / "model" / "model.json" for arm, seed in run.arms()]
        return cls(
            run=run.id,
            **plain,
            data=run.read(DataSummary),
            rows=run.read(CaseRows).root,
            metrics=run.read(MetricConventions),
            trained=[run.read(Training, arm, seed) for arm, seed in run.arms()],
            cards=[documents.read_mapping(path) for path in cards if path.is_file()],
            reference=run.read(TestImages).root if run.has(TestImages) else {},
            robustness=_if_there(run, Robustness),
            monitor=_if_there(run, ValidationReference),
            text=_if_there(run, AuthorText),
            prior=_if_there(run, PriorVersion),
            objects=_if_there(run, DicomObjects),
            signoff=[content(decision) for decision in run.signoff],
            hashes={f"{name}.json": file_digest(run.folder / f"{name}.json") for name in names},
        )

    @classmethod
    def copied(cls, folder: Path) -> Sources:
        """Read a report's folder that was copied away from its run; the rows come from cases.csv.

        Raises:
            XmedError: RUN_NOT_FOUND where report.json, protocol.json or cases.csv is missing.
        """
        for name in ("report.json", "protocol.json", "cases.csv"):
            if not (folder / name).is_file():
                raise XmedError("RUN_NOT_FOUND", f"no report below {folder}: {name} is missing", "a report's folder")
        report: Document = documents.read_mapping(folder / "report.json")
        selection, data = report["selection"], report["data"]
        arms = {(entry["arm"], entry["seed"]): entry for entry in selection["arms"]}
        selections = [
            {key: value for key, value in arms[entry["arm"], entry["seed"]].items() if key not in ("arm", "seed")}
            for entry in report["training"]
        ]
        sides = {
            side: {**data[side], "flow": data["flow"][side], "fingerprint": data["fingerprint"][side]} for side in SIDES
        }
        return cls(
            run=report["run"],
            study=report["study"],
            protocol=documents.read_mapping(folder / "protocol.json"),
            data=parse(DataSummary, {**sides, "leakage": data["leakage"]}, "report.json"),
            rows=read_cases(folder / "cases.csv"),
            metrics=parse(MetricConventions, report["metrics_conventions"], "report.json"),
            trained=[
                parse(Training, {**entry, "selection": chosen}, "report.json")
                for entry, chosen in zip(report["training"], selections)
            ],
            selection={key: selection[key] for key in SELECTION_KEYS if key in selection},
            environment=report["environment"],
            errors=report["errors"],
            external=report["external"] or {},
            signoff=report["signoff"],
            report=report,
        )

    @property
    def structures(self) -> list[str]:
        """The study's structures, in its order."""
        return list(self.study["structures"])

    @property
    def primary(self) -> str:
        """The structure of the primary endpoint."""
        return str(self.protocol["protocol"]["primary"]["structure"])

    @property
    def arms(self) -> list[tuple[str, int]]:
        """(arm, seed) of every training."""
        return [(record.arm, record.seed) for record in self.trained]

    @property
    def sides(self) -> dict[str, CohortSummary]:
        """Both datasets of data.json: `source` and `target`."""
        return {"source": self.data.source, "target": self.data.target}

    @property
    def tested(self) -> list[CaseSummary]:
        """The labelled test cases of the target, as data.json has them."""
        return [case for case in self.data.target.cases if case.split == "test" and case.has_label]


def case_flow(cohort: CohortSummary) -> CaseFlow:
    """Return how many cases a dataset had, and what became of them.

    Args:
        cohort: One side of data.json.

    Returns:
        The counts.

    Raises:
        XmedError: DOCUMENT_INVALID where the document does not say it.
    """
    if cohort.flow is None:
        raise XmedError("DOCUMENT_INVALID", f"data.json: {cohort.name} lacks 'flow'", "the document as xmed writes it")
    return cohort.flow


def _if_there(run: Run, kind: type[AnyRecord]) -> AnyRecord | None:
    return run.read(kind) if run.has(kind) else None
