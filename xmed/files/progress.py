"""How long work reports its progress."""

from collections.abc import Callable

Progress = Callable[[str, int, int, str], None]
"""Called with what (the piece of work, such as "train adapted seed 0"), done and total (counts of steps), and note (a
remark on the last step, such as the loss). Every function that takes long accepts one."""


class Steps:
    """Counts the steps of one piece of work and reports each.

    Attributes:
        what: The piece of work.
        total: Number of its steps.
        done: Number of steps that are done.
    """

    def __init__(self, progress: Progress | None, what: str, total: int) -> None:
        self.progress, self.what, self.total, self.done = progress, what, total, 0

    def add(self, note: str = "", steps: int = 1) -> None:
        """Count further steps as done.

        Args:
            note: A remark on the last one.
            steps: Number of steps.
        """
        self.done += steps
        if self.progress:
            self.progress(self.what, self.done, self.total, note)
