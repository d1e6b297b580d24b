"""Before a run uses a node of a cluster, the node says what it has, and must have what this machine has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, NodeDiedError, RayError, TaskUnschedulableError, WorkerCrashedError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hdvg.config.recipe import Recipe
from hdvg.dataset.following import link_of
from hdvg.errors import UsageError, first_line
from pipelines.node_traits import REMEDY, differences, traits
from pipelines.nodes import Node
from pipelines.runners import Order

ANSWER_S = 180.0
"""How long a node may take to start a process that imports hdvg."""
SHOWN = 6
"""Differences of one node that are listed."""

GONE = (NodeDiedError, TaskUnschedulableError, WorkerCrashedError)
"""What Ray says of a node that has gone."""

Traits = dict[str, str]


def check_nodes(nodes: Iterable[Node], order: Order, recipe: Recipe) -> None:
    """Raise UsageError naming the nodes that differ from this machine, or do not answer, and in what; a node that goes
    meanwhile is left out."""
    settings = recipe.model_dump(mode="json", exclude_none=True)
    words = str(order.root), order.run, settings, link_of(order.root)
    task: Any = ray.remote(num_cpus=0, max_retries=0)(_look_there())
    asked = [(node, task.options(scheduling_strategy=_on(node)).remote(*words)) for node in nodes]
    here = traits(*words[:3])
    wrong = [f"node {node.name}: {problem}" for node, answer in asked for problem in _problem(here, answer)]
    if wrong:
        raise UsageError("\n".join([*wrong, f"{REMEDY}; see docs/cluster.md"]))


def _on(node: Node) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node.id, soft=False)


def _look_there() -> Callable[[str, str, dict[str, Any], str | None], Traits]:
    """A function that travels whole, for a node may lack hdvg, or have one that knows nothing of this."""

    def look(root: str, run: str, settings: dict[str, Any], link: str | None) -> Traits:
        try:
            from pipelines.node_traits import traits_over

            return traits_over(root, run, settings, link)
        except ImportError as error:
            return {"hdvg": f"not to be imported ({error})"}

    return look


def _problem(here: Traits, answer: Any) -> list[str]:
    """What is wrong with a node in one text, if anything is."""
    try:
        there: Traits = ray.get(answer, timeout=ANSWER_S)
    except GetTimeoutError:
        return [f"did not answer within {ANSWER_S:g} s"]
    except RayError as error:
        return [] if isinstance(error, GONE) else [first_line(error)]
    if set(there) == {"hdvg"}:
        return [f"hdvg: {there['hdvg']}"]
    found = differences(here, there)
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return ["; ".join([*found[:SHOWN], *more])] if found else []
