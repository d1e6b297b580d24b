"""Many like tasks over the nodes of a cluster, each one that any node may do, and again if its node is lost. It imports ray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from hdvg.errors import ResourceError, first_line
from pipelines.head import LOOK_S, Head
from pipelines.node_traits import code, refuse_other_code
from pipelines.session import Session, raised_by

TRIES = 5
"""Nodes or workers that one task may lose before the command stops."""
AHEAD = 2
"""Tasks that wait for each of the cluster's CPUs."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def on_nodes(
    address: str, do: Callable[[Item, Any], Result], items: Iterable[Item], *, held: object = None, called: str
) -> Iterator[Result]:
    """What `do(item, held)` gives on the cluster at that address, as it is done; `held` is sent to each node once, and an item is
    `called` so.

    Raises what `do` raises, and ResourceError if a task's node or worker was lost too often, or the head is gone.
    """
    session = Session(address, None, None)
    session.open()
    head = Head(is_shared=session.is_shared)
    try:
        wanted, sent = code() if session.is_shared else "", ray.put(held)
        task: Any = ray.remote(max_retries=TRIES, num_cpus=1, scheduling_strategy="SPREAD")(_do)
        room = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]  # Ray types none of it
        most = max(int(AHEAD * room), 1)
        running: list[Any] = []
        for item in items:
            if len(running) >= most:
                result, running = _next(running, called, head)
                yield result
            running.append(task.remote(do, item, sent, wanted))
        while running:
            result, running = _next(running, called, head)
            yield result
    finally:
        ray.shutdown()
        head.close()


def _do(do: Callable[[Any, Any], Any], item: Any, held: Any, wanted: str) -> Any:
    refuse_other_code(wanted)
    return do(item, held)


def _next(running: list[Any], called: str, head: Head) -> tuple[Any, list[Any]]:
    """What comes of one that is over; the others. Raises HeadLostError if the head is gone."""
    over, left = ray.wait(running, num_returns=1, timeout=LOOK_S)
    while not over:
        head.refuse_lost()
        over, left = ray.wait(running, num_returns=1, timeout=LOOK_S)
    try:
        return ray.get(over[0]), list(left)
    except RayTaskError as error:
        raise raised_by(error) from None
    except RayError as error:
        head.refuse_going()
        raise ResourceError(
            f"{called} lost its node or its worker {TRIES} times ({first_line(error)}); run again"
        ) from None
