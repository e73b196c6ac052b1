"""Exchange objects with a picture archive (PACS) over DICOMweb or DIMSE."""

from xmed.io.pacs.connect import connect, send
from xmed.io.pacs.retrieve import retrieve

__all__ = ["connect", "retrieve", "send"]
