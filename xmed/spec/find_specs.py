"""Find specs: the YAML files of specs: where they are looked for, and every problem of one at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from xmed.errors import XmedError
from xmed.files import documents
from xmed.spec.dataset import DatasetSpec
from xmed.spec.decathlon import read_decathlon
from xmed.spec.said import meant, sentences
from xmed.spec.study import Protocol, Study

Spec = TypeVar("Spec", DatasetSpec, Study)
Document = TypeVar("Document", DatasetSpec, Study, Protocol)
TEXT = ".text"
"""Between a study's name and .yaml: the file with what people say of it."""


def spec_folders() -> list[Path]:
    """Where specs are looked for by name: ./data_specs, then the checkout's, then the installed package's own."""
    package = Path(__file__).resolve().parent.parent
    return [Path("data_specs"), package.parent / "data_specs", package / "data_specs"]


def load_dataset(name_or_path: str | Path) -> DatasetSpec:
    """A dataset spec by name or by path, or the dataset.json of an nnU-Net or Decathlon dataset.

    Raises XmedError SPEC_NOT_FOUND, SPEC_INVALID (every problem at once).
    """
    if str(name_or_path).endswith(".json"):
        return read_decathlon(Path(name_or_path))
    return _load(DatasetSpec, _find(str(name_or_path), "", "dataset"))


def load_study(name_or_path: str | Path) -> Study:
    """A study by name or by path; datasets that are no usual ones are looked for beside it, and named by their paths.

    Raises XmedError SPEC_NOT_FOUND, SPEC_INVALID (every problem at once).
    """
    path = _find(str(name_or_path), "studies", "study")
    study = _load(Study, path)
    sides = {"source": study.source, "target": study.target}
    beside = {side: str(found) for side, name in sides.items() if (found := _beside(path, name))}
    return study.model_copy(update=beside) if beside else study


def names(kind: Literal["dataset", "study"]) -> list[str]:
    """Every dataset or study that can be named."""
    below = "studies" if kind == "study" else ""
    found = {path.stem for folder in spec_folders() for path in (folder / below).glob("*.yaml")}
    return sorted(name for name in found if not name.endswith(TEXT))


def text_beside(study: str | Path) -> Path | None:
    """The human text of a study, `NAME.text.yaml` beside its file; None where there is none. Raises SPEC_NOT_FOUND."""
    path = _find(str(study), "studies", "study")
    beside = path.with_name(f"{path.stem}{TEXT}.yaml")
    return beside if beside.is_file() else None


def load_protocol(path: Path) -> Protocol:
    """A protocol alone, for a model that is validated elsewhere. Raises XmedError SPEC_NOT_FOUND, SPEC_INVALID."""
    return _validated(Protocol, path)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML 1.2 document that is a mapping. Raises XmedError SPEC_NOT_FOUND, SPEC_INVALID."""
    found = documents.read_yaml(path)
    if not isinstance(found, dict):
        raise XmedError("SPEC_INVALID", f"{path}: a {type(found).__name__}", "a mapping of keys to values")
    return found


def _beside(study: Path, name: str) -> Path | None:
    """Where a dataset's spec lies near its study, if it lies at no usual place."""
    file = name if name.endswith((".yaml", ".yml", ".json")) else f"{name}.yaml"
    usual = [Path(os.path.expanduser(file))] if file == name else [folder / file for folder in spec_folders()]
    if any(_there(path) for path in usual):
        return None
    here = study.absolute().parent
    near = [here / file, here.parent / file, here / "data_specs" / file, here.parent / "data_specs" / file]
    return next((path for path in near if _there(path)), None)


def _there(path: Path) -> bool:
    """Whether a file is there; none is of a name that no file system takes."""
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
        if _there(path):
            return path
    known = names(kind)
    raise XmedError(
        "SPEC_NOT_FOUND",
        f"no {kind} '{name_or_path}'{meant(name_or_path, known)}",
        f"a path to a YAML file, or one of: {', '.join(known) or 'none'}",
    )


def _load(model: type[Spec], path: Path) -> Spec:
    spec = _validated(model, path)
    if spec.name != path.stem:
        raise XmedError("SPEC_INVALID", f"{path}: name: '{spec.name}'", f"the file's own name, '{path.stem}'")
    return spec


def _validated(model: type[Document], path: Path) -> Document:
    found = read_yaml(path)
    try:
        return model.model_validate(found)
    except ValidationError as problem:
        raise XmedError(
            "SPEC_INVALID",
            f"{path}: " + "; ".join(sentences(problem, model, found)),
            f"the schema that `xmed schema {model.__name__}` prints",
        ) from problem
