"""Run readers in a separate process with limits of memory and time."""
