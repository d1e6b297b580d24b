"""Download one video with yt-dlp, in the sandbox's child: guarded, metered, without helpers, plugins or cookies."""

from __future__ import annotations

import codecs
import os
import re
import sys
import urllib.parse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yt_dlp

from hdvg.errors import ItemError, ResourceError
from hdvg.media.excerpt import is_excerpt
from hdvg.sources import calls
from hdvg.sources.buckets.client import ObjectClient
from hdvg.sources.calls import Downloaded, FetchSettings, Listed, Looked
from hdvg.sources.client import NAME, SOUND_NAME, Client
from hdvg.sources.failures import failure
from hdvg.sources.guard import Reach, meant_by_user, named_private, proxy_only, put_up
from hdvg.sources.info import info_row, seconds
from hdvg.sources.solver import UNSOLVED
from hdvg.sources.subtitles import beside


@calls.download.serves
def download(source: str, out: str, settings: FetchSettings) -> Downloaded:
    """Fetch the one video behind an http(s) link, or at settings["signed"], into `out`/source.bin.

    With settings["as_excerpt"] the caller answers which parts of it are wanted, see `sources.ranges`. A page or feed with
    several videos gives its first; a site's playlist or channel is refused. Changes the process for good (see `guard.put_up`).
    Raises ItemError and TransientError with every reason of the link in `REASONS`, ResourceError on a full disk.
    """
    made = _client_of(settings)
    client = _guarded(source, out, settings, made.fetch, client=made)
    info, choice, path = client.taken or {}, client.choice, Path(out) / NAME
    if client.excerpt is None:
        refuse_text(path)
        if is_excerpt(path):
            raise ItemError("not_media", "an excerpt, which only hdvg makes")
    sound = None
    if choice and choice.sound:
        refuse_text(Path(out) / SOUND_NAME)
        sound, info = SOUND_NAME, info | {"format_id": choice.format_id}
    return {
        "path": str(path),
        "info": {**info_row(info, version=yt_dlp.version.__version__), **beside(client, info, settings)},
        "sound": sound,
        "choice": choice.why if choice else None,
        "excerpt": client.excerpt,
        "whole_because": client.whole_because,
    }


@calls.look.serves
def look(source: str, out: str, settings: FetchSettings) -> Looked:
    """Ask for what is said of the video behind a link, without fetching it; else as `download`."""
    made = _client_of(settings)
    client = _guarded(source, out, {**settings, "subtitles": []}, made.look, client=made)
    duration_s = seconds((client.taken or {}).get("duration"))
    return {"duration_s": duration_s, "bytes": client.choice.bytes if client.choice else None}


@calls.listing.serves
def listing(
    source: str, out: str, settings: FetchSettings, *, kind: str, query: str, most: int, conditions: list[str]
) -> Listed:
    """Write what a list on a site says of its videos to `out`, an entry a line (`entries.Entries`), and ask for no video;
    what an earlier try wrote there stays. `source` is an address on the site. Else as `download`.
    """
    from hdvg.sources.lists.client import ListClient  # not for every child: these bring pyarrow
    from hdvg.sources.lists.readers import find_reader, read_list

    make = partial(ListClient, most=most, conditions=conditions)
    read = partial(
        read_list, reader=find_reader(kind), query=query, most=most
    )  # before the walls: a plug-in is read here
    client = _guarded(source, out, settings, read, client=make)
    return {"end": client.end}


def _client_of(settings: FetchSettings) -> type[Client]:
    return ObjectClient if "signed" in settings else Client


def _guarded(
    source: str,
    out: str,
    settings: FetchSettings,
    act: Callable[[Any, str], None],
    *,
    client: Callable[[FetchSettings, list[str]], Any] = Client,
) -> Any:
    """The client that did it, in this process, which is walled in for good; raises as `download` says."""
    sys.dont_write_bytecode = True
    refused = put_up(_reach(settings.get("signed", source), settings), writable=(Path(out), Path.cwd()))
    os.chdir(out)  # so that the output template is a bare, fixed name
    made = client(settings, refused)
    try:
        act(made, source)
    except ItemError:
        raise
    except MemoryError:
        raise ItemError("too_big", "a page does not fit in memory") from None
    except (yt_dlp.utils.YoutubeDLError, OSError) as error:
        try:
            found = failure(error, last=made.broken)
            raise (made.unsolved if made.unsolved and found.reason in UNSOLVED else found) from error
        except ResourceError:
            for name in (NAME, SOUND_NAME):
                Path(name).unlink(missing_ok=True)  # makes room for the report itself
            raise
    return made


def _reach(source: str, settings: FetchSettings) -> Reach:
    """Where the fetch of a link may connect. Raises as `guard.proxy_only`, or ItemError if the link itself is out of reach."""
    version = settings["ip_version"]
    if settings["proxy"] is not None:
        return proxy_only(settings["proxy"], ip_version=version)
    if version == "4" and ":" in (urllib.parse.urlsplit(source).hostname or ""):
        raise ItemError("forbidden_address", 'only IPv4 is spoken; fetch.ip_version = "any" would speak both')
    if "signed" in settings:
        return Reach(meant_by_user(source, ip_version=version), version)
    named = named_private(source, ip_version=version)
    if named and settings["private_links"] != "allow":
        host = urllib.parse.urlsplit(source).netloc
        raise ItemError("forbidden_address", f"{host} is private; for servers of your own: --allow-private")
    return Reach(named, version)


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
