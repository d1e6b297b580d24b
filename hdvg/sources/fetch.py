"""Fetch the video behind one canonical link: tries, pauses and host permits around the airlocked download."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
import urllib.parse
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from hdvg.airlock import Airlock, Limits
from hdvg.errors import MACHINE, SHORT, ItemError, ResourceError, TransientError
from hdvg.sections import Fetch
from hdvg.sources import runtime
from hdvg.sources.egress import way_out
from hdvg.sources.info import info_row
from hdvg.sources.links import local_path

PRELOAD = ("hdvg.sources.ytdlp",)  # for `Airlock(preload=...)`: a fetch is then a fork, not an import
DOWNLOAD, LOOK = "hdvg.sources.ytdlp:download", "hdvg.sources.ytdlp:look"
MUX = "hdvg.media.mux:mux"
MEMORY_MB = 4096  # address space of a child, the preloaded modules included
BACKOFF_S = 1.0
STEP_S = 0.5
COPY_BYTES = 1 << 30


class Gate(Protocol):
    """What `hosts.HostGate` does, or a stand-in for one that lives elsewhere."""

    def ask(self, host: str) -> float: ...
    def done(
        self, host: str, retry_after_s: float | None = None, *, refusal: str | None = None, fetched: bool = False
    ) -> None: ...


@dataclass(frozen=True)
class Fetched:
    """A fetched file below the scratch folder, what its source says of it (`info.INFO_KEYS`), and why this of its formats."""

    path: Path
    info: dict[str, Any]
    choice: str | None = None


def fetch(source: str, *, scratch: Path, settings: Fetch, airlock: Airlock, gate: Gate) -> Fetched:
    """Fetch a canonical link into `scratch`, an existing folder; at most `settings.tries` tries, with growing pauses.

    Raises ItemError at the first final failure, the last TransientError after the last try, NotAskedError if the gate
    turns it away, ResourceError on a full disk, UsageError as `egress.way_out` does.
    """
    if source.startswith("file:"):
        return _take_file(local_path(source), scratch, settings)
    said = _tries(DOWNLOAD, source, scratch, settings, airlock=airlock, gate=gate)
    path = Path(said["path"])
    if said["sound"]:
        path = _with_sound(path, path.with_name(said["sound"]), settings, airlock)
    return Fetched(path, said["info"], said["choice"])


def _with_sound(video: Path, sound: Path, settings: Fetch, airlock: Airlock) -> Path:
    """One file of a video and the sound that was fetched apart, made in a child of its own; the two are removed."""
    whole = video.with_name("whole.bin")
    file_mb = 16 + 1.25 * (video.stat().st_size + sound.stat().st_size) / 2**20  # an index comes with it
    limits = Limits(wall_s=settings.wall_s, memory_mb=MEMORY_MB, file_mb=file_mb)
    try:
        airlock.call(MUX, {"video": str(video), "sound": str(sound), "target": str(whole)}, video.parent, limits)
    finally:
        video.unlink()
        sound.unlink()
    return whole


def look(source: str, *, scratch: Path, settings: Fetch, airlock: Airlock, gate: Gate) -> dict[str, Any]:
    """What the source of a canonical link says of its video, as politely, without fetching it; raises as `fetch` does.

    `duration_s` and `bytes` of what would be fetched, None where it does not say.
    """
    if source.startswith("file:"):
        try:
            return {"duration_s": None, "bytes": local_path(source).stat().st_size}
        except OSError as error:
            raise ItemError("gone", str(error)) from error
    return _tries(LOOK, source, scratch, settings, airlock=airlock, gate=gate)


def _tries(target: str, source: str, scratch: Path, settings: Fetch, *, airlock: Airlock, gate: Gate) -> dict[str, Any]:
    host = urllib.parse.urlsplit(source).netloc
    for trial in range(settings.tries):
        _wait_for_permit(gate, host, airlock)
        try:
            return _try(target, source, scratch, settings, airlock=airlock, gate=gate)
        except TransientError as error:
            if trial + 1 == settings.tries or error.reason in MACHINE:
                raise
            _sleep(_pause_s(source, trial, error.retry_after_s, cap_s=settings.max_wait_s), airlock)
    raise AssertionError("tries >= 1 by the settings")


def _try(target: str, source: str, scratch: Path, settings: Fetch, *, airlock: Airlock, gate: Gate) -> dict[str, Any]:
    """One try in one child and a folder of its own; gives the permit back, with what the host said."""
    host = urllib.parse.urlsplit(source).netloc
    wait_s, refusal = None, None
    limits = Limits(wall_s=settings.wall_s, memory_mb=MEMORY_MB, file_mb=settings.max_mb)
    out, said = None, None
    try:
        way = way_out(settings)
        out = _new_folder(scratch)
        asked = {"source": source, "out": str(out), "settings": settings.model_dump() | way.told()}
        with way.masked():
            said = airlock.call(target, asked, out, limits, answer=partial(_answer, settings, airlock))
    except TransientError as error:
        wait_s = BACKOFF_S if error.reason == "throttled" and error.retry_after_s is None else error.retry_after_s
        raise
    except ItemError as error:
        refusal = error.detail if error.reason == "blocked" else None
        if error.reason == "timeout":  # the airlock's clock: another try may be quicker
            raise TransientError("timeout", f"over {settings.wall_s:g} s") from error
        raise
    finally:
        gate.done(host, wait_s, refusal=refusal, fetched=said is not None)
        if out is not None and (said is None or target == LOOK):
            shutil.rmtree(out, ignore_errors=True)
    return dict(said)


def _answer(settings: Fetch, airlock: Airlock, question: dict[str, Any]) -> Any:
    """What the child may not do itself: {"js": script} is run, {"js": None} asks whether scripts can be."""
    script, choice = question["js"], settings.js_runtime
    if script is None:
        return runtime.find(choice).version
    return runtime.solve(script, choice, airlock, wall_s=min(runtime.WALL_S, settings.wall_s / 4))


def _new_folder(scratch: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix="fetch-", dir=scratch.absolute()))


def _take_file(path: Path, scratch: Path, settings: Fetch) -> Fetched:
    """A file of this machine, copied into the scratch folder: what its owner does to it later must not reach `media/`."""
    try:
        size_mb = path.stat().st_size / 2**20
        if size_mb > settings.max_mb:
            raise ItemError("too_big", f"{size_mb:.0f} MB")
        copy = _new_folder(scratch) / "source.bin"
        _copy(path, copy)
    except OSError as error:
        if error.errno in SHORT:
            raise ResourceError(f"while copying {path}: {error}") from error
        raise ItemError("gone" if isinstance(error, FileNotFoundError) else "bad_input", str(error)) from error
    return Fetched(copy, info_row({"title": path.stem, "extractor": "file", "webpage_url": path.as_uri()}))


def _copy(path: Path, copy: Path) -> None:
    """Copy the bytes; a file system that can share them between two files (reflink) does."""
    with path.open("rb", buffering=0) as source, copy.open("xb") as target:
        with contextlib.suppress(OSError):  # not between these two; a full disk says so again below
            while os.copy_file_range(source.fileno(), target.fileno(), COPY_BYTES):
                pass
        shutil.copyfileobj(source, target, 1 << 20)  # the rest


def _wait_for_permit(gate: Gate, host: str, airlock: Airlock) -> None:
    while (wait_s := gate.ask(host)) > 0:
        _sleep(min(wait_s, STEP_S), airlock)


def _pause_s(source: str, trial: int, retry_after_s: float | None, *, cap_s: float) -> float:
    """1, 2, 4 … seconds, give or take half (seeded by the source), or what the server asked if more, up to `cap_s`."""
    backoff_s = BACKOFF_S * 2.0**trial * float(random.Random(f"{source} {trial}").uniform(0.5, 1.5))
    return min(cap_s, max(backoff_s, retry_after_s or 0.0))


def _sleep(seconds: float, airlock: Airlock) -> None:
    if airlock.closed.wait(seconds):
        raise ResourceError("the run is being stopped")
