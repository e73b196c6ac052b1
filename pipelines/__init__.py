"""Pipelines: when things happen. Prefect flows, kept thin, and the `xmed` command line."""
