"""A home with five records in its audit log, and what a test does to the lines of the log."""

import pytest

from xmed.registry import audit_log
from xmed.registry.audit_file import LOG


@pytest.fixture(autouse=True)
def without_key(monkeypatch):
    monkeypatch.delenv(audit_log.KEY, raising=False)


@pytest.fixture
def log(home):
    """A home with five records."""
    for n in range(5):
        audit_log.append(home, "registered", by=None, model="toy", version=n)
    return home


def lines(home):
    return (home / LOG).read_text().splitlines(keepends=True)


def rewrite(home, kept):
    (home / LOG).write_text("".join(kept))
