"""A model as the package that MLflow keeps and serves: code, safetensors, signature, evidence; never a pickle."""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

import xmed
from xmed.files import documents
from xmed.files.digest import folder_digest
from xmed.files.uri import folder_uri, path_of
from xmed.registry import ownership
from xmed.registry.tracking_store import active, client, tracking_uri
from xmed.registry.version_evidence import gather
from xmed.run import Run

SERVED_WITH = ("torch", "monai", "numpy", "scipy", "safetensors", "SimpleITK", "pydantic", "ruamel.yaml",
               "lazy-loader")  # fmt: skip
"""Packages that `xmed.model.prediction` and the floors below it import; xmed itself travels with the model."""
EXAMPLE_EDGE = {2: 32, 3: 16}  # voxels: MLflow keeps the example twice as JSON, so it is small, and it is synthetic


def pack(run: Run, folder: Path, name: str, run_id: str, tags: dict[str, str], home: Path) -> ModelVersion:
    """Log a model folder as a pyfunc model, and register it with all its tags at once.

    Args:
        run: The run that made the model.
        folder: The model's folder.
        name: The registered model's name.
        run_id: The MLflow run that it is logged to.
        tags: Tags of the version; package_sha256, sbom_sha256 and environment_sha256 are added.
        home: The home.
    """
    registry = client(home)
    with tempfile.TemporaryDirectory() as scratch, active(run_id, home):
        beside = Path(scratch) / "evidence"
        tags = {**tags, **gather(run, tags, beside)}
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"model": folder_uri(folder), "evidence": folder_uri(beside)},
            code_paths=[str(Path(xmed.__file__).parent)],
            signature=_signature(folder),
            input_example=_example(folder),
            pip_requirements=[f"{package}=={version(package).split('+')[0]}" for package in SERVED_WITH],
        )
        location = registry.get_logged_model(info.model_id).artifact_location
        tags["package_sha256"] = folder_digest(download(location, Path(scratch) / "package", home))
        ownership.note_name(home, name, tags["package_sha256"])
        # Within `active`: the registry looks the logged model up in the active store.
        return registry.create_model_version(name, info.model_uri, run_id, tags=tags, model_id=info.model_id)


def unpack(entry: ModelVersion, into: Path, home: Path) -> Path:
    """Download the whole package of a version: MLmodel, code/, artifacts/model, artifacts/evidence. Nothing is run."""
    return download(client(home).get_model_version_download_uri(entry.name, entry.version), into, home)


def has_artifacts(name: str, version: int, home: Path) -> bool:
    """Check whether the files of a version can be read where the registry says they are.

    Args:
        name: The registered model.
        version: Its version.
        home: The home.

    Returns:
        Whether its model.json could be downloaded.
    """
    try:
        uri = client(home).get_model_version_download_uri(name, str(version))
        with tempfile.TemporaryDirectory() as scratch:
            return download(f"{uri}/artifacts/model/model.json", Path(scratch), home).is_file()
    except (MlflowException, OSError):
        return False


def download(uri: str, into: Path, home: Path) -> Path:
    """Download what MLflow keeps below a URI into a folder.

    A package has some five hundred files. Where they are on this machine's disk, they are copied: MLflow resolves every
    path of every file twice (the packages of five tests: 27 s in place of 6).
    """
    into.mkdir(parents=True, exist_ok=True)
    source = path_of(uri)
    if source is not None and source.is_dir() and not any(path.is_symlink() for path in source.rglob("*")):
        return Path(shutil.copytree(source, into / source.name))
    return Path(
        mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(into), tracking_uri=tracking_uri(home))
    )


def _shape(folder: Path) -> tuple[int, int, int]:
    """Spatial dimensions, channels and classes of a model folder's net."""
    document: dict[str, Any] = documents.read_mapping(folder / "model.json", "MODEL_INVALID")
    spatial = len([edge for edge in document["grid"]["patch"] if edge > 1])
    return spatial, 1 + 2 * document["grid"].get("context", 0), 1 + len(document["structures"])


def _signature(folder: Path) -> ModelSignature:
    spatial, channels, classes = _shape(folder)
    free = (-1,) * spatial
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, channels, *free))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, classes, *free))]),
    )


def _example(folder: Path) -> np.ndarray:
    spatial, channels, _ = _shape(folder)
    edges = (EXAMPLE_EDGE[spatial],) * spatial
    return np.random.default_rng(0).random((2, channels, *edges), dtype=np.float32)
