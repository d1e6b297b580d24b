"""The run's one host gate on a cluster: it lives in an actor, and every job asks it from where it runs."""

from __future__ import annotations

from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayTaskError

from hdvg.config.recipe import Recipe
from hdvg.errors import ResourceError, first_line
from hdvg.sources.hosts import Leases
from hdvg.sources.hosts.host import Visit
from pipelines.perform import make_gate
from pipelines.runners import NodeLostError


class GateActor(Leases):
    """The run's one host gate."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(make_gate(recipe))


class RemoteGate:
    """The run's host gate as one job sees it: the gate itself lives in one actor, which knows who holds its permits."""

    def __init__(self, actor: Any, holder: int) -> None:
        self._actor = actor
        self._holder = holder

    def ask(self, host: str) -> float:
        return float(self._answer(self._actor.ask.remote(self._holder, host)))

    def done(self, host: str, visit: Visit | None = None) -> None:
        self._answer(self._actor.done.remote(self._holder, host, visit))

    def spend(self, n_bytes: int) -> float:
        return float(self._answer(self._actor.spend.remote(n_bytes)))

    def forget(self) -> None:
        """The job's worker is dead: its permits come back."""
        self._answer(self._actor.forget.remote(self._holder))

    def _answer(self, ref: Any) -> Any:
        return answer_of_gate(ref)


def answer_of_gate(ref: Any, timeout_s: float | None = None) -> Any:
    """What the gate's actor answers.

    Raises what it raises, ResourceError if it is dead or answers not in time, and NodeLostError if there is no way to it.
    """
    try:
        return ray.get(ref, timeout=timeout_s)
    except RayTaskError as error:
        raise error.cause from None
    except ActorUnavailableError as error:
        raise NodeLostError(f"no way to the run's host gate ({first_line(error)})") from None
    except RayActorError as error:
        raise ResourceError(f"the run's host gate died ({error}); run again") from None
    except GetTimeoutError:
        raise ResourceError(f"the run's host gate did not answer within {timeout_s:g} s") from None
