"""Monitor: is what comes in still what a model was validated on."""

from xmed.monitor.bench import Bench
from xmed.monitor.build import build, read, schema
from xmed.monitor.document import compose
from xmed.monitor.measure import by_patient
from xmed.monitor.reference import keep

__all__ = ["Bench", "build", "by_patient", "compose", "keep", "read", "schema"]
