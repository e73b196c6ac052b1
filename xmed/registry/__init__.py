"""Registry: what MLflow keeps of runs, and registered models. The only room that imports MLflow."""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Before mlflow is imported. It reads DO_NOT_TRACK only as exactly "true", and by default it would unpickle what a
# stranger registered (its own default is to allow it); xmed stores no pickle, so nothing is lost.
os.environ["DO_NOT_TRACK"] = "true"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines for every run, where a server is

if TYPE_CHECKING:
    from xmed.registry.approval import approve, check_version, decided, withdraw
    from xmed.registry.drift_reference import log_check, reference_of, report_of
    from xmed.registry.fetch_model import fetch, version_of
    from xmed.registry.ledger import check_name, verify_audit
    from xmed.registry.package import has_artifacts
    from xmed.registry.registration import ALIASES, holder, register, versions
    from xmed.registry.report_relink import relink, unsigned
    from xmed.registry.tracked_runs import log_run, orphans

_MODULES = {
    "approval": ("approve", "check_version", "decided", "withdraw"),
    "drift_reference": ("log_check", "reference_of", "report_of"),
    "fetch_model": ("fetch", "version_of"),
    "ledger": ("check_name", "verify_audit"),
    "package": ("has_artifacts",),
    "registration": ("ALIASES", "holder", "register", "versions"),
    "report_relink": ("relink", "unsigned"),
    "tracked_runs": ("log_run", "orphans"),
}
"""Module -> the names that are imported from it when they are first used: reading the audit log loads no MLflow."""


def __getattr__(name: str) -> Any:
    module = next((module for module, names in _MODULES.items() if name in names), None)
    if module is None:
        raise AttributeError(f"module 'xmed.registry' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"xmed.registry.{module}"), name)
    globals()[name] = value
    return value


__all__ = [
    "ALIASES",
    "approve",
    "check_name",
    "check_version",
    "decided",
    "fetch",
    "has_artifacts",
    "holder",
    "log_check",
    "log_run",
    "orphans",
    "reference_of",
    "register",
    "relink",
    "report_of",
    "unsigned",
    "verify_audit",
    "version_of",
    "versions",
    "withdraw",
]
