"""How often one host is asked, over the whole run: permits, pauses and refusals."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from hdvg.errors import NotAskedError, ResourceError

POLL_S = 0.2
BOT_WALL = r"not a bot|captcha|anti-bot|cloudflare"
"""Words by which a host says that it wants no more of us."""
REFUSALS = 20
"""Refusals in a row, nothing fetched in between, that close a host: one alone may be about its link only."""


@dataclass
class _Host:
    """What is known of one host; `not_before` is on the gate's clock, in seconds."""

    in_use: int = 0
    not_before: float = -math.inf
    refusals: int = 0
    closed: bool = False


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

        Raises NotAskedError for a host that is closed for the rest of this run.
        """
        state = self._hosts.setdefault(host, _Host())
        if state.closed:
            raise NotAskedError("blocked", f"{host} refused others in this run; it is asked again in the next one")
        now = self._clock()
        if now < state.not_before:
            return state.not_before - now
        if state.in_use >= self._per_host:
            return POLL_S
        state.in_use += 1
        state.not_before = now + self._interval_s
        return 0.0

    def done(
        self, host: str, retry_after_s: float | None = None, *, refusal: str | None = None, fetched: bool = False
    ) -> None:
        """Give the permit back; `retry_after_s` (any number a server may send) slows the host for everybody.

        `refusal` is what the host said when it refused: the words of a bot wall, or `REFUSALS` in a row, close it.
        """
        state = self._hosts.setdefault(host, _Host())
        state.in_use = max(0, state.in_use - 1)
        state.refusals = 0 if fetched else state.refusals + (refusal is not None)
        walled = refusal is not None and re.search(BOT_WALL, refusal, re.IGNORECASE) is not None
        state.closed = state.closed or walled or state.refusals >= REFUSALS
        if retry_after_s is not None and retry_after_s > 0:  # False for NaN too
            state.not_before = max(state.not_before, self._clock() + min(retry_after_s, self._max_wait_s))
        if not (state.in_use or state.refusals or state.closed) and state.not_before <= self._clock():
            del self._hosts[host]  # idle: a run over many hosts stays small


class Leases:
    """A gate whose permits are held by somebody, so that those of a killed worker can be taken back."""

    def __init__(self, gate: HostGate) -> None:
        self._gate = gate
        self._held: dict[int, Counter[str]] = {}
        self._gone: set[int] = set()

    def ask(self, holder: int, host: str) -> float:
        """As `HostGate.ask`. Raises ResourceError for a holder that was forgotten: its work is another's now."""
        if holder in self._gone:
            raise ResourceError("this worker was given up, and its work started again elsewhere")
        wait_s = self._gate.ask(host)
        if wait_s == 0:
            self._held.setdefault(holder, Counter())[host] += 1
        return wait_s

    def done(
        self, holder: int, host: str, retry_after_s: float | None, *, refusal: str | None = None, fetched: bool = False
    ) -> None:
        """As `HostGate.done`; nothing for a permit that the holder has not."""
        held = self._held.get(holder, Counter())
        if held[host] > 0:
            held[host] -= 1
            self._gate.done(host, retry_after_s, refusal=refusal, fetched=fetched)
            if not held.total():
                del self._held[holder]

    def forget(self, holder: int) -> None:
        """The holder is dead: its permits come back, and what it still asks, or has asked, gets none."""
        self._gone.add(holder)
        for host in self._held.pop(holder, Counter()).elements():
            self._gate.done(host)
