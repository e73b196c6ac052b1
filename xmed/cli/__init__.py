"""Command line: one file for each group of commands; it parses, calls a job, and prints the answer."""
