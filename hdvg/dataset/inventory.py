"""What should exist: every file that a dataset needs, from the ledger, the table of stages and the shards' rows.

`hdvg verify` looks for it, `hdvg verify --repair` brings it back, `hdvg gc` keeps its hands off it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset import ledger
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.far_looks import hash_there, name_there
from hdvg.dataset.layout import files, tables
from hdvg.dataset.manifest import Manifest
from hdvg.dataset.seals import is_sealed
from hdvg.dataset.stages import with_media
from hdvg.dataset.store import Store, media_names
from hdvg.ids import file_sha256

NUMBERS = b"hdvg_numbers_sha256"
"""Stands in the metadata of an index of latents before the hash of its numbers' file."""


State = Literal["whole", "missing", "corrupt"]


@dataclass(frozen=True)
class Thing:
    """A file that must be there, whole. `name`: from the dataset's folder; of media/ without its ending, which may differ."""

    sort: Literal["table", "media", "shard", "latents"]
    name: str
    what: str
    """What it is to a person."""
    sha256: str | None = None
    """Of its bytes; None where a seal holds them."""

    @property
    def is_clip_pack(self) -> bool:
        """Whether it is a pack of clips: see `media` of the cut stage in the table of stages."""
        return self.sort == "media" and self.what.startswith("clips of ")

    @property
    def names(self) -> list[str]:
        """What it may be called."""
        return media_names(self.name.rpartition("/")[2]) if self.sort == "media" else [self.name]

    @property
    def is_afar(self) -> bool:
        """Whether a mirror may lack it: then it is looked at in the bucket."""
        return self.sort in ("media", "shard")

    def place(self, store: Store) -> str | None:
        """Its name where it lies, here or in the bucket; None if it is gone."""
        if store.far is not None and self.is_afar:
            return name_there(store.far, self.names)
        return next((name for name in self.names if (store.root / name).exists()), None)

    def path(self, store: Store) -> Path | None:
        """Where it lies; None if it is gone."""
        if self.sort == "media":
            return store.find_media(self.name.rpartition("/")[2])
        path = store.root / self.name
        return path if path.exists() else None

    def state(self, store: Store) -> State:
        """Looks at every byte of it."""
        if store.far is None:
            return self._state_here(store)
        if self.is_afar:
            name = self.place(store)
            found = name and hash_there(store.far, name)
            return "missing" if found is None else "whole" if found == self.sha256 else "corrupt"
        state = self._state_here(store)
        if state != "corrupt" or self.sort != "table":
            return state
        store.far.fetch(self.name)  # the mirror's copy may be damaged alone
        return self._state_here(store)

    def _state_here(self, store: Store) -> State:
        path = self.path(store)
        try:
            if path is None:
                return "missing"
            is_whole = is_sealed(path) if self.sha256 is None else file_sha256(path) == self.sha256
        except FileNotFoundError:
            return "missing"
        return "whole" if is_whole else "corrupt"


def tables_of(root: Path) -> Iterator[Thing]:
    """Sealed tables: what the ledger names, and what is there, pieces of units too."""
    there = {str(path.relative_to(root)) for path in (*tables(root), *files(root, "pieces"))}
    if (root / ledger.NAME).exists():
        there.add(ledger.NAME)
    yield from (Thing("table", name, "table") for name in sorted(there | ledger.read(root)))


def media_of(dataset: Dataset, manifest: Manifest) -> Iterator[Thing]:
    """Files of media/ that the newest rows name; one that two name comes for each of them."""
    keep = "true" if dataset.plan.recipe.storage.keep_sources else "false"
    named = " union ".join(sql.replace("{keep_sources}", keep) for _, _, sql in with_media())
    for row in manifest.rows(f"from ({named}) where sha256 is not null order by all"):
        name = row["sha256"]
        yield Thing("media", f"media/{name[:2]}/{name}", row["what"], name)


def shards_of(manifest: Manifest) -> Iterator[Thing]:
    """Shards that their rows name."""
    for row in manifest.rows("select shard, sha256 from shards order by shard"):
        yield Thing("shard", row["shard"], row["shard"], row["sha256"])


def latents_of(root: Path) -> Iterator[Thing]:
    """Units of latents: their indexes, and the numbers that these commit."""
    for path in sorted(root.glob("latents/*/*.parquet")):
        name = str(path.relative_to(root))
        yield Thing("latents", name, "index of latents")
        try:
            sha256 = (pq.read_schema(path).metadata or {}).get(NUMBERS)
        except (OSError, pa.ArrowException):
            continue
        if sha256 or not path.with_suffix(".npy").exists():
            yield Thing("latents", name.removesuffix("parquet") + "npy", "latents", (sha256 or b"").decode())
