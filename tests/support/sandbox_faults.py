"""Functions for a guarded process to run: they end, stop or answer as readers and codecs do."""

import ctypes
import os
import signal
import time

import numpy as np

from xmed.errors import XmedError
from xmed.io import read_image, read_label, read_picture
from xmed.io.notes import add_note
from xmed.io.sandbox import limits
from xmed.io.sandbox.limits import grow_limits
from xmed.labels import LabelTable, Structure
from xmed.volume import Volume

TABLE = LabelTable((Structure(1, "prostate"),))


def twice(array):
    return array * 2


def where():
    return os.getpid(), os.getcwd(), dict(os.environ)


def abort():
    os.abort()


def segfault():
    ctypes.string_at(0)


def leave():
    os._exit(3)


def spin():
    while True:
        pass


def sleep():
    time.sleep(3600)


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def hog(size):
    return np.ones(size, np.uint8).nbytes


def hog_what_was_checked(size):
    grow_limits(size)
    return hog(size)


def print_name():
    os.write(1, b"Doe^Jane")
    os.write(2, b"Doe^Jane")


def refuse():
    add_note("PADDING", "before the end")
    raise XmedError("SLICE_GAP", "no slice at 3 mm", "one", "export again")


def fail():
    raise ValueError("Doe^Jane")


def repair():
    add_note("PADDING", "12 % of the pixels")
    return "done"


def read_as_it_comes(path):
    """What the readers say to a file as an image and as a label, in no more memory than one of no size may use."""
    limits._limits.grow = lambda size: None
    image = Volume(np.zeros((12, 9, 7), np.float32), np.eye(4))
    return said(read_image, path, "MR"), said(read_picture, path), said(read_label, path, image, TABLE)


def said(read, *arguments):
    try:
        read(*arguments)
    except XmedError as problem:
        return problem.code
    except BaseException as problem:  # a panic in Rust is no Exception
        return f"{type(problem).__name__} left io"
    return "volume"


def stop_itself():
    os.kill(os.getpid(), signal.SIGSTOP)


def stop_with_a_long_answer():
    """It stops while it works, and has ignored the timer that would end it."""
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    time.sleep(3600)


def number():
    return os.getpid()


def take(data):
    return len(data)
