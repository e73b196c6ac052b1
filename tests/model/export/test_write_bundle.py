"""A MONAI bundle is the same network: MONAI's own functions verify it, run it, and label the same voxels."""

import json
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from jsonschema import Draft201909Validator
from monai.bundle import ConfigParser, run, verify_net_in_out

from xmed.errors import XmedError
from xmed.io import read_image, read_nifti
from xmed.labels import LabelTable, Structure
from xmed.model.deployed import Model
from xmed.model.export import write_bundle
from xmed.model.export.bundle_config import SCHEMA
from xmed.model.prediction import predict
from xmed.networks import build_network
from xmed.records.model_card import ModelOrigin
from xmed.spec import GridSpec, NetworkSpec

TABLE = LabelTable((Structure(1, "organ", "91723000", "41216001"), Structure(2, "lesion", "49755003", "4147007")))
SPACING = (1.5, 1.0, 2.0)


def model(folder, dims=3, modality="MR", network=None, grid=None, **card):
    spec = NetworkSpec(**{"channels": [4, 8, 8], **(network or {})})
    grid = GridSpec(**{"spacing_mm": SPACING, "patch": (16, 16, 16 if dims == 3 else 1), **(grid or {})})
    net = build_network(spec, grid.spatial_dims, grid.channels, 3, seed=3)
    card = {"study": "toy", "method": "bridge", **card}
    return Model(net.eval(), grid, spec, modality, TABLE, origin=ModelOrigin.model_validate(card)).save(folder)


@pytest.fixture
def plainly(monkeypatch):
    """xmed with 32-bit floats, as a bundle computes; what a bundle puts on the path is taken off again."""
    monkeypatch.setenv("XMED_PRECISION", "float32")
    before = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - before[0]:
        if name.split(".")[0] == "scripts":
            del sys.modules[name]
    sys.path[:] = before[1]


def picture(path, modality):
    """A NIfTI on the net's own spacing whose axes run to right, anterior and superior; an ultrasound has a sector."""
    random = np.random.default_rng(5)
    image = random.normal(100, 20, (34, 30, 20)).astype(np.float32)
    image[8:20, 8:20, 5:15] += 90
    if modality == "US":
        i, j = np.ogrid[:34, :30]
        image = np.where((abs(i - 16) < 4 + j / 3)[..., None], np.abs(image) + 1, 0).astype(np.float32)
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(image, np.diag([*SPACING, 1.0])), path)
    return path


@pytest.mark.parametrize(("dims", "modality"), [(3, "MR"), (2, "MR"), (2, "US")])
def test_monai_verifies_and_runs_it_and_labels_the_voxels_that_xmed_does(tmp_path, plainly, dims, modality):
    folder, out = model(tmp_path / "model", dims, modality), tmp_path / "bundle"
    answer = write_bundle(folder, out)
    assert answer["folder"] == str(out)
    assert not [path for path in out.rglob("*") if path.suffix in (".pt", ".pkl", ".pth", ".ts")]
    config, meta = out / "configs" / "inference.json", out / "configs" / "metadata.json"
    verify_net_in_out("network_def", str(meta), str(config), device="cpu")
    source = picture(tmp_path / "images" / "a.nii.gz", modality)
    places = {"bundle_root": str(out), "dataset_dir": str(source.parent), "output_dir": str(tmp_path / "labels")}
    run(config_file=str(config), meta_file=str(meta), **places)
    theirs = read_nifti(tmp_path / "labels" / "a_seg.nii.gz")
    ours = predict(Model.load(folder, torch.device("cpu")), read_image(source, modality))
    np.testing.assert_allclose(theirs.affine, ours.affine, atol=1e-4)
    assert len(np.unique(ours.array)) > 1
    assert (theirs.array == ours.array).mean() > 0.995


def test_its_network_is_monais_own_and_takes_the_weights_by_their_names(tmp_path):
    write_bundle(model(tmp_path / "model"), tmp_path / "bundle")
    parser = ConfigParser()
    parser.read_config(tmp_path / "bundle" / "configs" / "inference.json")
    parser["bundle_root"], parser["device"] = str(tmp_path / "bundle"), "$torch.device('cpu')"
    net = parser.get_parsed_content("network_def")
    assert type(net).__module__.startswith("monai.networks.nets")
    parser.get_parsed_content("initialize")
    loaded, image = parser.get_parsed_content("network").eval(), torch.randn(1, 1, 16, 16, 16)
    with torch.inference_mode():
        assert torch.equal(loaded(image), Model.load(tmp_path / "model", torch.device("cpu")).net(image))


def test_the_metadata_has_what_the_schema_that_it_names_requires(tmp_path):
    write_bundle(model(tmp_path / "model", 2), tmp_path / "bundle")
    found = json.loads((tmp_path / "bundle" / "configs" / "metadata.json").read_text())
    assert found["schema"] == SCHEMA
    text, tensor = {"type": "string"}, ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range"]
    required = ["schema", "version", "monai_version", "pytorch_version", "numpy_version", "task", "description"]
    required += ["authors", "copyright", "required_packages_version", "network_data_format"]
    Draft201909Validator(
        {"required": required, "properties": dict.fromkeys(required[:9], text)}
    ).validate(found)  # fmt: skip
    shape = found["network_data_format"]
    for part in (shape["inputs"]["image"], shape["outputs"]["pred"]):
        assert set(tensor) <= set(part)
    assert shape["outputs"]["pred"]["channel_def"] == {"0": "background", "1": "organ", "2": "lesion"}
    assert shape["inputs"]["image"]["spatial_shape"] == [16, 16]


@pytest.mark.parametrize(
    ("asked", "lacks"),
    [
        ({"network": {"input": "mind"}}, "a net that sees self-similarity"),
        ({"network": {"members": 2}}, "several nets whose probabilities are averaged"),
        ({"dims": 2, "grid": {"context": 1}}, "neighbouring slices as channels"),
        ({"dims": 2, "grid": {"fit": (32, 32, 1), "spacing_mm": None}}, "a grid fitted to each picture"),
        ({"method": "tent"}, "a method that adapts at test time"),
    ],
)
def test_what_monai_has_no_words_for_is_refused_and_nothing_is_written(tmp_path, asked, lacks):
    with pytest.raises(
        XmedError, match=rf"error\[EXPORT_UNSUPPORTED\]: found the model has {lacks} · expected a plain network"
    ):
        write_bundle(model(tmp_path / "model", **asked), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_model_that_enlarges_small_volumes_is_refused(tmp_path):
    enlarging = replace(Model.load(model(tmp_path / "plain")), enlarges=True)
    lacks = "small volumes that are enlarged before the network sees them"
    with pytest.raises(
        XmedError, match=rf"error\[EXPORT_UNSUPPORTED\]: found the model has {lacks} · expected a plain network"
    ):
        write_bundle(enlarging.save(tmp_path / "model"), tmp_path / "bundle")


def test_nothing_is_written_over(tmp_path):
    with pytest.raises(XmedError, match=r"error\[OUTPUT_EXISTS\]"):
        write_bundle(model(tmp_path / "model"), tmp_path)
