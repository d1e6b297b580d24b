"""A dataset that lies in a bucket: what changes there, in an order that a kill at any moment leaves whole.

The bucket is the truth. The folder on this machine is a mirror, in which all that reads a dataset finds files: it never has a
file that the bucket lacks, but for what stays on a machine (`LOCAL`, and sources that nobody keeps). So what is published comes
into the bucket first, and what is removed leaves the mirror first; the next command makes the mirror equal again
(`hdvg.dataset.mirror`).

A ghost, a worker that outlives its killed run on another machine, may publish until the run after it has taken the lease, and
`GHOST_S` more. That changes nothing: a part's name says what it holds, it is created once, and a generation that a ghost takes
counts less than the next one.
"""

from __future__ import annotations

import functools
import json
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hdvg.config.fetch import Fetch
from hdvg.dataset.layout import THERE
from hdvg.dataset.object_lease import ObjectShelf
from hdvg.dataset.room import STAYS, YOUNG_S, drop_oldest
from hdvg.errors import DamagedError, ItemError, ResourceError, UsageError
from hdvg.ids import file_sha256

if TYPE_CHECKING:
    from hdvg.sources.buckets.store import Bucket

MARK = "mirror.json"
"""In a mirror: the link of the dataset that it is of."""
LOG = "objects.log"
"""In a mirror: what was put and removed since `objects.json` was written, a line each."""
LOCAL = ("cache/", "latents/", "logs/", "tmp/")
"""Files that each machine makes for itself."""
RUN = re.compile(r"[0-9a-f]{32}")
"""The name of a run that holds the lease; other commands publish what needs none."""
GHOST_S = 5.0
"""How long a run may believe that the lease is still its own."""
TRIES = 5
AT_ONCE = 4
ROOM_BYTES = 2**29
"""After so much that came into a mirror, or left it, it is looked at whether it keeps to its bound."""
PARTS_BYTES = 64 * 2**20
"""A file of media/ of that size is put in parts."""
MOST_BYTES = 5 * 10**9
"""What S3 takes at once."""


