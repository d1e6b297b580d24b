"""The dataset as the explorer shows it: one state of it at a time, made in the background, and given up once it has changed."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from hdvg.config.rules import Quantiles, Rule
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.mirror import catch_up
from hdvg.dataset.snapshot import SOURCE
from hdvg.dataset.store import Store
from hdvg.errors import HdvgError, ResourceError
from hdvg.explore.likeness import Likeness
from hdvg.explore.marks import Marks
from hdvg.explore.masks import Asking, Masks
from hdvg.explore.playable import Files
from hdvg.explore.progress import Progress
from hdvg.explore.sidecar import SERVING, Say, Sidecar, make, opened, sweep
from hdvg.explore.texts import Texts, make_texts
from hdvg.filtering.pool import resolve_quantiles
from hdvg.ids import digest

WATCH_S = 1.0
"""How often the folder is looked at."""
LOOK_S = 60.0
"""How often it is asked for take-downs in a bucket."""
TRIES = 3
ORDERS = 4
"""Orders that are kept, of four bytes a row."""


@dataclass(frozen=True)
class State:
    """One state of the dataset; for many threads, each with a cursor of its own."""

    snapshot: str
    dataset: Dataset
    sidecar: Sidecar
    connection: duckdb.DuckDBPyConnection
    masks: Masks
    marks: Marks
    likeness: Likeness
    files: Files
    stamp: tuple[Any, ...]
    orders: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    """Rows in an order that was asked for, by selection and sort: see `grid`."""
    values: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    """Values of quantiles that drafts of rules had."""

    def table(self, sql: str, values: Any = (), asking: Asking | None = None) -> pa.Table:
        """The answer over the table `SOURCE`."""
        with self.connection.cursor() as cursor:
            return (asking or Asking()).run(cursor, sql, values)

    def quantiles(self, rules: tuple[Rule, ...]) -> Quantiles:
        """The values of the rules' quantiles: the dataset's where these are its rules."""
        return self.dataset.plan.quantiles if rules == self.dataset.plan.recipe.rules else self.resolved(rules)

    def resolved(self, rules: tuple[Rule, ...]) -> Quantiles:
        """The values of the rules' quantiles over the clips there are now."""
        if not any(rule.quantiles for rule in rules):
            return self.dataset.plan.quantiles
        key = (tuple(rule.text for rule in rules), self.marks.state)
        held: Quantiles | None = self.values.get(key)
        if held is None:
            with self.connection.cursor() as cursor:
                held = resolve_quantiles(rules, cursor, SOURCE)
            keep(self.values, key, held)
        return held


def keep(orders: dict[tuple[Any, ...], Any], key: tuple[Any, ...], order: Any) -> None:
    """Hold what was worked out, in place of the oldest."""
    while len(orders) >= ORDERS:
        orders.pop(next(iter(orders)), None)
    orders[key] = order


@dataclass(frozen=True)
class Building:
    """What is done to make a state; with an `error` it has failed."""

    doing: str = "opening the dataset"
    share: float = 0.0
    error: str | None = None


