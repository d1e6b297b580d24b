"""The nodes of a Ray cluster: which there are, how large it is, what changed since the last look, and what is asked of its autoscaler."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError

from pipelines.sizes import Size

MOST_ASKED = 10_000
"""CPUs, and GPUs, that the autoscaler is asked for: each is a line of a list that it reads."""


@dataclass(frozen=True)
class Node:
    """One node: Ray's id of it, what people call it, and what it has."""

    id: str
    name: str
    cpus: float
    gpus: float

    @staticmethod
    def of(told: dict[str, Any]) -> Node:
        """The node of which Ray tells this."""
        resources, address = told["Resources"], told["NodeManagerAddress"]
        name = f"{told['NodeManagerHostname']} ({address})"
        return Node(told["NodeID"], name, resources.get("CPU", 0.0), resources.get("GPU", 0.0))


class Nodes:
    """The living nodes, as last looked at; `lost` counts those that are gone, `news` are lines not yet read of who came and went."""

    def __init__(self) -> None:
        self.alive: dict[str, Node] = {}
        self.lost = 0
        self.news: list[str] = []

    def look(self) -> None:
        """Look again."""
        listed: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # ray leaves it untyped
        found = {node.id: node for node in (Node.of(one) for one in listed if one["Alive"])}
        gone = [node for name, node in self.alive.items() if name not in found]
        new = [node for name, node in found.items() if name not in self.alive]
        self.alive = found
        self.lost += len(gone)
        self.news += [f"node {node.name} is lost: what it was doing is tried again" for node in gone]
        self.news += [f"node {node.name} has joined: {_amount(node.cpus, 'CPU')}" for node in new]

    def read_news(self) -> list[str]:
        """What has happened since it was last read."""
        news, self.news = self.news, []
        return news

    @property
    def working(self) -> list[Node]:
        """Those that take jobs: a head without CPUs takes none."""
        return [node for node in self.alive.values() if node.cpus]

    @property
    def size(self) -> Size:
        """Of all of them together."""
        cpus, gpus = (sum(getattr(node, name) for node in self.alive.values()) for name in ("cpus", "gpus"))
        return Size(max(cpus, 1.0), gpus, max(len(self.working), 1))

    def describe(self) -> str:
        """In a line: how many there are, what they have, and who they are."""
        size, working = self.size, self.working
        amounts = [
            _amount(len(working), "node"),
            _amount(size.cpus, "CPU"),
            *([_amount(size.gpus, "GPU")] * (size.gpus > 0)),
        ]
        return f"{', '.join(amounts)}: {', '.join(sorted(node.name for node in working))}"


class Demand:
    """What the cluster's autoscaler, if it has one, is asked to make room for: as much as there is work."""

    def __init__(self) -> None:
        self._asked: tuple[int, int] = (0, 0)

    def ask(self, jobs: Iterable[tuple[int, float, float]]) -> None:
        """Ask for what these jobs want: how many, and the CPUs and GPUs of each."""
        wanted = [(count * cpus, count * gpus) for count, cpus, gpus in jobs]
        cpus, gpus = (min(math.ceil(sum(column)), MOST_ASKED) for column in zip(*wanted, strict=True))
        if (cpus, gpus) != self._asked:
            self._asked = cpus, gpus
            request_resources(num_cpus=cpus, bundles=[{"GPU": 1}] * gpus)

    def withdraw(self) -> None:
        """Ask for nothing more: a request outlives who made it. Nothing if the cluster is gone."""
        if self._asked != (0, 0):
            self._asked = (0, 0)
            with contextlib.suppress(RayError, RuntimeError):
                request_resources(num_cpus=0, bundles=[])


def _amount(number: float, of: str) -> str:
    return f"{number:g} {of}{'' if number == 1 else 's'}"
