"""The bounded window: later stages first, nobody runs far ahead, a unit moves on when all its jobs are over."""

from dataclasses import replace
from pathlib import Path

import pytest

from hdvg.config.recipe import parse_recipe
from hdvg.config.sections import Run
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.errors import ResourceError, UsageError
from hdvg.planning import make_plan
from pipelines.graph import GRAPH, check, describe, find_stage
from pipelines.perform import Done, Job
from pipelines.runners import (
    AHEAD,
    CRASHES,
    LOSSES,
    SHORTAGES,
    MemoryShortError,
    NodeLostError,
    Order,
    Queues,
    after_crash,
    after_loss,
    after_shortage,
)
from pipelines.sizes import Size

TWO = GRAPH[:2]


def order(count: int) -> Order:
    return Order(Path(), "run", TWO, {f"u{number}": 0 for number in range(count)})


def test_no_stage_runs_far_ahead_of_the_next():
    queues = Queues(order(2 * AHEAD), [1, 1])
    started = []
    while (job := queues.next()) is not None and job.stage == "download":
        started.append(job)
        queues.ended(job)
        if len(started) == 1:
            split = queues.next()
            assert split.stage == "split"
    assert len(started) == 1 + AHEAD  # one is being split, some wait, the rest is held back
    queues.ended(split)
    assert queues.next().stage == "split"


def test_a_decode_gets_more_threads_as_less_is_left():
    queues = Queues(order(5), [2, 2])
    assert queues.threads(2, 4) == 1
    for left, threads in ((4, 1), (3, 2), (2, 2), (1, 4)):
        job = queues.next()
        queues.ended(job, Done("download", job.unit, {}, {}, 0.0, passed=1))
        assert (sum(queues.left()), queues.threads(2, 4)) == (left, threads)
    assert queues.threads(64, 4) == 4


def test_of_those_that_wait_the_largest_goes_first():
    queues = Queues(order(3), [3, 1])
    for job, size in zip([queues.next() for _ in range(3)], (5, 70, 6), strict=True):
        queues.ended(job, Done("download", job.unit, {}, {}, 0.0, fetched_bytes=size))
    going = []
    while (job := queues.next()) is not None:
        going.append(job.unit)
        queues.ended(job)
    assert going == ["u1", "u2", "u0"]


def test_every_unit_passes_every_stage_once():
    queues = Queues(order(7), [2, 1])
    passed = []
    while (job := queues.next()) is not None:
        passed.append((job.unit, job.stage))
        queues.ended(job)
    assert sorted(passed) == sorted((f"u{number}", stage.name) for number in range(7) for stage in TWO)


def test_first_stage_starves_the_others_if_its_slots_are_taken_and_cores_wait():
    queues = Queues(order(4), [1, 2])
    assert not queues.starve(2)  # a slot is free
    first = queues.next()
    assert queues.starve(2)
    assert not queues.starve(0)  # no core is idle
    queues.ended(first)
    assert not queues.starve(2)  # it waits for a core, not for a download
    queues.resize([2, 2])
    assert [queues.next().stage for _ in range(3)] == ["split", "download", "download"]
    assert queues.starve(2)
    assert not queues.starve(1)  # the split has it
    queues.resize([3, 2])
    assert queues.next().stage == "download"
    assert not queues.starve(2)  # nothing is left to download


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


def test_a_job_whose_node_is_lost_is_tried_again_until_the_cluster_is_to_blame(one_of_two):
    order, job = one_of_two
    queues = Queues(order, [1] * len(order.stages))
    for losses in range(1, LOSSES):
        assert queues.next() == job, "whole, never item by item"
        after_loss(job, NodeLostError("gone"), losses, queues)
        queues.ended(job)
    assert queues.next() == job
    with pytest.raises(ResourceError, match=r"gone; .* 20th time: look after the cluster") as lost:
        after_loss(job, NodeLostError("gone"), LOSSES, queues)
    assert lost.value.exit_code == 75
    with Dataset.open(job.root).manifest() as manifest:
        assert manifest.one("select count(*) from failures") == 0


def test_slots_follow_the_size_of_the_cluster_less_what_memory_is_short_for():
    queues = Queues(order(9), [2, 1])
    first, second = queues.next(), queues.next()
    assert queues.next() is None
    queues.resize([4, 2])
    assert queues.left() == [9, 0]
    assert queues.next() is not None, "a node has joined"
    assert queues.next() is not None
    queues.fewer(first)
    queues.resize([4, 2])
    queues.ended(second)
    splitting = queues.next()
    assert splitting.stage == "split"
    assert queues.next() is None, "three at a time"
    queues.resize([1, 0])
    queues.ended(first)
    queues.ended(splitting)
    assert queues.next().stage == "split", "one at least"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (Size(2, 0, 1), {"download": 2, "split": 2, "text": 1, "caption": 1}),
        (Size(8, 1, 1), {"download": 2, "split": 8, "text": 4, "caption": 1}),
        (Size(800, 0, 50), {"download": 100, "split": 800, "text": 400, "caption": 50}),
        (Size(800, 400, 50), {"download": 100, "split": 800, "text": 400, "caption": 400}),
    ],
)
def test_defaults_follow_the_size_of_the_cluster(size, expected):
    assert {name: find_stage(name).workers(Run(), size) for name in expected} == expected
    mine = Run(download_workers=3, measure_workers=4, caption_workers=5)
    assert [find_stage(name).workers(mine, size) for name in ("download", "text", "caption")] == [3, 4, 5]
    assert find_stage("caption").workers(Run(caption_gpus=4), Size(64, 8, 1)) == 2, "each takes four of eight"


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
