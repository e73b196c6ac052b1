"""Channel: a socket for words, and a file in memory for the arrays that they speak of."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
from typing import Any

import numpy as np

_MAX_KEPT_BYTES = 16 << 20
"""Bytes of the file that stay: memory given back for each message would have to be got again for the next one."""


class Channel:
    """One end of a line between two processes that take turns in talking.

    words: a connected socket. memory: a descriptor that both share. Arrays leave the pickle as they lie in memory
    (PEP 574) and cross in one piece, where a socket would pass them in a thousand handfuls.
    """

    def __init__(self, words: socket.socket, memory: int) -> None:
        self._socket, self._words, self._memory = words, words.makefile("rwb"), memory

    def send(self, message: Any) -> None:
        """Raises OSError where the other side is gone."""
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
        """Raises EOFError, OSError or UnpicklingError where the other side is gone."""
        head, sizes = pickle.load(self._words)
        buffers, at = [], 0
        for size in sizes:
            rest = np.empty(size, dtype=np.uint8).data  # a bytearray would be filled with zeros first
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
        """Whoever waits on this end, in whichever thread, is told that the other side is gone."""
        with contextlib.suppress(OSError):  # it is
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # words that were never sent, for nobody
            self._words.close()
        self._socket.close()
        os.close(self._memory)
