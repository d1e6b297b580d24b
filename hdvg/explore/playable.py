"""What of a clip can be shown, and the files it is shown by: by clip id to hash to path; no path ever comes from a request."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hdvg.dataset.clip_files import PLACED, ClipFile, clip_path, find_clip_file, limits, own_file
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files as files_of
from hdvg.errors import HdvgError, UsageError
from hdvg.explore.copies import Copies
from hdvg.explore.growing import Growing, ProxyJobs
from hdvg.media.viewing_calls import write_picture, write_proxy
from hdvg.sandbox.process import process_sandbox

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
        self._jobs = ProxyJobs()
        self.copies = Copies(dataset.root)
        self._has_shards = bool(files_of(dataset.root, "shards"))

    def media(self, row: Row) -> dict[str, Any]:
        """What the page is told of a clip's file: see `Media` in docs/explore-protocol.md."""
        codec = row["clip_codec"]
        said = {"codec": codec, "type": TYPES.get(codec or ""), "why": None}
        store = self._dataset.store
        if row["clip_sha256"] and store.has_media(row["clip_pack"] or row["clip_sha256"]):
            return {"state": "file", **said}
        if (row["clip_sha256"] or row["cut_status"] == "ok") and self._has_shards:  # a virtual clip lies nowhere else
            return {"state": "shard", **said}
        if row["video_sha256"] and store.has_media(row["video_sha256"]):
            return {"state": "source", **said, "why": "was not cut: it is cut of its source when it is asked for"}
        return {"state": "gone", **said, "why": self._gone(row)}

    def clip(self, row: Row) -> ClipFile:
        """Where the clip's mp4 lies. Raises UsageError or ItemError that says why there is none."""
        held = find_clip_file(self._dataset.store, row)
        if held is not None and held.path.is_symlink():
            raise UsageError("its file is a link to another place, which is not followed")
        said = self.media(row)
        if said["state"] == "gone":
            raise UsageError(said["why"])
        return held or whole(self.copies.made(f"{row['clip_id']}.mp4", lambda path: self._copy(row, path)))

    @contextmanager
    def _own_file(self, row: Row) -> Iterator[Path]:
        """A file with the clip's mp4 and nothing else, to read until the end of the block; raises as `clip`."""
        held = self.clip(row)
        if not held.is_packed:
            yield held.path
            return
        with own_file(self._dataset.store, row) as path:
            yield path

    def proxy(self, row: Row) -> Path | Growing:
        """A copy of the clip that every browser plays: H.264, small. One that is still made is to be handed to `leave`."""
        name = f"{row['clip_sha256'] or row['clip_id']}-h264.mp4"
        return self.copies.find(name) or self._jobs.join(
            name, lambda growing, goes_on: self._encode(row, name, growing, goes_on)
        )

    def whole_proxy(self, row: Row) -> Path:
        """As `proxy`, once all of it is made. Raises as `clip`."""
        found = self.proxy(row)
        while isinstance(found, Growing):
            found.ended.wait()
            self.leave(found)
            if found.error:
                raise found.error
            found = self.proxy(row)
        return found

    def leave(self, growing: Growing) -> None:
        """One that waited for it does so no more."""
        self._jobs.leave(growing)

    def picture(self, row: Row, number: int) -> bytes:
        """One frame of the clip, WebP; raises as `clip`, and UsageError if it has not so many."""
        recipe = self._dataset.plan.recipe
        with self._own_file(row) as source, tempfile.TemporaryDirectory(prefix="hdvg-frame-") as scratch:
            out = Path(scratch) / "picture.webp"
            call = write_picture(str(source), str(out), number, PICTURE_HEIGHT, recipe.limits.max_pixels)
            process_sandbox(*VIEWING).call(call, Path(scratch), limits(recipe))
            return out.read_bytes()

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

    def _encode(self, row: Row, name: str, growing: Growing, goes_on: Callable[[Any], bool]) -> None:
        recipe = self._dataset.plan.recipe
        with self._own_file(row) as source, tempfile.TemporaryDirectory(prefix="hdvg-proxy-") as scratch:
            live, out = growing.opened(Path(scratch) / "live.mp4"), Path(scratch) / "proxy.mp4"
            call = write_proxy(str(source), str(live), str(out), PROXY_HEIGHT, recipe.limits.max_pixels)
            process_sandbox(*VIEWING).call(call, Path(scratch), limits(recipe), answer=goes_on)
            if out.is_file() and not out.is_symlink():  # else it was given up, or the child was hijacked
                self.copies.made(name, lambda path: _moved(out, path))


def whole(path: Path) -> ClipFile:
    """All of a file."""
    return ClipFile(path, 0, path.stat().st_size)


def _moved(made: Path, path: Path) -> None:
    shutil.move(made, path)


def first_line(error: HdvgError) -> str:
    """What a tile shows of an error."""
    return str(error).splitlines()[0]
