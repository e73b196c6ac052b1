"""Steps of a job are timed, and the log says where the time went."""

import logging

import pytest

from xmed.app import steps
from xmed.app.steps import StepTimes, directly


def long_step():
    return "long"


def short_step():
    return "short"


def failing_step():
    raise ValueError("a failure")


def test_the_log_names_each_step_with_its_time_the_longest_first(monkeypatch, caplog):
    clock = iter([0.0, 1.0, 1.0, 10.0, 10.0, 11.0])
    monkeypatch.setattr(steps.time, "monotonic", lambda: next(clock))
    call = StepTimes(directly)
    assert [call(short_step), call(long_step), call(short_step)] == ["short", "long", "short"]
    with caplog.at_level(logging.INFO):
        call.log()
    assert caplog.messages == ["where the time went: long_step 9.0 s (82%), short_step 2.0 s (18%)"]


def test_a_step_that_fails_is_timed_too():
    call = StepTimes(directly)
    with pytest.raises(ValueError, match="a failure"):
        call(failing_step)
    assert list(call.seconds) == ["failing_step"]
