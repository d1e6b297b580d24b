"""Pieces of a unit's part: batches that a slow stage saves as they are done, so that a killed worker loses one at most.

They become one part and go once the unit is done, or before its next job asks what is still to be done.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.manifest import newest_generation
from pipelines.work import Row
from schemas.parts import part_schema


class Pieces:
    """The pieces of one unit at one stage, as the next generation of its part."""

    def __init__(self, dataset: Dataset, stage: str, unit: str) -> None:
        self._dataset, self._stage = dataset, stage
        self._prefix = f"{unit}-{dataset.plan.fingerprints[stage]}"
        self._unit = unit
        self._count = 0
        folder = dataset.root / "parts" / stage
        self._generation = newest_generation(folder.glob(f"{self._prefix}-*.parquet")) + 1

    def save(self, rows: list[Row]) -> None:
        """Publish rows that are done; they must say how often their items were tried."""
        for row in rows:
            row["generation"] = self._generation
        table = pa.Table.from_pylist(rows, schema=part_schema(self._stage))
        published = False
        while not published:  # jobs of this run that were killed left pieces under the first numbers
            self._count += 1
            name = f"{self._prefix}-{self._dataset.store.run}-{self._count:06}.parquet"
            published = self._dataset.store.publish_table(f"parts/{self._stage}/pieces/{name}", table)

    def take(self) -> tuple[list[Row], list[Path]]:
        """The rows of all pieces that no part holds yet, and the files to drop once one does.

        A clip that a worker saved after it was given up for dead, and its successor too, counts once.
        """
        paths = self._paths()
        taken: dict[str, list[Row]] = {}
        for path in paths:
            mine: dict[str, list[Row]] = {}
            for row in pq.read_table(path, schema=part_schema(self._stage)).to_pylist():
                if row["generation"] >= self._generation:
                    mine.setdefault(row["clip_id"], []).append(row)
            for clip, rows in mine.items():
                taken.setdefault(clip, rows)
        return [row for rows in taken.values() for row in rows], paths

    def drop(self, paths: Iterable[Path]) -> None:
        """Take files away."""
        for path in paths:
            self._dataset.store.remove(str(path.relative_to(self._dataset.root)))

    def _paths(self) -> list[Path]:
        return sorted((self._dataset.root / "parts" / self._stage / "pieces").glob(f"{self._prefix}-*.parquet"))
