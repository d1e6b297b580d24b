"""Fetch the video behind one canonical link: tries, pauses and host permits around the sandboxed download."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from hdvg.config.fetch import Fetch
from hdvg.errors import MACHINE, ItemError, TransientError, resource_error
from hdvg.media.calls import mux
from hdvg.sandbox import Call, Limits, Sandbox
from hdvg.sources import calls, runtime
from hdvg.sources.buckets.spelling import is_bucket
from hdvg.sources.buckets.store import signed_address
from hdvg.sources.buckets.words import unsigned
from hdvg.sources.calls import Excerpted, FetchSettings, Info, Looked
from hdvg.sources.held import take_out
from hdvg.sources.info import info_row
from hdvg.sources.links import local_path
from hdvg.sources.visitor import MEMORY_MB, Gate, Visitor
from hdvg.sources.wanted import Wanted

__all__ = ["PRELOAD", "Fetched", "Gate", "fetch", "look"]

PRELOAD = ("hdvg.sources.ytdlp",)  # for `Sandbox(preload=...)`: a fetch is then a fork, not an import
COPY_BYTES = 1 << 30
SPARE_S = 60.0
"""How much longer than a try may take the address of an object holds."""
SPENT_MOST = 4 << 20
"""Most bytes that a child pays for at a time: it asks every 1 MB."""


Result = TypeVar("Result")


@dataclass(frozen=True)
class Fetched:
    """A fetched file below the scratch folder, what its source says of it (`info.INFO_KEYS`), and why this of its formats; if
    it is an excerpt, what `ranges.fetch_excerpt` says of it; and if a part was wanted, why it is the whole."""

    path: Path
    info: Info
    choice: str | None = None
    excerpt: Excerpted | None = None
    whole_because: str | None = None


@dataclass(frozen=True)
class _Asked(Generic[Result]):
    """What a child is to do: the function, the link, and what of the video is wanted (None: all)."""

    function: Callable[[str, str, FetchSettings], Call[Result]]
    source: str
    wanted: Wanted | None = None
    leaves_file: bool = True


def fetch(
    source: str, *, scratch: Path, settings: Fetch, sandbox: Sandbox, gate: Gate, wanted: Wanted | None = None
) -> Fetched:
    """Fetch a canonical link into `scratch`, an existing folder; at most `settings.tries` tries, with growing pauses.

    Only what is `wanted` of it, where the source can be taken apart. A try that the host throttles is none of the tries: it is
    made again when the gate lets it, for `settings.throttle_wait_s`.

    Raises ItemError at the first final failure, the last TransientError after the last try, NotAskedError if the gate
    turns it away, ResourceError on a full disk, UsageError as `egress.way_out` does.
    """
    if source.startswith("file:"):
        return _take_file(source, scratch, settings)
    download = _tries(_Asked(calls.download, source, wanted), scratch, Visitor(source, settings, sandbox, gate))
    path = _in_scratch(Path(download["path"]), scratch)
    if download["sound"]:
        path = _with_sound(path, _in_scratch(path.parent / download["sound"], scratch), settings, sandbox)
    return Fetched(path, download["info"], download["choice"], download["excerpt"], download["whole_because"])


def _in_scratch(path: Path, scratch: Path) -> Path:
    """A file in the folder of a try. Raises ItemError for one that lies elsewhere: the child that names it is not trusted."""
    if ".." in path.parts or path.parent.parent != scratch.absolute():
        raise ItemError("error", f"a child named a file outside its folder: {path.name!r}")
    return path


def _with_sound(video: Path, sound: Path, settings: Fetch, sandbox: Sandbox) -> Path:
    """One file of a video and the sound that was fetched apart, made in a child of its own; the two are removed."""
    whole = video.with_name("whole.bin")
    file_mb = 16 + 1.25 * (video.stat().st_size + sound.stat().st_size) / 2**20  # an index comes with it
    limits = Limits(wall_s=settings.wall_s, memory_mb=MEMORY_MB, file_mb=file_mb)
    try:
        sandbox.call(mux(str(video), str(sound), str(whole)), video.parent, limits)
    finally:
        video.unlink()
        sound.unlink()
    return whole


def look(source: str, *, scratch: Path, settings: Fetch, sandbox: Sandbox, gate: Gate) -> Looked:
    """What the source of a canonical link says of its video, as politely, without fetching it; raises as `fetch` does.

    `duration_s` and `bytes` of what would be fetched, None where it does not say.
    """
    if source.startswith("file:"):
        try:
            return {"duration_s": None, "bytes": local_path(source).stat().st_size}
        except OSError as error:
            raise ItemError("gone", str(error)) from error
    return _tries(_Asked(calls.look, source, leaves_file=False), scratch, Visitor(source, settings, sandbox, gate))


def _tries(asked: _Asked[Result], scratch: Path, visitor: Visitor) -> Result:
    settings = visitor.settings
    trial, until = 0, math.inf
    throttled: TransientError | None = None
    while visitor.wait(until=until):
        try:
            return _try(asked, scratch, visitor)
        except TransientError as error:
            if error.reason == "throttled":
                throttled, until = error, min(until, time.monotonic() + settings.throttle_wait_s)
                continue
            trial += 1
            if trial == settings.tries or error.reason in MACHINE:
                raise
            visitor.pause(asked.source, trial - 1, error.retry_after_s)
    assert throttled is not None  # else it waits without an end
    raise throttled


def _try(asked: _Asked[Result], scratch: Path, visitor: Visitor) -> Result:
    """One try in one child and a folder of its own."""
    out = scratch.absolute() / f"fetch-{uuid.uuid4().hex}"

    def act(given: FetchSettings) -> Result:
        out.mkdir(mode=0o700)
        given["as_excerpt"] = asked.wanted is not None
        answers = Answers(visitor.settings, visitor.sandbox, visitor.gate, asked.wanted, out)
        if is_bucket(asked.source):
            given["signed"] = signed_address(asked.source, given, seconds=given["wall_s"] + SPARE_S)
        call = asked.function(asked.source, str(out), given)
        with unsigned(given.get("signed"), asked.source):
            return visitor.sandbox.call(call, out, visitor.limits, answer=answers)

    is_kept = False
    try:
        answer = visitor.visit(act, n_bytes=lambda: _size(out))
        is_kept = asked.leaves_file
        return answer
    finally:
        if not is_kept:
            shutil.rmtree(out, ignore_errors=True)


@dataclass(frozen=True)
class Answers:
    """What the fetching child may not do itself, by its question's single key."""

    settings: Fetch
    sandbox: Sandbox
    gate: Gate
    wanted: Wanted | None = None
    out: Path | None = None

    def __call__(self, question: Any) -> Any:
        """{"js": script} is run, {"js": None} asks whether scripts can be; {"bytes": n}: so many were read, how many seconds
        to wait; {"sections": what has come}: what more of the source is wanted. Raises ValueError, which ends the talk."""
        choice = self.settings.js_runtime
        match question:
            case {"bytes": int(n_bytes)} if 0 <= n_bytes <= SPENT_MOST:
                return self.gate.spend(n_bytes)
            case {"js": None}:
                return runtime.find(choice).version
            case {"js": str(script)}:
                wall_s = min(runtime.WALL_S, self.settings.wall_s / 4)
                return runtime.solve(script, choice, self.sandbox, wall_s=wall_s)
            case {"sections": come} if self.wanted is not None and self.out is not None:
                return self.wanted.look(come, self.out, self.sandbox)
        raise ValueError("no question that a fetch may ask")