def far_of(root: Path) -> Far | None:
    """What the folder is a mirror of; None of a dataset of its own. Raises UsageError if its store cannot be spoken to."""
    try:
        link = json.loads((root / MARK).read_bytes())["link"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    from hdvg.sources.buckets.environment import variables
    from hdvg.sources.buckets.spelling import place_of

    return _far(root, link, tuple(sorted(variables(place_of(link).scheme).items())))


@functools.lru_cache(maxsize=16)
def _far(root: Path, link: str, _: object) -> Far:
    return Far(root, bucket_of(link))


def bucket_of(link: str) -> Bucket:
    """The folder of a bucket behind a link. Raises ItemError, UsageError."""
    from hdvg.sources.buckets.spelling import place_of
    from hdvg.sources.buckets.store import Bucket
    from hdvg.sources.egress import way_out

    return Bucket(place_of(link.rstrip("/") + "/"), way_out(Fetch()).as_settings())


class Far:
    """The dataset in `bucket`, with the mirror `root`. Raises ResourceError where the store does not do what it is asked."""

    local: tuple[str, ...] = LOCAL
    by_bytes: tuple[str, ...] = ("media/",)
    """How the names of files begin that say what bytes they have."""

    def __init__(self, root: Path, bucket: Bucket) -> None:
        self.root, self.bucket = root, bucket
        self.link = bucket.place.link
        self.shelf = ObjectShelf(bucket, self.speaking)
        self.listed: dict[str, tuple[int, float]] | None = None
        """Bytes of all objects but tables, and when they were put (seconds since 1970), as this process has listed and changed them."""
        self.followed = 0
        """How much of `LOG` is in it."""
        self.hashes: dict[str, str] = {}
        """Of objects that this process has read whole (`far_looks`)."""
        self.is_shared = False
        """Whether several nodes work on it, so that sources too come into the bucket."""
        self._moved = 0
        self._sure: tuple[str, float] = "", 0.0

    def put(self, name: str, temp: Path, *, once: bool, run: str) -> bool:
        """Put a finished file under its name into the bucket; with `once` only if there is none.

        False if there was one with other bytes, which then stand in `temp`.
        """
        if name.startswith(self.local):
            return True
        self.refuse_ghost(run)
        if temp.stat().st_size > MOST_BYTES and not name.startswith(self.by_bytes):
            raise UsageError(
                f"{self.link}{name}: {temp.stat().st_size / 1e9:.1f} GB, and stores take at most {MOST_BYTES / 1e9:g} GB at once under "
                "a condition; make smaller files: --set shard.max_mb=512, of an export --max-mb 512"
            )
        with self.speaking(name):
            if once:
                self._make_room(temp.stat().st_size)
                return self._create(name, temp)
            for _ in range(TRIES):
                if version := self.bucket.swap(name, temp, self.bucket.version(name)):
                    self._note(name, temp.stat().st_size, version)
                    return True
        raise ResourceError(f"{self.link}{name}: something else goes on changing it; run the same command again")

    def remove(self, names: Collection[str], run: str) -> None:
        """Take objects away that have left the mirror; fine if they are gone."""
        names = [name for name in names if not name.startswith(self.local) or name in (self.listed or ())]
        if names:
            self.refuse_ghost(run)
            with self.speaking(names[0]):
                self.bucket.delete(names)
            for name in names:
                self._note(name)
                (self.root / STAYS / name.rpartition("/")[2]).unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        """Whether the bucket has a file that is in the mirror."""
        return not name.startswith(self.by_bytes) or self.has_any([name])

    def may_have(self, name: str) -> bool:
        """Whether the bucket may have a file of media/ that is not in the mirror."""
        self._follow()
        return self.is_shared or self.listed is None or name in self.listed

    def has_any(self, names: Sequence[str]) -> bool:
        """Whether the bucket has one of these files of media/."""
        asked = sorted(filter(self.may_have, names), key=lambda name: name not in (self.listed or ()))
        with self.speaking(names[0]):
            return any(name in (self.listed or ()) or self.bucket.version(name) is not None for name in asked)

    def fetch(self, name: str) -> Path | None:
        """Bring an object into the mirror; None if the bucket has none of that name."""
        path = self.root / name
        with self.speaking(name):
            try:
                write_whole(path, self.bucket.read(name))
            except ItemError as error:
                if error.reason != "gone":
                    raise
                return None
        self._make_room(path.stat().st_size)
        return path

    def fetch_all(self, names: Sequence[str]) -> None:
        """Bring those of these objects that there are, some side by side."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self.fetch, names))

    def find_media(self, names: Sequence[str]) -> Path | None:
        """Bring the first of these files of media/ that there is. Raises DamagedError if it has other bytes than its name says."""
        listed = [name for name in names if name in (self.listed or ())]
        for name in listed or filter(self.may_have, names):
            path = self.fetch(name)
            if path is not None and file_sha256(path) != path.stem:
                path.unlink()
                raise DamagedError(f"{self.link}{name} has other bytes than its name says")
            if path is not None:
                return path
        return None

    def read_range(self, names: Iterable[str], start: int, size: int) -> bytes | None:
        """Bytes of the first of these files of media/ that there is; it is not brought into the mirror."""
        for name in filter(self.may_have, names):
            with self.speaking(name):
                try:
                    return self.bucket.read_range(name, start, size)
                except ItemError as error:
                    if error.reason != "gone":
                        raise
        return None

    def note_stays(self, name: str) -> None:
        """Remember of a file of media/ that the bucket will not have it."""
        mark = self.root / STAYS / name
        mark.parent.mkdir(exist_ok=True)
        mark.touch()

    def refuse_ghost(self, run: str) -> None:
        """Raise ResourceError if another run has the dataset by now."""
        if not RUN.fullmatch(run) or (self._sure[0] == run and time.monotonic() < self._sure[1]):
            return
        last = self.shelf.newest()
        if last is not None and last.get("run") != run:
            raise ResourceError(f"{self.link}: another run has taken the dataset over: this one changes nothing more")
        self._sure = run, time.monotonic() + GHOST_S

    @contextmanager
    def speaking(self, name: str) -> Iterator[None]:
        """What the store refuses becomes a ResourceError, or a UsageError if it does so to these credentials: no item's fault."""
        try:
            yield
        except ItemError as error:
            if error.reason == "private":
                raise UsageError(f"{self.link}{name}: {error.detail}; give them leave to write there too") from None
            raise ResourceError(f"{self.link}{name}: {error.detail}; then run the same command again") from None

    def _make_room(self, size: int) -> None:
        """Keep the mirror to its bound while a command goes on."""
        self._moved += size
        if self._moved > ROOM_BYTES:
            self._moved = 0
            drop_oldest(self.root, young_s=YOUNG_S)

    def _create(self, name: str, temp: Path) -> bool:
        for _ in range(TRIES):
            if version := self._created(name, temp):
                self._note(name, temp.stat().st_size, version)
                return True
            if name.startswith(self.by_bytes):
                return True
            ours = file_sha256(temp)
            try:
                write_whole(temp, self.bucket.read(name))
            except ItemError as error:
                if error.reason != "gone":
                    raise
                continue  # it was being written, or was removed meanwhile
            return file_sha256(temp) == ours  # an answer may be lost, and the try after it finds our own
        raise ItemError("gone", "it comes and goes")

    def _created(self, name: str, temp: Path) -> dict[str, str] | None:
        if not name.startswith(self.by_bytes) or temp.stat().st_size < PARTS_BYTES:
            return self.bucket.create(name, temp)
        return None if self.bucket.version(name) else self.bucket.put_in_parts(name, temp)

    def _follow(self) -> None:
        """Take over into `listed` what processes of this machine have put and removed since the listing."""
        try:
            with (self.root / LOG).open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(self.followed if self.followed <= size else 0)
                lines, _, rest = log.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        self.followed = size - len(rest)
        for line in lines.splitlines():
            name, length, version = json.loads(line)
            self._list(name, length if version else None)

    def _list(self, name: str, size: int | None) -> None:
        """Note of an object that was put, or (None) removed."""
        if self.listed is not None:
            self.listed[name] = size or 0, time.time()
            if size is None:
                del self.listed[name]

    def _note(self, name: str, size: int | None = None, version: dict[str, str] | None = None) -> None:
        """Remember what the mirror has, so that it is not fetched again."""
        self.hashes.pop(name, None)
        self._list(name, size if version else None)
        mark = self.root / THERE / name
        if name.startswith("shards/"):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text(str(version.get("e_tag")), "utf-8") if version else mark.unlink(missing_ok=True)
        line = json.dumps([name, size, version and version.get("e_tag")]) + "\n"
        with (self.root / LOG).open("a", encoding="utf-8") as log:
            log.write(line)


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file of a mirror, whole or not at all, flushed."""
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temp = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with open(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temp, path)
    finally:
        Path(temp).unlink(missing_ok=True)
