"""How often one host is asked, over the whole run: permits, pauses and refusals."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from hdvg.errors import ItemError

POLL_S = 0.2


@dataclass
class _Host:
    """What is known of one host; `not_before` is on the gate's clock, in seconds."""

    in_use: int = 0
    not_before: float = -math.inf
    blocked: bool = False


class HostGate:
    """Gives permits host by host; never sleeps itself, so that one can serve all workers (as a Ray actor, say).

    `per_host` permits at once, `interval_s` seconds between two starts, `max_wait_s` caps what a Retry-After may ask.
    """

    def __init__(
        self, per_host: int, interval_s: float, max_wait_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_host = per_host
        self._interval_s = interval_s
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._hosts: dict[str, _Host] = {}

    def ask(self, host: str) -> float:
        """0.0: go now, a permit is taken and must be given back by `done`; else seconds to wait, then ask again.

        Raises ItemError("blocked") for a host that refused us in this run.
        """
        state = self._hosts.setdefault(host, _Host())
        if state.blocked:
            raise ItemError("blocked", f"{host} refused us earlier in this run")
        now = self._clock()
        if now < state.not_before:
            return state.not_before - now
        if state.in_use >= self._per_host:
            return POLL_S
        state.in_use += 1
        state.not_before = now + self._interval_s
        return 0.0

    def done(self, host: str, retry_after_s: float | None = None, blocked: bool = False) -> None:
        """Give the permit back; `retry_after_s` (any number a server may send) slows the host for everybody."""
        state = self._hosts.setdefault(host, _Host())
        state.in_use = max(0, state.in_use - 1)
        state.blocked = state.blocked or blocked
        if retry_after_s is not None and retry_after_s > 0:  # False for NaN too
            state.not_before = max(state.not_before, self._clock() + min(retry_after_s, self._max_wait_s))
        if not state.in_use and not state.blocked and state.not_before <= self._clock():
            del self._hosts[host]  # idle: a run over many hosts stays small
