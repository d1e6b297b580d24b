"""What of a clip can be shown, and the files it is shown by: by clip id to hash to path; no path ever comes from a request."""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hdvg.dataset.clip_files import PLACED, clip_path, limits
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files as files_of
from hdvg.errors import HdvgError, UsageError
from hdvg.media.viewing_calls import write_picture, write_proxy
from hdvg.sandbox.process import process_sandbox

CACHE = "cache/proxies"
"""Below the dataset's folder; a purge takes it away with all of cache/."""
CACHE_BYTES = 2 * 2**30
PROXY_HEIGHT, PICTURE_HEIGHT = 480, 720
VIEWING = ("hdvg.media.viewing",)
"""What the child that shows clips loads beforehand."""
CLIP_ID = re.compile(r"[0-9a-f]{32}")
TYPES = {
    "h264": 'video/mp4; codecs="avc1.640028"',
    "hevc": 'video/mp4; codecs="hev1.1.6.L120.B0"',
    "vp9": 'video/mp4; codecs="vp09.00.41.08"',
    "av1": 'video/mp4; codecs="av01.0.08M.08"',
}
"""What a browser is asked whether it plays; the same codec with other features may still fail, and then a proxy is fetched."""

Row = Mapping[str, Any]


class Files:
    """The files of a dataset's clips, and the small copies that are made of them; for many threads."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._making: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._spare: tempfile.TemporaryDirectory[str] | None = None
        self._has_shards = bool(files_of(dataset.root, "shards"))

    def media(self, row: Row) -> dict[str, Any]:
        """What the page is told of a clip's file: see `Media` in docs/explore-protocol.md."""
        codec = row["clip_codec"]
        said = {"codec": codec, "type": TYPES.get(codec or ""), "why": None}
        store = self._dataset.store
        if row["clip_sha256"] and store.find_media(row["clip_sha256"]) is not None:
            return {"state": "file", **said}
        if row["clip_sha256"] and self._has_shards:
            return {"state": "shard", **said}
        if row["video_sha256"] and store.find_media(row["video_sha256"]) is not None:
            return {"state": "source", **said, "why": "was not cut: it is cut of its source when it is asked for"}
        return {"state": "gone", **said, "why": self._gone(row)}

    def clip(self, row: Row) -> Path:
        """A file with the clip's mp4. Raises UsageError or ItemError that says why there is none."""
        held = self._dataset.store.find_media(row["clip_sha256"]) if row["clip_sha256"] else None
        if held is not None and held.is_symlink():
            raise UsageError("its file is a link to another place, which is not followed")
        said = self.media(row)
        if said["state"] == "gone":
            raise UsageError(said["why"])
        return held or self._cached(f"{row['clip_id']}.mp4", lambda path: self._copy(row, path))

    def proxy(self, row: Row) -> Path:
        """A copy of the clip that every browser plays: H.264, small. Raises as `clip`."""
        name = row["clip_sha256"] or row["clip_id"]
        return self._cached(f"{name}-h264.mp4", lambda path: self._encode(row, path))

    def picture(self, row: Row, number: int) -> bytes:
        """One frame of the clip, WebP; raises as `clip`, and UsageError if it has not so many."""
        source, recipe = self.clip(row), self._dataset.plan.recipe
        with tempfile.TemporaryDirectory(prefix="hdvg-frame-") as scratch:
            out = Path(scratch) / "picture.webp"
            call = write_picture(str(source), str(out), number, PICTURE_HEIGHT, recipe.limits.max_pixels)
            process_sandbox(*VIEWING).call(call, Path(scratch), limits(recipe))
            return out.read_bytes()

    def held(self) -> list[str]:
        """Of which clips copies are kept, by hash or id."""
        return sorted({_name(path) for path in self._folder.glob("*.mp4")})

    def prune(self, known: set[str]) -> None:
        """Remove the copies of all but these."""
        for path in self._folder.glob("*.mp4"):
            if _name(path) not in known:
                path.unlink(missing_ok=True)

    def _gone(self, row: Row) -> str:
        if row["cut_status"] not in (None, "ok"):
            return f"could not be cut ({row['cut_status']}); `hdvg explain` says why"
        what = "its cut file was let go" if row["clip_sha256"] else "it was dropped before it was cut"
        return f"{what}, and its source is no longer in the dataset"

    def _copy(self, row: Row, path: Path) -> None:
        """Out of a shard, or cut of the source now."""
        with self._dataset.manifest(unit=row["unit"]) as manifest:
            placed = manifest.rows(f"select {', '.join(PLACED)} from dataset where clip_id = ?", [row["clip_id"]])
            if not placed:
                raise UsageError(f"clip {row['clip_id']}: not in the dataset any more")
            with clip_path(self._dataset, placed[0], manifest) as found:
                shutil.copyfile(found, path)

    def _encode(self, row: Row, path: Path) -> None:
        source, recipe = self.clip(row), self._dataset.plan.recipe
        with tempfile.TemporaryDirectory(prefix="hdvg-proxy-") as scratch:
            out = Path(scratch) / "proxy.mp4"
            call = write_proxy(str(source), str(out), PROXY_HEIGHT, recipe.limits.max_pixels)
            process_sandbox(*VIEWING).call(call, Path(scratch), limits(recipe))
            shutil.copyfile(out, path)

    def _cached(self, name: str, make: Any) -> Path:
        """The file of that name in the cache, made now if it is not there; the least used go where it grows too large."""
        path = self._folder / name
        with self._lock:
            mine = self._making.setdefault(name, threading.Lock())
        with mine:
            if path.exists():
                os.utime(path)
                return path
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            try:
                make(part)
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
        self._shrink(path)
        return path

    def _shrink(self, newest: Path) -> None:
        held = sorted(self._folder.glob("*.mp4"), key=lambda path: path.stat().st_mtime)
        size = sum(path.stat().st_size for path in held)
        for path in held:
            if size <= CACHE_BYTES or path == newest:
                return
            size -= path.stat().st_size
            path.unlink(missing_ok=True)

    @functools.cached_property
    def _folder(self) -> Path:
        """In the dataset's folder; where that takes no files, a temporary one of this process alone."""
        root = self._dataset.root
        if os.access(root, os.W_OK):
            return root / CACHE
        self._spare = tempfile.TemporaryDirectory(prefix="hdvg-proxies-")
        return Path(self._spare.name)


def _name(path: Path) -> str:
    return path.name.removesuffix(".mp4").removesuffix("-h264")


def why(error: HdvgError) -> str:
    """What a tile shows of an error."""
    return str(error).splitlines()[0]
