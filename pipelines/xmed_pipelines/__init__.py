"""Prefect flows of xmed: each wraps one job of `xmed.app`, and says when it runs and what is tried again."""
