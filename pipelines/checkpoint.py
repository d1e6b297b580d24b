"""Pieces of a unit's part: batches that a slow stage saves as they are done, so that a killed worker loses one at most.

They become one part and go once the unit is done, or before its next job asks what is still to be done.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files, newest_generation, piece_name
from hdvg.dataset.stages import part_schema
from pipelines.work import Row


class Pieces:
    """The pieces of one unit at one stage, as the next generation of its part."""

    def __init__(self, dataset: Dataset, stage: str, unit: str) -> None:
        self._dataset, self._stage = dataset, stage
        self._unit, self._fingerprint = unit, dataset.plan.fingerprints[stage]
        self._count = 0
        parts = files(dataset.root, "parts", stage=stage, unit=unit, fingerprint=self._fingerprint)
        self._generation = newest_generation(parts) + 1

    def save(self, rows: list[Row]) -> None:
        """Publish rows that are done; they must say how often their items were tried."""
        for row in rows:
            row["generation"] = self._generation
        table = pa.Table.from_pylist(rows, schema=part_schema(self._stage))
        published = False
        while not published:  # jobs of this run that were killed left pieces under the first numbers
            self._count += 1
            run = self._dataset.store.run
            name = piece_name(self._stage, self._unit, self._fingerprint, run=run, number=self._count)
            published = self._dataset.store.publish_table(name, table)

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
        named = {"stage": self._stage, "unit": self._unit, "fingerprint": self._fingerprint}
        return files(self._dataset.root, "pieces", **named)
