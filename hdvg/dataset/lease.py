"""A lease on a dataset, where its file system cannot lock: one small file that says until when a run works there.

`run.lease/7` is the seventh run's. The highest number counts; it is created once, by a link, so that one of several runs gets it.
Its holder renews it, and lets it go by a time that is over. Whoever finds it over, by more than two clocks may differ, takes the
next number. A holder that could not renew in time, or finds a higher number, has lost the dataset and publishes nothing more.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdvg.errors import ResourceError, UsageError, refusals

FOLDER = "run.lease"


@dataclass(frozen=True)
class Terms:
    """Seconds: how often a lease is renewed, how long it holds from then, and how much two clocks may differ."""

    renew_s: float = 20.0
    hold_s: float = 60.0
    skew_s: float = 30.0


TERMS = Terms()


class Lease:
    """One run's lease on the dataset at `root`, from its taking on."""

    def __init__(self, root: Path, run: str, terms: Terms = TERMS) -> None:
        """Take it. Raises UsageError if another run has it, ResourceError if the disk refuses."""
        self._root, self._run, self._terms = root, run, terms
        self._lost = ""
        last = _newest(root)
        if last is not None and (left_s := _left_s(last, terms)) > 0:
            raise _held_by(root, last, left_s)
        self._path = root / FOLDER / str(1 + (0 if last is None else last["number"]))
        self._renewed = _now()
        with refusals(self._path):
            self._path.parent.mkdir(exist_ok=True)
            if not self._write(time.time() + terms.hold_s, os.link):
                raise _held_by(root, {"host": "another host"}, terms.hold_s + terms.skew_s)
            for path in _all(root)[:-2]:  # the last stays: who lists the folder just now sees it, or this one
                path.unlink(missing_ok=True)

    def renew(self) -> None:
        """Hold it from now on, unless it is lost by now."""
        if self._lost:
            return
        began = _now()
        if began > self._renewed + self._terms.hold_s:
            self._lost = f"it was not renewed for {began - self._renewed:.0f} s"
        elif _all(self._root)[-1:] != [self._path]:
            self._lost = "another run has taken it over"
        else:
            with contextlib.suppress(OSError):  # perhaps in time at the next turn
                self._write(time.time() + self._terms.hold_s, os.replace)
                self._renewed = began

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
                self._write(0.0, os.replace)

    def _write(self, until: float, into: Any) -> bool:
        """Put the lease in its place; False if there is one and it must be new."""
        text = json.dumps({"run": self._run, "until": until, **_who()})
        temp = self._path.with_name(f"{uuid.uuid4().hex}.tmp")
        try:
            temp.write_text(text, encoding="utf-8")
            into(temp, self._path)
        except FileExistsError:
            return False
        finally:
            temp.unlink(missing_ok=True)
        return True


@contextmanager
def hold(root: Path, run: str, terms: Terms = TERMS) -> Iterator[Lease]:
    """A lease that is renewed until the end. Raises as `Lease` does, and ResourceError at the end if it was lost."""
    lease, over = Lease(root, run, terms), threading.Event()

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


def holder(root: Path, terms: Terms = TERMS) -> str | None:
    """Who holds a lease on the dataset now, in some words, or None."""
    last = _newest(root)
    return None if last is None or _left_s(last, terms) <= 0 else _name(last)


def _held_by(root: Path, last: dict[str, Any], left_s: float) -> UsageError:
    return UsageError(
        f"{root}: another hdvg is working on this dataset ({_name(last)}); wait for it, watch it with `hdvg status {root}`, or "
        f"stop it: one that was killed leaves the dataset free in {left_s:.0f} s, for this file system cannot lock"
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


def _newest(root: Path) -> dict[str, Any] | None:
    """What the lease with the highest number says, and that number. Raises ResourceError if it cannot be read."""
    while found := _all(root):
        with refusals(found[-1]), contextlib.suppress(FileNotFoundError):  # later runs have removed it
            return {"number": int(found[-1].name), **_read(found[-1])}
    return None


def _read(path: Path) -> dict[str, Any]:
    """What a lease says; of one that a power cut left without words, until when it may have held."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return {"until": path.stat().st_mtime + TERMS.hold_s}


def _all(root: Path) -> list[Path]:
    """The leases that lie there, the highest number last."""
    return sorted(
        (path for path in (root / FOLDER).glob("*") if path.name.isdecimal()), key=lambda path: int(path.name)
    )


def _now() -> float:
    """Seconds that a machine which sleeps counts too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
