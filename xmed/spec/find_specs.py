"""Find specs: finds and loads the YAML files of datasets and studies, and reports every problem of one at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import JsonValue, ValidationError

from xmed.errors import XmedError
from xmed.files import documents
from xmed.spec.dataset import DatasetSpec
from xmed.spec.decathlon import read_decathlon
from xmed.spec.strict import did_you_mean, validation_messages
from xmed.spec.study import Protocol, Study

Spec = TypeVar("Spec", DatasetSpec, Study)
Document = TypeVar("Document", DatasetSpec, Study, Protocol)
TEXT = ".text"
"""Part of the name of the file with the author's text of a study: NAME.text.yaml."""


def spec_folders() -> list[Path]:
    """The folders that are searched for specs by name: ./data_specs, the checkout's, and the installed package's."""
    package = Path(__file__).resolve().parent.parent
    return [Path("data_specs"), package.parent / "data_specs", package / "data_specs"]


def load_dataset(name_or_path: str | Path) -> DatasetSpec:
    """Load a dataset spec.

    Args:
        name_or_path: The dataset's name, the path of its YAML file, or the dataset.json of an nnU-Net or Decathlon
            dataset.

    Returns:
        The spec.

    Raises:
        XmedError: SPEC_NOT_FOUND, SPEC_INVALID (with every problem at once).
    """
    if str(name_or_path).endswith(".json"):
        return read_decathlon(Path(name_or_path))
    return _load(DatasetSpec, _find(str(name_or_path), "", "dataset"))


def load_study(name_or_path: str | Path) -> Study:
    """Load a study.

    A dataset spec that is not in one of `spec_folders` is looked for beside the study, and named by its path.

    Args:
        name_or_path: The study's name, or the path of its YAML file.

    Returns:
        The study.

    Raises:
        XmedError: SPEC_NOT_FOUND, SPEC_INVALID (with every problem at once).
    """
    path = _find(str(name_or_path), "studies", "study")
    study = _load(Study, path)
    sides = {"source": study.source, "target": study.target}
    beside = {side: str(spec) for side, name in sides.items() if (spec := _beside(path, name))}
    return study.model_copy(update=beside) if beside else study


def spec_names(kind: Literal["dataset", "study"]) -> list[str]:
    """List the names of all datasets or studies in `spec_folders`.

    Args:
        kind: dataset or study.

    Returns:
        The names, sorted.
    """
    below = "studies" if kind == "study" else ""
    stems = {path.stem for folder in spec_folders() for path in (folder / below).glob("*.yaml")}
    return sorted(name for name in stems if not name.endswith(TEXT))


def study_text_path(study: str | Path) -> Path | None:
    """Find the author's text of a study.

    Args:
        study: The study's name, or the path of its YAML file.

    Returns:
        The path of `NAME.text.yaml` beside the study; None where there is none.

    Raises:
        XmedError: SPEC_NOT_FOUND.
    """
    path = _find(str(study), "studies", "study")
    beside = path.with_name(f"{path.stem}{TEXT}.yaml")
    return beside if beside.is_file() else None


def load_protocol(path: Path) -> Protocol:
    """Load a protocol without a study, for the external validation of a model.

    Args:
        path: The YAML file.

    Returns:
        The protocol.

    Raises:
        XmedError: SPEC_NOT_FOUND, SPEC_INVALID.
    """
    return _validated(Protocol, path)


def read_spec(path: Path) -> dict[str, JsonValue]:
    """Read a YAML 1.2 document that must be a mapping.

    Args:
        path: The file.

    Returns:
        Its keys and values.

    Raises:
        XmedError: SPEC_NOT_FOUND, SPEC_INVALID.
    """
    document = documents.read_yaml(path)
    if not isinstance(document, dict):
        raise XmedError("SPEC_INVALID", f"{path}: a {type(document).__name__}", "a mapping of keys to values")
    return document


def _beside(study: Path, name: str) -> Path | None:
    """The path of a dataset spec near its study, if it is not in one of `spec_folders`."""
    file = name if name.endswith((".yaml", ".yml", ".json")) else f"{name}.yaml"
    usual = [Path(os.path.expanduser(file))] if file == name else [folder / file for folder in spec_folders()]
    if any(_is_file(path) for path in usual):
        return None
    folder = study.absolute().parent
    near = [folder / file, folder.parent / file, folder / "data_specs" / file, folder.parent / "data_specs" / file]
    return next((path for path in near if _is_file(path)), None)


def _is_file(path: Path) -> bool:
    """Whether a file exists; False for a name that the file system does not allow."""
    try:
        return path.is_file()
    except OSError:
        return False


def _find(name_or_path: str, below: str, kind: Literal["dataset", "study"]) -> Path:
    if name_or_path.endswith((".yaml", ".yml")):
        candidates = [Path(os.path.expanduser(name_or_path))]
    else:
        candidates = [folder / below / f"{name_or_path}.yaml" for folder in spec_folders()]
    for path in candidates:
        if _is_file(path):
            return path
    names = spec_names(kind)
    raise XmedError(
        "SPEC_NOT_FOUND",
        f"no {kind} '{name_or_path}'{did_you_mean(name_or_path, names)}",
        f"a path to a YAML file, or one of: {', '.join(names) or 'none'}",
    )


def _load(model: type[Spec], path: Path) -> Spec:
    spec = _validated(model, path)
    if spec.name != path.stem:
        raise XmedError("SPEC_INVALID", f"{path}: name: '{spec.name}'", f"the file's own name, '{path.stem}'")
    return spec


def _validated(model: type[Document], path: Path) -> Document:
    document = read_spec(path)
    try:
        return model.model_validate(document)
    except ValidationError as problem:
        raise XmedError(
            "SPEC_INVALID",
            f"{path}: " + "; ".join(validation_messages(problem, model, document)),
            f"the schema that `xmed schema {model.__name__}` prints",
        ) from problem
