"""Run: the folder that one run of a study writes, and what lies where in it.

runs/<id>/
    study.json  protocol.json                 what was asked; fixed and hashed before any target label is read
    data.json                                 both cohorts: cases, quarantine, fingerprints
    arms/<arm>/seed<n>/                       model/  losses.csv  train.json  checkpoint-*.pt (while it trains)
    selection.json                            whether the adapted model may become a candidate, and why
    rows.json  metrics.json  reference.json   what evaluation measured, how, and what the test images look like
    robustness.json  pictures/<case>.npz      Dice on disturbed test volumes; the slices the report shows
    monitor.json                              the adapted model on the test patients, for drift to be held against
    objects.json  objects/<case>.*.dcm        what the adapted model drew and measured, as DICOM that names nobody
    environment.json  errors.json  sbom.json  with what it was made, and what went wrong; CycloneDX
    text.json  ratings.json  prior.json       what people said of the study and of cases; the version before it
    external.json                             which registered model was validated, where no training took place
    report/                                   report.html, report.json, their tables and hashes, SIGNOFF.json
    methods.json  comparison.json             of a comparison: the methods that it compares, and how they did
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.files.digest import digest
from xmed.files.json_numbers import as_json
from xmed.files.permissions import make_private_home
from xmed.home import Home

if TYPE_CHECKING:
    from xmed.records.record import AnyRecord, Stored
    from xmed.spec import Study


class Arm(StrEnum):
    """What a run trains or compares with. In a comparison each method is an arm of its own name beside these."""

    SOURCE_ONLY = "source_only"
    ADAPTED = "adapted"
    TARGET_SUPERVISED = "target_supervised"
    TRIVIAL_THRESHOLD = "trivial_threshold"
    TRIVIAL_POSITION = "trivial_position"


TRAINED_ARMS: tuple[str, ...] = (Arm.SOURCE_ONLY, Arm.ADAPTED, Arm.TARGET_SUPERVISED)
TRIVIAL_ARMS: tuple[str, ...] = (Arm.TRIVIAL_THRESHOLD, Arm.TRIVIAL_POSITION)
ARMS = (*TRAINED_ARMS, *TRIVIAL_ARMS)
SIGNOFF = "SIGNOFF.json"


def home() -> Path:
    """The folder that holds everything xmed writes: XMED_HOME, or .xmed in the working directory."""
    return Home.current().folder


def stack_file(home: Path) -> Path:
    """The file that is there when a home's registry lives in servers of its own, and says where (`xmed up`)."""
    return Home(home).stack_file


def registry_is_there(home: Path) -> bool:
    """Whether there is a registry to ask; asking the embedded one makes it."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or stack_file(home).is_file() or (home / "mlflow.db").is_file()


def report_at(folder: Path) -> Path:
    """The folder of a report's report.json: `folder` itself, or `report` in it. Raises XmedError RUN_NOT_FOUND."""
    folder = Path(folder).absolute()
    for place in (folder, folder / "report"):
        if (place / "report.json").is_file():
            return place
    raise XmedError("RUN_NOT_FOUND", f"no report below {folder}", "a run's folder, with the files it was made from")


