"""The clips of the pool, read once: what is compared of each, and embeddings, of which only some are in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hdvg.dataset.manifest import Manifest, literal, no_glob
from hdvg.filtering import balance
from hdvg.filtering.diversity import FITTED, clusters, diverse_draw
from schemas.measures import CLUSTERED

BLOCK = 16_384
"""Embeddings in memory at once."""


@dataclass(frozen=True)
class PoolClips:
    """A file with columns of each clip of the pool; `source` is SQL that reads it."""

    manifest: Manifest
    source: str

    @classmethod
    def read(cls, manifest: Manifest, columns: Sequence[str], where: str, path: Path) -> PoolClips:
        """The clips of `measured` that `where` holds of, written to `path`: these columns, `unit`, `draw` and `embedding`."""
        units = "(select video_id, unit from videos)"
        named = ", ".join(dict.fromkeys((*columns, "unit", "draw", "embedding")))
        manifest.copy(f"select {named} from (from measured where {where}) join {units} using (video_id)", path)
        return cls(manifest, f"read_parquet({literal(no_glob(str(path)))})")

    def compared(self) -> pa.Table:
        """All columns but the embeddings, sorted by clip_id."""
        return self.manifest.table(f"select * exclude (embedding) from {self.source} order by clip_id")

    def embeddings(self, clip_ids: pa.Array) -> pa.Array:
        """Those of these clips, sorted by id: null where there is none."""
        asked = "(select unnest(?::varchar[]) as clip_id)"
        sql = f"select embedding from {asked} left join {self.source} using (clip_id) order by clip_id"
        return self.manifest.table(sql, [clip_ids.to_pylist()])["embedding"].combine_chunks()

    def clustered(self, clip_ids: pa.Array) -> dict[str, pa.Array]:
        """Of these clips the columns that follow from clusters of embeddings; null where there is no embedding."""
        known = f"from {self.source} where embedding is not null"
        rows = self.manifest.table(f"select clip_id, draw {known}")
        if not len(rows):
            return {field.name: pa.nulls(len(clip_ids), field.type) for field in CLUSTERED}
        first = self.manifest.table(f"select embedding {known} order by draw, clip_id limit {FITTED}")
        cluster, group = clusters(_matrix(first["embedding"]), self._blocks(known), count=len(rows))
        places = diverse_draw(rows["draw"].to_numpy(), cluster)
        values = (places, cluster, group, balance.weights(cluster, group))
        at = pc.index_in(clip_ids, value_set=rows["clip_id"].combine_chunks())
        return {field.name: pa.array(one).take(at) for field, one in zip(CLUSTERED, values, strict=True)}

    def _blocks(self, known: str) -> Iterator[npt.NDArray[np.float32]]:
        for batch in self.manifest.batches(f"select embedding {known}", size=BLOCK):
            yield _matrix(batch.column(0))


def _matrix(rows: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """(n, d): the lists, all of one length, as rows."""
    flat = np.asarray(rows.combine_chunks().flatten() if isinstance(rows, pa.ChunkedArray) else rows.flatten())
    return flat.astype(np.float32, copy=False).reshape(len(rows), -1)
