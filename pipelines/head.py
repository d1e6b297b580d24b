"""The head of a Ray cluster: whether it still answers. Ray itself ends a process without it after a minute, in words of its own.

It imports ray.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

import ray

from hdvg.errors import ResourceError

LOOK_S = 3.0
"""How often it is looked for."""
KNOCK_S = 2.0
LOST_S = 20.0
"""How long it may be silent: a head that starts again with what it knew is back by then."""
STUCK_S = 45.0
"""From when on this process ends where it stands, if Ray holds it: Ray would end it at 60 s."""


class HeadLostError(ResourceError):
    """The head of the cluster is gone."""


class Head:
    """The head of the session that is open, looked at by a thread until `close`."""

    def __init__(self, *, is_shared: bool) -> None:
        start = "start Ray again on the nodes (docs/cluster.md), then " if is_shared else ""
        self._again = f"{start}run the same command again"
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._place = host.strip("[]"), int(port)
        self._heard = time.monotonic()
        self._over = threading.Event()
        self.answers = True
        """Whether it did when it was last looked at: if not, what asks it would wait."""
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Look no longer."""
        self._over.set()
        self._watcher.join()

    def refuse_lost(self) -> None:
        """Raise HeadLostError if it has been silent for long."""
        if not self.answers and time.monotonic() - self._heard > LOST_S:
            raise HeadLostError(self._said())

    def refuse_going(self) -> None:
        """The same behind an error that may come of it: if it is silent now, that is waited for."""
        self._knock()
        while not self.answers:
            self.refuse_lost()
            time.sleep(0.5)

    def _said(self) -> str:
        host, port = self._place
        return f"the head of the Ray cluster ({host}:{port}) does not answer any more; all that was done is kept: {self._again}"

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            self._knock()
            if time.monotonic() - self._heard > STUCK_S:
                sys.stderr.write(f"hdvg: {self._said()}\n")
                sys.stderr.flush()
                os._exit(HeadLostError.exit_code)

    def _knock(self) -> None:
        try:
            socket.create_connection(self._place, timeout=KNOCK_S).close()
        except OSError:
            self.answers = False
        else:
            self.answers, self._heard = True, time.monotonic()
