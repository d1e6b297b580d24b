"""The folder on this machine with the tables of a dataset that lies in a bucket: made equal to it as a command begins.

Tables are copied, by one listing; shards are only named, and come, as files of media/ do, when they are asked for. What has come
stays for the next command, within a bound. A mirror may be deleted at any time while nothing works on it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hdvg.dataset import run_lock
from hdvg.dataset.far import LOCAL, LOG, MARK, Far, far_of, write_whole
from hdvg.dataset.far_looks import PROBE, probe
from hdvg.dataset.layout import THERE, files
from hdvg.dataset.location import called
from hdvg.dataset.object_lease import LEASE
from hdvg.dataset.room import drop_oldest
from hdvg.errors import ItemError, TransientError, UsageError, refusals
from hdvg.ids import digest

TABLES = re.compile(
    r"dataset\.toml|manifest\.sql|ledger\.parquet|last-run\.json|hosts\.json|(inputs|given|rejected|tombstones)/[^/]+\.parquet"
    r"|parts/[^/]+/(pieces/)?[^/]+\.parquet|tables/[^/]+/[^/]+\.parquet|cache/view-[^/]+\.parquet|plugins/[^/]+/[^/]+\.py"
)
"""Of the names in a dataset's folder, those that every question needs: no media, no shards."""

ONCE = re.compile(r"(inputs|given|rejected|tombstones)/|parts/(?!shard/|pool/|\w+/pieces/)")
"""Tables that only a purge changes or takes away."""

BULK = re.compile(r"media/[0-9a-f]{2}/[0-9a-f]{64}\.\w+|shards/[^/]+\.parquet")
OTHERS = re.compile(rf"{re.escape(LEASE)}|{PROBE}-\w+|(foreign|damaged)/.*|")
"""What else may lie in a dataset; the empty name is a folder's, as some tools make it."""

SETTINGS = ("dataset.toml", "ledger.parquet")
"""What makes objects a dataset: its settings, or if these are lost, where `hdvg verify --repair` finds them."""

HELD = "objects.json"
"""In a mirror: size and version of each object of which it has the table."""
LOCK = "mirror.lock"
AT_ONCE = 16
DAY_S = 24 * 3600.0
"""What was used since then stays when a command that only reads begins: another, such as a training, may read it."""