@dataclass(frozen=True)
class Run:
    """One run of one study, by its folder."""

    folder: Path

    @classmethod
    def create(cls, study: Study, under: Path, methods: Sequence[str] = ()) -> Run:
        """A new run below the home `under`; its protocol is fixed and hashed here, before anything is ingested.

        methods: what a comparison compares; none for an ordinary run.
        """
        from xmed.records.provenance import ComparedMethods, FixedProtocol  # light commands write no run

        stamp, kind = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), "-compare" if methods else ""
        make_private_home(under)
        run = cls(under / "runs" / f"{study.name}{kind}-{stamp}-{secrets.token_hex(2)}")
        if methods:
            run.write(ComparedMethods(list(methods)))
        asked = study.model_dump(mode="json")
        protocol = {key: asked[key] for key in ("name", "source", "target", "structures", "protocol")}
        run.write("study", asked)
        run.write(FixedProtocol(**protocol, sha256=digest(protocol), fixed_at=datetime.now(UTC).isoformat()))
        return run

    @classmethod
    def find(cls, id_or_folder: str | Path, under: Path) -> Run:
        """An existing run by id or by folder. Raises XmedError RUN_NOT_FOUND."""
        for folder in (under / "runs" / str(id_or_folder), Path(id_or_folder)):
            if (folder / "study.json").is_file():
                return cls(folder.absolute())
        raise XmedError("RUN_NOT_FOUND", f"no run '{id_or_folder}'", f"an id below {under / 'runs'}, or a run's folder")

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def home(self) -> Home | None:
        """The home that the run lies in; None for a copy of it that lies elsewhere."""
        place = Home(self.folder.parent.parent)
        return place if self.folder.absolute().parent == place.runs else None

    @property
    def study(self) -> Study:
        from xmed.spec import Study  # light commands read no study

        with documents.guarded(f"{self.folder / 'study.json'}", "DOCUMENT_INVALID", "a study"):
            return Study.model_validate(self.read("study"))

    @property
    def methods(self) -> list[str]:
        """What a comparison compares; empty for an ordinary run."""
        from xmed.records.provenance import ComparedMethods  # as in `create`

        return self.read(ComparedMethods).root if self.has(ComparedMethods) else []

    @property
    def report(self) -> Path:
        return self.folder / "report"

    @property
    def signoff(self) -> list[dict[str, Any]]:
        """What people decided about the run's model, oldest first: beside the report, for it came after all numbers."""
        path = self.report / SIGNOFF
        return documents.read_json(path) if path.is_file() else []

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures"

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    def arm(self, name: str, seed: int) -> Path:
        """Where one arm's training of one seed lies."""
        return self.folder / "arms" / name / f"seed{seed}"

    def arms(self) -> list[tuple[str, int]]:
        """Every (arm, seed) that finished training: in the order of ARMS, then methods by name."""
        found = [(path.parts[-3], int(path.parts[-2][4:])) for path in self.folder.glob("arms/*/seed*/train.json")]
        return sorted(found, key=lambda pair: (ARMS.index(pair[0]) if pair[0] in ARMS else len(ARMS), *pair))

    def has(self, kind: type[Stored] | str, arm: str = "", seed: int = 0) -> bool:
        """Return whether the run, or one arm and seed of it, has a document."""
        return self._file(kind, arm, seed).is_file()

    @overload
    def read(self, kind: type[AnyRecord], arm: str = "", seed: int = 0) -> AnyRecord: ...

    @overload
    def read(self, kind: str) -> Any: ...

    def read(self, kind: type[Stored] | str, arm: str = "", seed: int = 0) -> Any:
        """Read one of the run's JSON documents.

        Args:
            kind: Its record, for example `Training`; or the stem of its file, to get plain JSON.
            arm: Name of the arm, for a document that lies beside an arm's model.
            seed: Seed of that arm.

        Raises:
            XmedError: DOCUMENT_INVALID where it is damaged, PATH_NOT_FOUND where it is missing.
        """
        path = self._file(kind, arm, seed)
        if isinstance(kind, str):
            return documents.read_json(path)
        from xmed.records.record import read_record  # light commands read no document

        return read_record(kind, path)

    def write(
        self, document: Stored | str, plain: Any = None, *, arm: str = "", seed: int = 0, indent: int | None = 1
    ) -> None:
        """Write one of the run's JSON documents atomically, with null in place of NaN and infinities.

        Args:
            document: A record; or the stem of the file, for a document that has no record.
            plain: The content of a document that has no record.
            arm: Name of the arm, for a record that lies beside an arm's model.
            seed: Seed of that arm.
            indent: Spaces; None for one line.
        """
        if isinstance(document, str):
            write_atomically(self._file(document, arm, seed), as_json(plain, indent=indent))
        else:
            from xmed.records.record import write  # as in `read`

            write(document, self._file(type(document), arm, seed), indent=indent)

    def trained(self, arm: str, seed: int) -> dict[str, Any]:
        """What the training of one arm and seed wrote down last. Raises XmedError DOCUMENT_INVALID, PATH_NOT_FOUND."""
        return documents.read_mapping(self.arm(arm, seed) / "train.json")

    def _file(self, kind: type[Stored] | str, arm: str, seed: int) -> Path:
        name = f"{kind}.json" if isinstance(kind, str) else kind.FILE
        return (self.arm(arm, seed) if arm else self.folder) / name
