"""Progress without a terminal: a line per tenth, with the seconds that are left."""

import re

from rich.console import Console

from xmed.console import progress_display
from xmed.files.progress import Steps


def test_lines_tell_how_much_time_is_left_and_end_without(monkeypatch, capsys):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress_display.time, "monotonic", lambda: next(clock))
    steps = Steps(progress_display.ProgressLines(Console(width=200)), "choose adapted seed 0", 4)
    for number in range(4):
        steps.add(f"volume {number}")
    said = [re.sub(r"^\[ *[\d.]+ s\] ", "", line) for line in capsys.readouterr().out.splitlines()]
    assert said == [
        "choose adapted seed 0 1/4 · volume 0",
        "choose adapted seed 0 2/4 · volume 1 · 20 s left",
        "choose adapted seed 0 3/4 · volume 2 · 10 s left",
        "choose adapted seed 0 4/4 · volume 3",
    ]


def test_steps_without_a_display_are_counted_only():
    steps = Steps(None, "evaluate", 3)
    steps.add("one", 2)
    assert (steps.done, steps.total) == (2, 3)
