"""A comparison on a real Dask cluster of two workers has the numbers of one process, trained where the workers are."""

import itertools
import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace

import pytest
import torch

from support.small_training import write_case
from support.stand_in_library import prefect_server  # noqa: F401
from xmed.cohort import case_reader, ingest_cases
from xmed.errors import XmedError
from xmed.run import Run

METHODS = ["mean_teacher", "shot"]
"""Each begins with another's training, and that of the first, gin, fails: it is asked for no copies at all."""


@pytest.fixture
def study(tmp_path):
    """The path of a tiny study, whose two datasets are read and trained on within seconds."""
    for name, modality, inverted, first in (("bright", "MR", False, 0), ("dark", "PT", True, 50)):
        cases = {"train": ["a", "b", "c"], "select": ["d"], "test": ["e", "f"]}
        for number, case in enumerate(itertools.chain(*cases.values())):
            write_case(tmp_path / name, case, first + number, inverted)
        (tmp_path / name / "label" / "c.nii.gz").write_bytes(b"no NIfTI")
        document = {
            "name": name, "modality": modality, "root": str(tmp_path / name), "splits": cases,
            "layout": {"image": "image/{case}.nii.gz", "label": "label/{case}.nii.gz"}, "labels": {1: {"name": "ball"}},
        }  # fmt: skip
        (tmp_path / f"{name}.yaml").write_text(json.dumps(document))
    document = {
        "name": "balls", "source": str(tmp_path / "bright.yaml"), "target": str(tmp_path / "dark.yaml"),
        "structures": ["ball"], "grid": {"spacing_mm": [1, 1, 2], "patch": [24, 24, 1]},
        "network": {"channels": [4, 8, 8]}, "method": {"name": "gin", "copies": 0}, "budget": {"steps": 6, "batch": 4},
        "protocol": {"primary": {"structure": "ball"}}, "register_as": "balls",
    }  # fmt: skip
    path = tmp_path / "balls.yaml"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def cluster(tmp_path):
    """The address of a Dask scheduler with two workers, each a process of its own."""
    distributed = pytest.importorskip("distributed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard", "--host", f"tcp://{address}"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--no-dashboard", "--nthreads", "1"]
    environment = {**os.environ, "XMED_HOME": str(tmp_path / "elsewhere")}
    with ExitStack() as held:
        for command in (dask, *([*worker, "--name", name, f"tcp://{address}"] for name in ("one", "two"))):
            log = held.enter_context((tmp_path / "dask.log").open("ab"))
            process = held.enter_context(
                subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
            )
            held.callback(process.terminate)
        with distributed.Client(f"tcp://{address}", timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield f"tcp://{address}"


def compared(study, home, monkeypatch, cluster):
    from xmed_pipelines import compare_flow

    monkeypatch.setenv("XMED_HOME", str(home))
    return Run(home / "runs" / compare_flow.compare_flow(str(study), METHODS, [0], cluster=cluster)["run"])


def numbers(run):
    """Everything that was computed: weights, rows, what was read and what was refused."""
    weights = {arm: json.loads((run.arm(*arm) / "train.json").read_text())["weights_sha256"] for arm in run.arms()}
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in run.read("rows")]
    cohorts = [run.read("data")[side] for side in ("source", "target")]
    return weights, rows, [(one["fingerprint"], one["flow"]) for one in cohorts]


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_two_workers_reach_the_numbers_of_one_process(study, cluster, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    alone = compared(study, tmp_path / "alone", monkeypatch, None)
    spread = compared(study, tmp_path / "spread", monkeypatch, cluster)
    assert [arm for arm, _ in spread.arms()] == ["source_only", "target_supervised", "shot"]
    assert numbers(spread) == numbers(alone)
    said = [(one["method"], one["code"]) for one in spread.read("failed")]
    assert said == [("gin", "FAULT"), ("mean_teacher", "METHOD_NEEDS")], "what fails takes only what begins with it"
    assert (spread.arm("shot", 0) / "lock.json").read_text() == "", "who trained it has let go of it"


@pytest.mark.usefixtures("prefect_server")
def test_a_cluster_that_is_not_there_or_has_no_server_is_one_line(monkeypatch):
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from xmed_pipelines import cluster as room

    monkeypatch.setattr(room, "CONNECT_SECONDS", 0.5)
    with pytest.raises(
        XmedError, match=r"error\[CLUSTER_UNREACHABLE\]: found no Dask scheduler answers at tcp://127.0.0.1:9"
    ):
        list(room.read_on_cluster("tcp://127.0.0.1:9", []))
    nowhere = temporary_settings(restore_defaults={PREFECT_API_URL})
    with nowhere, pytest.raises(XmedError, match=r"error\[USAGE\]: found a cluster, and no Prefect server"):
        list(room.read_on_cluster("tcp://127.0.0.1:9", []))


def test_a_worker_with_another_home_or_key_reads_nothing(clinic, home):
    pieces = []

    def spread(asked):
        pieces.extend(asked)
        return [piece.read() for piece in asked]

    ingest_cases(clinic.spec(), home, read_shards=spread)
    elsewhere = home.with_name("other-home")
    elsewhere.mkdir()
    with pytest.raises(XmedError, match=r"error\[KEY_INVALID\]: found another key for pseudonyms"):
        replace(pieces[0], home=elsewhere).read()
    with pytest.raises(XmedError, match=r"error\[PATH_NOT_FOUND\]: found no folder .*nowhere on "):
        replace(pieces[0], home=home / "nowhere").read()


def test_an_ingest_in_pieces_finds_what_one_in_one_place_finds(clinic, home, tmp_path, monkeypatch):
    monkeypatch.setattr(case_reader, "CASES_PER_SHARD", 2)
    monkeypatch.setenv("XMED_DEID_KEY", "0" * 64)
    clinic.label("b").write_bytes(b"no NIfTI")
    asked = []
    found = ingest_cases(clinic.spec(), home, read_shards=lambda pieces: [asked.append(p) or p.read() for p in pieces])
    assert [len(piece.cases) for piece in asked] == [2, 1]
    alone = ingest_cases(clinic.spec(), tmp_path / "alone")
    assert (found.fingerprint, found.quarantined) == (alone.fingerprint, alone.quarantined)
    assert found.cases == alone.cases
