"""A registered model stands on its own: it predicts where only its environment is, and many may register at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from support.checkout import ROOT
from support.registrable_runs import STUDY, finished
from xmed import registry
from xmed.files.digest import file_digest, folder_digest
from xmed.labels import LabelTable, Structure
from xmed.model.deployed import Model
from xmed.model.folder import WEIGHTS
from xmed.networks import build_network
from xmed.records.model_card import ModelOrigin
from xmed.registry import audit_log
from xmed.registry.tracking_store import client, tracking_uri
from xmed.spec import NetworkSpec

ELSEWHERE = """
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

uri, image, out = sys.argv[1:]
sys.path = [place for place in sys.path if not (Path(place or ".") / "xmed" / "__init__.py").is_file()]


def closure(names):
    found, waiting = set(), [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            try:
                asked = map(Requirement, distribution(name).requires or ())
            except Exception:
                continue
            waiting += [canonicalize_name(r.name) for r in asked if not r.marker or r.marker.evaluate({"extra": ""})]
    return found


import mlflow.pyfunc
import numpy as np
from mlflow.pyfunc import get_model_dependencies

asked = [Requirement(line.strip()).name for line in open(get_model_dependencies(uri)) if line.strip()]
inside = closure(["mlflow", *asked])
outside = {top for top, owners in packages_distributions().items() if not {*map(canonicalize_name, owners)} & inside}


class Fence:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in outside - {"xmed"}:
            raise ModuleNotFoundError(f"{name} is not in the model's environment")


assert {"typer", "nibabel", "pydicom", "prefect"} <= outside, "the fence would keep nothing out"
for name in [name for name in sys.modules if name.partition(".")[0] in outside]:
    del sys.modules[name]
sys.meta_path.insert(0, Fence())
model = mlflow.pyfunc.load_model(uri)
np.save(out, model.predict(np.load(image)))
import xmed
print(xmed.__file__)
"""
WRITER = """
import sys, types
sys.path.insert(0, sys.argv[1])
from support import registrable_runs
import xmed.report
sys.modules["xmed.model.prediction"] = types.SimpleNamespace(Model=registrable_runs.FakeModel)
xmed.report.verify_report, xmed.report.write_report = registrable_runs.verify, registrable_runs.build
from pathlib import Path
from xmed import registry
from xmed.run import Run
for folder in sys.argv[3:]:
    print(registry.register(Run(Path(folder)), Path(sys.argv[2])).version)
"""


@pytest.fixture(autouse=True)
def embedded(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", audit_log.KEY):
        monkeypatch.delenv(name, raising=False)


def started(*words, **changes):
    return subprocess.Popen(
        [sys.executable, "-c", *map(str, words)],
        env={**os.environ, **changes},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_it_predicts_in_a_process_that_has_nothing_but_what_the_model_asks_for(tmp_path):
    run = finished(tmp_path)
    table = LabelTable((Structure(1, "prostate"), Structure(2, "bladder")))
    spec = NetworkSpec(channels=[4, 8, 8])
    model = Model(
        build_network(spec, 2, 1, 3, seed=1).eval(), STUDY.grid, spec, "US", table, origin=ModelOrigin(deployable=True)
    )
    folder = model.save(run.arm("adapted", 0) / "model")
    trained = json.loads((folder.parent / "train.json").read_text())
    trained |= {"weights_sha256": file_digest(folder / WEIGHTS), "model_sha256": folder_digest(folder)}
    (folder.parent / "train.json").write_text(json.dumps(trained))
    uri = registry.register(run, tmp_path).uri
    image = np.random.default_rng(0).random((2, 1, 32, 48), dtype=np.float32)
    np.save(tmp_path / "image.npy", image)
    store = {"MLFLOW_TRACKING_URI": tracking_uri(tmp_path), "PYTHONPATH": "", "CUDA_VISIBLE_DEVICES": ""}
    there = started(ELSEWHERE, uri, tmp_path / "image.npy", tmp_path / "out.npy", **store)
    said = there.communicate(timeout=300)[0]
    assert there.returncode == 0
    assert not Path(said.strip().splitlines()[-1]).is_relative_to(Path(registry.__file__).parents[2])
    expected = torch.softmax(Model.load(folder, torch.device("cpu")).logits(torch.as_tensor(image)), 1).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


@pytest.mark.slow
def test_of_many_processes_that_register_at_once_nothing_is_lost_and_nothing_doubled(tmp_path):
    client(tmp_path).search_experiments()
    runs = [finished(tmp_path, shift=shift).folder for shift in range(3)]
    writers = [started(WRITER, ROOT / "tests", tmp_path, *runs[n:], *runs[:n]) for n in range(3)]
    said = [writer.communicate(timeout=300)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], said
    rows = registry.versions(tmp_path)
    assert sorted(row.version for row in rows) == [1, 2, 3]
    assert {row.run for row in rows} == {folder.name for folder in runs}
    told = [one.version for one in audit_log.records(tmp_path) if one.event == "registered"]
    assert sorted(told) == [1, 2, 3]
    assert registry.verify_audit(tmp_path) == []
    place = client(tmp_path).get_experiment_by_name("toy")
    assert len(client(tmp_path).search_runs([place.experiment_id])) == 3 * 5
