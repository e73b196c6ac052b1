"""Receive objects over DIMSE as bytes, with size limits that pynetdicom does not set."""

from __future__ import annotations

from typing import cast

from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.transport import AssociationSocket

from xmed.io.file_kinds import MAX_BYTES
from xmed.io.pacs.archive import SaveObject

MAX_PDU = 1 << 17


def receive_object(event: evt.Event, keep: SaveObject, expected: frozenset[str]) -> int:
    """Handle a C-STORE request: keep the bytes of an object that was asked for.

    The object is not parsed here; the sandboxed reader does that.

    Args:
        event: The request.
        keep: Called with the UID and the bytes.
        expected: SOP Instance UIDs that were asked for.

    Returns:
        DIMSE status: 0x0000, 0x0117 for an unexpected object (PS3.7 C.5.11), 0xA700 if it cannot be saved (PS3.4
        B.2.3).
    """
    uid = str(cast(C_STORE, event.request).AffectedSOPInstanceUID)
    cast(_LimitedSocket, event.assoc.dul.socket).received = 0
    if uid not in expected:
        return 0x0117  # invalid object instance, PS3.7 C.5.11
    try:
        keep(uid, event.encoded_dataset())
    except OSError:
        return 0xA700  # out of resources, PS3.4 B.2.3
    return 0x0000


def limit_connection(event: evt.Event) -> None:
    """Limit the sizes on a new connection; pynetdicom accepts any stated PDU length (its issue 1086)."""
    socket = cast(_LimitedSocket, event.assoc.dul.socket)
    socket.__class__ = _LimitedSocket  # pynetdicom cannot be given another socket class
    socket.received = 0


class _LimitedSocket(AssociationSocket):
    """A socket that ends if a PDU is longer than agreed, or an object larger than MAX_BYTES."""

    received: int

    def recv(self, nr_bytes: int) -> bytearray:
        self.received += nr_bytes
        if nr_bytes > MAX_PDU or self.received > MAX_BYTES:
            raise OSError("more than was agreed")
        return super().recv(nr_bytes)
