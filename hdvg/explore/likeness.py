"""Clips that look alike, by the embeddings of the stage `semantics`: the nearest of one, and a map of all to be lassoed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.snapshot import SOURCE
from hdvg.errors import UsageError
from hdvg.explore.masks import Asking, Mask
from hdvg.explore.selection import Condition
from hdvg.explore.sidecar import Sidecar

MOST = 1_000_000
"""Clips that have a place on the map, and are compared: the first by `draw`."""
NEAREST = 200
FIT = 50_000
"""Clips that the map's axes are found by; the others are placed on it."""
PIECE = 65_536
REACH = 32_767
"""Of the map's coordinates: int16."""


class Likeness:
    """The embeddings of one state of a dataset, read when they are first asked for."""

    def __init__(self, dataset: Dataset, sidecar: Sidecar, connection: duckdb.DuckDBPyConnection) -> None:
        self._dataset, self._sidecar, self._connection = dataset, sidecar, connection
        self._lock = threading.Lock()

    @property
    def known(self) -> bool:
        """Whether any clip has an embedding."""
        return "semantics_model" in self._sidecar.columns

    def similar(self, place: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows most like a row, the likest first (itself), and their cosines. Raises UsageError if it has no embedding."""
        places, vectors, _ = self._vectors
        at = np.flatnonzero(places == place)
        if not len(at):
            raise UsageError(
                "like: this clip has no embedding; similar ones are known once the stage semantics has run"
            )
        one = vectors[at[0]].astype(np.float32)
        cosines = np.concatenate([piece.astype(np.float32) @ one for piece in _pieces(vectors)])
        many = min(NEAREST + 1, len(cosines))
        best = np.argpartition(-cosines, many - 1)[:many]
        best = best[np.lexsort((places[best], -cosines[best]))]
        return places[best], cosines[best]

    def near(self, condition: Condition, asking: Asking) -> Mask:
        """[rows]: the clips most like the one that is named."""
        with self._connection.cursor() as cursor:
            found = asking.run(cursor, f"select place from {SOURCE} where clip_id = ?", condition.values)
        if not len(found):
            raise UsageError(f"like: no clip {condition.values[0][:80]!r} in the dataset")
        mask = np.zeros(len(self._sidecar.lengths_s), bool)
        mask[self.similar(found["place"][0].as_py())[0]] = True
        return mask

    def inside(self, condition: Condition, asking: Asking) -> Mask:
        """[rows]: clips whose place on the map lies inside a polygon."""
        by_height = self._by_height
        asking.check()
        mask = np.zeros(len(self._sidecar.lengths_s), bool)
        mask[by_height.inside(np.array(condition.values, np.float32))] = True
        return mask

    @cached_property
    def map(self) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        """Rows, and their x, y on the map, int16 [clips, 2]: the two directions in which embeddings differ most."""
        places, vectors, _ = self._vectors
        sample = vectors[:FIT].astype(np.float32)
        middle = sample.mean(axis=0)
        _, directions = cv2.eigen(np.cov((sample - middle).T).astype(np.float64))[1:]
        axes = directions[:2].T.astype(np.float32)
        flat = np.concatenate([(piece.astype(np.float32) - middle) @ axes for piece in _pieces(vectors)])
        reach = np.quantile(np.abs(flat), 0.999, axis=0).max() if len(flat) else 1.0
        return places, np.clip(flat / max(float(reach), 1e-9) * 0.9 * REACH, -REACH, REACH).astype(np.int16)

    @cached_property
    def _by_height(self) -> ByHeight:
        places, points = self.map
        order = np.argsort(points[:, 1], kind="stable")
        x, y = points[order].astype(np.float32).T
        return ByHeight(places[order], np.ascontiguousarray(x), np.ascontiguousarray(y))

    @property
    def model(self) -> str:
        """Whose embeddings these are."""
        return self._vectors[2]

    @property
    def _vectors(self) -> tuple[NDArray[np.int64], NDArray[np.float16], str]:
        with self._lock:
            return self._held

    @cached_property
    def _held(self) -> tuple[NDArray[np.int64], NDArray[np.float16], str]:
        """Rows, their unit vectors [clips, width], and the model. Raises UsageError where there are none."""
        if not self.known:
            raise UsageError(
                "no clip has an embedding: run the stage semantics, as `hdvg run … --set measure.semantics=…` does"
            )
        model = self._sidecar.columns["semantics_model"].values[0]
        with self._connection.cursor() as cursor:
            sql = f"select clip_id, place from {SOURCE} where semantics_model = ? order by place limit {MOST}"
            wanted = cursor.sql(sql, params=[model]).to_arrow_table()
        parts: list[tuple[Any, Any]] = []
        with self._dataset.manifest() as manifest:
            manifest.connection.register("wanted", wanted)
            asked = "select place, embedding from wanted join measured using (clip_id) where embedding is not null"
            for batch in manifest.connection.sql(asked).to_arrow_reader(16_384):
                parts.append((batch.column(0).to_numpy(), _matrix(batch.column(1))))
        places = np.concatenate([one for one, _ in parts]) if parts else np.empty(0, np.int64)
        vectors = np.concatenate([one for _, one in parts]) if parts else np.empty((0, 2), np.float16)
        order = np.argsort(places)
        return places[order], vectors[order], model


def _pieces(vectors: NDArray[np.float16]) -> list[NDArray[np.float16]]:
    """Of a size that is read at a time."""
    return np.array_split(vectors, 1 + len(vectors) // PIECE)


def _matrix(lists: pa.Array) -> NDArray[np.float16]:
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat.reshape(len(lists), -1), np.float16)


@dataclass(frozen=True)
class ByHeight:
    """The map's points, the lowest first: a side of a polygon is compared with those beside it alone. `places`: rows of the clips."""

    places: NDArray[np.int64]
    x: NDArray[np.float32]
    y: NDArray[np.float32]

    def inside(self, corners: NDArray[np.float32]) -> NDArray[np.int64]:
        """Places of the points inside a polygon, by the parity of the sides that a ray to the right crosses."""
        found = np.zeros(len(self.places), bool)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            first, end = np.searchsorted(self.y, (min(ay, by), max(ay, by)))
            beside = slice(first, end)
            if first < end:
                found[beside] ^= self.x[beside] < (bx - ax) * (self.y[beside] - ay) / (by - ay) + ax
        return self.places[found]
