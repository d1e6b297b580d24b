"""One unit of encoding: clips of one shard and bucket to latents, or texts to states, published as one file each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hdvg.errors import ItemError, TransientError
from hdvg.latents import units
from hdvg.latents.clips import Found, videos
from hdvg.latents.decoding import ahead, decode, starts
from hdvg.latents.encoders import lengths, load_codec, load_text
from hdvg.latents.settings import Encoding

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset
    from hdvg.latents.encoders import Codec, Frames, TextEncoder
    from hdvg.latents.settings import Bucket
    from hdvg.latents.units import Halves


AT_ONCE = 64
"""Texts whose states are in memory with their padding."""


@dataclass(frozen=True)
class ClipJob:
    """Clips of one shard that go to one bucket."""

    bucket: int
    shard: str
    clips: tuple[Found, ...]


@dataclass(frozen=True)
class TextJob:
    """(clip_id, text_id, text) of texts; the empty text is always encoded beside them."""

    texts: tuple[tuple[str, str, str], ...]


@dataclass
class Done:
    """What came of a job."""

    clips: int = 0
    texts: int = 0
    failed: Counter[str] = field(default_factory=Counter)


class Worker:
    """Does jobs; networks load when the first job needs them. `depth` clips are decoded while one is encoded."""

    def __init__(self, dataset: Dataset, encoding: Encoding, *, depth: int) -> None:
        self._dataset, self._encoding, self._depth = dataset, encoding, depth
        self._keys = units.find_keys(dataset, encoding)

    @cached_property
    def _codec(self) -> Codec:
        codec = load_codec(self._encoding, self._dataset.root)
        units.describe(self._dataset.store, self._keys, self._encoding, codec.channels)
        return codec

    @cached_property
    def _text(self) -> TextEncoder:
        return load_text(self._encoding, self._dataset.root)

    def __call__(self, job: ClipJob | TextJob) -> Done:
        """Raises ResourceError if disk or memory run short; what was published stays."""
        return self._clips(job) if isinstance(job, ClipJob) else self._texts(job)

    def _clips(self, job: ClipJob) -> Done:
        done = Done()
        rows: list[dict[str, Any]] = []
        windows: list[Halves] = []
        with self._dataset.store.scratch() as scratch:
            for clip, decoded in self._decoded(job, scratch):
                row: dict[str, Any] = {"clip_id": clip.clip_id, "first": sum(map(len, windows)), "windows": 0}
                try:
                    frames = decoded.result()
                except ItemError as error:
                    done.failed[error.reason] += 1
                    if isinstance(error, TransientError):
                        continue  # no row: the next run tries it again
                    row |= {"reason": error.reason, "detail": error.detail}
                else:
                    windows.append(self._encode(frames, clip.clip_id))
                    starts_s = [float(start) for start in starts(clip, self._bucket(job), self._encoding)]
                    row |= {"windows": len(frames), "starts_s": starts_s}
                    done.clips += 1
                rows.append(row)
        if rows:
            name = units.unit_name("clips", [row["clip_id"] for row in rows])
            none: Halves = np.zeros((0, 1, 1, 1, 1), np.float16)
            numbers = np.concatenate(windows) if windows else none
            index = pa.Table.from_pylist(rows, schema=units.WINDOWS)
            units.publish(self._dataset.store, self._keys.windows[job.bucket], name, numbers=numbers, index=index)
        return done

    def _decoded(self, job: ClipJob, scratch: Path) -> Iterator[tuple[Found, Future[Frames]]]:
        """Each clip with the frames of its windows, to come."""
        clips = {clip.row: clip for clip in job.clips}
        bucket, where = self._bucket(job), (self._dataset.plan.recipe, scratch)

        def work(item: tuple[int, bytes]) -> Frames:
            clip = clips[item[0]]
            starts_s = starts(clip, bucket, self._encoding)
            return decode(clip, item[1], bucket, starts_s=starts_s, fps=self._encoding.fps, where=where)

        stored = videos(self._dataset.root / job.shard, list(clips))
        for (row, _), decoded in ahead(work, stored, depth=self._depth):
            yield clips[row], decoded

    def _bucket(self, job: ClipJob) -> Bucket:
        return self._encoding.buckets[job.bucket]

    def _encode(self, frames: Frames, clip_id: str) -> Halves:
        """(windows, T, H, W, 3) -> float16 (windows, T, h, w, C), or 2C."""
        coded = [self._codec.encode(window, seed=f"{clip_id} {number}") for number, window in enumerate(frames)]
        return np.stack(coded).astype(np.float16)

    def _texts(self, job: TextJob) -> Done:
        store, key = self._dataset.store, self._keys.states
        if not (store.root / f"latents/{key}/{units.EMPTY}.npy").exists():
            units.publish_numbers(store, key, units.EMPTY, self._text.states([""]).astype(np.float16))
        if job.texts:
            numbers, held = self._said({text_id: text for _, text_id, text in job.texts})
            rows = [{"clip_id": clip, "text_id": name, **held[name]} for clip, name, _ in job.texts]
            units.publish(
                store,
                key,
                units.unit_name("texts", [[clip, name] for clip, name, _ in job.texts]),
                numbers=numbers,
                index=pa.Table.from_pylist(rows, schema=units.STATES),
            )
        return Done(texts=len(job.texts))

    def _said(self, texts: Mapping[str, str]) -> tuple[Halves, dict[str, dict[str, int | None]]]:
        """float16 (states, X) of the texts by id, one behind the other without zeros at their ends; and where each one's are."""
        parts: list[Halves] = [np.zeros((0, self._text.shape[1]), np.float16)]
        held: dict[str, dict[str, int | None]] = {}
        row = 0
        names, every = list(texts), list(texts.values())
        for start in range(0, len(every), AT_ONCE):
            said = every[start : start + AT_ONCE]
            states = self._text.states(said).astype(np.float16)
            for name, own, count in zip(names[start:], states, lengths(self._text, said), strict=False):
                kept = int(np.flatnonzero(own.any(axis=1)).max(initial=-1)) + 1
                parts.append(own[:kept])
                held[name] = {"row": row, "states": kept, "tokens": count}
                row += kept
        return np.concatenate(parts), held
