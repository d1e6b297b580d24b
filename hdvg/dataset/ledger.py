"""The ledger: names of all files that are written once, as the dataset had them when hdvg last wrote it, and its settings then.

What it names and is not there any more was lost. A dataset of an earlier version, or one that is being purged, has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.layout import SEED, Sort, files, stage_of_part, unit_of
from hdvg.dataset.stages import entry_of
from hdvg.dataset.store import Store, is_sealed

NAME = "ledger.parquet"
SETTINGS = b"hdvg_settings"
"""Stands in its metadata before the text of dataset.toml."""

LEDGER = pa.schema([("name", pa.string())])
"""Paths from the dataset's folder."""

ONCE: tuple[Sort, ...] = ("inputs", "rejected", "tombstones", "tables", "parts")


def names(root: Path) -> Iterator[str]:
    """The files that are there now and that nothing but a purge takes away; not those that are made of others alone."""
    for sort in ONCE:
        for path in files(root, sort):
            name = str(path.relative_to(root))
            is_derived = sort == "parts" and entry_of(stage_of_part(path)).parts != "unit"
            if not is_derived and SEED not in path.stem.split("-"):
                yield name
    given = files(root, "given")
    if given:  # of an import that was stopped, some may go
        units = set(pc.unique(pq.read_table(files(root, "inputs"), columns=["unit"])["unit"]).to_pylist())
        yield from (str(path.relative_to(root)) for path in given if unit_of(path) in units)


def is_there(root: Path) -> bool:
    """Whether there is a ledger, whole."""
    path = root / NAME
    return path.exists() and is_sealed(path)


def read(root: Path) -> frozenset[str]:
    """The names in the ledger; none if there is no ledger, or it is damaged."""
    return frozenset(pq.read_table(root / NAME)["name"].to_pylist()) if is_there(root) else frozenset()


def settings(root: Path) -> str | None:
    """The text of dataset.toml as hdvg last wrote it, if it is known."""
    if not is_there(root):
        return None
    text = (pq.read_schema(root / NAME).metadata or {}).get(SETTINGS)
    return None if text is None else text.decode()


def lost(root: Path) -> list[str]:
    """What the ledger names and is not there, sorted."""
    return sorted(name for name in read(root) if not (root / name).exists())


def note(store: Store) -> None:
    """Make the ledger hold what is there now; under the run lock."""
    toml = store.root / "dataset.toml"
    if not toml.exists():
        return
    table = pa.table({"name": sorted(names(store.root))}, schema=LEDGER)
    marked = table.replace_schema_metadata({SETTINGS: toml.read_bytes()})
    if (
        not is_there(store.root)
        or not pq.read_table(store.root / NAME).equals(marked, check_metadata=False)
        or settings(store.root) != toml.read_text(encoding="utf-8")
    ):
        store.rewrite_table(NAME, marked)


def forget(store: Store) -> None:
    """Take the ledger away, before files that it names are removed for a reason; the end of the work notes a new one."""
    store.remove(NAME)
