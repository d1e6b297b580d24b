"""A visit of a host, try after try: the permit, the way out, the pauses, and what the host is said to have done."""

from __future__ import annotations

import math
import random
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from hdvg.config.fetch import Fetch
from hdvg.errors import ItemError, ResourceError, TransientError
from hdvg.sandbox import Limits, Sandbox
from hdvg.sources.calls import FetchSettings, fetch_settings
from hdvg.sources.egress import way_out
from hdvg.sources.hosts.host import Visit

MEMORY_MB = 4096
"""Address space of a child, the preloaded modules included."""
SCRATCHES = 3.0
"""Files of the largest size that a fetch may hold at once: a video, its sound, and a part of either."""
BACKOFF_S = 1.0
STEP_S = 0.5

Result = TypeVar("Result")


class Gate(Protocol):
    """What `hosts.HostGate` does, or a stand-in for one that lives elsewhere."""

    def ask(self, host: str) -> float: ...
    def done(self, host: str, visit: Visit | None = None) -> None: ...
    def spend(self, n_bytes: int) -> float: ...


@dataclass(frozen=True)
class Visitor:
    """Goes to the host of an address by limited children, as the settings and the gate let it."""

    address: str
    settings: Fetch
    sandbox: Sandbox
    gate: Gate

    @property
    def host(self) -> str:
        """The host, with its port if the address has one."""
        return urllib.parse.urlsplit(self.address).netloc

    @property
    def limits(self) -> Limits:
        """The walls of a child."""
        settings = self.settings
        return Limits(
            wall_s=settings.wall_s, memory_mb=MEMORY_MB, file_mb=settings.max_mb, scratch_mb=SCRATCHES * settings.max_mb
        )

    def wait(self, *, until: float = math.inf) -> bool:
        """Wait for a permit; False at once if there is none before `until`, by the monotonic clock."""
        while (wait_s := self.gate.ask(self.host)) > 0:
            if time.monotonic() + wait_s > until:
                return False
            self._sleep(min(wait_s, STEP_S))
        return True

    def pause(self, seed: str, trial: int, retry_after_s: float | None) -> None:
        """1, 2, 4 … seconds, give or take half (by the seed), or what the server asked if more, up to `max_wait_s`."""
        backoff_s = BACKOFF_S * 2.0**trial * float(random.Random(f"{seed} {trial}").uniform(0.5, 1.5))
        self._sleep(min(self.settings.max_wait_s, max(backoff_s, retry_after_s or 0.0)))

    def visit(self, act: Callable[[FetchSettings], Result], *, n_bytes: Callable[[], int] | None = None) -> Result:
        """What `act` returns, which is given a child's settings; gives the permit back, with what the host is said to have
        done, and if it is known how much in what time. A child that ran out of time may be quicker another time."""
        visit: Visit | None = None
        start = time.monotonic()
        try:
            way = way_out(self.settings)
            with way.masked():
                found = act(fetch_settings(self.settings.model_dump(), way.as_settings()))
            visit = Visit()
            return found
        except ItemError as error:
            visit = Visit.of(error)
            if error.reason == "timeout" and not isinstance(error, TransientError):
                raise TransientError("timeout", f"over {self.settings.wall_s:g} s") from error
            raise
        finally:
            if visit is not None and n_bytes is not None:
                visit = replace(visit, bytes=n_bytes(), took_s=time.monotonic() - start)
            self.gate.done(self.host, visit)

    def _sleep(self, seconds: float) -> None:
        if self.sandbox.closed.wait(seconds):
            raise ResourceError("the run is being stopped")
