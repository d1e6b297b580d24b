"""The bounded window: later stages first, nobody runs far ahead, a unit moves on when all its jobs are over."""

from dataclasses import replace
from pathlib import Path

import pytest

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.errors import ResourceError, UsageError
from hdvg.planning import make_plan
from pipelines.graph import GRAPH, check, describe
from pipelines.perform import Job
from pipelines.runners import CRASHES, SHORTAGES, MemoryShortError, Order, Queues, after_crash, after_shortage

TWO = GRAPH[:2]


def order(count: int) -> Order:
    return Order(Path(), "run", TWO, {f"u{number}": 0 for number in range(count)})


def test_no_stage_runs_far_ahead_of_the_next():
    queues = Queues(order(10), [1, 1])
    started = []
    while (job := queues.next()) is not None and job.stage == "download":
        started.append(job)
        queues.ended(job)
        if len(started) == 1:
            split = queues.next()
            assert split.stage == "split"
    assert len(started) == 3  # one is being split, two wait, the rest is held back
    queues.ended(split)
    assert queues.next().stage == "split"


def test_every_unit_passes_every_stage_once():
    queues = Queues(order(7), [2, 1])
    passed = []
    while (job := queues.next()) is not None:
        passed.append((job.unit, job.stage))
        queues.ended(job)
    assert sorted(passed) == sorted((f"u{number}", stage.name) for number in range(7) for stage in TWO)


def test_unit_waits_for_its_jobs_tried_again():
    queues = Queues(order(1), [2, 1])
    job = queues.next()
    parts = [replace(job, keys=(key,)) for key in "ab"]
    for part in parts:
        queues.add(part)
    queues.ended(job)
    again = [queues.next(), queues.next()]
    assert {one.keys for one in again} == {("a",), ("b",)}
    queues.ended(again[0])
    assert queues.next() is None
    queues.ended(again[1])
    assert queues.next().stage == "split"


def test_the_graph_is_whole_and_can_be_printed():
    check()
    assert describe().splitlines()[0].startswith("download: needs source, given, given_digest; adds sha256")


def test_a_column_nobody_adds_is_named_before_anything_runs():
    hungry = replace(GRAPH[1], needs=("sha256", "horoscope"))
    with pytest.raises(UsageError, match="split needs horoscope"):
        check([GRAPH[0], hungry])
    with pytest.raises(UsageError, match="codec"):
        check([replace(GRAPH[0]), replace(GRAPH[1], adds=tuple(name for name in GRAPH[1].adds if name != "codec"))])


def test_a_job_that_kills_its_worker_is_tried_again_then_split_then_called_poison(one_of_two):
    order, job = one_of_two
    queues = Queues(order, [1] * len(order.stages))
    assert queues.next() == job
    assert after_crash(job, 1, queues) is None
    queues.ended(job)
    assert queues.next() == job
    assert after_crash(job, 2, queues) is None
    queues.ended(job)
    single = queues.next()
    assert len(single.keys) == 1
    done = after_crash(single, CRASHES, queues)
    assert (done.statuses, done.reasons) == ({"failed": 1}, {"poison": 1})
    with Dataset.open(job.root).manifest() as manifest:
        assert manifest.rows("select key, stage, status, reason from failures") == [
            {"key": single.keys[0], "stage": "download", "status": "failed", "reason": "poison"}
        ]
        assert manifest.one("select count(*) from pending") == 64


def test_a_job_whose_worker_ended_for_want_of_memory_is_tried_with_fewer_and_never_called_poison(one_of_two):
    order, job = one_of_two
    other = replace(job, unit="other")
    queues = Queues(order, [2] * len(order.stages))
    assert queues.next() == job
    for kills in range(1, SHORTAGES):
        after_shortage(job, MemoryShortError("low"), kills, queues)
        queues.ended(job)
        assert queues.next() == job
        queues.add(other)
        assert queues.next() is None, "one at a time"
        queues._waiting[0].clear()
    with pytest.raises(ResourceError, match="low"):
        after_shortage(job, MemoryShortError("low"), SHORTAGES, queues)
    with Dataset.open(job.root).manifest() as manifest:
        assert manifest.one("select count(*) from failures") == 0


@pytest.fixture
def one_of_two(tmp_path: Path) -> tuple[Order, Job]:
    """A dataset of 65 links in units of two, and the first unit's download."""
    links = tmp_path / "links.txt"
    links.write_text("\n".join(f"https://example.com/{number}.mp4" for number in range(65)))
    (tmp_path / "d").mkdir()
    dataset = Dataset(tmp_path / "d", make_plan(parse_recipe({"caption": {"captioner": "none"}})))
    dataset.store.begin()
    dataset.prepare()
    accept(dataset, str(links))
    with dataset.manifest() as manifest:
        unit = manifest.one("select unit from inputs where unit is not null group by unit having count(*) = 2 limit 1")
    order = Order(tmp_path / "d", dataset.store.run, GRAPH[:3], {unit: 0})
    return order, order.job(unit, 0)
