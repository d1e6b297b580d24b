"""How often hosts are asked, over the whole run: the one gate that gives permits to all workers."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from hdvg.config.fetch import Fetch, host_settings
from hdvg.errors import ResourceError
from hdvg.sources.hosts.host import Host, Manners, Visit
from hdvg.sources.hosts.traffic import Bandwidth, Traffic

KEPT = 1000
"""Hosts of which each has figures of its own; those that are idle then are counted together."""
OTHERS = "(others)"


class HostGate:
    """Gives permits host by host; never sleeps itself, so that one can serve all workers (as a Ray actor, say).

    `per_host` permits at once, `interval_s` seconds between two starts, `max_wait_s` caps what a Retry-After may ask; both
    hold also where the rate that a host was found to accept (`rate.Rate`, in fetches: each is several requests) is higher.
    """

    def __init__(
        self, per_host: int, interval_s: float, max_wait_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._manners: Callable[[str], Manners] = lambda _: Manners(per_host, interval_s, max_wait_s)
        self._clock = clock
        self._bandwidth = Bandwidth(None)
        self._hosts: dict[str, Host] = {}
        self._others = Traffic(clock())
        self._lock = threading.Lock()

    @classmethod
    def of(cls, settings: Fetch, *, clock: Callable[[], float] = time.monotonic) -> HostGate:
        """The gate that a recipe asks for."""

        def manners(host: str) -> Manners:
            own = host_settings(settings, host)
            return Manners(
                settings.per_host if own.concurrency is None else own.concurrency,
                settings.host_interval_s if own.interval_s is None else own.interval_s,
                settings.max_wait_s,
                settings.throttle_wait_s,
                settings.blocked_wait_s,
            )

        gate = cls(settings.per_host, settings.host_interval_s, settings.max_wait_s, clock=clock)
        gate._manners, gate._bandwidth = manners, Bandwidth(settings.max_mb_s)
        return gate

    def ask(self, host: str) -> float:
        """0.0: go now, a permit is taken and must be given back by `done`; else seconds to wait, then ask again.

        Raises NotAskedError for a host that is closed: it refused others, or throttled all for too long.
        """
        with self._lock:
            return self._host(host).ask(self._clock())

    def done(self, host: str, visit: Visit | None = None) -> None:
        """Give the permit back, with how the fetch ended; None if that is not known."""
        with self._lock:
            now, state = self._clock(), self._host(host)
            if visit is None:
                state.give_back()
            else:
                state.done(visit, now)
            if len(self._hosts) > KEPT and state.is_idle(now):  # a run over many hosts stays small
                self._others.take_over(self._hosts.pop(host).traffic)

    def spend(self, n_bytes: int) -> float:
        """Seconds to wait before more bytes are read, now that so many were, by the run's limit."""
        with self._lock:
            return self._bandwidth.spend(n_bytes, self._clock())

    def figures(self) -> dict[str, dict[str, Any]]:
        """What `hdvg status` shows of each host, the most asked first."""
        with self._lock:
            now = self._clock()
            found = {name: host.figures(now) for name, host in self._hosts.items() if host.traffic.asked}
            found |= {OTHERS: self._others.figures(now)} if self._others.asked else {}
            return dict(sorted(found.items(), key=lambda item: (-item[1]["asked"], item[0])))

    def _host(self, name: str) -> Host:
        if name not in self._hosts:
            self._hosts[name] = Host(name, self._manners(name), self._clock())
        return self._hosts[name]


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

    def done(self, holder: int, host: str, visit: Visit | None = None) -> None:
        """As `HostGate.done`; nothing for a permit that the holder has not."""
        held = self._held.get(holder, Counter())
        if held[host] > 0:
            held[host] -= 1
            self._gate.done(host, visit)
            if not held.total():
                del self._held[holder]

    def spend(self, n_bytes: int) -> float:
        """As `HostGate.spend`."""
        return self._gate.spend(n_bytes)

    def figures(self) -> dict[str, dict[str, Any]]:
        """As `HostGate.figures`."""
        return self._gate.figures()

    def forget(self, holder: int) -> None:
        """The holder is dead: its permits come back, and what it still asks, or has asked, gets none."""
        self._gone.add(holder)
        for host in self._held.pop(holder, Counter()).elements():
            self._gate.done(host)
