"""A lease on a dataset, where nothing locks it: a small text that says until when a run works there.

Leases are numbered; the seventh run's is 7, and the highest counts. A number is taken once, so that one of several runs gets it.
Its holder renews it, and lets it go by a time that is over. Whoever finds it over, by more than two clocks may differ, takes the
next number. A holder that could not renew in time, or finds a higher number, has lost the dataset and publishes nothing more.

Where leases lie is a shelf: files `run.lease/7` of the dataset's folder, or one object of a bucket (`hdvg.dataset.object_lease`).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hdvg.errors import ResourceError, UsageError, refusals

FOLDER = "run.lease"


@dataclass(frozen=True)
class Terms:
    """Seconds: how often a lease is renewed, how long it holds from then, and how much two clocks may differ."""

    renew_s: float = 20.0
    hold_s: float = 60.0
    skew_s: float = 30.0


TERMS = Terms()


class Shelf(Protocol):
    """Where the leases of one dataset lie."""

    def newest(self) -> dict[str, Any] | None:
        """What the lease with the highest number says, and its `number`. Raises ResourceError if it cannot be read."""

    def take(self, number: int, text: str) -> bool:
        """Put that number's lease there; False if another run has it. Raises ResourceError."""

    def renew(self, number: int, text: str) -> bool:
        """Change it; False if it is lost to another run. Raises OSError if it cannot be changed just now."""


class Lease:
    """One run's lease on the dataset at `root`, from its taking on."""

    def __init__(self, root: Path, run: str, terms: Terms = TERMS, shelf: Shelf | None = None) -> None:
        """Take it. Raises UsageError if another run has it, ResourceError if the disk refuses."""
        self._root, self._run, self._terms = root, run, terms
        self._shelf = shelf or FolderShelf(root)
        self._lost = ""
        last = self._shelf.newest()
        if last is not None and (left_s := _left_s(last, terms)) > 0:
            raise _held_by(root, last, left_s)
        self._number = 1 + (0 if last is None else last["number"])
        self._renewed = _now()
        if not self._shelf.take(self._number, self._text(time.time() + terms.hold_s)):
            raise _held_by(root, {"host": "another host"}, terms.hold_s + terms.skew_s)

    def renew(self) -> None:
        """Hold it from now on, unless it is lost by now."""
        if self._lost:
            return
        began = _now()
        if began > self._renewed + self._terms.hold_s:
            self._lost = f"it was not renewed for {began - self._renewed:.0f} s"
            return
        with contextlib.suppress(OSError):  # perhaps in time at the next turn
            if self._shelf.renew(self._number, self._text(time.time() + self._terms.hold_s)):
                self._renewed = began
            else:
                self._lost = "another run has taken it over"

    def refuse_lost(self) -> None:
        """Raise ResourceError if the lease is lost, or over by now."""
        if not self._lost and _now() <= self._renewed + self._terms.hold_s:
            return
        why = self._lost or "it could not be renewed in time"
        raise ResourceError(
            f"{self._root}: this run has lost its lease on the dataset ({why}); run the same command again"
        )

    def let_go(self) -> None:
        """Another run may take it at once."""
        if not self._lost:
            with contextlib.suppress(OSError):
                self._shelf.renew(self._number, self._text(0.0))

    def _text(self, until: float) -> str:
        return json.dumps({"run": self._run, "until": until, **_who()})


class FolderShelf:
    """Files `run.lease/NUMBER` of a folder, created once by a link."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def newest(self) -> dict[str, Any] | None:
        """See `Shelf`."""
        while found := self._all():
            with refusals(found[-1]), contextlib.suppress(FileNotFoundError):  # later runs have removed it
                return {"number": int(found[-1].name), **_read(found[-1])}
        return None

    def take(self, number: int, text: str) -> bool:
        """See `Shelf`."""
        path = self._root / FOLDER / str(number)
        with refusals(path):
            path.parent.mkdir(exist_ok=True)
            if not self._write(path, text, os.link):
                return False
            for old in self._all()[:-2]:  # the last stays: who lists the folder just now sees it, or this one
                old.unlink(missing_ok=True)
        return True

    def renew(self, number: int, text: str) -> bool:
        """See `Shelf`."""
        path = self._root / FOLDER / str(number)
        return self._all()[-1:] == [path] and self._write(path, text, os.replace)

    def _write(self, path: Path, text: str, into: Callable[[Path, Path], None]) -> bool:
        """Put the lease in its place; False if there is one and it must be new."""
        temp = path.with_name(f"{uuid.uuid4().hex}.tmp")
        try:
            temp.write_text(text, encoding="utf-8")
            into(temp, path)
        except FileExistsError:
            return False
        finally:
            temp.unlink(missing_ok=True)
        return True

    def _all(self) -> list[Path]:
        """The leases that lie there, the highest number last."""
        return sorted(
            (path for path in (self._root / FOLDER).glob("*") if path.name.isdecimal()), key=lambda path: int(path.name)
        )


@contextmanager
def hold(root: Path, run: str, terms: Terms = TERMS, shelf: Shelf | None = None) -> Iterator[Lease]:
    """A lease that is renewed until the end. Raises as `Lease` does, and ResourceError at the end if it was lost."""
    lease, over = Lease(root, run, terms, shelf), threading.Event()

    def keep() -> None:
        while not over.wait(terms.renew_s):
            lease.renew()

    keeper = threading.Thread(target=keep, name="lease", daemon=True)
    keeper.start()
    try:
        yield lease
        lease.refuse_lost()
    finally:
        over.set()
        keeper.join()
        lease.let_go()


def holder(root: Path, terms: Terms = TERMS, shelf: Shelf | None = None) -> str | None:
    """Who holds a lease on the dataset now, in some words, or None."""
    last = (shelf or FolderShelf(root)).newest()
    return None if last is None or _left_s(last, terms) <= 0 else _name(last)


def _held_by(root: Path, last: dict[str, Any], left_s: float) -> UsageError:
    return UsageError(
        f"{root}: another hdvg is working on this dataset ({_name(last)}); wait for it, watch it with `hdvg status {root}`, or "
        f"stop it: one that was killed leaves the dataset free in {left_s:.0f} s, for a lease is all that locks it"
    )


def _name(last: dict[str, Any]) -> str:
    return f"run {last.get('run', '?')}, pid {last.get('pid', '?')} on {last.get('host', '?')}"


def _who() -> dict[str, Any]:
    """This process: its host, its number there, and what that number counts in."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "space": os.readlink("/proc/self/ns/pid")}


def _left_s(last: dict[str, Any], terms: Terms) -> float:
    """Seconds for which nobody else may take it; of a process of this machine that is gone, none."""
    me = _who()
    is_here = all(last.get(name) == me[name] for name in ("host", "space"))
    if is_here and not Path(f"/proc/{last.get('pid', 0)}").exists():
        return 0.0
    return float(last["until"]) + terms.skew_s - time.time()


def _read(path: Path) -> dict[str, Any]:
    """What a lease says; of one that a power cut left without words, until when it may have held."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return {"until": path.stat().st_mtime + TERMS.hold_s}


def _now() -> float:
    """Seconds that a machine which sleeps counts too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
