"""`datasets`: a folder for the Hugging Face hub: Parquet files, a card (README.md) and a description (croissant.json).

`croissant`: the same without the card.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq

from hdvg.exporting import Piece
from hdvg.exporting.card import readme
from hdvg.exporting.croissant import beside
from hdvg.exporting.job import Job
from hdvg.exporting.selection import Bundle, clips, identity, row_groups
from schemas.columns import later_names
from schemas.shards import SHARDS

VERSION = 1
"""Raise it when the same clips come to be laid out otherwise."""


class Described:
    """`data/<split>-00000-of-00007.parquet`. A shard of which every clip is wanted is linked, and needs no space."""

    needs: ClassVar[dict[str, str]] = {}

    def __init__(self, job: Job) -> None:
        self._job = job

    def pieces(self) -> list[Piece]:
        """The Parquet files, then their description."""
        made = [piece for pieces in self._tables().values() for piece in pieces]
        return [*made, beside(self._job, made, layout="datasets")]

    def _tables(self) -> dict[str, list[Piece]]:
        """Split -> its files."""
        wanted = self._job.wanted
        max_mb = wanted.max_mb or self._job.dataset.plan.recipe.shard.max_mb
        bundles = list(self._job.chosen.bundles(max_mb, keep_whole=wanted.max_mb is None))
        totals, made = Counter(split for split, _ in bundles), dict[str, list[Piece]]()
        for split, bundle in bundles:
            of_split = made.setdefault(split, [])
            name = f"data/{split}-{len(of_split):05d}-of-{totals[split]:05d}.parquet"
            of_split.append(
                Piece(
                    name,
                    identity(bundle, "datasets", VERSION, *sorted(later_names(SHARDS))),
                    clips(bundle),
                    partial(self._write, bundle),
                    anywhere=True,
                )
            )
        return made

    def _write(self, bundle: Bundle, path: Path) -> None:
        shard = self._job.dataset.root / bundle[0].shard
        if len(bundle) == 1 and bundle[0].whole and pq.read_schema(shard).names == SHARDS.names:
            return _link(shard, path)
        schema = self._job.chosen.schema()
        metadata = {b"hdvg_content": identity(bundle).encode(), b"hdvg_where": (self._job.wanted.where or "").encode()}
        tables = row_groups(self._job.chosen.tables(bundle), self._job.dataset.plan.recipe.shard.row_group_mb)
        with pq.ParquetWriter(
            path,
            schema.with_metadata({**(schema.metadata or {}), **metadata}),
            compression="none",
            write_page_checksum=True,
        ) as writer:
            for table in tables:
                writer.write_table(table.cast(schema), row_group_size=table.num_rows)


class HuggingFace(Described):
    """With the card."""

    def pieces(self) -> list[Piece]:
        """The Parquet files, the card, the description."""
        splits = self._tables()
        made = [piece for pieces in splits.values() for piece in pieces]
        card = readme(self._job, splits, pattern="data/{split}-*.parquet")
        return [*made, card, beside(self._job, made, layout="datasets")]


def _link(shard: Path, path: Path) -> None:
    """The very file under another name; a copy where the file system cannot do that."""
    try:
        os.link(shard, path)
    except OSError:
        shutil.copyfile(shard, path)
