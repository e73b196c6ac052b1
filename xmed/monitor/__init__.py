"""Monitor: whether incoming images still resemble those that a model was validated on (drift)."""

from xmed.monitor.document import compose_drift_check
from xmed.monitor.drift_page import build_drift_check, drift_schema, read_drift_check
from xmed.monitor.measure import Bench, by_patient
from xmed.monitor.validated_data import keep

__all__ = [
    "Bench",
    "build_drift_check",
    "by_patient",
    "compose_drift_check",
    "drift_schema",
    "keep",
    "read_drift_check",
]
