"""Hosts that accept so many fetches a minute, and workers that fetch from them through a gate, in simulated time."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from hdvg.errors import NotAskedError
from hdvg.sources.hosts import HostGate
from hdvg.sources.hosts.host import Visit

REFUSED_S = 0.1
"""How long a throttled fetch takes."""


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bucket:
    """Accepts `per_min` fetches, and `burst` at once after a rest."""

    per_min: float
    burst: float = 1.0
    says_when: bool = False
    _level: float = 0.0
    _at: float = 0.0

    def __post_init__(self) -> None:
        self._level = self.burst

    def asked(self, now: float) -> float | None:
        """None: accepted, else the Retry-After, NaN if it says none."""
        self._level = min(self.burst, self._level + (now - self._at) * self.per_min / 60)
        self._at = now
        if self._level >= 1:
            self._level -= 1
            return None
        return math.ceil((1 - self._level) * 60 / self.per_min) if self.says_when else math.nan


@dataclass
class Window:
    """Accepts so many fetches between two full minutes."""

    per_min: float
    says_when: bool = False
    _minute: int = -1
    _count: int = 0

    def asked(self, now: float) -> float | None:
        """As `Bucket.asked`."""
        minute = int(now // 60)
        self._minute, self._count = minute, (self._count if minute == self._minute else 0)
        if self._count < self.per_min:
            self._count += 1
            return None
        return math.ceil(60 * (minute + 1) - now) if self.says_when else math.nan


@dataclass
class Flaky:
    """Throttles a share of the fetches, however many come."""

    share: float
    draws: random.Random = field(default_factory=lambda: random.Random(0))

    def asked(self, now: float) -> float | None:
        """As `Bucket.asked`."""
        return math.nan if self.draws.random() < self.share else None


Site = Bucket | Window | Flaky


@dataclass
class Seen:
    """When fetches were accepted and when throttled, in seconds since the beginning."""

    accepted: list[float] = field(default_factory=list)
    throttled: list[float] = field(default_factory=list)
    turned_away: list[float] = field(default_factory=list)

    def per_min(self, start: float, end: float) -> float:
        """Fetches accepted a minute between two times."""
        return 60 * sum(start <= at < end for at in self.accepted) / (end - start)


def simulate(
    site: Callable[[float], Site],
    gate: HostGate,
    clock: Clock,
    *,
    workers: int = 4,
    takes_s: float = 1.0,
    until_s: float,
) -> Seen:
    """Let workers fetch from one host without a rest; `site(s)` is the host as it is after so many seconds."""
    seen, draws, begin, order = Seen(), random.Random(1), clock.now, itertools.count()
    waiting = [(begin, next(order), None) for _ in range(workers)]
    heapq.heapify(waiting)
    while waiting[0][0] < begin + until_s:
        clock.now, _, visit = heapq.heappop(waiting)
        now = clock.now - begin
        if visit is not None:
            gate.done("site", visit)
            (seen.accepted if visit.reason is None else seen.throttled).append(now)
        try:
            wait_s = gate.ask("site")
        except NotAskedError:
            seen.turned_away.append(now)
            heapq.heappush(waiting, (clock.now + 10, next(order), None))
            continue
        if wait_s > 0:
            heapq.heappush(waiting, (clock.now + min(wait_s, 0.5), next(order), None))
            continue
        said = site(now).asked(clock.now)
        took_s = takes_s * draws.uniform(0.5, 1.5) if said is None else REFUSED_S
        retry_after_s = None if said is None or math.isnan(said) else said
        visit = Visit(None if said is None else "throttled", retry_after_s=retry_after_s, took_s=took_s)
        heapq.heappush(waiting, (clock.now + took_s, next(order), visit))
    return seen