def _size(out: Path) -> int:
    """Bytes of the files that a try left."""
    return sum(path.stat().st_size for path in out.iterdir() if path.is_file()) if out.exists() else 0


def _new_folder(scratch: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix="fetch-", dir=scratch.absolute()))


def _take_file(source: str, scratch: Path, settings: Fetch) -> Fetched:
    """A file of this machine, copied into the scratch folder: what its owner does to it later must not reach `media/`."""
    path = local_path(source)
    copy = _new_folder(scratch) / "source.bin"
    try:
        held_in = take_out(source, copy)
        size_mb = (copy if held_in else path).stat().st_size / 2**20
        if size_mb > settings.max_mb:
            raise ItemError("too_big", f"{size_mb:.0f} MB")
        if held_in is None:
            _copy(path, copy)
    except OSError as error:
        if machine := resource_error(error, where=path):
            raise machine from error
        raise ItemError("gone" if isinstance(error, FileNotFoundError) else "bad_input", str(error)) from error
    return Fetched(copy, info_row({"title": path.stem, "extractor": "file", "webpage_url": source}))


def _copy(path: Path, copy: Path) -> None:
    """Copy the bytes; a file system that can share them between two files (reflink) does."""
    with path.open("rb", buffering=0) as source, copy.open("xb") as target:
        with contextlib.suppress(OSError):  # not between these two; a full disk says so again below
            while os.copy_file_range(source.fileno(), target.fileno(), COPY_BYTES):
                pass
        shutil.copyfileobj(source, target, 1 << 20)  # the rest
