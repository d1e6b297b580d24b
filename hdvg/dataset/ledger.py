"""The ledger: names of all files that are written once, as the dataset had them when hdvg last wrote it, and its settings then.

What it names and is not there any more was lost. A dataset of an earlier version, or one that is being purged, has none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.layout import SEED, Look, Sort, pattern, unit_of
from hdvg.dataset.seals import is_sealed
from hdvg.dataset.stages import entry_of
from hdvg.dataset.store import Store

NAME = "ledger.parquet"
SETTINGS = b"hdvg_settings"
"""Stands in its metadata before the text of dataset.toml."""

NEXT = b"hdvg_next_settings"
"""Stands before the text that takes its place next: a run that ends in between has written the one or the other."""

LISTED = b"hdvg_listed"
"""Stands before a hash of all that was in the folders of `WRITTEN` files: where that is the same, nothing is new there."""

WRITTEN = ("inputs", "parts/*")
"""Folders of files that only hdvg writes."""

LEDGER = pa.schema([("name", pa.string())])
"""Paths from the dataset's folder."""

ONCE: tuple[Sort, ...] = ("inputs", "rejected", "tombstones", "tables", "parts")


def names(look: Look) -> Iterator[str]:
    """The files that are there and that nothing but a purge takes away; not those that are made of others alone."""
    for sort in ONCE:
        for folder, held in groupby(look.matching(pattern(sort)), key=lambda name: name[: name.rfind("/")]):
            if sort != "parts" or entry_of(Path(folder).name).parts == "unit":
                yield from (name for name in held if SEED not in name or SEED not in Path(name).stem.split("-"))
    given = look.matching(pattern("given"))
    if given:  # of an import that was stopped, some may go
        lists = [look.root / name for name in look.matching(pattern("inputs"))]
        units = set(pc.unique(pq.read_table(lists, columns=["unit"])["unit"]).to_pylist())
        yield from (name for name in given if unit_of(Path(name)) in units)


def is_there(root: Path) -> bool:
    """Whether there is a ledger, whole."""
    path = root / NAME
    return path.exists() and is_sealed(path)


def read(root: Path) -> frozenset[str]:
    """The names in the ledger; none if there is no ledger, or it is damaged."""
    if not is_there(root):
        return frozenset()
    with pq.ParquetFile(root / NAME) as file:  # `read_table` would import pandas: half of the time of a short command
        return frozenset(file.read()["name"].to_pylist())


def settings(root: Path) -> tuple[str, ...]:
    """The texts of dataset.toml that hdvg wrote last, and is about to write; none if they are not known."""
    said = _said(root)
    return tuple(said[key] for key in (SETTINGS, NEXT) if key in said)


def is_as_noted(look: Look) -> bool:
    """Whether the folders of `WRITTEN` files hold what they held when hdvg last wrote to the dataset, and nothing else."""
    return _said(look.root).get(LISTED) == look.whole(*WRITTEN)


def _said(root: Path) -> dict[bytes, str]:
    """What the ledger says beside names."""
    if not is_there(root):
        return {}
    metadata = pq.read_schema(root / NAME).metadata or {}
    return {key: metadata[key].decode() for key in (SETTINGS, NEXT, LISTED) if key in metadata}


def lost(root: Path, look: Look | None = None) -> list[str]:
    """What the ledger names and is not there, sorted."""
    look = look or Look(root)
    sorts: tuple[Sort, ...] = (*ONCE, "given")
    gone = read(root).difference(*(look.matching(pattern(sort)) for sort in sorts))
    return sorted(name for name in gone if not (root / name).exists())


def note(
    store: Store, look: Look | None = None, *, coming: str | None = None, still_lost: Collection[str] = ()
) -> None:
    """Make the ledger hold what is there now, what is `still_lost`, and the settings that are `coming`; under the run lock."""
    toml = store.root / "dataset.toml"
    said = {SETTINGS: toml.read_text(encoding="utf-8")} if toml.exists() else {}
    said |= {NEXT: coming} if coming is not None else {}
    if not said:  # nothing is a dataset yet
        return
    look = look or Look(store.root)
    said[LISTED] = look.whole(*WRITTEN)
    held = sorted({*names(look), *still_lost})
    if read(store.root) != frozenset(held) or _said(store.root) != said:
        store.rewrite_table(NAME, pa.table({"name": held}, schema=LEDGER.with_metadata(said)))


def exchange(store: Store, gone: Collection[str], come: str) -> None:
    """Make the ledger name `come` where it names any of `gone`, before these are removed; under the run lock."""
    held = read(store.root)
    if not held.isdisjoint(gone):
        left = sorted({*held.difference(gone), come})
        store.rewrite_table(NAME, pa.table({"name": left}, schema=LEDGER.with_metadata(_said(store.root))))


def forget(store: Store) -> None:
    """Take the ledger away, before files that it names are removed for a reason; the end of the work notes a new one."""
    store.remove(NAME)
