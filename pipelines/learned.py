"""The stage of measures that models take of stored pictures, several clips at once: questions, quality, and the user's own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

from hdvg.config.own_measures import Taken
from hdvg.errors import ItemError, NotAskedError, TransientError
from hdvg.keyframes import Shot
from pipelines.items import LearnedItem
from pipelines.keyframes import Packs
from pipelines.measures_alone import row_of
from pipelines.work import Row, Work, failed_row

BATCH = 32
"""Clips at once for a class that does not say."""

Ready = tuple[list[LearnedItem], Future[list[Shot]]]


def learned(work: Work[LearnedItem]) -> Iterator[Row]:
    """Take what clips lack of these measures; each batch is saved when it is done, the next one is read meanwhile."""
    marks = {mark for item in work.items for mark in item["versions"].split()}
    lacks = [one for one in work.model.taken.values() if one.mark in marks]
    packs = Packs(work.dataset.store, previews=any(getattr(work.model.made(one), "frames", 0) for one in lacks))

    def read(items: list[LearnedItem]) -> list[Shot]:
        return [packs.shot(item) for item in items]

    with ThreadPoolExecutor(1) as reader:
        for items, shots in _ahead(work, lacks, lambda some: reader.submit(read, some)):
            found = dict(zip((item["key"] for item in items), shots.result(), strict=True))
            rows = work.guarded_batch(lambda some, found=found: _take(work, some, lacks, found), items)  # type: ignore[misc]
            work.save(rows)
            yield from rows


def _ahead(work: Work[LearnedItem], lacks: Sequence[Taken], read: Any) -> Iterator[Ready]:
    """The items, as many at once as the models take by now, with their pictures."""
    rest, waiting = iter(work.items), deque[Ready]()
    while True:
        size = max(getattr(work.model.made(one), "batch", BATCH) for one in lacks)
        if items := list(islice(rest, size)):
            waiting.append((items, read(items)))
        if not waiting:
            return
        if not items or len(waiting) > 1:
            yield waiting.popleft()


def _take(
    work: Work[LearnedItem], items: list[LearnedItem], lacks: Sequence[Taken], shots: Mapping[str, Shot]
) -> list[Row]:
    """Of each clip a row with what was found, and one for each measure that was not, which says why."""
    values: dict[str, dict[str, Any]] = {item["key"]: {} for item in items}
    failures: list[Row] = []
    start = time.monotonic()
    for one in lacks:
        mine = [item for item in items if one.mark in item["versions"].split()]
        answers = work.model.made(one).measure([shots[item["key"]] for item in mine]) if mine else []
        for item, answer in zip(mine, answers, strict=True):
            try:
                if isinstance(answer, ItemError):
                    raise answer
                values[item["key"]][one.name] = one.checked(answer)
            except ItemError as error:
                failures.append(_failed(item, one, error))
    work.meter.saw(busy_s=time.monotonic() - start)
    taken = [(item, [one for one in lacks if one.name in values[item["key"]]]) for item in items]
    return [row_of(item, some, values[item["key"]]) for item, some in taken if some] + failures


def _failed(item: LearnedItem, one: Taken, error: ItemError) -> Row:
    """A server's fault counts no try against the clip: it is asked again in the next run, however often."""
    if isinstance(error, TransientError):
        error = NotAskedError(error.reason, error.detail)
    row = failed_row(item, error) | {"measure_versions": one.mark}
    return row | {"detail": f"{one.name}: {row['detail']}"}
