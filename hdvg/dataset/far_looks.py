"""Files of a dataset where they lie in a bucket: looked at byte by byte, and read in part, without being brought into the mirror."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hdvg.dataset.far import Far, write_whole
from hdvg.errors import ItemError, ResourceError
from hdvg.ids import file_sha256

PROBE = "probe"
"""How the name of the object begins by which a store is tried."""


def probe(far: Far, run: str) -> None:
    """Raise ResourceError for a store that lets a second one create what is there, or change what has changed."""
    name = f"{PROBE}-{run}"
    with far.speaking(name):
        try:
            first = far.bucket.create(name, b"1")
            second = far.bucket.create(name, b"2")
            changed = first and far.bucket.swap(name, b"3", first)
            stale = first and far.bucket.swap(name, b"4", first)
        finally:
            far.bucket.delete([name])
    if not first or second or not changed or stale:
        raise ResourceError(
            f"{far.link}: its store does not keep to conditional writes (If-None-Match, If-Match), without which two runs could "
            "spoil a dataset; S3, GCS, Azure, R2 and SeaweedFS do; use another store, or a folder as --out"
        )


def name_there(far: Far, names: Sequence[str]) -> str | None:
    """The first of these names that the bucket has."""
    if far.listed is not None:
        return next((name for name in names if name in far.listed), None)
    with far.speaking(names[0]):
        return next((name for name in names if far.bucket.version(name) is not None), None)


def hash_there(far: Far, name: str) -> str | None:
    """SHA-256 of an object, which is read whole, once; None if it is gone."""
    if name in far.hashes:
        return far.hashes[name]
    sha256 = hashlib.sha256()
    with far.speaking(name):
        try:
            for piece in far.bucket.read(name):
                sha256.update(piece)
        except ItemError as error:
            if error.reason != "gone":
                raise
            return None
    far.hashes[name] = sha256.hexdigest()
    return far.hashes[name]


def level(far: Far, files: Iterable[tuple[Sequence[str], str]], run: str) -> Iterator[str]:
    """Of files that the bucket lacks, or has with other bytes (what each may be called, its hash): put what the mirror has whole,
    and say so; of all others bring what is there, so that the mirror has it as the bucket has it. Under the run lock.
    """
    for names, sha256 in files:
        here = next((path for name in names if (path := far.root / name).exists()), None)
        there = name_there(far, names)
        if here is not None and file_sha256(here) == sha256:
            name = str(here.relative_to(far.root))
            if there is not None:
                far.remove([there], run)
            far.put(name, here, once=True, run=run)
            yield f"{name}: put again, as this machine's mirror has it"
            continue
        if here is not None:
            here.unlink()
        if there is not None:
            with far.speaking(there):
                write_whole(far.root / there, far.bucket.read(there))


@contextmanager
def reading(far: Far | None, path: Path) -> Iterator[Path | Ranges]:
    """A file of a dataset, to read parts of it where it lies: of one that its mirror lacks, these bytes alone are fetched."""
    name = str(path.relative_to(far.root)) if far is not None else ""
    if far is None or path.exists() or name not in (far.listed or ()):
        yield path
    else:
        with Ranges(far, name, (far.listed or {})[name][0]) as file:
            yield file


class Ranges(io.RawIOBase):
    """An object as a file to read: each read asks for just these bytes."""

    def __init__(self, far: Far, name: str, size: int) -> None:
        self._far, self._name, self._size, self._at = far, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Raises ResourceError if the store does not answer, FileNotFoundError if the object is gone."""
        left = max(self._size - self._at, 0)
        size = left if size is None or size < 0 else min(size, left)
        content = self._far.read_range([self._name], self._at, size) if size else b""
        if content is None:
            raise FileNotFoundError(self._name)
        self._at += len(content)
        return content
