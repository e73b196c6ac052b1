"""Doctor: is this installation sound, and did anything stay half done."""

from xmed.server.doctor.examine import Check, examine

__all__ = ["Check", "examine"]
