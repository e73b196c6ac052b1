"""Processes: children that end with their parent, and an end that lets a training save."""
