"""The rate of fetches that one host accepts, found by what it throttles: additive increase, multiplicative decrease."""

from __future__ import annotations

import math
from collections import deque

DECREASE = 0.8
"""What is left of the rate when the host throttles it."""
TRUSTED = 0.5
"""A rate is far off if the host accepted less than this share of it: then what it accepted is the better guess."""
STEP_PER_S = 0.1 / 60
"""How much each accepted fetch adds: what the host goes on accepting doubles in 7 minutes, at any rate."""
LEAST_PER_S = 1 / 60
"""The lowest rate; a host that accepts less is asked after ever longer pauses, which are the caller's."""
LONE = 20
"""One refusal without a Retry-After among so many fetches says nothing of their rate: it may be about its link only."""


class Rate:
    """Fetches a second that may start on one host: unlimited until the host throttles one.

    It then falls to `DECREASE` of what it was, or, where that is far off, to what the host accepted since the last decrease;
    and rises by a constant step with each fetch that is accepted while it is what holds fetches back. Never sleeps, reads
    no clock: `now` is in seconds of the caller's.
    """

    def __init__(self, now: float) -> None:
        self.per_s = math.inf
        self._next = -math.inf
        self._holds_back = False
        self._since = now
        self._accepted = 0
        self._refused: deque[bool] = deque(maxlen=LONE)

    def wait_s(self, now: float) -> float:
        """Seconds until the next fetch may start; 0.0: now."""
        wait_s = max(0.0, self._next - now)
        self._holds_back |= wait_s > 0
        return wait_s

    def start(self, now: float) -> None:
        """A fetch starts."""
        self._next = now + 1 / self.per_s

    def restart(self, now: float) -> None:
        """The host was left alone for long: what it accepts is counted from now on."""
        self._since, self._accepted = now, 0

    def accepted(self) -> None:
        """The host answered a fetch."""
        self._accepted += 1
        self._refused.append(False)
        if self._holds_back:
            self.per_s += STEP_PER_S
            self._holds_back = False

    def refused(self, now: float, *, others: int, certain: bool) -> None:
        """The host throttled a fetch; `others` are under way. `certain`: it said when to come again.

        The rate stays if nothing was accepted since the last decrease: then the host wants a pause, which is the caller's.
        """
        self._refused.append(True)
        if not self._accepted or not (certain or sum(self._refused) > 1):
            return
        seen_per_s = (self._accepted + others) / max(now - self._since, 1.0)
        far_off = seen_per_s < TRUSTED * self.per_s
        self.per_s = max(seen_per_s if far_off else DECREASE * self.per_s, LEAST_PER_S)
        self._next = now + 1 / self.per_s
        self.restart(now)
