"""Download one video with yt-dlp, in the airlock's child: guarded, metered, without helpers, plugins or cookies."""

from __future__ import annotations

import codecs
import os
import re
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yt_dlp

from hdvg.errors import ItemError, ResourceError
from hdvg.sources.client import NAME, Client
from hdvg.sources.failures import failure
from hdvg.sources.guard import Reach, named_private, proxy_only, put_up
from hdvg.sources.info import info_row, seconds

UNSOLVED = frozenset({"unsupported", "not_media", "no_video", "error"})
"""What yt-dlp may say of a video whose site's challenge it could not solve."""


def download(source: str, out: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Fetch the one video behind an http(s) link into `out`/source.bin; `settings` are those of `config.Fetch`.

    Returns {"path", "info"} (see `info_row`). A page or feed with several videos gives its
    first; a site's playlist or channel is refused. Changes the process for good (see `guard.put_up`).
    Raises ItemError and TransientError with every reason of the link in `REASONS`, ResourceError on a full disk.
    """
    client = _guarded(source, out, settings, Client.fetch)
    path = Path(out) / NAME
    refuse_text(path)
    return {"path": str(path), "info": info_row(client.taken or {}, version=yt_dlp.version.__version__)}


def look(source: str, out: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Ask for what is said of the video behind a link, without fetching it; else as `download`.

    Returns {"duration_s", "bytes"} of what would be fetched, None where it is not said.
    """
    said = _guarded(source, out, settings, Client.look).taken or {}
    duration_s = seconds(said.get("duration"))
    size = seconds(said.get("filesize") or said.get("filesize_approx"))
    return {"duration_s": duration_s, "bytes": None if size is None else int(size)}


def _guarded(source: str, out: str, settings: dict[str, Any], act: Callable[[Client, str], None]) -> Client:
    """The client that did it, in this process, which is walled in for good; raises as `download` says."""
    sys.dont_write_bytecode = True
    refused = put_up(_reach(source, settings), writable=(Path(out), Path.cwd()))
    os.chdir(out)  # so that the output template is a bare, fixed name
    client = Client(settings, refused)
    try:
        act(client, source)
    except ItemError:
        raise
    except MemoryError:
        raise ItemError("too_big", "a page does not fit in memory") from None
    except (yt_dlp.utils.YoutubeDLError, OSError) as error:
        try:
            found = failure(error, last=client.broken)
            raise (client.unsolved if client.unsolved and found.reason in UNSOLVED else found) from error
        except ResourceError:
            Path(NAME).unlink(missing_ok=True)  # makes room for the report itself
            raise
    return client


def _reach(source: str, settings: dict[str, Any]) -> Reach:
    """Where the fetch of a link may connect. Raises as `guard.proxy_only`, or ItemError if the link itself is out of reach."""
    version = settings["ip_version"]
    if settings["proxy"] is not None:
        return proxy_only(settings["proxy"], ip_version=version)
    if version == "4" and ":" in (urllib.parse.urlsplit(source).hostname or ""):
        raise ItemError("forbidden_address", 'only IPv4 is spoken; fetch.ip_version = "any" would speak both')
    allowed = named_private(source, ip_version=version) if settings["private_links"] == "allow" else frozenset()
    return Reach(allowed, version)


def refuse_text(path: Path) -> None:
    """Raise ItemError("not_media") for an absent or empty file, or one that begins as text (a page, JSON)."""
    head = path.open("rb").read(1024) if path.exists() else b""
    if not head:
        raise ItemError("not_media", "no bytes came")
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # a character cut at the end is no error
    except UnicodeDecodeError:
        return
    if not re.search(r"[\x00-\x08\x0e-\x1a]", text):
        raise ItemError("not_media", "text instead of video")  # what it says may name people
