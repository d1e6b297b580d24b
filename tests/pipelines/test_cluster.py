"""How the Ray side finds its cluster, and what it does with a gate that died; no cluster is started."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, OutOfMemoryError

from hdvg.config.recipe import Recipe
from hdvg.dataset.shards import in_turn
from hdvg.duplicates import here
from hdvg.errors import ResourceError
from hdvg.sources.hosts.host import Visit
from pipelines.cluster import Cluster, Started
from pipelines.graph import find_stage
from pipelines.hosts import published
from pipelines.perform import Done, Job
from pipelines.ray_runner import OnRay
from pipelines.remote_gate import RemoteGate
from pipelines.runners import SHORTAGES, Order
from pipelines.session import where
from pipelines.where import Where
from tests.products import Clip, make


def test_ray_address_is_a_cluster_too_and_else_the_session_is_our_own(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    own = where(None, 2, None)
    assert (own["address"], own["num_cpus"], own["include_dashboard"]) == ("local", 2, False)
    assert "object_store_memory" in own
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert where(None, 2, None) == {"address": "10.0.0.1:6379"}
    assert where("10.0.0.2:6379", 2, None) == {"address": "10.0.0.2:6379"}


def test_dead_gate_stops_the_run(monkeypatch):
    class Dead:
        """An actor whose node is gone."""

        ask = done = spend = None

        def remote(self, *_: object, **__: object) -> None: ...

    def get(*_: object, **__: object) -> None:
        raise ActorDiedError()

    monkeypatch.setattr(ray, "get", get)
    dead = Dead()
    dead.ask = dead.done = dead.spend = dead
    with pytest.raises(ResourceError, match="gate"):
        RemoteGate(dead, 1).ask("host")
    with pytest.raises(ResourceError, match="gate"):
        RemoteGate(dead, 1).done("host", Visit())
    with pytest.raises(ResourceError, match="gate"):
        RemoteGate(dead, 1).spend(1)


def test_gate_that_does_not_answer_in_time_holds_up_no_report(monkeypatch, tmp_path):
    def get(_: object, timeout: float) -> None:
        raise GetTimeoutError(f"{timeout}")

    class Slow:
        """An actor whose node does not answer."""

        def __init__(self) -> None:
            self.figures = self

        def remote(self) -> None: ...

    monkeypatch.setattr(ray, "get", get)
    cluster = Cluster(Recipe(), address=None, cpus=1, gpus=0)
    cluster._gate = Slow()
    with pytest.raises(ResourceError, match="did not answer within 10 s"):
        cluster.figures()
    with published(tmp_path, "run", cluster.figures):
        pass
    assert list(tmp_path.iterdir()) == []


def test_nodes_search_and_write_shards_where_they_see_the_folder_alone(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    dataset = make(tmp_path / "d", [[Clip(0, 3000, b"clip")]])

    def is_here(*where: str) -> bool:
        found = Where(*where)
        assert (found.search(dataset) is here) == (found.spread(dataset) is in_turn)
        return found.search(dataset) is here

    assert is_here()
    assert is_here("serial", "head:6379")
    assert not is_here("ray", "head:6379")
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert not is_here("ray")
    dataset.store.far = SimpleNamespace()
    assert is_here("ray", "head:6379")


def test_a_worker_that_ray_ends_for_want_of_memory_is_the_machines_fault(monkeypatch, tmp_path):
    """Three times, then the run stops with the code of a shortage: no item is called poison for what its machine lacks."""

    def out_of_memory(_: object) -> None:
        raise OutOfMemoryError("Task was killed due to the node running low on memory.\nMemory on the node was 31 GB")

    class Always(Cluster):
        """A cluster on which every worker is ended."""

        def __enter__(self) -> Always:
            starts = started
            self._head = SimpleNamespace(answers=True, refuse_lost=lambda: None, refuse_going=lambda: None)
            self.start = lambda stage, job: starts.append(job) or self._note(job)
            return self

        def __exit__(self, *_: object) -> None: ...

        def _note(self, job: Job) -> object:
            ref = object()
            self._started[ref] = Started(SimpleNamespace(forget=lambda: forgotten.append(job)), 0, None)
            return ref

        def figures(self) -> dict[str, dict[str, object]]:
            return {}

        def wait(self, refs: object) -> object:
            return next(iter(refs))

    started: list[Job] = []
    forgotten: list[Job] = []
    monkeypatch.setattr(ray, "get", out_of_memory)
    monkeypatch.setattr("pipelines.ray_runner.Cluster", Always)
    order = Order(tmp_path, "run", (find_stage("split"),), {"u": 0})
    with pytest.raises(
        ResourceError, match=r"ran low on memory \(.*node.*\); free memory, or use fewer workers"
    ) as short:
        OnRay(Recipe(), address=None, cpus=1, gpus=0, say=pytest.fail)(order, pytest.fail)
    assert short.value.exit_code == 75
    assert len(started) == len(forgotten) == SHORTAGES


@pytest.mark.parametrize(("reasons", "workers"), [({}, 1), ({"caption": 1}, 1), ({"error": 1}, 2)])
def test_worker_with_a_model_is_not_used_again_after_an_unknown_error(monkeypatch, reasons, workers):
    started: list[object] = []

    class Worker:
        """An actor, its class and its method at once."""

        def __init__(self) -> None:
            self.perform = self

        def options(self, **_: object) -> Worker:
            return self

        def remote(self, *job: object) -> object:
            if job:
                return object()
            started.append(Worker())
            return started[-1]

    cluster = Cluster(Recipe(), address=None, cpus=1, gpus=0)
    cluster._models._kind, cluster._gate = Worker(), None
    monkeypatch.setattr(ray, "get", lambda _: Done("caption", "u", {}, reasons, 0.0))
    job = Job(Path(), "run", "caption", "u")
    for _ in range(2):
        cluster.result(cluster.start(find_stage("caption"), job))
    assert len(started) == workers
