"""Files of a dataset that nothing needs any more: what killed runs, other settings and older states left."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from hdvg.dataset import ledger
from hdvg.dataset.connection import column_of
from hdvg.dataset.damage import broken, refuse_damaged, say
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.far import GHOST_S
from hdvg.dataset.far_looks import PROBE
from hdvg.dataset.kept_views import stale, states_of
from hdvg.dataset.layout import CACHE, SEED, Look, files, stage_of_part
from hdvg.dataset.mirror import refresh
from hdvg.dataset.named import named_media, named_sql, naming
from hdvg.dataset.snapshot import snapshot_name
from hdvg.errors import DamagedError

YOUNG_S = 3600.0
"""Temporary files, and media that no row names, are left alone until they are older."""


@dataclass(frozen=True)
class Litter:
    """A file or folder that may go, from the dataset's folder, and why."""

    kind: str
    name: str
    bytes: int


KINDS = {
    "temp": "left in tmp/ by a run that was killed",
    "media": "no row of any part names it",
    "settings": "a part by other settings than today's; going back to these would do its work again",
    "cache": "made of an earlier state",
    "foreign": "not written by hdvg; a run set it aside",
}


def find(dataset: Dataset) -> list[Litter]:
    """All of it, sorted by kind and name. Raises DamagedError if a table is lost or damaged: then what is needed is not known."""
    refuse_damaged(dataset.root)
    if harmed := broken(dataset.root):
        raise DamagedError(say(dataset.root, [str(path.relative_to(dataset.root)) for path in harmed], "damaged"))
    return sorted(_litter(dataset), key=lambda one: (one.kind, one.name))


def find_to_remove(dataset: Dataset) -> list[Litter]:
    """As `find`, under the run lock; of a dataset in a bucket once no ghost of a run can publish rows any more that name a file."""
    found, far = find(dataset), dataset.store.far
    if far is None or not any(one.kind == "media" for one in found):
        return found
    time.sleep(GHOST_S)
    with far.speaking(""):
        refresh(far, is_mine=True)
    return find(dataset)


def remove(dataset: Dataset, found: list[Litter]) -> None:
    """Take them away, durably; under the run lock. Stopped anywhere, the same again ends the same."""
    with dataset.store.aside() as store:
        if any(one.kind == "settings" for one in found):
            ledger.forget(store)
        for one in found:
            if one.kind == "temp":
                store.ops.remove_tree(store.root / one.name)
            store.remove(one.name)
        ledger.note(store)


def _litter(dataset: Dataset) -> Iterator[Litter]:
    """In the folder, then of a dataset in a bucket what lies there alone."""
    root = dataset.root
    with naming(Look(root)) as connection:
        named = column_of(connection, named_media())
    there = [] if dataset.store.far is None else [*(dataset.store.far.listed or {}).items()]
    for kind, path in _here(dataset, named):
        yield Litter(kind, str(path.relative_to(root)), _bytes(path))
    for name, (size, touched) in there:
        alone = _kind_there(name, named)
        is_young = alone in ("temp", "media") and time.time() - touched <= YOUNG_S
        if alone is not None and not is_young and not (root / name).exists():
            yield Litter(alone, name, size)


def _kind_there(name: str, named: Collection[str]) -> str | None:
    """What kind of litter an object is that no folder has."""
    if name.startswith(("tmp/", f"{PROBE}-")):
        return "temp"
    if name.startswith("media/") and Path(name).stem not in named:
        return "media"
    return "foreign" if name.startswith("foreign/") else None


def _here(dataset: Dataset, named: Collection[str]) -> Iterator[tuple[str, Path]]:
    root, now = dataset.root, time.time()
    for path in root.glob("tmp/*"):
        if path.name != dataset.store.run and now - _touched(path) > YOUNG_S:
            yield "temp", path
    for path in files(root, "media"):
        if path.stem not in named and now - _touched(path) > YOUNG_S:
            yield "media", path
    for path in files(root, "parts"):
        stage = stage_of_part(path)
        wanted = dataset.plan.fingerprints.get(stage)
        is_seed = SEED in path.stem.split("-")
        if stage != "shard" and not is_seed and path.stem.split("-")[-2:-1] != [wanted]:
            yield "settings", path
    current = snapshot_name(dataset)
    for path in root.glob(f"{CACHE}/measures-*.parquet"):
        if str(path.relative_to(root)) != current:
            yield "cache", path
    with dataset.manifest() as manifest:
        yield from (("cache", path) for path in stale(root, states_of(root, named_sql(Look(root)) + manifest.sql)))
    for path in root.glob("foreign/*"):
        yield "foreign", path


def _touched(path: Path) -> float:
    """When anything in it was last written."""
    return max((one.stat().st_mtime for one in (path, *path.rglob("*"))), default=0.0)


def _bytes(path: Path) -> int:
    return sum(one.stat().st_size for one in (path, *path.rglob("*")) if one.is_file())
