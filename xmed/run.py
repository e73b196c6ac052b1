"""Run: the folder that one run of a study writes, and what lies where in it.

runs/<id>/
    study.json  protocol.json                 what was asked; fixed and hashed before any target label is read
    data.json                                 both cohorts: cases, quarantine, fingerprints
    arms/<arm>/seed<n>/                       model/  losses.csv  train.json  checkpoint-*.pt (while it trains)
    selection.json                            whether the adapted model may become a candidate, and why
    rows.json  metrics.json  reference.json   what evaluation measured, how, and what the test images look like
    robustness.json  pictures/<case>.npz      Dice on disturbed test volumes; the slices the report shows
    monitor.json                              the adapted model on the test patients, which drift checks compare with
    objects.json  objects/<case>.*.dcm        what the adapted model drew and measured, as DICOM that names nobody
    environment.json  errors.json  sbom.json  software and machine; what went wrong; packages (CycloneDX)
    text.json  ratings.json  prior.json       people's text on the study and ratings of cases; the version before it
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
    from xmed.records.sign_off import SignOff
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
    """Find the folder that contains everything xmed writes.

    Returns:
        XMED_HOME, or .xmed in the working directory.
    """
    return Home.current().folder


def stack_file(home: Path) -> Path:
    """The file that exists when a home has servers of its own (`xmed up`), and names their ports.

    Args:
        home: The folder of the home.

    Returns:
        The file's path.
    """
    return Home(home).stack_file


def registry_is_there(home: Path) -> bool:
    """Whether a home has a registry; to ask the embedded one would make it.

    Args:
        home: The folder of the home.

    Returns:
        Whether there is one.
    """
    return (
        bool(os.environ.get("MLFLOW_TRACKING_URI"))
        or stack_file(home).is_file()
        or Home(home).registry_database.is_file()
    )


def report_at(folder: Path) -> Path:
    """Find the folder that contains report.json.

    Args:
        folder: A report's folder, or a run's.

    Returns:
        `folder` itself, or `report` in it.

    Raises:
        XmedError: RUN_NOT_FOUND.
    """
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
        """Make a new run; its protocol is fixed and hashed here, before anything is ingested.

        Args:
            study: The study.
            under: The folder of the home.
            methods: Names of the methods of a comparison; none for an ordinary run.

        Returns:
            The run.
        """
        from xmed.records.provenance import ComparedMethods, FixedProtocol  # light commands write no run

        stamp, kind = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), "-compare" if methods else ""
        make_private_home(under)
        run = cls(under / "runs" / f"{study.name}{kind}-{stamp}-{secrets.token_hex(2)}")
        if methods:
            run.write(ComparedMethods(list(methods)))
        document = study.model_dump(mode="json")
        protocol = {key: document[key] for key in ("name", "source", "target", "structures", "protocol")}
        run.write("study", document)
        run.write(FixedProtocol(**protocol, sha256=digest(protocol), fixed_at=datetime.now(UTC).isoformat()))
        return run

    @classmethod
    def find(cls, id_or_folder: str | Path, under: Path) -> Run:
        """Find an existing run.

        Args:
            id_or_folder: Its id, or its folder.
            under: The folder of the home in which an id is looked up.

        Returns:
            The run.

        Raises:
            XmedError: RUN_NOT_FOUND.
        """
        for folder in (under / "runs" / str(id_or_folder), Path(id_or_folder)):
            if (folder / "study.json").is_file():
                return cls(folder.absolute())
        raise XmedError("RUN_NOT_FOUND", f"no run '{id_or_folder}'", f"an id below {under / 'runs'}, or a run's folder")

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def home(self) -> Home | None:
        """The home that the run lies in; None for a copy of it that lies elsewhere."""
        place = Home(self.folder.parent.parent)
        return place if self.folder.absolute().parent == place.runs else None

    @property
    def study(self) -> Study:
        """The study that it was made from, as it was then. Raises XmedError DOCUMENT_INVALID, PATH_NOT_FOUND."""
        from xmed.spec import Study  # light commands read no spec

        with documents.guarded(f"{self.folder / 'study.json'}", "DOCUMENT_INVALID", "a study"):
            return Study.model_validate(self.read("study"))

    @property
    def methods(self) -> list[str]:
        """The methods that a comparison compares; empty for an ordinary run."""
        from xmed.records.provenance import ComparedMethods  # as in `create`

        return self.read(ComparedMethods).root if self.has(ComparedMethods) else []

    @property
    def report(self) -> Path:
        """The folder of its report."""
        return self.folder / "report"

    @property
    def signoff(self) -> list[SignOff]:
        """What people decided about the run's model, oldest first: kept beside the report, since it came afterwards."""
        from xmed.records.record import read_record  # light commands read no document
        from xmed.records.sign_off import SignOffs

        path = self.report / SignOffs.FILE
        return read_record(SignOffs, path).root if path.is_file() else []

    @property
    def pictures(self) -> Path:
        """The folder of the slices that the report shows."""
        return self.folder / "pictures"

    @property
    def objects(self) -> Path:
        """The folder of the DICOM objects that the adapted model gives."""
        return self.folder / "objects"

    def arm(self, name: str, seed: int) -> Path:
        """The folder of one arm's training with one seed.

        Args:
            name: The arm.
            seed: The seed.

        Returns:
            The folder; it may not exist yet.
        """
        return self.folder / "arms" / name / f"seed{seed}"

    def arms(self) -> list[tuple[str, int]]:
        """List every arm and seed that finished training.

        Returns:
            Pairs (arm, seed) in the order of ARMS, then methods by name.
        """
        pairs = [(path.parts[-3], int(path.parts[-2][4:])) for path in self.folder.glob("arms/*/seed*/train.json")]
        return sorted(pairs, key=lambda pair: (ARMS.index(pair[0]) if pair[0] in ARMS else len(ARMS), *pair))

    def has(self, kind: type[Stored] | str, arm: str = "", seed: int = 0) -> bool:
        """Tell whether the run, or one arm and seed of it, has a document.

        Args:
            kind: Its record, for example `Training`; or the stem of its file.
            arm: Name of the arm, for a document that lies beside an arm's model.
            seed: Seed of that arm.

        Returns:
            Whether the file exists.
        """
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

        Returns:
            The record; or plain JSON values where `kind` is a stem.

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

    def _file(self, kind: type[Stored] | str, arm: str, seed: int) -> Path:
        name = f"{kind}.json" if isinstance(kind, str) else kind.FILE
        return (self.arm(arm, seed) if arm else self.folder) / name
