"""What the run knows of one host: its permits, pauses and rate, and whether it is left alone for a time."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from hdvg.errors import MACHINE, RETRYABLE, ItemError, NotAskedError, TransientError
from hdvg.sources.hosts.rate import Rate
from hdvg.sources.hosts.traffic import Traffic

POLL_S = 0.2
BACKOFF_S = 1.0
"""Pause after a throttled fetch, doubled with each that follows while nothing is accepted."""
BOT_WALL = r"not a bot|captcha|anti-bot|cloudflare"
"""Words by which a host says that it wants no more of us."""
REFUSALS = 20
"""Refusals in a row, nothing fetched in between, that close a host: one alone may be about its link only. What this machine
cannot solve counts as one: a site is not asked a million times for what it must fail at."""
THROTTLED = 5
"""Throttled fetches in a row, over `throttle_wait_s`, that close it."""
SAME_S = 60.0
"""Fetches that were under way when one was throttled, and are throttled within this time, say the same once more."""
IDLE_S = 60.0
DAY_S = 86400.0
UNANSWERED = RETRYABLE | {"blocked", "crash", "memory", "error"}
"""Reasons that do not show a host which answers us as it should."""


@dataclass(frozen=True)
class Visit:
    """How one fetch from a host ended: `reason` None is well, else as in `errors.REASONS`, with what the host said."""

    reason: str | None = None
    detail: str = ""
    retry_after_s: float | None = None
    bytes: int = 0
    took_s: float = 0.0

    @classmethod
    def of(cls, error: ItemError) -> Visit:
        """The visit that ended in an error."""
        return cls(error.reason, error.detail, error.retry_after_s if isinstance(error, TransientError) else None)


@dataclass(frozen=True)
class Manners:
    """How one host is treated; see the settings of these names in `sections.Fetch`."""

    concurrency: int
    interval_s: float
    max_wait_s: float
    throttle_wait_s: float = 3600.0
    blocked_wait_s: float = 3600.0


class Host:
    """One host: its permits, pauses and rate, and whether it is closed; `now` is on the gate's clock, in seconds."""

    def __init__(self, name: str, manners: Manners, now: float) -> None:
        self.traffic = Traffic(now)
        self._name, self._manners, self._rate = name, manners, Rate()
        self._in_use = 0
        self._asked = now
        self._started = self._paused_until = self._throttled_at = self._throttled_since = -math.inf
        self._throttled = self._refusals = self._closings = 0  # each in a row
        self._closed_until: float | None = None
        self._closed_for = ""
        self._probing = False

    def ask(self, now: float) -> float:
        """As `HostGate.ask`."""
        if not self._in_use and now - self._asked > IDLE_S:
            self._rate.restart()
        self._asked = now
        closed = self._closed_until is not None
        if self._closed_until is not None and now < self._closed_until:
            minutes = math.ceil((self._closed_until - now) / 60)
            raise NotAskedError(
                self._closed_for, f"others of {self._name} ended so; it is asked again in {minutes} min"
            )
        spacing_s = max(self._manners.interval_s, self._backoff_s())
        wait_s = max(self._paused_until - now, self._started + spacing_s - now, self._rate.wait_s(now))
        if wait_s > 0:
            return wait_s
        if self._in_use >= self._manners.concurrency or (closed and self._probing):
            return POLL_S
        self._probing = closed
        self._in_use += 1
        self._started = now
        self._rate.start(now)
        self.traffic.asked += 1
        return 0.0

    def give_back(self) -> None:
        """A permit comes back; of its fetch nothing is known."""
        self._in_use = max(0, self._in_use - 1)
        self._probing = False  # it may have been that one

    def done(self, visit: Visit, now: float) -> None:
        """A fetch is over; what it says counts for all that follow."""
        self._in_use = max(0, self._in_use - 1)
        self.traffic.ended(visit.reason, visit.bytes, now)
        started = now - visit.took_s
        probe = self._closed_until is not None and started >= self._closed_until
        self._probing = self._probing and not probe
        if visit.retry_after_s is not None and visit.retry_after_s > 0:  # False for NaN too
            wait_s = min(visit.retry_after_s, self._manners.max_wait_s)
            self._paused_until = max(self._paused_until, now + wait_s)
        if visit.reason == "throttled":
            self._throttle(visit, started, now, probe=probe)
        elif visit.reason == "blocked" or visit.reason in MACHINE:
            self._refusals += 1
            walled = visit.reason == "blocked" and re.search(BOT_WALL, visit.detail, re.IGNORECASE)
            if probe or self._refusals >= REFUSALS or walled:
                self._close(visit.reason, started, now)
        elif visit.reason not in UNANSWERED:
            self._answered(visit, started, now, probe=probe)

    def is_idle(self, now: float) -> bool:
        """Whether nothing is known of the host that a new one would not be."""
        free = max(self._paused_until, self._started + self._manners.interval_s) <= now
        return (
            free and not (self._in_use or self._throttled or self._refusals or self._closings) and not self.limit_per_s
        )

    @property
    def limit_per_s(self) -> float | None:
        """Fetches a second that it may be asked for by what it throttled; None if it throttled none."""
        return None if math.isinf(self._rate.per_s) else self._rate.per_s

    def figures(self, now: float) -> dict[str, Any]:
        """What `hdvg status` shows, ready for JSON: `limit_per_min` is the present rate, None while it is unlimited."""
        limit = self.limit_per_s
        closed_s = None if self._closed_until is None else round(max(0.0, self._closed_until - now))
        return {
            **self.traffic.figures(now),
            "limit_per_min": None if limit is None else round(60 * limit, 2),
            "closed_for": self._closed_for if closed_s is not None else None,
            "closed_s": closed_s,
        }

    def _backoff_s(self) -> float:
        """Pause, and least time between two starts, while the host throttles fetch after fetch."""
        longest_s = max(self._manners.max_wait_s, BACKOFF_S)
        return min(BACKOFF_S * 2.0 ** (self._throttled - 1), longest_s) if self._throttled else 0.0

    def _throttle(self, visit: Visit, started: float, now: float, *, probe: bool) -> None:
        if started <= self._throttled_at and now - self._throttled_at <= SAME_S:
            return
        manners = self._manners
        self._throttled_since = self._throttled_since if self._throttled else now
        self._throttled = min(self._throttled + 1, 64)
        self._throttled_at = now
        certain = visit.retry_after_s is not None
        self._rate.refused(now, certain=certain)
        self._paused_until = max(self._paused_until, now + self._backoff_s())
        long = now - self._throttled_since >= manners.throttle_wait_s and self._throttled >= THROTTLED
        if probe or long:
            self._close("throttled", started, now)

    def _close(self, reason: str, started: float, now: float) -> None:
        """Leave the host alone; a fetch that began before it was closed last says nothing new."""
        if self._closed_until is not None and started < self._closed_until:
            return
        longest_s = max(DAY_S, self._manners.blocked_wait_s)
        self._closed_until = now + min(self._manners.blocked_wait_s * 2.0 ** min(self._closings, 64), longest_s)
        self._closings += 1
        self._closed_for = reason

    def _answered(self, visit: Visit, started: float, now: float, *, probe: bool) -> None:
        """The host answered as it should, were it that it has not the video."""
        self._rate.accepted(now)
        if started > self._throttled_at:
            self._throttled = 0
        if probe:
            self._closed_until = None
        if visit.reason is None:
            self._refusals = 0
            self._closings = 0 if self._closed_until is None else self._closings
