"""Publish a file once, atomically: the only module that knows the file system of a dataset.

A file under its final name is complete, durable and never changes: write to `tmp/`, fsync, link without clobbering,
fsync the folder. Only `dataset.toml` and `manifest.sql` are replaced, by an atomic rename, and so are the tables from which a
purge takes rows.

Of a dataset in a bucket the folder is a mirror: the same, with the bucket told first (`hdvg.dataset.far`).

All temporary files of a run lie in `tmp/<run>/`. The next run takes that folder away in one rename, so that workers which
outlive a killed run (ghosts) can publish nothing any more: neither their results nor the failures that this gives them.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pyarrow as pa

from hdvg.dataset import run_lock
from hdvg.dataset.far import far_of
from hdvg.dataset.layout import files
from hdvg.dataset.seals import sealed
from hdvg.errors import refusals
from hdvg.ids import file_sha256

EXTENSIONS = ("mp4", "parquet", "zip", "mkv", "ts", "mpg", "avi", "flv", "excerpt")
"""Of the files in media/, the most frequent first."""


class FileOps:
    """The operations that change a disk, one method each, so that a test can stop before every one of them."""

    def write(self, path: Path, write: Callable[[Path], object]) -> None:
        write(path)

    def fsync(self, path: Path) -> None:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def link(self, path: Path, final: Path) -> None:
        os.link(path, final)

    def rename(self, path: Path, final: Path) -> None:
        os.replace(path, final)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def mkdir(self, path: Path) -> None:
        path.mkdir(exist_ok=True)

    def remove_tree(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)


class Store:
    """The files of one dataset folder, as the run `run` may write them; readers need no run."""

    def __init__(self, root: Path, ops: FileOps | None = None, *, run: str = "none") -> None:
        self.root = root
        self.ops = ops or FileOps()
        self.run = run
        self.far = far_of(root)
        """What `root` is the mirror of, if it is one."""

    def publish(self, name: str, write: Callable[[Path], object]) -> bool:
        """Make `name` appear whole and durable; False if it was there already (a ghost was first: equally valid).

        Raises ResourceError if the disk refuses: nothing half-written is left under the name.
        """
        return self._place(name, write, self._link_once)

    def replace(self, name: str, text: str) -> None:
        """Make `name` hold `text`, atomically: a reader sees the old or the new text, whole."""
        path = self.root / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            self._place(name, lambda temp: temp.write_text(text, encoding="utf-8"), self._rename)

    def publish_table(self, name: str, table: pa.Table) -> bool:
        """Publish a sealed Parquet file of `table`."""
        content = sealed(table)
        return self.publish(name, lambda path: path.write_bytes(content))

    def rewrite_table(self, name: str, table: pa.Table) -> None:
        """Make the sealed file `name` hold `table` instead; see `rewrite`."""
        plain = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"hdvg_seal"}
        content = sealed(table.replace_schema_metadata(plain))
        self.rewrite(name, lambda path: path.write_bytes(content))

    def rewrite(self, name: str, write: Callable[[Path], object]) -> None:
        """Make the file `name` hold something else, atomically: for a purge alone, under the run lock."""
        self._place(name, write, self._rename)

    def put_media(self, path: Path, extension: str, *, stays: bool = False) -> str:
        """Publish a finished file of this dataset's `tmp/` under the hash of its bytes; returns the hash.

        `extension` is one of `EXTENSIONS`, for the file is found by trying these: a folder is never listed. One that `stays`
        is not put into a bucket: other machines make it again.
        """
        if extension not in EXTENSIONS:
            raise ValueError(f"media/ knows no files .{extension}; name them in hdvg/dataset/store.py")
        sha256 = file_sha256(path)
        into = self._link_once
        if stays and self.far is not None and not self.far.is_shared:
            into = self._link_here
            self.far.note_stays(f"{sha256}.{extension}")
        self._place(f"media/{sha256[:2]}/{sha256}.{extension}", lambda temp: os.link(path, temp), into)
        return sha256

    def find_media(self, sha256: str) -> Path | None:
        """The file with these bytes, or None if it is not here (any more); out of a bucket it is fetched."""
        names = _media_names(sha256)
        found = next((path for name in names if (path := self.root / name).exists()), None)
        if self.far is None:
            return found
        if found is not None:
            os.utime(found)  # the longest unused go first
        return found or self.far.find_media(names)

    def read_media(self, sha256: str, start: int, size: int) -> bytes | None:
        """Bytes of the file with this hash, fewer if it ends before; None if it is gone. Out of a bucket no others are fetched."""
        names = _media_names(sha256)
        path = next((path for name in names if (path := self.root / name).exists()), None)
        if path is None:
            return None if self.far is None else self.far.read_range(names, start, size)
        if self.far is not None:
            os.utime(path)
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)

    def has_media(self, sha256: str) -> bool:
        """Whether there is a file with these bytes, here or in the bucket."""
        names = _media_names(sha256)
        return any((self.root / name).exists() for name in names) or (self.far is not None and self.far.has_any(names))

    def require_shards(self) -> None:
        """Have all shards in the folder: those that are in the bucket alone are fetched. Raises ResourceError."""
        if self.far is not None:
            self.near(*files(self.root, "shards"))

    def near(self, *paths: Path) -> None:
        """Have these files of the dataset in the folder, if the bucket has them."""
        if self.far is not None:
            self.far.fetch_all([str(path.relative_to(self.root)) for path in paths if not path.exists()])

    def remove_media(self, sha256: str) -> None:
        """Take the file with these bytes away, durably; fine if it is gone."""
        names = _media_names(sha256)
        here = [name for name in names if (self.root / name).exists()]
        if here:
            self.remove(here[0])
        elif self.far is not None:
            run_lock.refuse_lost(self.root)
            self.far.remove([name for name in names if self.far.may_have(name)], self.run)

    def remove(self, name: str) -> None:
        """Take a file away, durably; fine if it is gone."""
        run_lock.refuse_lost(self.root)
        path = self.root / name
        if path.exists():
            self.ops.unlink(path)
            self.ops.fsync(path.parent)
        if self.far is not None:
            self.far.remove([name], self.run)

    def move(self, name: str, to: str) -> None:
        """Give a file another name, durably; what has that name goes."""
        run_lock.refuse_lost(self.root)
        with refusals(self.root / to):
            folder = self._folder(Path(to).parent)
            if self.far is not None:
                self.far.put(to, self.root / name, once=False, run=self.run)
            self.ops.rename(self.root / name, self.root / to)
            self.ops.fsync(folder)
            self.ops.fsync((self.root / name).parent)
            if self.far is not None:
                self.far.remove([name], self.run)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A fresh folder on the dataset's disk, removed at the end."""
        folder = self._temp()
        with refusals(folder):
            self.ops.mkdir(folder)
        try:
            yield folder
        finally:
            self.ops.remove_tree(folder)

    def begin(self) -> None:
        """Start the run; only under the run lock. What earlier runs left in `tmp/` goes, and their ghosts are shut out."""
        run_lock.refuse_lost(self.root)
        with refusals(self.root / "tmp"):
            for path in self._folder("tmp").iterdir():
                gone = path.with_name(f"gone-{uuid.uuid4().hex}")
                self.ops.rename(path, gone)
                self.ops.remove_tree(gone)
            self._folder(f"tmp/{self.run}")

    def end(self) -> None:
        """Take the run's temporary folder away."""
        self.ops.remove_tree(self.root / "tmp" / self.run)

    @contextmanager
    def aside(self) -> Iterator[Store]:
        """A store for publishing derived files without the run lock, with a folder of its own in `tmp/` until the end.

        A run that begins meanwhile takes that folder away, as it does a ghost's: publishing then raises ResourceError.
        """
        beside = Store(self.root, self.ops, run=f"aside-{uuid.uuid4().hex}")
        beside.far = self.far
        with refusals(self.root / "tmp"):
            self._folder(f"tmp/{beside.run}")
        try:
            yield beside
        finally:
            beside.end()

    def lock(self) -> AbstractContextManager[None]:
        """Hold the run lock, or a lease; see `run_lock.hold`, and of a bucket `mirror.hold`."""
        if self.far is None:
            return run_lock.hold(self.root, self.run)
        from hdvg.dataset.mirror import hold

        return hold(self.far, self.run)

    def is_locked(self) -> bool:
        """Whether a run is working on this dataset now."""
        return run_lock.is_held(self.root, None if self.far is None else self.far.shelf)

    def _place(self, name: str, write: Callable[[Path], object], into: Callable[[Path, Path], bool]) -> bool:
        final = self.root / name
        run_lock.refuse_lost(self.root)
        with refusals(final):
            if (
                into != self._rename and final.exists() and self._is_put(name, into)
            ):  # nothing to write, so that a full disk does not refuse it
                self.ops.fsync(final.parent)
                return False
            self._folder(final.parent.relative_to(self.root))
            temp = self._temp()
            try:
                self.ops.write(temp, write)
                self.ops.fsync(temp)  # a failure here is final: the kernel may have dropped the pages
                is_new = True
                if self.far is not None and into != self._link_here:
                    is_new = self.far.put(name, temp, once=into == self._link_once, run=self.run)
                placed = into(temp, final)
                self.ops.fsync(final.parent)
                return placed and is_new
            finally:
                self.ops.unlink(temp)

    def _is_put(self, name: str, into: Callable[[Path, Path], bool]) -> bool:
        """Whether a file in the folder is where it belongs: of a mirror a source may lie there that the bucket lacks."""
        return self.far is None or into == self._link_here or self.far.has(name)

    def _link_once(self, temp: Path, final: Path) -> bool:
        try:
            self.ops.link(temp, final)
        except FileExistsError:
            return False
        return True

    def _link_here(self, temp: Path, final: Path) -> bool:
        return self._link_once(temp, final)

    def _rename(self, temp: Path, final: Path) -> bool:
        self.ops.rename(temp, final)
        return True

    def _temp(self) -> Path:
        return self.root / "tmp" / self.run / uuid.uuid4().hex

    def _folder(self, name: str | Path) -> Path:
        path = self.root / name
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            self.ops.mkdir(folder)
            self.ops.fsync(folder.parent)
        return path


def _media_names(sha256: str) -> list[str]:
    """What the file with these bytes may be called."""
    return [f"media/{sha256[:2]}/{sha256}.{extension}" for extension in EXTENSIONS]
