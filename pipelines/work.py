"""What one stage gets to do one unit, and how its items' outcomes become rows."""

from __future__ import annotations

import math
import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa

from hdvg.dataset.damage import refuse_other_bytes
from hdvg.dataset.dataset import Dataset
from hdvg.errors import MACHINE, ItemError, NotAskedError, ResourceError, TransientError, UsageError, resource_error
from hdvg.sandbox import Call, Limits, Sandbox
from hdvg.sources.canonical import local_path
from hdvg.sources.fetch import Gate

Row = dict[str, Any]
Result = TypeVar("Result")
ItemT = TypeVar("ItemT", bound=Mapping[str, Any])
"""What is known of an item: see `pipelines.items`."""

GUILTY_ALONE = frozenset({"crash", "memory", "error"})
"""Reasons that one item of a batch may bring upon all: these are done again one by one. Others are everyone's."""

MADE_OF = ("sha256", "keyframes", "clip_sha256", "clip_pack")
"""Columns of items that name the files of media/ from which their results are made."""

FILE_NAME = r"""[^\s'"<>|:,;()\[\]]+"""
"""The rest of a path below a dataset's folder, in a message: names there have no such characters."""

TRIES = 5
"""Runs in which an item may end as `retry`; then it is `failed`."""


@dataclass
class Meter:
    """How well a model was used: the time it worked, and the batches that stood ready when it took one."""

    busy_s: float = 0.0
    ahead: list[float] = field(default_factory=list)

    def saw(self, *, busy_s: float = 0.0, ahead: float | None = None) -> None:
        """Time more that the model worked; batches that stood ready."""
        self.busy_s += busy_s
        self.ahead += [] if ahead is None else [ahead]


def save_nothing(rows: list[Row]) -> None:
    """What `Work.save` does where all is published at the unit's end."""


@dataclass(frozen=True)
class Work(Generic[ItemT]):
    """One unit at one stage: its dataset, its pending items, and the shared services of the process."""

    dataset: Dataset
    items: list[ItemT]
    gate: Gate
    sandbox: Sandbox
    schema: pa.Schema
    side_by_side: Callable[[Sequence[tuple[Call[Any], Path]], Limits], list[Any]]
    """What `spread` does it by."""
    model: Any = None
    """The stage's model, loaded, if it has one."""
    stage: str = ""
    """The stage's name."""
    save: Callable[[list[Row]], None] = save_nothing
    """Makes rows that are done durable before the unit is."""
    meter: Meter = field(default_factory=Meter)
    unit: str | None = None
    """The unit whose items these are; None if they are of several."""
    threads: int = 1
    """Of one decode."""

    @property
    def limits(self) -> Limits:
        """The walls of a decode, cut or probe child."""
        return Limits(**self.dataset.plan.recipe.limits.of_children())

    def spread(self, calls: Sequence[tuple[Call[Result], Path]]) -> list[Result]:
        """The results of limited children, each with its scratch folder, that run side by side; or raises the first error."""
        return self.side_by_side(calls, self.limits)

    def guarded(self, do: Callable[[ItemT], list[Row]], item: ItemT) -> list[Row]:
        """The rows of one item: `do`'s, or one that says why there are none."""
        return self.guarded_batch(lambda items: do(items[0]), [item])

    def guarded_batch(self, do: Callable[[list[ItemT]], list[Row]], items: list[ItemT]) -> list[Row]:
        """As `guarded` for items done together: if one of them may be guilty they are done again one by one."""
        start, calls = time.monotonic(), self._calls
        if self._is_stopped:
            raise ResourceError("the run is being stopped")
        try:
            rows = do(items)
            self._check(rows, items)
        except (UsageError, ResourceError):
            raise  # the run's trouble, not the item's
        except Exception as error:
            if machine := resource_error(error, where=self.dataset.root):
                raise machine from error
            if len(items) > 1 and (not isinstance(error, ItemError) or error.reason in GUILTY_ALONE):
                return [row for item in items for row in self.guarded_batch(do, [item])]
            rows = [self._failed(item, error) for item in items]
        if any(row.get("status", "ok") != "ok" for row in rows):
            self._refuse_damaged(items)
        seconds = (time.monotonic() - start) / len(items)
        sources = {item["video_id"]: item.get("source") for item in items}
        for row in rows:
            if row.get("detail"):
                row["detail"] = name_source(row["detail"], self.dataset.root, sources.get(row["video_id"]))
            row |= {name: None for name, value in row.items() if isinstance(value, float) and not math.isfinite(value)}
            row.setdefault("status", "ok")
            if self._calls > calls:
                row.setdefault("sandbox", self.sandbox.stood)
            row.setdefault("seconds", seconds)
        return rows

    def _refuse_damaged(self, items: list[ItemT]) -> None:
        """Raise DamagedError if a file of the items has other bytes than were written: then their failure says nothing."""
        files = {item[name] for item in items for name in MADE_OF if item.get(name)}
        for name in sorted(files):
            path = self.dataset.store.find_media(name)
            try:
                refuse_other_bytes(self.dataset.root, path)
            except OSError as error:
                raise resource_error(error, where=path) or error from error

    @property
    def _is_stopped(self) -> bool:
        """Whether the run is being stopped; a stand-in for the sandbox never is."""
        closed = getattr(self.sandbox, "closed", None)
        return closed is not None and closed.is_set()

    @property
    def _calls(self) -> int:
        """How often children were called; a stand-in for the sandbox has none."""
        return getattr(self.sandbox, "calls", 0)

    def _failed(self, item: ItemT, error: Exception) -> Row:
        """A failed split stands for the scenes that were given: with others the video is split again; measures that
        failed are named; a failed fetch has its time too."""
        columns = {"given_digest": item.get("given_digest")} if "given_digest" in self.schema.names else {}
        if "versions" in item:
            columns["measure_versions"] = item["versions"]
        if "fetched_at" in self.schema.names and not isinstance(error, NotAskedError):
            columns["fetched_at"] = datetime.now(UTC).isoformat(timespec="seconds")
        return failed_row(item, error) | columns

    def _check(self, rows: list[Row], items: list[ItemT]) -> None:
        """Raise unless the rows can be stored, and are of these items and of all of them: children are not trusted."""
        strangers = {name for row in rows for name in row} - set(self.schema.names)
        if strangers:
            raise ItemError("error", f"columns that schemas/ does not know: {', '.join(sorted(strangers))}")
        keys = {item["key"] for item in items}
        found = [row["clip_id"] if row.get("clip_id") in keys else row["video_id"] for row in rows]
        if set(found) != keys:
            raise ItemError("error", "rows of other items than were given")
        pa.Table.from_pylist(rows, schema=self.schema)


