"""Whether a folder's file system offers what a dataset needs: links, renames and locks are tried there, not assumed."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hdvg.dataset import lease
from hdvg.errors import UsageError
from hdvg.reports.supply import Finding

LOW_GB = 5.0
TRIED = "hdvg-doctor-"
"""How the name of the folder begins in which it is tried; it goes at the end."""
ELSEWHERE = "put datasets on another file system: docs/cluster.md says which have them"


def examine_folder(folder: Path) -> Iterator[Finding]:
    """Space, links, renames and locks of the folder, which may be a dataset's, or of where it would be made."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise UsageError(f"{place} is a file; name a folder, or a dataset")
    free = shutil.disk_usage(place).free / 1e9
    yield Finding("free space", "ok" if free > LOW_GB else "bad", f"{free:.1f} GB at {place}")
    try:
        with _trial(place) as (first, second):
            yield from _tries(first, second)
    except OSError as error:
        yield Finding("writing", "bad", f"{place}: {error.strerror or error}")


@contextmanager
def _trial(place: Path) -> Iterator[tuple[Path, Path]]:
    """Two folders beside each other in that place."""
    with tempfile.TemporaryDirectory(prefix=TRIED, dir=place) as temp:
        folders = Path(temp) / "first", Path(temp) / "second"
        for folder in folders:
            folder.mkdir()
        yield folders


def _tries(first: Path, second: Path) -> Iterator[Finding]:
    published = "files are published by them"
    yield _tried("hard links", lambda: _link(first, first), published, f"no file can be published; {ELSEWHERE}")
    yield _tried(
        "hard links across folders", lambda: _link(first, second), published, f"no file can be published; {ELSEWHERE}"
    )
    yield _tried(
        "links replace nothing",
        lambda: _link_twice(first),
        "of two runs one is refused",
        f"two runs could mix; {ELSEWHERE}",
    )
    yield _tried(
        "renames",
        lambda: _rename(first, second),
        "settings and old runs' folders are moved by them",
        f"no run can begin; {ELSEWHERE}",
    )
    yield _locks(first / "lock")


def _tried(check: str, do: Callable[[], None], fine: str, follows: str) -> Finding:
    try:
        do()
    except OSError as error:
        return Finding(check, "bad", f"{error.strerror or error}: {follows}")
    return Finding(check, "ok", fine)


def _link(source: Path, target: Path) -> None:
    """Link a new file of one folder into the other."""
    made, name = source / "made", target / "linked"
    made.write_text("whole", encoding="utf-8")
    os.link(made, name)
    name.unlink()


def _link_twice(folder: Path) -> None:
    """Raises OSError if a link may take the place of a file that is there."""
    (folder / "old").write_text("old", encoding="utf-8")
    (folder / "new").write_text("new", encoding="utf-8")
    try:
        os.link(folder / "new", folder / "old")
    except FileExistsError:
        return
    raise OSError(errno.EIO, "a link took the place of a file that was there")


def _rename(first: Path, second: Path) -> None:
    """A file over another one, a file across folders, and a folder with what is in it."""
    for name in ("one", "two", "three"):
        (first / name).write_text(name, encoding="utf-8")
    os.replace(first / "one", first / "two")
    os.replace(first / "three", second / "three")
    os.rename(second, second.with_name("moved"))
    os.rename(second.with_name("moved"), second)
    if (first / "two").read_text(encoding="utf-8") != "one" or not (second / "three").exists():
        raise OSError(errno.EIO, "a renamed file is not what it was")


def _locks(path: Path) -> Finding:
    """Where there are none, a lease stands in."""
    terms = lease.TERMS
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return Finding("file locks", *_without(error, terms))
    return Finding("file locks", "ok", "a run holds one")


def _without(error: OSError, terms: lease.Terms) -> tuple[str, str]:
    if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP):
        return "bad", f"{error.strerror or error}: no run can begin (NFS: start its lock service); or {ELSEWHERE}"
    free_s = terms.hold_s + terms.skew_s
    return "note", (
        f"{error.strerror or error}: a run holds a lease instead, renewed every {terms.renew_s:g} s; on another host the dataset "
        f"of a killed run is free after {free_s:g} s, and the hosts' clocks must agree within {terms.skew_s:g} s"
    )
