"""Write the folder of a MONAI bundle from a model folder: MONAI's own network, safetensors, no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from xmed import __version__, methods
from xmed.errors import XmedError
from xmed.io import field_of_view
from xmed.model.deployed import Model
from xmed.model.export import mirrored, transforms
from xmed.model.export.bundle_config import inference, metadata
from xmed.model.folder import CARD
from xmed.model.prediction import method_of_model
from xmed.prepare import intensity

SCRIPTS = {"prepare": transforms, "mirrored": mirrored, "fov": field_of_view, "intensity": intensity}
"""Modules that a bundle contains, by their names there."""
NAMES_IN_BUNDLE = {"xmed.io.field_of_view": "scripts.fov", "xmed.prepare.intensity": "scripts.intensity"}
DIFFERS = (
    "it lays its grid on an edge of the image, xmed on the image's middle",
    "it computes in 32-bit floats, xmed in bfloat16 where that is faster",
    "of a structure in one piece it keeps the largest, xmed the one where the model usually finds it",
)
"""Why a bundle's label map is not in every voxel that of `xmed predict`."""


def write_bundle(folder: Path, out: Path) -> dict[str, Any]:
    """Export a model folder as a MONAI bundle.

    Weights stay safetensors: MONAI reads them by an expression of the configuration, so nothing is unpickled. The
    preprocessing is xmed's own code, copied to `scripts/`.

    Args:
        folder: Model folder.
        out: New folder of the bundle.

    Returns:
        The folder, in what its predictions differ, and MONAI's commands that check it.

    Raises:
        XmedError: EXPORT_UNSUPPORTED for a model that MONAI cannot express, OUTPUT_EXISTS, MODEL_NOT_FOUND,
            MODEL_INVALID.
    """
    if out.exists():
        raise XmedError("OUTPUT_EXISTS", f"{out} is there already", "a new folder")
    model = Model.load(folder)
    _check(model)
    for name in ("configs", "models", "docs", "scripts"):
        (out / name).mkdir(parents=True)
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.net.state_dict().items()}
    save_file(weights, out / "models" / "model.safetensors")
    _write(out / "configs" / "inference.json", inference(model))
    _write(out / "configs" / "metadata.json", metadata(model))
    (out / "docs" / CARD).write_bytes((folder / CARD).read_bytes())
    (out / "docs" / "README.md").write_text(_readme(model, out.name), encoding="utf-8")
    (out / "scripts" / "__init__.py").touch()
    for name, module in SCRIPTS.items():
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
        for module_here, module_in_bundle in NAMES_IN_BUNDLE.items():
            text = text.replace(f"from {module_here} import", f"from {module_in_bundle} import")
        (out / "scripts" / f"{name}.py").write_text(text, encoding="utf-8")
    return {"folder": str(out), "differs": _differs(model), "check": checks(str(out))}


def checks(out: str) -> list[str]:
    """Return MONAI's own commands that check a bundle. They need its extras fire and pytorch-ignite."""
    files = f"--meta_file {out}/configs/metadata.json"
    config = f"--config_file {out}/configs/inference.json"
    return [
        f"python -m monai.bundle verify_metadata {files} --filepath schema.json",
        f"python -m monai.bundle verify_net_in_out --net_id network_def {files} {config}",
        f"python -m monai.bundle run {files} {config} --bundle_root {out} --dataset_dir IMAGES --output_dir LABELS",
    ]


def _check(model: Model) -> None:
    name = method_of_model(model)
    features = {
        "a grid fitted to each picture": model.grid.fit is not None,
        "neighbouring slices as channels": model.grid.context > 0,
        "a net that sees self-similarity": model.network.input != "intensity",
        "several nets whose probabilities are averaged": model.network.members > 1,
        "small volumes that are enlarged before the network sees them": model.enlarges,
        "a method that adapts at test time": name in methods.names() and methods.find(name).test_time,
    }
    unsupported = [what for what, is_so in features.items() if is_so]
    if unsupported:
        what, expected = f"the model has {'; '.join(unsupported)}", "a plain network of MONAI on a grid in millimetres"
        raise XmedError("EXPORT_UNSUPPORTED", what, expected, "`xmed predict` and the MLflow model run it")


def _differs(model: Model) -> list[str]:
    return list(DIFFERS if model.largest_component else DIFFERS[:-1])


def _readme(model: Model, name: str) -> str:
    differences, origin = "\n".join(f"- {line}" for line in _differs(model)), model.origin
    commands = "\n".join(checks(name))
    return f"""# {origin.study or name}

Segments {", ".join(model.structures.names)} in {model.modality}.
Made by xmed {origin.xmed or __version__}, method {origin.method or "unknown"}, from the weights with the sha256
`{model.weights_sha256}`; `{CARD}` beside this file is its description.
The validation report of that model is about `xmed predict`. This bundle is the same network, and yet:

{differences}

Weights are safetensors, read by an expression of `configs/inference.json`; `ckpt_export` wants a pickle and has none.
A bundle's configuration is code: run it only when you trust where it came from.

```sh
{commands}
```

Research software, not a medical device.
"""


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