def failed_row(item: Mapping[str, Any], error: Exception) -> Row:
    """The row of an item without a result; an exception that is no ItemError is reported with its traceback."""
    if not isinstance(error, ItemError):
        error = ItemError("error", "".join(traceback.format_exception(error)))
    asked = not isinstance(error, NotAskedError) and error.reason not in MACHINE
    transient = isinstance(error, TransientError) and (item["attempt"] + 1 < TRIES or not asked)
    row = {"video_id": item["video_id"], "status": "retry" if transient else "failed"}
    detail = error.detail.encode("utf-8", "replace").decode()  # a child may say what is no text
    row |= {"reason": error.reason, "detail": detail, "attempt": item["attempt"] + asked}
    return row | ({"clip_id": item["clip_id"]} if "clip_id" in item else {})


def name_source(detail: str, root: Path, source: str | None) -> str:
    """The detail of a failure with the user's file or link in place of files that only hdvg knows: scratch files, and the
    source as it is stored in `media/`."""
    own = f"{re.escape(str(root))}/(?:tmp/{FILE_NAME}|media/{FILE_NAME}(?<!parquet))"
    shown = "its source" if source is None else str(local_path(source)) if source.startswith("file:") else source
    return re.sub(own, lambda _: shown, detail)


def each(work: Work[ItemT], do: Callable[[ItemT], list[Row]]) -> Iterator[Row]:
    """Do the unit's items one after the other."""
    for item in work.items:
        yield from work.guarded(do, item)


def batches(items: list[ItemT], size: int) -> Iterable[list[ItemT]]:
    """The items in runs of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))


def scratch_path(folder: Path, name: str) -> Path:
    """A file that a child left in its scratch folder; its name is checked, for the child is not trusted."""
    if Path(name).name != name:
        raise ItemError("error", f"a child named a file outside its folder: {name!r}")
    return folder / name
