"""A dataset that was copied into a bucket, to read: its tables are kept on this machine, media come when they are asked for."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hdvg.config.fetch import Fetch
from hdvg.dataset import ledger
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import CACHE
from hdvg.dataset.location import local_text
from hdvg.dataset.store import EXTENSIONS, FileOps, Store
from hdvg.errors import DamagedError, ItemError, TransientError, UsageError, refusals
from hdvg.ids import digest, file_sha256
from hdvg.sources.buckets.environment import endpoints
from hdvg.sources.buckets.spelling import is_bucket, place_of
from hdvg.sources.buckets.store import Bucket
from hdvg.sources.canonical import masked
from hdvg.sources.egress import way_out

TABLES = re.compile(
    r"dataset\.toml|manifest\.sql|ledger\.parquet|(inputs|given|rejected|tombstones)/[^/]+\.parquet|parts/[^/]+/[^/]+\.parquet"
    r"|tables/[^/]+/[^/]+\.parquet|cache/view-[^/]+\.parquet|plugins/[^/]+/[^/]+\.py"
)
"""Of the names in a dataset's folder, those that every question needs: no media, no shards, no pieces of a run."""

HELD = "objects.json"
"""In the copy: size and version of each object that it has."""
AT_ONCE = 16


def open_to_read(place: str | Path) -> Dataset:
    """The dataset in a folder, or, of a link such as s3://bucket/dataset, a copy of its tables; nothing is written there.

    The copy is brought up to date, by size and version of the objects, and may be deleted at any time. Raises UsageError if there
    is no dataset, or it cannot be reached.
    """
    text = str(place)
    if not is_bucket(text):
        return Dataset.open(local_text(text))
    try:
        far = place_of(text.rstrip("/") + "/")
        bucket = Bucket(far, way_out(Fetch()).as_settings())
        root = _copied(bucket)
    except ItemError as error:
        later = "; try again later" if isinstance(error, TransientError) else ""
        raise UsageError(f"{masked(text)}: cannot be read: {error.detail}{later}") from None
    found = Dataset.open(root)
    return Dataset(found.root, found.plan, FarStore(found.root, bucket))


class FarStore(Store):
    """The store of such a copy: a file of `media/` that is not here is fetched."""

    def __init__(self, root: Path, bucket: Bucket, ops: FileOps | None = None) -> None:
        super().__init__(root, ops)
        self._bucket = bucket

    def require_shards(self) -> None:
        raise UsageError(
            f"{self._bucket.place.link}: its shards stay in the bucket; to train, copy the dataset to this machine"
        )

    def find_media(self, sha256: str) -> Path | None:
        held = super().find_media(sha256)
        if held is not None:
            return held
        for extension in EXTENSIONS:
            name = f"media/{sha256[:2]}/{sha256}.{extension}"
            try:
                _fetch(self._bucket, name, self.root)
            except TransientError as error:
                raise UsageError(f"{self._bucket.place.link}{name}: {error.detail}; try again later") from None
            except ItemError:
                continue
            path = self.root / name
            if file_sha256(path) != sha256:
                path.unlink()
                raise DamagedError(f"{self._bucket.place.link}{name} has other bytes than its name says")
            return path
        return None


def copies() -> Path:
    """The folder of all copies."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hdvg" / "datasets"


def _copied(bucket: Bucket) -> Path:
    """The folder of the copy, up to date. Raises ItemError, UsageError."""
    root = copies() / digest("dataset", bucket.place.link, endpoints(bucket.place.scheme))
    there = dict(_tables(bucket))
    if "dataset.toml" not in there:
        raise UsageError(
            f"{bucket.place.link}: no dataset lies there (no dataset.toml); copy one there first, such as by `aws s3 sync`"
        )
    with refusals(root):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = _held(root)
        if _is_purged(held, there):
            for folder in ("media", CACHE):
                shutil.rmtree(root / folder, ignore_errors=True)
        for name in held.keys() - there.keys():
            (root / name).unlink(missing_ok=True)
        wanted = sorted(
            name for name, version in there.items() if held.get(name) != version or not (root / name).exists()
        )
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda name: _fetch(bucket, name, root), wanted))
        _write(root / HELD, [json.dumps(there).encode()])
    if lost := ledger.lost(root):
        raise UsageError(
            f"{bucket.place.link}: {lost[0]} is not there, and {len(lost) - 1} others: copy the whole dataset there again"
        )
    return root


def _is_purged(held: Mapping[str, list[Any]], there: Mapping[str, list[Any]]) -> bool:
    """Whether something was taken down since: tables that are written once have changed or gone, or there are more tombstones."""
    once = {name for name in held if "/" in name and not name.startswith(f"{CACHE}/")}
    new = there.keys() - held.keys()
    return any(held[name] != there.get(name) for name in once) or any(name.startswith("tombstones/") for name in new)


def _tables(bucket: Bucket) -> Iterator[tuple[str, list[Any]]]:
    """Name, and what tells its version, of each object that is copied."""
    for name, size, version in bucket.objects():
        if TABLES.fullmatch(name):
            yield name, [size, version]


def _held(root: Path) -> Mapping[str, list[Any]]:
    try:
        found = json.loads((root / HELD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _fetch(bucket: Bucket, name: str, root: Path) -> None:
    """Copy one object to its place, whole or not at all. Raises ItemError, UsageError."""
    _write(root / name, bucket.read(name))


def _write(path: Path, pieces: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temp = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with open(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(temp, path)
    finally:
        Path(temp).unlink(missing_ok=True)
