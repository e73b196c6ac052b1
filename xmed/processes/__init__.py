"""Processes: child processes that end with their parent, and a stop that lets a training save its state."""
