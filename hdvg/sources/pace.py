"""Keep one fetch to its share of the run's bandwidth, with permits from its caller."""

from __future__ import annotations

import sys
import time

from hdvg.sandbox.child import ask

ASKED_S = 0.25
"""How much of the limit is read before the caller is asked, in seconds' worth; 1 MB at most."""


class Pace:
    """What one process reads under `fetch.max_mb_s`; None: no limit, no questions. `most`: bytes to read at a time."""

    def __init__(self, max_mb_s: float | None) -> None:
        self.most = sys.maxsize if max_mb_s is None else max(1, int(min(ASKED_S * max_mb_s, 1.0) * 2**20))
        self.is_limited = max_mb_s is not None
        self._unpaid = 0

    def read(self, n_bytes: int) -> None:
        """So many bytes more were read: wait if it is time to."""
        self._unpaid += n_bytes
        if self._unpaid >= self.most:
            self.pay()

    def pay(self) -> None:
        """Wait for what was read, as long as the run's limit wants."""
        if self.is_limited and self._unpaid:
            time.sleep(ask({"bytes": self._unpaid}))
            self._unpaid = 0
