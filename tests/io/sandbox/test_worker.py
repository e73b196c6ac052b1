"""Guard: whatever a reader does to its process, the one who asked gets an answer, and the next file is read."""

import os
import signal
import threading
from importlib import import_module

import numpy as np
import pytest

from support import sandbox_faults
from support.synthetic_dicom import oblique, refusal, save, slices, texture
from xmed.errors import XmedError
from xmed.io import inspect
from xmed.io.notes import Note, collect_notes
from xmed.io.sandbox import deadline, worker
from xmed.io.sandbox.limits import ReaderBudget
from xmed.io.sandbox.worker import run_in_sandbox, run_in_sandbox_within

MIB = 1 << 20


def test_arrays_go_there_and_come_back():
    array = texture((200, 100, 50))
    assert np.array_equal(run_in_sandbox(sandbox_faults.twice, array), array * 2)
    run_in_sandbox(sandbox_faults.twice, array)[0, 0, 0] = 1  # they may be written to, as if they had never been away


def test_the_process_is_another_one_that_stays_and_knows_no_secrets(monkeypatch, tmp_path):
    monkeypatch.setenv("PACS_PASSWORD", "secret")
    first, _, environment = run_in_sandbox(sandbox_faults.where)
    monkeypatch.chdir(tmp_path)
    second, folder, _ = run_in_sandbox(sandbox_faults.where)
    assert first == second != os.getpid()
    assert folder == str(tmp_path)
    assert "PACS_PASSWORD" not in environment


@pytest.mark.parametrize(
    ("fault", "code", "word"),
    [
        (sandbox_faults.abort, "READER_CRASHED", "SIGABRT"),
        (sandbox_faults.segfault, "READER_CRASHED", "SIGSEGV"),
        (sandbox_faults.leave, "READER_CRASHED", "exit code 3"),
        (sandbox_faults.spin, "READER_TIMEOUT", "too long"),
        (sandbox_faults.sleep, "READER_TIMEOUT", "too long"),
        (sandbox_faults.refuse, "SLICE_GAP", "no slice at 3 mm"),
        (sandbox_faults.fail, "READER_FAILED", "ValueError"),
    ],
)
def test_every_end_of_a_reader_has_its_code_and_the_next_is_read(fault, code, word):
    with refusal(code, word) as caught, collect_notes():
        run_in_sandbox_within(ReaderBudget(computing=0.5, waiting=2), fault)
    assert "Jane" not in str(caught.value)
    assert run_in_sandbox(sandbox_faults.twice, 2) == 4


def test_memory_beyond_the_budget_is_refused_and_follows_what_was_checked():
    size = 300 * MIB
    with refusal("OOM"):
        run_in_sandbox_within(ReaderBudget(memory=200 * MIB), sandbox_faults.hog, size)
    assert run_in_sandbox_within(ReaderBudget(memory=200 * MIB), sandbox_faults.hog_what_was_checked, size) == size
    with refusal("OOM"):  # what one case was allowed, the next one is not
        run_in_sandbox_within(ReaderBudget(memory=200 * MIB), sandbox_faults.hog, size)


def test_notes_are_made_here_as_if_the_reader_had_run_here():
    with collect_notes() as notes:
        assert run_in_sandbox(sandbox_faults.repair) == "done"
    assert notes == [Note("PADDING", "12 % of the pixels")]
    with collect_notes() as notes, refusal("SLICE_GAP"):
        run_in_sandbox(sandbox_faults.refuse)
    assert notes == [Note("PADDING", "before the end")]


def test_nothing_that_a_reader_prints_comes_out(capfd):
    run_in_sandbox(sandbox_faults.print_name)
    assert "Jane" not in "".join(capfd.readouterr())


def test_those_who_ask_at_once_get_their_own_answers():
    answers = {}
    threads = [
        threading.Thread(
            target=lambda n=n: answers.update({n: run_in_sandbox(sandbox_faults.twice, np.full(10_000, n))[0]})
        )
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: 2 * n for n in range(6)}


def test_a_forked_child_of_the_caller_does_not_talk_on_its_line():
    first = run_in_sandbox(sandbox_faults.where)[0]
    child = os.fork()
    if child == 0:
        os._exit(0 if run_in_sandbox(sandbox_faults.where)[0] != first else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert run_in_sandbox(sandbox_faults.where)[0] == first


def test_a_forked_child_waits_for_no_lock_that_a_thread_of_its_parent_held():
    with worker._deadline_watcher._alone:
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # a child that waits forever ends by it
            os._exit(0 if run_in_sandbox(sandbox_faults.where) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_forked_child_keeps_to_deadlines():
    """The thread that watches them does not live on in a forked child, which has to start its own."""
    run_in_sandbox(sandbox_faults.where)  # now there is that thread
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        deadline.STOPPED_SECONDS = 1.0
        try:
            run_in_sandbox(sandbox_faults.stop)
        except XmedError as problem:
            os._exit(0 if problem.code == "READER_TIMEOUT" else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_file_that_kills_its_reader_is_one_finding_and_its_neighbours_are_judged(tmp_path, monkeypatch):
    array, affine = texture((12, 9, 7)), oblique()
    save(slices(array, affine), tmp_path / "good")
    save(slices(array, affine), tmp_path / "bad")
    monkeypatch.setattr(import_module("xmed.io.inspect"), "run_in_sandbox", deadly)  # xmed.io.inspect is the function
    found = {(finding.path.name, finding.verdict, finding.code) for finding in inspect(tmp_path)}
    assert found == {
        ("good", "ok", None),
        ("003.dcm", "refused", "READER_CRASHED"),
        ("bad", "refused", "READER_CRASHED"),  # its slice may be the one that died
    }


def deadly(function, files, broken):
    """`run_in_sandbox`, for a file in which a codec dies."""
    if any(file.parts[-2:] == ("bad", "003.dcm") for file in files):
        raise XmedError("READER_CRASHED", "the reader's process ended with SIGSEGV")
    return run_in_sandbox(function, files, broken)
