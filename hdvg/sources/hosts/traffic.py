"""What goes over the wire: counts and speeds of one host, and the limit of bytes over the whole run."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

RECENT_S = 60.0
MB = 2**20


class Recent:
    """An amount a second over about the last minute: what is older counts less and less."""

    def __init__(self, now: float) -> None:
        self._begun = self._at = now
        self._sum = 0.0

    def add(self, amount: float, now: float) -> None:
        """So much came now."""
        self._sum = self._faded(now) + amount
        self._at = now

    def per_s(self, now: float) -> float:
        """The amount a second."""
        return self._faded(now) / (RECENT_S * -math.expm1(-max(now - self._begun, 1.0) / RECENT_S))

    def _faded(self, now: float) -> float:
        return self._sum * math.exp(-(now - self._at) / RECENT_S)


class Traffic:
    """The fetches of one host, or of several together: asked, and how they ended."""

    def __init__(self, now: float) -> None:
        self.asked = self.ok = self.bytes = 0
        self.reasons: Counter[str] = Counter()
        self._fetches, self._data = Recent(now), Recent(now)

    def ended(self, reason: str | None, n_bytes: int, now: float) -> None:
        """A fetch is over; `reason` None: it went well."""
        self.ok += reason is None
        self.bytes += n_bytes
        self.reasons.update([] if reason is None else [reason])
        self._fetches.add(1, now)
        self._data.add(n_bytes, now)

    def take_over(self, other: Traffic) -> None:
        """Count what another host did as one's own; its speed is over."""
        self.asked += other.asked
        self.ok += other.ok
        self.bytes += other.bytes
        self.reasons += other.reasons

    def figures(self, now: float) -> dict[str, Any]:
        """Ready for JSON: `fetches_per_min` and `mb_s` are of about the last minute."""
        return {
            "asked": self.asked,
            "ok": self.ok,
            "refused": dict(self.reasons.most_common()),
            "mb": round(self.bytes / MB, 3),
            "fetches_per_min": round(60 * self._fetches.per_s(now), 2),
            "mb_s": round(self._data.per_s(now) / MB, 3),
        }


class Bandwidth:
    """A limit of bytes a second; None: none."""

    def __init__(self, max_mb_s: float | None) -> None:
        self._per_s = math.inf if max_mb_s is None else max_mb_s * MB
        self._paid = -math.inf

    def spend(self, n_bytes: int, now: float) -> float:
        """Seconds to wait before more bytes are read, now that so many were."""
        self._paid = max(self._paid, now) + n_bytes / self._per_s
        return self._paid - now
