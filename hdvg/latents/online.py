"""The same interface as the store's, with nothing stored: clips are decoded and encoded when they are read.

Costs a decode a sample, so it is for trying settings and for clips that are seen once. A clip that does not decode is known
only when it is read: that raises, where `hdvg encode` would have left it out.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hdvg.latents import buckets
from hdvg.latents.clips import Found, found, refuse_unsharded, sizes, videos, wanted
from hdvg.latents.decoding import decode, starts
from hdvg.latents.encoders import FACTOR, load_codec, load_text
from hdvg.latents.fitting import fit_patches
from hdvg.latents.settings import Encoding
from hdvg.latents.store import Clips, told_apart, why_not
from hdvg.latents.units import find_keys

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset
    from hdvg.latents.units import Halves

TEXTS = 4096
"""Texts whose states are held."""


class Online:
    """See `hdvg.latents.store.Latents`. Reads of several threads decode side by side and encode one by one."""

    clips: Clips

    def __init__(self, dataset: Dataset, encoding: Encoding, rows: pa.Table) -> None:
        self._dataset, self._encoding = dataset, encoding
        root = dataset.root
        self._codec, self._text = load_codec(encoding, root), load_text(encoding, root)
        keys = find_keys(dataset, encoding)
        self.codec, self.text, self.text_shape = keys.codec, keys.text, self._text.shape
        self.digest = told_apart(rows, keys)
        self._found: list[Found] = found(rows)
        self._shards, self._buckets = rows["shard"].to_pylist(), rows["bucket"].to_pylist()
        self._said: list[str] = [text for texts in rows["texts"].to_pylist() for text in texts]
        shapes = [(t, h // FACTOR, w // FACTOR, self._codec.channels) for t, h, w in encoding.buckets]
        begins = [
            starts(clip, encoding.buckets[at], encoding) for clip, at in zip(self._found, self._buckets, strict=True)
        ]
        self.clips = Clips(with_windows(rows, begins), shapes)
        self.wanted, self.failed = len(rows), dict[str, str]()
        self._lock = threading.Lock()
        self._states = lru_cache(TEXTS)(self._make_states)

    @classmethod
    def open(cls, dataset: Dataset, encoding: Encoding, *, where: str | None = None) -> Online:
        """The clips that have a bucket and lie in a shard. Raises UsageError if there is none.

        Codec `patches` is fitted first, if it is not; that alone is stored.
        """
        buckets.check(encoding)
        rows = wanted(dataset, encoding, where)
        buckets.refuse_empty(sizes(rows), rows["bucket"].to_numpy(), encoding)
        is_fine = pc.and_(pc.greater_equal(rows["bucket"], 0), pc.is_valid(rows["shard"]))
        refuse_unsharded(dataset, rows)
        with dataset.store.aside() as store:
            fit_patches(type(dataset)(dataset.root, dataset.plan, store), rows, encoding)
        online = cls(dataset, encoding, rows.filter(is_fine))
        online.wanted = len(rows)
        for row in rows.filter(pc.invert(is_fine)).to_pylist():
            online.failed[row["clip_id"]] = why_not({**row, "reason": None}) or "in no shard"
        return online

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("an Online holds networks: open it in each process")

    def read(self, clip: int, window: int, out: Halves) -> None:
        """Decode and encode a window of the clip of that number into `out`, float16 (T, H, W, C).

        Raises ItemError if it does not decode: `hdvg encode` finds such clips beforehand.
        """
        one, bucket = self._found[clip], self._encoding.buckets[self._buckets[clip]]
        ((_, video),) = videos(self._dataset.root / self._shards[clip], [one.row])
        begin = starts(one, bucket, self._encoding)[window]
        with tempfile.TemporaryDirectory() as scratch:
            where = self._dataset.plan.recipe, Path(scratch)
            frames = decode(one, video, bucket, starts_s=[begin], fps=self._encoding.fps, where=where)
        with self._lock:
            np.copyto(out, self._codec.encode(frames[0], seed=f"{one.clip_id} {window}").astype(np.float16))

    def read_text(self, row: int, out: Halves) -> None:
        """Encode a text into `out`, float16 (L, X); row -1 is the empty text."""
        np.copyto(out, self._states("" if row < 0 else self._said[row]))

    def _make_states(self, text: str) -> Halves:
        with self._lock:
            states: Halves = self._text.states([text])[0].astype(np.float16)
            return states


def with_windows(rows: pa.Table, begins: Sequence[Sequence[Any]]) -> pa.Table:
    """The rows with the columns that an index has of encoded ones."""
    told = {
        "windows": pa.array([len(begin) for begin in begins], pa.int64()),
        "starts_s": pa.array([[float(start) for start in begin] for begin in begins], pa.list_(pa.float64())),
    }
    for name, values in told.items():
        rows = rows.append_column(name, values)
    return rows
