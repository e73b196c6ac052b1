"""Write metadata.json and inference.json of a MONAI bundle (specification: docs.monai.io, mb_specification)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import monai
import numpy as np
import torch

from xmed.model.deployed import Model
from xmed.model.sliding_windows import AT_ONCE, OVERLAP
from xmed.networks import network_definition
from xmed.prepare.geometry import PROBE_MODALITIES

SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"
RAS = [["L", "R"], ["P", "A"], ["I", "S"]]
"""The ends of MONAI's axes, given explicitly because their default is about to change."""
Part = dict[str, Any]


def metadata(model: Model) -> Part:
    """Return what the schema of 2024-07-25 requires. The network's input is one patch, already normalised."""
    dims, origin = model.grid.spatial_dims, model.origin
    patch = list(model.grid.patch[:dims])
    classes = {"0": "background", **{str(structure.value): structure.name for structure in model.structures}}
    shape = {"spatial_shape": patch, "dtype": "float32", "value_range": [], "is_patch_data": True}
    image = {"type": "image", "format": "magnitude", "modality": model.modality, "num_channels": 1}
    label = {"type": "image", "format": "segmentation", "num_channels": len(classes)}
    names = ", ".join(model.structures.names)
    return {
        "schema": SCHEMA,
        "version": "0.1.0",
        "changelog": {"0.1.0": f"exported by xmed from weights {model.weights_sha256}"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {name: version(name) for name in ("scipy", "safetensors", "nibabel")},
        "supported_apps": {},
        "name": origin.study or "xmed",
        "task": f"Segmentation of {names} in {model.modality}",
        "description": f"Adapted without target labels by {origin.method or 'xmed'}: {origin.cite or ''}",
        "authors": "whoever trained it with xmed",
        "copyright": "of whoever trained it",
        "intended_use": "research; clinical use is for a validation report and named persons to decide",
        "data_type": "nibabel",
        "network_data_format": {
            "inputs": {"image": {**image, **shape, "channel_def": {"0": "image"}}},
            "outputs": {"pred": {**label, **shape, "channel_def": classes}},
        },
    }


def inference(model: Model) -> Part:
    """Return the configuration that segments the NIfTI files of a folder on their own grids."""
    kind, arguments = network_definition(
        model.network, model.grid.spatial_dims, model.grid.channels, 1 + len(model.structures)
    )
    return {
        "imports": ["$import glob", "$from safetensors.torch import load_file"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/labels'",
        "ckpt_path": "$@bundle_root + '/models/model.safetensors'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": f"monai.networks.nets.{kind.__name__}", **arguments},
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": _before(model)},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': path} for path in sorted(glob.glob(@dataset_dir + '/*.nii*'))]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": _inferer(model),
        "postprocessing": {"_target_": "Compose", "transforms": _after(model)},
        "handlers": [],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "amp": False,
        },
        "initialize": ["$@network.load_state_dict(load_file(@ckpt_path))"],
        "run": ["$@evaluator.run()"],
    }


def _before(model: Model) -> list[Part]:
    """Return the preprocessing, as `xmed.prepare.sample` does it: axes, spacing, intensities."""
    probe = model.modality in PROBE_MODALITIES
    spacing, window = list(model.grid.spacing_mm or ()), None if model.window is None else list(model.window)
    patch = list(model.grid.patch)
    both = ["image", "fov"]
    turned = [] if probe else [{"_target_": "Orientationd", "keys": both, "axcodes": "LPS", "labels": RAS}]
    return [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "CopyItemsd", "keys": "image", "names": "fov"},
        _call("fov", "sector" if probe else "everywhere"),
        {"_target_": "CopyItemsd", "keys": "fov", "names": "seen"},
        *turned,
        _call("image", "smoothed", spacing_mm=spacing),
        {
            "_target_": "Spacingd",
            "keys": both,
            "pixdim": spacing,
            "padding_mode": "border",
            "scale_extent": True,
            "align_corners": True,
        },
        {"_target_": "ConcatItemsd", "keys": both, "name": "image"},
        _call("image", "normalised", window=window),
        {"_target_": "SpatialPadd", "keys": "image", "spatial_size": patch, "mode": "minimum"},
        {"_target_": "DeleteItemsd", "keys": "fov"},
    ]


def _inferer(model: Model) -> Part:
    flat = {"_target_": "SliceInferer", "spatial_dim": 2}
    kind = flat if model.grid.spatial_dims == 2 else {"_target_": "SlidingWindowInferer"}
    patch = list(model.grid.patch[: model.grid.spatial_dims])
    inferer = {**kind, "roi_size": patch, "sw_batch_size": AT_ONCE, "overlap": OVERLAP, "mode": "gaussian"}
    return {"_target_": "scripts.mirrored.Mirrored", "inferer": inferer, "flips": list(model.flips)}


def _after(model: Model) -> list[Part]:
    values = list(model.structures.values)
    largest = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": values}
    return [
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": "image",
            "nearest_interp": False,
            "to_tensor": True,
        },
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        {"_target_": "MaskIntensityd", "keys": "pred", "mask_key": "seen"},
        *([largest] if model.largest_component else []),
        {
            "_target_": "SaveImaged",
            "keys": "pred",
            "output_dir": "@output_dir",
            "output_postfix": "seg",
            "output_dtype": "$np.uint8",
            "resample": False,
            "separate_folder": False,
        },
    ]


def _call(key: str, function: str, **arguments: Any) -> Part:
    """Return a call of a function of scripts/prepare.py by name: MONAI knows the bundle's folder only when it runs."""
    partial = {"_target_": f"scripts.prepare.{function}", "_mode_": "callable", **arguments}
    return {"_target_": "Lambdad", "keys": key, "func": partial, "track_meta": True}
