"""Exchange Python objects between two processes: messages through a socket, arrays through shared memory."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
from typing import Any

import numpy as np

_MAX_KEPT_BYTES = 16 << 20
"""Size up to which the shared memory is kept between messages, because allocating it again takes time."""


class Channel:
    """One end of a connection between two processes that send in turn.

    Arrays are separated from the pickle (PEP 574) and cross in shared memory, where a socket would need many small
    reads.

    Args:
        words: A connected socket.
        memory: Descriptor of the memory file that both processes share.
    """

    def __init__(self, words: socket.socket, memory: int) -> None:
        self._socket, self._words, self._memory = words, words.makefile("rwb"), memory

    def send(self, message: Any) -> None:
        """Send an object.

        Raises:
            OSError: If the other process has ended.
        """
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
        sizes, at = [], 0
        for buffer in buffers:
            rest = buffer.raw()
            sizes.append(rest.nbytes)
            while rest:
                written = os.pwrite(self._memory, rest, at)
                at, rest = at + written, rest[written:]
        pickle.dump((head, sizes), self._words)
        self._words.flush()

    def receive(self) -> Any:
        """Wait for an object and return it.

        Raises:
            EOFError, OSError, pickle.UnpicklingError: If the other process has ended.
        """
        head, sizes = pickle.load(self._words)
        buffers, at = [], 0
        for size in sizes:
            rest = np.empty(size, dtype=np.uint8).data  # unlike a bytearray, not filled with zeros first
            buffers.append(rest)
            while rest:
                read = os.preadv(self._memory, [rest], at)
                if not read:
                    raise EOFError
                at, rest = at + read, rest[read:]
        if at > _MAX_KEPT_BYTES:
            os.ftruncate(self._memory, 0)
        return pickle.loads(head, buffers=buffers)

    def hang_up(self) -> None:
        """Shut the socket down, so that a thread that waits in `receive` gets an error."""
        with contextlib.suppress(OSError):  # already closed
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Release the socket and the shared memory."""
        with contextlib.suppress(OSError):  # buffered data that can no longer be sent
            self._words.close()
        self._socket.close()
        os.close(self._memory)
