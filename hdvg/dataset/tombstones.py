"""Tombstones: salted digests of what was taken down, which every view leaves out and no fetch brings back.

A digest hides the name from whoever reads the files, not from who already has it: a name that is guessed can be checked, or
nobody could keep it from being fetched again.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset.layout import files
from hdvg.dataset.store import Store
from hdvg.errors import ItemError
from hdvg.ids import digest
from schemas.tombstones import TOMBSTONES

FOLDER = "tombstones"

PURGED = b"hdvg_purged"
"""Stands in the metadata of an accepted list that holds fewer links than its name was made of."""

Name = tuple[str, str]
"""A kind of `schemas.tombstones.TOMBSTONE_KINDS`, and the id, hash or channel of that kind."""


@dataclass(frozen=True)
class Tombstones:
    """What the files of one dataset hold."""

    salts: tuple[str, ...] = ()
    tokens: frozenset[str] = frozenset()

    @classmethod
    def of(cls, root: Path) -> Tombstones:
        """Those of the dataset at `root`; files are read once."""
        return _read(root, tombstone_files(root))

    def hold(self, kind: str, value: str | None) -> bool:
        """Whether that was taken down."""
        return value is not None and any(token(salt, kind, value) in self.tokens for salt in self.salts)

    def refuse_video(self, video_id: str) -> None:
        """Raise ItemError("forgotten") for a video whose link was taken down."""
        if self.hold("video", video_id):
            raise ItemError("forgotten", "the link was taken down")

    def refuse_bytes(self, sha256: str, channel: str | None) -> None:
        """Raise ItemError("forgotten") for a fetched file that was taken down under any link, or whose channel was."""
        if self.hold("hash", sha256):
            raise ItemError("forgotten", "the file was taken down")
        if self.hold("channel", channel):
            raise ItemError("forgotten", "the channel was taken down")


def tombstone_files(root: Path) -> tuple[str, ...]:
    """The names of the files, sorted; they never change, so that equal names mean equal content."""
    return tuple(path.name for path in files(root, "tombstones"))


def token(salt: str, kind: str, value: str) -> str:
    """What stands for a name; `forgotten_sql` computes the same."""
    return hashlib.sha256(f"{salt}:{kind}:{value}".encode()).hexdigest()


def publish_tombstones(store: Store, names: Iterable[Name]) -> int:
    """Make the names forgotten, durably, in one file; returns how many were not yet.

    The same names again publish nothing. Raises ResourceError if the disk refuses.
    """
    held = Tombstones.of(store.root)
    fresh = sorted({(kind, value) for kind, value in names if not held.hold(kind, value)})
    if fresh:
        salt = held.salts[0] if held.salts else secrets.token_hex(16)
        rows = sorted((kind, salt, token(salt, kind, value)) for kind, value in fresh)
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        table = pa.Table.from_arrays(columns, schema=TOMBSTONES)
        store.publish_table(f"{FOLDER}/{digest('tombstones', rows)}.parquet", table)
    return len(fresh)


def forgotten_sql(*, inputs: str, download: str, tombstones: str) -> str:
    """SQL: the `video_id` of each video that a tombstone names by itself, its bytes or its channel.

    The arguments are SQL that stands for the rows of these files; nothing but their names differs between all and one unit's.
    """
    return (
        "select distinct video_id from (\n"
        f"    select video_id, 'video' as kind, video_id as value from {inputs}\n"
        f"    union all select video_id, 'hash', sha256 from {download}\n"
        f"    union all select video_id, 'channel', uploader_id from {download}\n"
        f") cross join (select distinct salt from {tombstones}) s\n"
        f"semi join (select token from {tombstones}) t\n"
        "on t.token = sha256(concat_ws(':', s.salt, kind, value)) where video_id is not null"
    )


@functools.lru_cache(maxsize=8)
def _read(root: Path, names: tuple[str, ...]) -> Tombstones:
    if not names:
        return Tombstones()
    read = [pq.ParquetFile(root / FOLDER / name).read(columns=["salt", "token"]) for name in names]
    columns = pa.concat_tables(read).to_pydict()
    return Tombstones(tuple(sorted(set(columns["salt"]))), frozenset(columns["token"]))
