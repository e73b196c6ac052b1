"""Receiving: objects that an archive sends over DIMSE, kept as bytes, within limits that pynetdicom does not set."""

from __future__ import annotations

from typing import cast

from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.transport import AssociationSocket

from xmed.io.file_kinds import MAX_BYTES
from xmed.io.pacs.archive import SaveObject

MAX_PDU = 1 << 17


def receive_object(event: evt.Event, keep: SaveObject, expected: frozenset[str]) -> int:
    """Keep an object that was asked for, as the bytes that came: nothing is parsed before the guarded reader does."""
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
    """pynetdicom believes what a PDU says of its length, and collects them without end (its issue 1086)."""
    socket = cast(_LimitedSocket, event.assoc.dul.socket)
    socket.__class__ = _LimitedSocket  # pynetdicom offers no way to hand it one
    socket.received = 0


class _LimitedSocket(AssociationSocket):
    """A connection that ends where a PDU is longer than was agreed, or an object larger than any xmed reads."""

    received: int

    def recv(self, nr_bytes: int) -> bytearray:
        self.received += nr_bytes
        if nr_bytes > MAX_PDU or self.received > MAX_BYTES:
            raise OSError("more than was agreed")
        return super().recv(nr_bytes)
