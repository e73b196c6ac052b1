"""How long work reports its progress."""

from collections.abc import Callable

Progress = Callable[[str, int, int, str], None]
"""Called with what (the piece of work, such as "train adapted seed 0"), done and total (counts of steps), and note (a
remark on the last step, such as the loss). Every function that takes long accepts one."""
