"""The same interface as the store's, with nothing stored: clips are decoded and encoded when they are read.

Costs a decode a sample, so it is for trying settings and for clips that are seen once. A clip that does not decode is known
only when it is read: that raises, where `hdvg encode` would have left it out.
"""

from __future__ import annotations

import threading
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hdvg.latents.encoders import FACTOR, lengths, load_codec, load_text
from hdvg.latents.fitting import fit_patches
from hdvg.latents.lengths import Lengths
from hdvg.latents.settings import Encoding
from hdvg.latents.store import Clips, data_digest
from hdvg.latents.units import find_keys
from hdvg.latents.windows import Windows, readable

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset
    from hdvg.latents.units import Halves

TEXTS = 4096
"""Texts whose states are held."""
COUNTED = 20_000
"""Texts whose tokens are counted."""


class Online:
    """See `hdvg.latents.store.Latents`. Reads of several threads decode side by side and encode one by one."""

    clips: Clips

    def __init__(self, dataset: Dataset, encoding: Encoding, rows: pa.Table) -> None:
        self._dataset, self._encoding = dataset, encoding
        root = dataset.root
        self._codec, self._text = load_codec(encoding, root), load_text(encoding, root)
        keys = find_keys(dataset, encoding)
        self.codec, self.text, self.text_shape = keys.codec, keys.text, self._text.shape
        self.digest = data_digest(rows, keys)
        self._windows = Windows(dataset, encoding, rows)
        shapes = [(t, h // FACTOR, w // FACTOR, self._codec.channels) for t, h, w in encoding.buckets]
        self.clips = Clips(self._windows.rows, shapes)
        self.wanted, self.failed = len(rows), dict[str, str]()
        self._lock = threading.Lock()
        self._states = lru_cache(TEXTS)(self._make_states)

    @classmethod
    def open(cls, dataset: Dataset, encoding: Encoding, *, where: str | None = None) -> Online:
        """The clips that have a bucket and lie in a shard. Raises UsageError if there is none.

        Codec `patches` is fitted first, if it is not; that alone is stored.
        """
        rows, fine, failed = readable(dataset, encoding, where)
        with dataset.store.aside() as store:
            fit_patches(type(dataset)(dataset.root, dataset.plan, store), rows, encoding)
        online = cls(dataset, encoding, fine)
        online.wanted, online.failed = len(rows), failed
        return online

    @cached_property
    def lengths(self) -> Lengths:
        """See `hdvg.latents.store.Latents`; of the first texts only."""
        texts = self._windows.texts[:COUNTED]
        return Lengths.of(lengths(self._text, texts), self._encoding.text_tokens)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("an Online holds networks: open it in each process")

    def read(self, clip: int, window: int, out: Halves) -> None:
        """Decode and encode a window of the clip of that number into `out`, float16 (T, H, W, C).

        Raises ItemError if it does not decode: `hdvg encode` finds such clips beforehand.
        """
        frames = self._windows.read(clip, window)
        with self._lock:
            coded = self._codec.encode(frames, seed=f"{self._windows.name(clip)} {window}")
            np.copyto(out, coded.astype(np.float16))

    def read_text(self, row: int, out: Halves) -> None:
        """Encode a text into `out`, float16 (L, X); row -1 is the empty text."""
        np.copyto(out, self._states("" if row < 0 else self._windows.texts[row]))

    def _make_states(self, text: str) -> Halves:
        with self._lock:
            states: Halves = self._text.states([text])[0].astype(np.float16)
            return states
