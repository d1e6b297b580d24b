"""The index of earlier datasets: a folder of immutable Parquet files with the hashes of their clips, that only grows."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset.connection import connect
from hdvg.dataset.store import Store
from hdvg.errors import UsageError
from hdvg.ids import digest
from schemas.columns import table
from schemas.duplicates import INDEXED

PATIENCE_S = 600
FILE_CLIPS = 250_000
"""Clips of a file at most: what a search holds of the index at once."""

SCHEMA = table(INDEXED)


class Index:
    """The folder `root`, made if it is missing; DuckDB reads all of it as `root/clips/*.parquet`."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def add(self, label: str, clips: pa.Table) -> int:
        """Take the clips of the dataset `label` that it has not yet; returns how many. Adding the same again adds none.

        Files are named by what they hold and written whole or not at all. Waits for another process that is adding;
        raises UsageError if that takes over ten minutes, ResourceError if the disk refuses.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        store = Store(self.root, run=uuid.uuid4().hex)
        with _waiting(store):
            store.begin()
            fresh = self._missing(label, clips)
            for start in range(0, len(fresh), FILE_CLIPS):
                piece = fresh.slice(start, FILE_CLIPS)
                name = digest("index", label, piece["clip_id"].to_pylist())
                store.publish_table(f"clips/{digest('label', label)[:8]}-{name}.parquet", piece)
            store.end()
        return len(fresh)

    def parts(self, *, but: str | None = None) -> Iterator[pa.Table]:
        """The clips, a file at a time, in the order of the files' names; not those of the dataset `but`."""
        for path in self._files():
            part = pq.read_table(path, schema=SCHEMA)
            if part["dataset"][0].as_py() != but:
                yield part

    def labels(self) -> dict[str, int]:
        """The datasets that are in it, and how many clips of each."""
        counts: dict[str, int] = {}
        for path in self._files():
            names = pq.read_table(path, columns=["dataset"])["dataset"]
            counts[names[0].as_py()] = counts.get(names[0].as_py(), 0) + len(names)
        return dict(sorted(counts.items()))

    def holders(self, clip_ids: pa.Array) -> dict[str, list[str]]:
        """The labels, sorted, under which the index holds each of these very clips."""
        if not self._files():
            return {}
        with connect(self.root) as connection:
            connection.register("asked", pa.table({"clip_id": clip_ids}))
            files = [str(path) for path in self._files()]
            rows = connection.execute(
                "select clip_id, list(distinct dataset order by dataset) from read_parquet(?) semi join asked using (clip_id) "
                "group by clip_id",
                [files],
            ).fetchall()
        return dict(rows)

    def _files(self) -> list[Path]:
        return sorted((self.root / "clips").glob("*.parquet"))

    def _missing(self, label: str, clips: pa.Table) -> pa.Table:
        """The clips that the files do not hold under this label, as the index stores them, sorted by clip_id."""
        files = sorted((self.root / "clips").glob(f"{digest('label', label)[:8]}-*.parquet"))
        held = [pq.read_table(path, columns=["clip_id", "dataset"]) for path in files]
        known = pa.concat_tables(held) if held else SCHEMA.empty_table().select(["clip_id", "dataset"])
        columns = [clips[name] for name in SCHEMA.names if name != "dataset"]
        named = [pa.array([label] * len(clips), pa.string()) if name == "dataset" else None for name in SCHEMA.names]
        given = iter(columns)
        offered = pa.table([one if one is not None else next(given) for one in named], names=SCHEMA.names)
        with connect(self.root) as connection:
            connection.register("offered", offered)
            connection.register("known", known)
            fresh = connection.sql(
                "select * from offered anti join known using (clip_id, dataset) order by clip_id"
            ).to_arrow_table()
        return fresh.cast(SCHEMA)


@contextmanager
def _waiting(store: Store) -> Iterator[None]:
    """Hold the lock of the index, once whoever has it lets it go."""
    deadline = time.monotonic() + PATIENCE_S
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(store.lock())
                break
            except UsageError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield
