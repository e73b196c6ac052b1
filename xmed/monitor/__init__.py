"""Monitor: checks whether new data still resembles the data that a model was validated on."""

from xmed.monitor.bench import Bench
from xmed.monitor.build_check import build, read, schema
from xmed.monitor.document import compose
from xmed.monitor.measure import by_patient
from xmed.monitor.validated_data import keep

__all__ = ["Bench", "build", "by_patient", "compose", "keep", "read", "schema"]
