"""The stages that write texts and match them with pictures: everything is prepared ahead, so that no model waits."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

from hdvg.captioners import Written, clean
from hdvg.captioners.language import language
from hdvg.captioners.quality import wording
from hdvg.config.caption import Writer, name_in_errors
from hdvg.config.writers import step_and_writer
from hdvg.errors import ItemError
from hdvg.keyframes import Shot
from hdvg.measures.semantics import similarity
from pipelines.items import MatchItem
from pipelines.keyframes import Packs
from pipelines.sounds import Ears
from pipelines.work import Row, Work, batches, failed_row
from schemas.captions import SPEECH

AHEAD = 2
"""Batches that are prepared while one is written."""

TITLE = "title"
"""The kind of text that a clip may well have none of."""

MATCH_BATCH = 256
"""Clips whose texts are embedded at once."""


def caption(work: Work[Any]) -> Iterator[Row]:
    """Write the texts of each kept clip from its stored keyframes, batch by batch; each batch is saved when it is done."""
    writer = step_and_writer(work.stage)[1]
    settings = work.dataset.plan.recipe.caption.writers[writer]
    ready = _Ready(work, settings)

    def write(items: list[Row]) -> list[Row]:
        answers = ready.answers(items)
        return [row for item in items for row in _rows(item, answers[item["key"]], settings, work.model)]

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(os.cpu_count()) as pool:
        for items in ready.batches(reader, pool):
            with name_in_errors(writer):
                rows = work.guarded_batch(write, items)
            work.save(rows)
            yield from rows


class _Ready:
    """What is prepared of a unit's clips, some batches ahead."""

    def __init__(self, work: Work[Any], settings: Writer) -> None:
        self._work, self._source = work, settings.source
        packs = Packs(work.dataset.store, previews=settings.frames > 0)
        self._shots = Ears(work) if getattr(work.model, "hears", False) else packs
        self._prepared: dict[str, Future[Any]] = {}

    def batches(self, reader: ThreadPoolExecutor, pool: ThreadPoolExecutor) -> Iterator[list[Row]]:
        """The items, as many at once as the model takes; those that follow are read by one thread and prepared by others."""
        rest = iter(self._work.items)
        waiting: deque[Row] = deque()
        while True:
            size = self._work.model.batch
            for item in islice(rest, max((1 + AHEAD) * size - len(waiting), 0)):
                shot = reader.submit(self._shots.shot, item)
                self._prepared[item["key"]] = pool.submit(self._prepare, item, shot)
                waiting.append(item)
            if not waiting:
                return
            items = [waiting.popleft() for _ in range(min(size, len(waiting)))]
            done = sum(self._prepared[item["key"]].done() for item in waiting)
            self._work.meter.saw(ahead=done / size)
            yield items
            for item in items:
                del self._prepared[item["key"]]

    def answers(self, items: Sequence[Row]) -> dict[str, Written | ItemError]:
        """What the model says of each item, by key."""
        answers: dict[str, Written | ItemError] = {}
        prepared: dict[str, Any] = {}
        for item in items:
            try:
                prepared[item["key"]] = self._prepared[item["key"]].result()
            except ItemError as error:
                answers[item["key"]] = error
        start = time.monotonic()
        written = self._work.model.write(list(prepared.values()))
        self._work.meter.saw(busy_s=time.monotonic() - start)
        return answers | dict(zip(prepared, written, strict=True))

    def _prepare(self, item: Row, shot: Future[Shot]) -> Any:
        seen, texts = shot.result(), item["written"] or []
        told = item | {"written": [one for one in texts if one["writer"] == self._source]}
        return self._work.model.prepare(Shot(item["clip_id"], seen.keyframes, told, seen.preview, seen.sound))


def _rows(item: Row, answer: Written | ItemError, settings: Writer, model: Any) -> list[Row]:
    """The rows of one clip: one a kind of text, or why there is none."""
    if isinstance(answer, ItemError):
        return [failed_row(item, answer)]
    who = {"video_id": item["video_id"], "clip_id": item["clip_id"], "captioner": model.name}
    who["model"] = answer.model or model.model
    rows: list[Row] = []
    for kind, raw in answer.texts.items():
        if text := clean(raw, lower_case=settings.lower_case and not answer.as_is):
            rows.append(
                who | {"kind": kind, "text": text, "language": _language(kind, text, answer, settings)} | wording(text)
            )
    if not rows and not answer.silent and set(answer.texts) != {TITLE}:
        return [failed_row(item, ItemError("caption", "no keyframe to be seen, or no usable answer"))]
    rows = rows or [who | {"kind": kind, "text": None} for kind in answer.texts]
    for row in rows:
        row |= answer.columns
    rows[0] |= {"prompt_tokens": answer.prompt_tokens, "output_tokens": answer.output_tokens}
    return rows


def _language(kind: str, text: str, answer: Written, settings: Writer) -> str | None:
    if kind == TITLE or answer.as_is:
        return language(text)
    return answer.language if kind == SPEECH else settings.language


def match(work: Work[MatchItem]) -> Iterator[Row]:
    """Compute how like each text is to its clip's pictures, from the stored embeddings of these."""

    def match_batch(items: list[MatchItem]) -> list[Row]:
        texts = [(item, one) for item in items for one in item["texts"]]
        vectors_TD = work.model.embed_texts([one["text"] for _, one in texts])
        return [
            {
                "video_id": item["video_id"],
                "clip_id": item["clip_id"],
                "kind": one["kind"],
                "similarity": None if item["embedding"] is None else similarity(item["embedding"], vector_D),
                "text_embedding": vector_D.tolist(),
                "match_model": work.model.model,
            }
            for (item, one), vector_D in zip(texts, vectors_TD, strict=True)
        ]

    for items in batches(work.items, MATCH_BATCH):
        yield from work.guarded_batch(match_batch, items)