def mirrors() -> Path:
    """The folder of all mirrors."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hdvg" / "datasets"


def mirror_path(link: str) -> Path:
    """Where this machine has, or would have, the mirror of the dataset behind a canonical link."""
    from hdvg.sources.buckets.environment import endpoints

    scheme = link.partition(":")[0]
    return mirrors() / digest("dataset", link, endpoints(scheme))


def open_mirror(link: str, *, new: bool = False, only_once: str | None = None) -> Path:
    """The mirror of the dataset behind a link such as s3://bucket/dataset, made equal to it; with `new` there may be none yet.

    With `only_once`, a run's name, it is made equal by the first of a node's workers, and gets the run's temporary folder.
    Raises UsageError if there is no dataset, or it cannot be reached.
    """
    from hdvg.sources.buckets.spelling import place_of
    from hdvg.sources.canonical import masked

    try:
        place = place_of(link.rstrip("/") + "/")
        root = mirror_path(place.link)
        with refusals(root):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            root = root.resolve()
            write_whole(root / MARK, [json.dumps({"link": place.link}).encode()])
        called(root, place.link)
        far = far_of(root)
        assert far is not None, "it was marked just now"
        if only_once is None or not (root / "tmp" / only_once).is_dir():
            refresh(far, new=new)
        if only_once is not None:
            (root / "tmp" / only_once).mkdir(parents=True, exist_ok=True)
    except ItemError as error:
        later = "; try again later" if isinstance(error, TransientError) else ""
        raise UsageError(f"{masked(link)}: cannot be read: {error.detail}{later}") from None
    return root


def refresh(far: Far, *, new: bool = False, is_mine: bool = False) -> None:
    """Make the mirror equal to the bucket, unless a run of this machine works in it, for then it is; `is_mine`: that is us.

    Raises ItemError, and UsageError if no dataset lies there and `new` does not allow it.
    """
    root = far.root
    with refusals(root), _alone(root):
        there, far.listed, shards = _listed(far, new=new)
        far.followed = 0
        if run_lock.is_held_here(root) and not is_mine:
            return
        held = _held(root)
        if _is_purged(held, there):
            for folder in ("media", "shards", *LOCAL):
                shutil.rmtree(root / folder, ignore_errors=True)
        for name in (held.keys() | set(_tables_here(root))) - there.keys():
            (root / name).unlink(missing_ok=True)
        _name_shards(far, shards)
        wanted = sorted(name for name, version in there.items() if not _has(root, held, name, version))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda name: write_whole(root / name, far.bucket.read(name)), wanted))
        write_whole(root / HELD, [json.dumps(there).encode()])
        (root / LOG).unlink(missing_ok=True)
        drop_oldest(root, young_s=0.0 if is_mine else DAY_S, stays=True)


def catch_up(root: Path, *, whole: bool) -> None:
    """Make a mirror equal to its bucket again, if it is one: where something was taken down there since, or the `whole` of it.

    Raises HdvgError if the store does not answer. Whether something was taken down is one small listing.
    """
    far = far_of(root)
    if far is None:
        return
    with far.speaking(""):
        if whole or any(not (root / name).exists() for name in far.bucket.names_from("tombstones/", "")):
            refresh(far)


@contextmanager
def hold(far: Far, run: str) -> Iterator[None]:
    """Hold the dataset's lease, and the mirror's lock: what another machine did before is in the mirror then.

    Raises as `run_lock.hold`, UsageError if the settings were changed since they were read, and ResourceError for a store that
    does not keep to conditional writes, which is tried before a dataset is made.
    """
    path = far.root / "dataset.toml"
    before = path.read_bytes() if path.exists() else None
    if before is None:
        probe(far, run)
    with run_lock.hold(far.root, run, far.shelf):
        with far.speaking(""):
            refresh(far, new=True, is_mine=True)
        if (path.read_bytes() if path.exists() else None) != before:
            raise UsageError(f"{far.root}: another run has changed its settings just now; run the same command again")
        yield
        drop_oldest(far.root)


def _listed(far: Far, *, new: bool) -> tuple[dict[str, list[Any]], dict[str, tuple[int, float]], dict[str, str]]:
    """The tables in the bucket, each with what tells its version, `Far.listed`, and the shards, each with its version."""
    tables: dict[str, list[Any]] = {}
    shards: dict[str, str] = {}
    others: dict[str, tuple[int, float]] = {}
    for one in far.bucket.objects():
        if TABLES.fullmatch(one.name):
            tables[one.name] = [one.size, one.version]
        if one.name.startswith(LOCAL) or not TABLES.fullmatch(one.name):
            others[one.name] = one.size, one.touched
        if one.name.startswith("shards/"):
            shards[one.name.partition("/")[2]] = one.version
    if not tables.keys().isdisjoint(SETTINGS):
        return tables, others, shards
    if not new:
        raise UsageError(
            f"{far.link}: no dataset lies there (no dataset.toml); make one by `hdvg run demo --links links.txt --out "
            f"{far.link.rstrip('/')}`, or copy one there, such as by `aws s3 sync`"
        )
    strangers = [name for name in others if not BULK.fullmatch(name) and not OTHERS.fullmatch(name)]
    if strangers:
        raise UsageError(
            f"--out: {far.link} holds other files ({', '.join(strangers[:3])}); name a new folder of the bucket"
        )
    return tables, others, shards


def _is_purged(held: Mapping[str, list[Any]], there: Mapping[str, list[Any]]) -> bool:
    """Whether something was taken down since: tables that only a purge changes have changed or gone, or there are more tombstones."""
    once = {name for name in held if ONCE.match(name)}
    new = there.keys() - held.keys()
    return any(held[name] != there.get(name) for name in once) or any(name.startswith("tombstones/") for name in new)


def _tables_here(root: Path) -> Iterator[str]:
    """The tables in the mirror, but those that it makes for itself."""
    for path in (*root.glob("*.*"), *(path for top in _folders(root) for path in top.rglob("*.*"))):
        name = str(path.relative_to(root))
        if TABLES.fullmatch(name) and not name.startswith(LOCAL):
            yield name


def _folders(root: Path) -> Iterator[Path]:
    yield from (root / name for name in ("inputs", "given", "rejected", "tombstones", "parts", "tables", "plugins"))


def _name_shards(far: Far, shards: Mapping[str, str]) -> None:
    """Make `there/shards/` name the shards in the bucket, with their versions, and the mirror have none but these."""
    marks = far.root / THERE / "shards"
    marks.mkdir(parents=True, exist_ok=True)
    if shards:
        (far.root / "shards").mkdir(exist_ok=True)
    for path in files(far.root, "shards"):
        mark = marks / path.name
        if not mark.exists() or mark.read_text(encoding="utf-8") != shards.get(path.name):
            path.unlink(missing_ok=True)
            mark.unlink(missing_ok=True)
    for name, version in shards.items():
        if not (marks / name).exists():
            (marks / name).write_text(version, encoding="utf-8")


def _has(root: Path, held: Mapping[str, list[Any]], name: str, version: list[Any]) -> bool:
    try:
        return held.get(name) == version and (root / name).stat().st_size == version[0]
    except FileNotFoundError:
        return False


def _held(root: Path) -> dict[str, list[Any]]:
    """What the mirror has, as it was written down, and what was put and removed since."""
    try:
        found = dict(json.loads((root / HELD).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        found = {}
    try:
        lines = (root / LOG).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            name, size, version = json.loads(line)
        except ValueError:  # its end was not written
            continue
        found.pop(name, None)
        if version is not None and TABLES.fullmatch(name):
            found[name] = [size, version]
    return found


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """No other command makes this mirror equal meanwhile."""
    with (root / LOCK).open("a+") as file:
        with suppress(OSError):  # a file system without locks: then one copies what another copies too
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
