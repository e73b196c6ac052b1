"""Sandbox: readers at work in a process of their own, within limits of memory and time."""
