"""Read a list on a site by a guarded child, try after try, until it ends, is long enough, or breaks off."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from hdvg.config.fetch import Fetch
from hdvg.errors import MACHINE, REASONS, RETRYABLE, ItemError, TransientError, UsageError
from hdvg.ids import digest
from hdvg.sandbox import Sandbox
from hdvg.sources import calls, fetch
from hdvg.sources.calls import FetchSettings
from hdvg.sources.fetch import Answers
from hdvg.sources.guard import named_private
from hdvg.sources.lists.entries import Row
from hdvg.sources.lists.entry_file import FILE, Found, read_entries
from hdvg.sources.lists.filter import Choice
from hdvg.sources.lists.source import WOULD_DO, ListSource
from hdvg.sources.visitor import Gate, Visitor

PRELOAD = (*fetch.PRELOAD, "hdvg.sources.lists.readers")  # for `Sandbox(preload=...)`
STALE_S = 24 * 3600.0
"""After so long a list that was not read to its end is read from its start."""

TRIES_MOST = 100


@dataclass(frozen=True)
class Listing:
    """What a list said: rows of `entries.ENTRY`, how it ended ("whole", "most" or "video"), or why it broke off."""

    found: Found
    end: str = "whole"
    broken: ItemError | None = None

    @property
    def rows(self) -> list[Row]:
        """The entries that came."""
        return self.found.rows


def list_folder(root: Path, source: ListSource, choice: Choice) -> Path:
    """Where a list is kept until it is read to its end: below `root`, by what is asked."""
    return root / digest("list", source.kind, source.query, choice.conditions)


def read_site(
    source: ListSource, choice: Choice, *, folder: Path, settings: Fetch, sandbox: Sandbox, gate: Gate
) -> Listing:
    """Read a list into `folder`, going on with what is there, until it ends, `choice.most` entries are read, or it breaks
    off for good: tries are as for a fetch, counted anew when entries came.

    Raises UsageError for one video, for a list without one, and where nothing could be read; ResourceError on a full disk.
    """
    _make(folder)
    visitor = Visitor(source.address, settings, sandbox, gate)
    end: str = "whole"
    broken: ItemError | None = None
    tries = 0
    for trial in range(TRIES_MOST):
        had = progress(folder)
        try:
            end = _try(source, choice, folder, visitor)
            broken = None
            break
        except TransientError as error:
            broken = error
            tries = 1 if progress(folder) > had else tries + 1
            if tries >= settings.tries or error.reason in MACHINE:
                break
            visitor.pause(source.origin, min(trial, tries), error.retry_after_s)
        except ItemError as error:
            broken = error
            break
    found = read_entries(folder / FILE) if (folder / FILE).exists() else Found()
    found.rows = [row for row in found.rows[: choice.most] if _is_outside(row, source, found)]
    _refuse_nothing(source, found, end, broken)
    return Listing(found, end, broken)


def _try(source: ListSource, choice: Choice, folder: Path, visitor: Visitor) -> str:
    """One try in one child: how the list ended."""

    def act(given: FetchSettings) -> str:
        asked = calls.listing(
            source.address,
            str(folder),
            given,
            kind=source.kind,
            query=source.query,
            most=choice.most,
            conditions=list(choice.conditions),
        )
        answers = Answers(visitor.settings, visitor.sandbox, visitor.gate)
        return visitor.sandbox.call(asked, folder, visitor.limits, answer=answers)["end"]

    visitor.wait()
    return visitor.visit(act)


def _is_outside(row: Row, source: ListSource, found: Found) -> bool:
    """Whether an entry may be asked for: a site's list does not choose hosts of our own network, but for its own host."""
    from hdvg.sources.hops import private_target  # brings yt-dlp, which other commands do without

    private = private_target(row["url"]) is not None
    own = named_private(source.address, ip_version="any") if source.kind == "list" else frozenset()
    outside = not private or bool(own & named_private(row["url"], ip_version="any"))
    found.skipped.update([] if outside else ["private address"])
    return outside


def _refuse_nothing(source: ListSource, found: Found, end: str, broken: ItemError | None) -> None:
    """Raise UsageError if there is no entry."""
    if end == "video":
        raise UsageError(f"{source.text}: one video, no list; to fetch it: --links {source.query}")
    if found.rows:
        return
    if broken is not None:
        later = "; run again later" if broken.reason in RETRYABLE else ""
        why = "" if broken.reason in {"bad_input", "error"} else f"{REASONS[broken.reason]}: "
        raise UsageError(f"{source.text}: cannot be listed: {why}{broken.detail[-300:]}{later}")
    why = "".join(f"; {count} entries passed over: {why}" for why, count in found.skipped.items())
    raise UsageError(f"{source.text}: a list without a video{why}; {WOULD_DO}")


def _make(folder: Path) -> None:
    """The folder, empty if what is in it is old."""
    file = folder / FILE
    if file.exists() and time.time() - file.stat().st_mtime > STALE_S:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def progress(folder: Path) -> int:
    """How many entries and pages came so far."""
    file = folder / FILE
    if not file.exists():
        return 0
    with file.open("rb") as lines:
        return sum(line.startswith((b'{"row"', b'{"cursor"')) for line in lines)
