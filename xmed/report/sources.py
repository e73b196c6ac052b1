"""Sources: every file that a report is made from, of a run or of a report that was copied elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import file_digest
from xmed.report.casetable import read_cases
from xmed.report.edition import EDITION
from xmed.run import Run

Document = dict[str, Any]
NEEDED = ("study", "protocol", "data", "rows", "metrics")
OPTIONAL = (
    "selection",
    "environment",
    "errors",
    "reference",
    "robustness",
    "monitor",
    "text",
    "ratings",
    "prior",
    "external",
    "objects",
    "sbom",
)
SIDES = ("source", "target")
GIVEN = (
    "data", "text", "ratings", "robustness", "monitoring", "calibration", "previous", "subgroups", "intended_use",
    "reproducibility",
)  # fmt: skip
"""What a report's own folder does not suffice to recompute: taken as it stands there, held by digests alone."""


@dataclass(frozen=True)
class Sources:
    """What `compose` reads, as plain documents. hashes: sha256 (hex) of the run's files, by name.

    cards: of every trained arm, what its model's folder says of itself. report: what stood in report.json, where only
    the report's own folder is there. edition: by whose rules it is judged; an older one is what `verify` asks for.
    """

    run: str
    study: Document
    protocol: Document
    data: Document
    rows: list[Document]
    metrics: Document
    trained: list[Document] = field(default_factory=list)
    cards: list[Document] = field(default_factory=list)
    selection: Document = field(default_factory=dict)
    environment: Document = field(default_factory=dict)
    errors: list[Document] = field(default_factory=list)
    reference: Document = field(default_factory=dict)
    robustness: Document = field(default_factory=dict)
    monitor: Document = field(default_factory=dict)
    text: Document = field(default_factory=dict)
    ratings: Document = field(default_factory=dict)
    prior: Document = field(default_factory=dict)
    external: Document = field(default_factory=dict)
    objects: Document = field(default_factory=dict)
    sbom: Document = field(default_factory=dict)
    signoff: list[Document] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    report: Document | None = None
    edition: int = EDITION

    @classmethod
    def of(cls, run: Run) -> Sources:
        """The files of an evaluated run. Raises XmedError RUN_NOT_FOUND for a comparison, or one that lacks a file."""
        if run.methods:
            what = f"run {run.id} is a comparison"
            raise XmedError("RUN_NOT_FOUND", what, "an ordinary run", "see comparison.html there")
        for name in NEEDED:
            if not run.has(name):
                raise XmedError(
                    "RUN_NOT_FOUND", f"run {run.id} has no {name}.json", "an evaluated run", "finish the run first"
                )
        there = [name for name in OPTIONAL if run.has(name)]
        folders = [run.arm(arm, seed) for arm, seed in run.arms()]
        return cls(
            run=run.id,
            **{name: run.read(name) for name in (*NEEDED, *there)},
            trained=[run.trained(arm, seed) for arm, seed in run.arms()],
            cards=[
                documents.read_mapping(path)
                for folder in folders
                if (path := folder / "model" / "model.json").is_file()
            ],
            signoff=run.signoff,
            hashes={f"{name}.json": file_digest(run.folder / f"{name}.json") for name in (*NEEDED, *there)},
        )

    @classmethod
    def copied(cls, folder: Path) -> Sources:
        """The same from a report's folder alone: its numbers are recomputed from cases.csv.

        Raises XmedError RUN_NOT_FOUND where report.json, protocol.json or cases.csv is not there.
        """
        for name in ("report.json", "protocol.json", "cases.csv"):
            if not (folder / name).is_file():
                raise XmedError("RUN_NOT_FOUND", f"no report below {folder}: {name} is missing", "a report's folder")
        report = documents.read_mapping(folder / "report.json")
        arms = {(one["arm"], one["seed"]): one for one in report["selection"]["arms"]}
        chosen = [
            {key: value for key, value in arms[one["arm"], one["seed"]].items() if key not in ("arm", "seed")}
            for one in report["training"]
        ]
        kept, shown = ("promoted", "reason", "registered", "seeds"), report["data"]
        sides = {s: {**shown[s], "flow": shown["flow"][s], "fingerprint": shown["fingerprint"][s]} for s in SIDES}
        return cls(
            run=report["run"],
            study=report["study"],
            protocol=documents.read_mapping(folder / "protocol.json"),
            data={**sides, "leakage": shown["leakage"]},
            rows=read_cases(folder / "cases.csv"),
            metrics=report["metrics_conventions"],
            trained=[{**one, "selection": how} for one, how in zip(report["training"], chosen)],
            selection={key: report["selection"][key] for key in kept if key in report["selection"]},
            environment=report["environment"],
            errors=report["errors"],
            external=report["external"] or {},
            signoff=report["signoff"],
            report=report,
        )

    @property
    def given(self) -> Document:
        """The parts of a copied report that are taken as they stand; empty beside a run."""
        return {} if self.report is None else {key: self.report[key] for key in GIVEN}

    @property
    def structures(self) -> list[str]:
        return list(self.study["structures"])

    @property
    def primary(self) -> str:
        """The structure that the study is about."""
        return str(self.protocol["protocol"]["primary"]["structure"])

    @property
    def arms(self) -> list[tuple[str, int]]:
        return [(one["arm"], one["seed"]) for one in self.trained]

    @property
    def tested(self) -> list[Document]:
        """The labelled test cases of the target, as data.json has them."""
        return [case for case in self.data["target"]["cases"] if case["split"] == "test" and case["has_label"]]
