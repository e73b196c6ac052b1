"""Whatever stands in a model folder, nothing of it is ever executed: every hostile file is refused with a code."""

import ast
import hashlib
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from support.checkout import ROOT, modules
from xmed.errors import XmedError
from xmed.labels import LabelTable, Structure
from xmed.model.deployed import Model
from xmed.model.folder import CARD, WEIGHTS, check_model
from xmed.model.weights_file import PLACES
from xmed.networks import build_network
from xmed.spec import GridSpec, NetworkSpec

OWN_PICKLES = {"xmed/io/sandbox/channel.py", "xmed/io/sandbox/worker.py"}
"""The line between xmed and the reader that it has started itself."""


class Bomb:
    """What unpickling it does is seen on the disk."""

    def __init__(self, canary):
        self.canary = str(canary)

    def __reduce__(self):
        return (Path.touch, (Path(self.canary),))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A model folder in which nothing is wrong."""
    table = LabelTable((Structure(1, "organ", "91723000", "41216001"),))
    spec = NetworkSpec(channels=[4, 8, 8])
    model = Model(build_network(spec, 2, 1, 2), GridSpec(spacing_mm=(1, 1, 1), patch=(32, 32, 1)), spec, "MR", table)
    return model.save(tmp_path_factory.mktemp("sound") / "model")


@pytest.fixture
def folder(sound, tmp_path):
    """A copy of it, to be harmed."""
    copy = tmp_path / "model"
    copy.mkdir()
    for name in (WEIGHTS, CARD):
        (copy / name).write_bytes((sound / name).read_bytes())
    return copy


@pytest.fixture
def canary(tmp_path):
    return tmp_path / "canary"


def weights(folder, data):
    """Put `data` in the place of the weights, with the checksum that belongs to it: the attacker writes both."""
    (folder / WEIGHTS).write_bytes(data)
    card(folder, weights_sha256=hashlib.sha256(data).hexdigest())


def card(folder, **changes):
    (folder / CARD).write_text(json.dumps({**json.loads((folder / CARD).read_text()), **changes}))


def header(document, length=None, data=b"\0" * 16):
    text = json.dumps(document).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(start, end, shape=(2,)):
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}


def archive(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in members.items():
            file.writestr(f"archive/{name.rstrip('_')}.pkl", data)
    return out.getvalue()


def saved(bomb):
    out = io.BytesIO()
    torch.save({"net": bomb}, out)
    return out.getvalue()


def as_npy(bomb):
    out = io.BytesIO()
    np.save(out, np.array([bomb], dtype=object), allow_pickle=True)
    return out.getvalue()


WEIGHTS_OF_ILL_WILL = {
    "a pickled checkpoint": saved,
    "a bare pickle": lambda bomb: pickle.dumps(bomb, protocol=2),
    "a pickled array": as_npy,
    "an archive with two pickles": lambda bomb: archive(data=pickle.dumps({}), data_=pickle.dumps(bomb)),
    "a header of 8 exabytes": lambda bomb: header({"a": tensor(0, 8)}, length=2**63 - 1),
    "a header longer than the file": lambda bomb: header({"a": tensor(0, 8)}, length=10**6),
    "a header that is a pickle": lambda bomb: (len(b := pickle.dumps(bomb)).to_bytes(8, "little")) + b,
    "overlapping tensors": lambda bomb: header({"a": tensor(0, 8), "b": tensor(4, 12)}),
    "a tensor beyond the end": lambda bomb: header({"a": tensor(0, 2**43, (2**41,))}),
    "a tensor with fewer bytes than its shape": lambda bomb: header({"a": tensor(0, 8, (2**40,))}),
    "a tensor of negative size": lambda bomb: header({"a": tensor(8, 0)}),
    "a hole between tensors": lambda bomb: header({"a": tensor(0, 4, (1,)), "b": tensor(12, 16, (1,))}),
    "tensors of no network": lambda bomb: header({"a": tensor(0, 8), "b": tensor(8, 16)}),
    "nothing": lambda bomb: b"",
}


@pytest.mark.parametrize("made", WEIGHTS_OF_ILL_WILL.values(), ids=WEIGHTS_OF_ILL_WILL)
def test_weights_of_ill_will_are_refused_and_the_canary_stays_away(folder, canary, made):
    weights(folder, made(Bomb(canary)))
    with pytest.raises(XmedError, match=r"^error\[MODEL_INVALID\]: "):
        Model.load(folder)
    assert not canary.exists()


def test_the_bombs_of_this_module_go_off_where_something_unpickles_them(canary):
    pickle.loads(pickle.dumps(Bomb(canary)))
    assert canary.exists()


DEEP = "[" * 200_000
CARDS_OF_ILL_WILL = {
    "a pickle": lambda folder, bomb: (folder / CARD).write_bytes(pickle.dumps(bomb)),
    "YAML that names a function": lambda folder, bomb: (folder / CARD).write_text("!!python/object/apply:os.system [id]"),
    "nested without end": lambda folder, bomb: (folder / CARD).write_text(DEEP),
    "a list": lambda folder, bomb: (folder / CARD).write_text("[]"),
    "larger than any card": lambda folder, bomb: card(folder, note="x" * (1 << 20)),
    "a network that is a function": lambda folder, bomb: card(folder, network={"name": "os.system", "channels": [4, 8, 8]}),
    "a network of petabytes": lambda folder, bomb: card(folder, network={"name": "unet", "channels": [10**7] * 4}),
    "a network of a thousand levels": lambda folder, bomb: card(folder, network={"name": "unet", "channels": [4] * 1000}),
    "a million networks": lambda folder, bomb: card(
        folder, network={"name": "unet", "channels": [4, 8, 8], "members": 10**6}
    ),
    "a window without end": lambda folder, bomb: card(folder, window=[1]),
    "no structures": lambda folder, bomb: card(folder, structures="abc"),
}  # fmt: skip


@pytest.mark.parametrize("harm", CARDS_OF_ILL_WILL.values(), ids=CARDS_OF_ILL_WILL)
def test_cards_of_ill_will_are_refused_and_nothing_is_allocated_for_them(folder, canary, harm):
    harm(folder, Bomb(canary))
    with pytest.raises(XmedError, match=r"^error\[(MODEL_INVALID|SPEC_INVALID)\]: "):
        Model.load(folder)
    assert not canary.exists()


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_ordinary_file_is_refused_and_never_waited_for(folder, tmp_path, name, kind):
    (folder / name).rename(tmp_path / "elsewhere")
    if kind == "link":
        (folder / name).symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).mkdir()
    for load in (Model.load, check_model):
        with pytest.raises(XmedError, match=r"^error\[MODEL_(INVALID|NOT_FOUND)\]: "):
            load(folder)


@pytest.mark.parametrize("shape", [(1, 64, 64, 64), (3, 32, 32, 32), (32,)])
def test_places_of_another_shape_are_refused_before_they_are_read(folder, shape):
    found = load_file(folder / WEIGHTS)
    save_file({**found, PLACES: np.zeros(shape, np.float32)}, folder / WEIGHTS)
    card(folder, weights_sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest())
    with pytest.raises(XmedError, match=rf"error\[MODEL_INVALID\]: found .*{PLACES} is not \[1, 32, 32, 32\]"):
        Model.load(folder)


def test_an_mlflow_model_that_names_its_own_loader_is_no_model_folder(tmp_path, canary):
    (tmp_path / "evil.py").write_text(f"from pathlib import Path\nPath({str(canary)!r}).touch()\n")
    (tmp_path / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: evil\n    code: .\n")
    with pytest.raises(XmedError, match=r"^error\[MODEL_NOT_FOUND\]: found no model.json"):
        Model.load(tmp_path)
    assert not canary.exists()


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_no_module_can_execute_what_a_file_says(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import) and str(path.relative_to(ROOT)) not in OWN_PICKLES:
            assert not {alias.name for alias in node.names} & {"pickle", "dill", "cloudpickle", "joblib", "marshal"}
        if isinstance(node, ast.Call):
            called, how = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert called not in ("eval", "exec", "torch.jit.load", "torch.export.load", "yaml.load"), called
            assert called != "torch.load" or how.get("weights_only") == "True", f"{path}:{node.lineno}"
            assert how.get("allow_pickle", "False") == "False", f"{path}:{node.lineno}"
