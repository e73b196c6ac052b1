"""Several processes that train together do what one does: the same patches, statistics, losses, weights."""

import csv
import json
import multiprocessing.connection
import pickle
import signal

import numpy as np
import pytest
import torch

from support.small_training import pieces, run, study  # noqa: F401
from xmed import train
from xmed.errors import XmedError
from xmed.methods.adabn import Adabn
from xmed.methods.advent import Advent
from xmed.methods.method import Method
from xmed.methods.source_only import SourceOnly
from xmed.networks import build_network
from xmed.networks.distributed import ALONE, Ranks, process_group
from xmed.networks.mean_teacher_model import DistributionAlignment, Teacher
from xmed.processes import termination
from xmed.processes.termination import last_signal, stoppable
from xmed.run import Run
from xmed.spec import Budget, NetworkSpec
from xmed.tasks import Segmentation
from xmed.train import checkpoint, distributed_launch, loop

SPAWN = multiprocessing.get_context("spawn")
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}
"""Seen: 3e-6 after twelve steps. In float32: bfloat16 makes of the last digit of a sum one in the third."""


class Follower(Method):
    """A method with all that the loop has to keep in step: a teacher, moving averages, flags, a loss that begins late."""

    cite = "this test"

    def __init__(self, net, task):
        super().__init__(net, task)
        self.teacher, self.alignment = Teacher(net, 0.9, own_statistics=True), DistributionAlignment(task.classes, 0.5)
        self.late = torch.nn.Parameter(torch.ones(()))
        self.register_buffer("seen", torch.zeros(2, dtype=torch.bool))

    def losses(self, source, target):
        p = self.alignment(self.teacher.probabilities(target.image), None)
        self.seen[torch.distributed.get_rank() if torch.distributed.is_initialized() else 0] = True
        found = {"supervised": self.task.loss(self.net(source.image), source.truth, source.fov)}
        if self.progress > 0.4:
            found["apart"] = self.late * ((self.net(target.image).float().softmax(1) - p) ** 2).mean()
        return found

    def after_step(self):
        self.teacher.update(self.net)


def together(kind, folder, ranks=ALONE, synced=True, **options):
    """Train `kind` for twelve steps as one of several; returns its state and the losses."""
    folder.mkdir(exist_ok=True)
    method, source, target, _, device, _ = pieces(folder)
    net = build_network(NetworkSpec(channels=[4, 8, 8]), 2, 1, 2)
    net = ranks.synchronise_batchnorm(net, device) if synced else net
    method = kind.build(net, Segmentation(("x",), sum_over_batch=ranks.sum), {}, seed=0)
    for sampler in (source, target):
        sampler.size = 4
        sampler.share(ranks.rank, ranks.count)
    with process_group(ranks, device):
        budget = Budget(steps=12, batch=4, devices=ranks.count)
        loop.train(method, source, target, budget, device, folder, ranks=ranks, **options)
    return method.state_dict()


def losses(folder):
    with (folder / "losses.csv").open() as file:
        return [{name: float(value or 0) for name, value in row.items()} for row in csv.DictReader(file)]


TRAININGS = {"source_only": SourceOnly, "advent": Advent, "adabn": Adabn, "follower": Follower}


