"""Monitor: whether incoming images still resemble those that a model was validated on (drift)."""

from xmed.monitor.bench import Bench
from xmed.monitor.build_check import build, read, schema
from xmed.monitor.document import compose
from xmed.monitor.measure import by_patient
from xmed.monitor.validated_data import keep

__all__ = ["Bench", "build", "by_patient", "compose", "keep", "read", "schema"]
