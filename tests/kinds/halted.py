"""Halted: functions that leave a guarded process in a state from which nothing comes back, for a test to ask for."""

import os
import signal
import time


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
