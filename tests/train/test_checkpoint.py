"""A training that is ended goes on to the same weights: by signal, by kill -9, from a damaged checkpoint."""

import multiprocessing
import os
import signal
import threading
import time

import pytest
import torch

from support.small_training import pieces
from xmed.errors import XmedError
from xmed.processes import termination
from xmed.processes.termination import last_signal, stoppable
from xmed.train import checkpoint, loop
from xmed.train.arm_processes import _initialise_worker, worker_context

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def whole(tmp_path):
    """The weights of a training that nobody disturbed."""
    folder = tmp_path / "whole"
    folder.mkdir()
    return loop.train(*pieces(folder)).candidates[12]


@pytest.fixture
def cut(tmp_path):
    folder = tmp_path / "cut"
    folder.mkdir()
    return folder


def same(found, expected):
    return all(torch.equal(expected[name], found[name]) for name in expected)


def steps(folder):
    return [int(path.name.split("-")[1]) for path in checkpoint.checkpoint_files(folder)]


def test_a_training_that_is_asked_to_stop_saves_after_its_step_and_goes_on_to_the_same_weights(whole, cut):
    with pytest.raises(KeyboardInterrupt):
        loop.train(*pieces(cut), progress=lambda step, *_: step == 7 and termination.ask_to_stop())
    assert steps(cut) == [8], "asked in step 7's report, it saves after the step that follows"
    assert same(loop.train(*pieces(cut)).candidates[12], whole)


def test_nobody_is_asked_where_nobody_trains():
    assert termination.ask_to_stop() is False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_process_that_trains_loses_no_step(number, whole, cut):
    with pytest.raises(KeyboardInterrupt), stoppable():
        loop.train(*pieces(cut), progress=lambda step, *_: step == 5 and signal.raise_signal(number))
    assert last_signal() == number
    assert steps(cut) == [6]
    assert same(loop.train(*pieces(cut)).candidates[12], whole)


def test_the_last_two_checkpoints_are_kept_under_names_with_their_checksum(cut, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 3)
    loop.train(*pieces(cut))
    assert steps(cut) == [9, 6]
    checkpoint.delete_checkpoints(cut)
    assert [path.name for path in cut.iterdir()] == ["losses.csv"]


@pytest.mark.parametrize("damage", ["truncated", "one bit", "empty"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_it_taken(damage, whole, cut, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 3)
    loop.train(*pieces(cut))
    newest, _ = checkpoint.checkpoint_files(cut)
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes({"truncated": data[: len(data) // 2], "one bit": data, "empty": b""}[damage])
    begun = []
    again = loop.train(*pieces(cut), progress=lambda step, *_: begun.append(step))
    assert begun[0] == 7
    assert same(again.candidates[12], whole)


def _train_and_die(folder, after):
    """Kill this process, as -9 does, when it has put so many files or folders on the disk."""
    loop.CHECKPOINT_EVERY = 2
    flushed, seen = os.fsync, [0]

    def fsync(handle):
        flushed(handle)
        seen[0] += 1
        if seen[0] == after:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = fsync
    torch.set_num_threads(1)
    loop.train(*pieces(folder))
    os._exit(0)


@pytest.mark.slow
def test_killed_while_it_saves_it_goes_on_to_the_same_weights(whole, cut):
    """The second checkpoint has come to the disk, and has not got its name yet."""
    process = SPAWN.Process(target=_train_and_die, args=(cut, 3))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert steps(cut) == [2]
    assert (cut / "checkpoint.part").is_file()
    assert same(loop.train(*pieces(cut)).candidates[12], whole)


@pytest.mark.parametrize("broken", ["torch.save", "os.fsync"])
def test_a_full_disk_leaves_the_checkpoint_before_it(broken, whole, cut, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 3)
    room = [3]

    def until_full(function):
        def call(*arguments):
            room[0] -= 1
            if room[0] < 0:
                raise OSError(28, "No space left on device")
            return function(*arguments)

        return call

    with monkeypatch.context() as full:
        module, name = broken.split(".")
        full.setattr(
            {"torch": torch, "os": os}[module], name, until_full(getattr({"torch": torch, "os": os}[module], name))
        )
        room[0] = 1 if module == "torch" else 2
        with pytest.raises(OSError, match="No space left"):
            loop.train(*pieces(cut))
    assert steps(cut) == [3]
    assert same(loop.train(*pieces(cut)).candidates[12], whole)


def test_a_training_that_began_on_a_gpu_does_not_go_on_without_one(cut):
    parts = list(pieces(cut))
    method = parts[0]
    at_work = checkpoint.Checkpoint(cut, method, torch.optim.SGD(method.parameters()), None, (), torch.device("cuda"))
    at_work.schedule = torch.optim.lr_scheduler.ConstantLR(at_work.optimiser)
    at_work.save(4, checkpoint.Trained())
    with pytest.raises(
        XmedError, match=r"error\[DEVICE_LOST\]: found this training began on cuda, and there is only cpu"
    ):
        loop.train(*parts)


def _wait(ready):
    _initialise_worker(dict(os.environ))
    ready.set()
    time.sleep(600)


def _parent(pids, ready):
    worker = worker_context().Process(target=_wait, args=(ready,))
    worker.start()
    pids.put(worker.pid)
    time.sleep(600)


@pytest.mark.slow
def test_a_worker_does_not_outlive_whoever_started_it():
    """Else it would write checkpoints beside the run that goes on from them."""
    pids, ready = SPAWN.Queue(), SPAWN.Event()
    parent = SPAWN.Process(target=_parent, args=(pids, ready))
    parent.start()
    worker = pids.get(timeout=120)
    assert ready.wait(120)
    parent.kill()
    parent.join()
    until = time.monotonic() + 30
    while _alive(worker):
        assert time.monotonic() < until
        time.sleep(0.05)


def _alive(pid):
    """Whether a process runs; one that has ended and that nobody asked about is a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_signals_elsewhere_than_in_the_main_thread_change_nothing():
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: stoppable().__enter__())
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