def _as_rank(rank, port, folder):
    """What one of two processes has after every training: written to `folder`, since a queue tells of no death."""
    # One group for all trainings, and the starter's store: no port that is free now and taken later.
    store = torch.distributed.TCPStore("127.0.0.1", port)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    torch.set_num_threads(1)
    loop.CHECKPOINT_EVERY = 5

    def trained(kind, name, synced=True, **options):
        found = together(kind, folder / name, Ranks(rank, 2), synced, **options)
        return {key: tensor.numpy() for key, tensor in found.items()}

    found = {name: trained(kind, name) for name, kind in TRAININGS.items()}
    found["not synced"] = trained(SourceOnly, "not synced", synced=False)
    try:
        trained(Follower, "cut", progress=lambda step, *_: rank == 1 and step == 7 and termination.ask_to_stop())
    except KeyboardInterrupt:
        found["saved"] = [int(path.name.split("-")[1]) for path in checkpoint.checkpoint_files(folder / "cut")]
    found["cut"] = trained(Follower, "cut")
    with (folder / f"{rank}.pickle").open("wb") as file:
        pickle.dump(found, file)
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What two processes had when they had trained together, and the folder that they wrote into."""
    folder = tmp_path_factory.mktemp("pair")
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    processes = [SPAWN.Process(target=_as_rank, args=(rank, store.port, folder)) for rank in (0, 1)]
    for process in processes:
        process.start()
    while all(process.is_alive() for process in processes):
        multiprocessing.connection.wait([process.sentinel for process in processes])
    # The other ends by itself, unless it waits for one that is dead.
    for process in processes:
        process.join(60)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    found = [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in (0, 1)]
    return found, folder


def apart(one, other):
    """The largest difference of two states, in units of what rounding explains."""
    return max(
        float((abs(one[name] - other[name].numpy()) / (ROUNDING["atol"] + ROUNDING["rtol"] * abs(one[name]))).max())
        for name in one
        if one[name].dtype.kind == "f"
    )


@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_reach_the_weights_that_one_reaches(name, pair, tmp_path):
    found, folder = pair
    alone = together(TRAININGS[name], tmp_path / name)
    assert apart(found[0][name], alone) < 1
    for mine, theirs in zip(losses(tmp_path / name), losses(folder / name), strict=True):
        assert theirs["total"] == pytest.approx(mine["total"], rel=1e-5)


def test_without_statistics_of_the_whole_batch_they_would_not(pair, tmp_path):
    found, _ = pair
    assert apart(found[0]["not synced"], together(SourceOnly, tmp_path / "alone")) > 10


@pytest.mark.parametrize("name", TRAININGS)
def test_both_end_with_the_same_weights_averages_and_flags(name, pair):
    found, _ = pair
    for key, tensor in found[0][name].items():
        assert np.array_equal(tensor, found[1][name][key]), key


def test_asked_on_one_rank_all_of_them_save_and_go_on_to_the_same_weights(pair):
    found, folder = pair
    assert found[0]["saved"] == [8, 5]
    assert found[0]["follower"]["seen"].all(), "a flag that either raised is up"
    for key, tensor in found[0]["follower"].items():
        assert np.array_equal(tensor, found[0]["cut"][key]), key
    assert losses(folder / "follower") == losses(folder / "cut")


def test_a_shared_batch_is_cut_from_the_whole_one(tmp_path):
    _, whole, _, *_ = pieces(tmp_path)
    parts = [pieces(tmp_path)[1] for _ in range(2)]
    for sampler in (whole, *parts):
        sampler.size = 4
    for number, part in enumerate(parts):
        part.share(number, 2)
    for _ in range(3):
        expected, one, other = next(whole), next(parts[0]), next(parts[1])
        assert torch.equal(expected.image, torch.cat([one.image, other.image]))
        assert torch.equal(expected.truth, torch.cat([one.truth, other.truth]))
        assert torch.equal(expected.fov, torch.cat([one.fov, other.fov]))


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    with pytest.raises(ValueError, match="a batch of 12 cannot be shared evenly by 5 devices"):
        Budget(batch=12, devices=5)


def test_a_training_of_two_devices_does_not_go_on_with_one(pair):
    _, folder = pair
    with pytest.raises(XmedError, match=r"error\[DEVICE_LOST\]: found this training began on 2 × cpu"):
        together(Follower, folder / "cut")


@pytest.mark.slow
def test_torchrun_trains_an_arm_saves_at_sigterm_and_goes_on(run, monkeypatch):  # noqa: F811
    made, home = run
    alone = losses(train.fit(Run.create(made.study, home), "source_only", 0, home))
    asked = made.read("study")
    made.write("study", {**asked, "budget": {**asked["budget"], "devices": 2}})

    def end(what, done, total, note):
        if done == 1:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt), stoppable():
        train.fit_all(made, home, ["source_only"], progress=end)
    assert last_signal() == signal.SIGTERM
    folder = made.arm("source_only", 0)
    assert checkpoint.checkpoint_files(folder)
    notes = []
    train.fit_all(made, home, ["source_only"], progress=lambda *note: notes.append(note))
    assert notes[0][:3] != ("train source_only seed 0", 1, 30), "it went on where it was"
    assert notes[-1][:3] == ("train source_only seed 0", 30, 30)
    assert json.loads((folder / "train.json").read_text())["devices"] == 2
    assert not (folder / distributed_launch.LOG).exists()
    for mine, theirs in zip(alone, losses(folder), strict=True):
        assert theirs["total"] == pytest.approx(mine["total"], rel=0.02)


@pytest.mark.slow
def test_what_a_rank_raises_is_raised_here(run):  # noqa: F811
    made, home = run
    asked = made.read("study")
    made.write("study", {**asked, "budget": {**asked["budget"], "devices": 2}})
    for image in (home / "store").rglob("image.npy"):
        image.write_bytes(b"")
    with pytest.raises(XmedError, match=r"error\[PATH_NOT_FOUND\]: found store entry"):
        train.fit_all(made, home, ["source_only"])
    assert made.arms() == []
