"""Many like tasks over the nodes of a cluster, each one that any node may do, and again if its node is lost. It imports ray."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from hdvg.errors import ResourceError, UsageError, first_line
from pipelines.head import LOOK_S, Head
from pipelines.node_traits import refuse_other_code
from pipelines.session import opened, raised_by

TRIES = 5
"""Nodes or workers that one task may lose before the command stops."""
AHEAD = 2
"""Tasks that wait for each of the cluster's CPUs."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def on_nodes(
    address: str,
    do: Callable[[Item, Any], Result],
    items: Iterable[Item],
    *,
    held: object = None,
    needs: tuple[Path, ...],
    called: str,
) -> Iterator[Result]:
    """What `do(item, held)` gives on the cluster at that address, as it is done; `held` is sent to each node once, and an item is
    `called` so. All nodes must see the folders that it `needs`.

    Raises what `do` raises, UsageError if a node has other code or does not see a folder, and ResourceError if a task's node
    or worker was lost too often, or the head is gone.
    """
    with opened(address) as session:
        sent = ray.put(held)
        task: Any = ray.remote(max_retries=TRIES, num_cpus=1, scheduling_strategy="SPREAD")(_do)
        room = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]  # Ray types none of it
        most = max(int(AHEAD * room), 1)
        running: list[Any] = []
        for item in items:
            if len(running) >= most:
                result, running = _next(running, called, session.head)
                yield result
            running.append(task.remote(do, item, sent, session.code, needs))
        while running:
            result, running = _next(running, called, session.head)
            yield result


def wait_for_one(running: Collection[Any], head: Head) -> Any:
    """The next reference that is over. Raises HeadLostError if the head is gone."""
    while not (over := ray.wait(list(running), num_returns=1, timeout=LOOK_S)[0]):
        head.refuse_lost()
    return over[0]


def _do(do: Callable[[Any, Any], Any], item: Any, held: Any, wanted: str, needs: tuple[Path, ...]) -> Any:
    refuse_other_code(wanted)
    for folder in (folder for folder in needs if not folder.is_dir()):
        raise UsageError(
            f"node {platform.node()} does not see {folder}: mount that folder at the same path on all nodes, or leave --address away; "
            "see docs/cluster.md"
        )
    return do(item, held)


def _next(running: list[Any], called: str, head: Head) -> tuple[Any, list[Any]]:
    """What comes of one that is over; the others."""
    over = wait_for_one(running, head)
    try:
        return ray.get(over), [ref for ref in running if ref != over]
    except RayTaskError as error:
        raise raised_by(error) from None
    except RayError as error:
        head.refuse_going()
        raise ResourceError(
            f"{called} lost its node or its worker {TRIES} times ({first_line(error)}); run again"
        ) from None