class Explorer:
    """Makes states of the dataset at `root` in a thread of its own, from `start` until `close`."""

    def __init__(self, root: Path, *, author: str, folder: Path) -> None:
        self.root = root
        self.author = author
        self.folder = folder
        """Where recipes are saved."""
        self.state: State | None = None
        self.building = Building()
        self.progress = Progress()
        self._wanted, self._closed = threading.Event(), threading.Event()
        self._looked = time.monotonic()
        self._spare: tempfile.TemporaryDirectory[str] | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="explorer")
        self._asking: dict[str, Asking] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to make the first state."""
        self._wanted.set()
        self._thread.start()

    def close(self) -> None:
        """End the thread, and with it what it holds."""
        self._closed.set()
        self._wanted.set()
        self._thread.join(timeout=5)
        if self._spare is not None:
            self._spare.cleanup()

    def refresh(self) -> None:
        """Take over the dataset's present state as soon as it is made."""
        self.building = Building()
        self.progress = Progress()
        self._wanted.set()

    def shown(self) -> State | None:
        """The state, unless something was taken down since it was made: then there is none until the next is made."""
        state = self.state
        if state is None or (tombs(self.root) == tombs_of(state.stamp) and state.sidecar.rows.exists()):
            return state
        self.state = None
        self.refresh()
        return None

    def is_stale(self, state: State) -> bool:
        """Whether the folder has changed since the state was made."""
        return stamp(self.root) != state.stamp

    @contextlib.contextmanager
    def newest(self, channel: str | None) -> Iterator[Asking]:
        """One question; an older one of the channel ends, if it has one."""
        mine = Asking()
        if channel is not None:
            with self._lock:
                older, self._asking[channel] = self._asking.get(channel), mine
            if older is not None:
                older.stop()
        try:
            yield mine
        finally:
            with self._lock:
                if channel is not None and self._asking.get(channel) is mine:
                    del self._asking[channel]

    def _work(self) -> None:
        while not self._closed.is_set():
            self._wanted.wait(WATCH_S)
            if self._closed.is_set():
                return
            self._catch_up()
            self.shown()
            if self._wanted.is_set():
                self._wanted.clear()
                self._make()

    def _catch_up(self) -> None:
        """Of a dataset in a bucket: see what was taken down there, and all that is new if a new state is wanted."""
        whole = self._wanted.is_set()
        if self.state is not None and (whole or time.monotonic() > self._looked + LOOK_S):
            self._looked = time.monotonic()
            with contextlib.suppress(HdvgError):  # the store does not answer: what is here is shown
                catch_up(self.root, whole=whole)

    def _make(self) -> None:
        before = stamp(self.root)

        def say(doing: str, share: float) -> None:
            self.building = Building(doing, share)

        try:
            say("opening the dataset", 0.0)
            dataset = Dataset.open(self.root)
            self.state = self._made(dataset, before, say)
            if self._spare is None:
                sweep(dataset.store, self.state.sidecar)
        except (HdvgError, duckdb.Error, OSError) as error:
            self.building = replace(self.building, error=str(error))

    def _made(self, dataset: Dataset, before: tuple[Any, ...], say: Say) -> State:
        sidecar = self._sidecar(dataset, say)
        connection = opened(sidecar.rows, memory=SERVING)
        marks, likeness = (
            Marks(dataset, connection, Texts(sidecar.texts), rows=len(sidecar.lengths_s)),
            Likeness(dataset, sidecar, connection),
        )
        others = {"text": marks.texts, "marks": marks.mask, "like": likeness.near, "polygon": likeness.inside}
        masks = Masks(sidecar, connection, others=others, said=lambda: marks.state)
        name = digest(sidecar.rows.name, dataset.plan.to_toml())[:16]
        playable = Files(dataset)
        if held := playable.copies.held():
            sql = f"select unnest([clip_id, clip_sha256]) as name from {SOURCE} where list_has_any(?::varchar[], [clip_id, clip_sha256])"
            playable.copies.prune({row[0] for row in connection.execute(sql, [held]).fetchall()})
        return State(name, dataset, sidecar, connection, masks, marks, likeness, playable, before)

    def _sidecar(self, dataset: Dataset, say: Say) -> Sidecar:
        """In the dataset's folder, or where that takes no files elsewhere, for as long as this server runs."""
        for _ in range(TRIES):
            try:
                return copied(dataset, dataset.store, say)
            except (ResourceError, PermissionError):
                if not os.access(self.root, os.W_OK):
                    break
                time.sleep(WATCH_S)  # a run that began took the unfinished file away
        if self._spare is None:
            self._spare = tempfile.TemporaryDirectory(prefix="hdvg-explore-")
        return copied(dataset, Store(Path(self._spare.name)), say)


def copied(dataset: Dataset, store: Store, say: Say) -> Sidecar:
    """The explorer's own copy of the clips, all its files made, below the folder of `store`."""
    sidecar = make(dataset, store, say)
    make_texts(sidecar, store, say)
    return sidecar


def stamp(root: Path) -> tuple[Any, ...]:
    """What changes whenever a file of the dataset comes or goes: the times of its folders and of its settings; take-downs first."""
    folders = [root / "inputs", *sorted((root / "parts").glob("*/"))]
    return (tombs(root), *(_time(path) for path in (root / "dataset.toml", *folders)))


def tombs(root: Path) -> tuple[str, ...]:
    """The files of take-downs."""
    return tuple(sorted(path.name for path in (root / "tombstones").glob("*.parquet")))


def tombs_of(stamped: tuple[Any, ...]) -> tuple[str, ...]:
    """Those of a stamp."""
    found: tuple[str, ...] = stamped[0]
    return found


def _time(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def wait(explorer: Explorer, *, limit_s: float) -> State:
    """The first state, once it is made. Raises TimeoutError or, if it cannot be made, ResourceError."""
    end = time.monotonic() + limit_s
    while explorer.state is None:
        if explorer.building.error:
            raise ResourceError(explorer.building.error)
        if time.monotonic() > end:
            raise TimeoutError("the explorer's tables take longer")
        time.sleep(0.02)
    return explorer.state
