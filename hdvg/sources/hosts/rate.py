"""The rate of fetches that one host accepts, found by what it throttles: additive increase, multiplicative decrease."""

from __future__ import annotations

import math
from collections import deque

DECREASE = 0.8
"""What is left of the rate when the host throttles it."""
TRUSTED = 0.5
"""A rate is far off if the host accepted less than this share of it: then what it accepted is the better guess."""
STEP_PER_S = 0.1 / 60
"""How much each accepted fetch adds: a rate that the host goes on accepting doubles in 7 minutes, whatever it is."""
GUESS_STEP_PER_S = 1 / 60
GUESS_STEP = 0.05
"""The same while the rate is a guess that no refusal has met yet, the less of the two, the second as a share of the guess:
it doubles in 40 s, or 20 fetches."""
EVIDENCE = 5, 60.0
"""A guess wants so many accepted fetches, or so many seconds."""
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

    def __init__(self) -> None:
        self.per_s = math.inf
        self._step = 0.0
        self._next = -math.inf
        self._holds_back = False
        self._since: float | None = None
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

    def restart(self) -> None:
        """The host was left alone for long: what it accepts is counted from its next answer on."""
        self._since, self._accepted = None, 0

    def accepted(self, now: float) -> None:
        """The host answered a fetch."""
        self._since = now if self._since is None else self._since
        self._accepted += 1
        self._refused.append(False)
        if self._holds_back:
            self.per_s += self._step
            self._holds_back = False

    def refused(self, now: float, *, certain: bool) -> None:
        """The host throttled a fetch; `certain`: it said when to come again.

        The rate stays if nothing was accepted since the last decrease: then the host wants a pause, which is the caller's.
        """
        self._refused.append(True)
        if self._since is None or not self._accepted or not (certain or sum(self._refused) > 1):
            return
        spent_s = max(now - self._since, 1.0)
        seen_per_s = self._accepted / spent_s
        guess = seen_per_s < TRUSTED * self.per_s
        if guess and self._accepted < EVIDENCE[0] and spent_s < EVIDENCE[1]:
            return
        self.per_s = max(seen_per_s if guess else DECREASE * self.per_s, LEAST_PER_S)
        self._step = max(min(GUESS_STEP_PER_S, GUESS_STEP * self.per_s), STEP_PER_S) if guess else STEP_PER_S
        self._next = now + 1 / self.per_s
        self._since, self._accepted = now, 0
