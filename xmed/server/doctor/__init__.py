"""The doctor: checks whether an installation is sound, and whether killed processes left anything."""

from xmed.server.doctor.check import Check
from xmed.server.doctor.examine import examine

__all__ = ["Check", "examine"]
