"""The bounded window: later stages first, nobody runs far ahead, a unit moves on when all its jobs are over."""

from dataclasses import replace
from pathlib import Path

import pytest

from hdvg.errors import UsageError
from pipelines.graph import GRAPH, check, describe
from pipelines.runners import Order, Queues

TWO = GRAPH[:2]


def order(count: int) -> Order:
    return Order(Path(), TWO, {f"u{number}": 0 for number in range(count)})


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
    assert describe().splitlines()[0].startswith("download: needs source; adds sha256")


def test_a_column_nobody_adds_is_named_before_anything_runs():
    hungry = replace(GRAPH[1], needs=("sha256", "horoscope"))
    with pytest.raises(UsageError, match="split needs horoscope"):
        check([GRAPH[0], hungry])
    with pytest.raises(UsageError, match="codec"):
        check([replace(GRAPH[0]), replace(GRAPH[1], adds=tuple(name for name in GRAPH[1].adds if name != "codec"))])
