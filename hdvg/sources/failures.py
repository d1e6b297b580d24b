"""From what yt-dlp raises to the closed list of reasons: by exception type and HTTP status first, by text last."""

from __future__ import annotations

import email.utils
import errno
import http.client
import re
import socket
import time

import requests.exceptions
import urllib3.exceptions
import yt_dlp.utils as ytdl
from yt_dlp.networking import exceptions as net

from hdvg.errors import ItemError, TransientError, causes, resource_error
from hdvg.sources.hosts.host import BOT_WALL
from hdvg.sources.info import clean_text
from hdvg.sources.people import mask_error

STATUS = {401: "private", 402: "private", 403: "blocked", 404: "gone", 407: "private", 410: "gone", 451: "geo"}
TIMEOUTS = (TimeoutError, urllib3.exceptions.TimeoutError, requests.exceptions.Timeout)
BROKEN = (ConnectionError, socket.gaierror, http.client.RemoteDisconnected)
TYPES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (ytdl.GeoRestrictedError, "geo"),
    (ytdl.UserNotLive, "live"),
    (ytdl.UnsupportedError, "not_media"),
    (requests.exceptions.TooManyRedirects, "redirect"),
    (requests.exceptions.InvalidSchema, "redirect"),
    (requests.exceptions.InvalidURL, "redirect"),
    (urllib3.exceptions.NewConnectionError, "network"),  # a kind of ConnectTimeoutError to urllib3
    (TIMEOUTS, "timeout"),
    ((net.IncompleteRead, ytdl.ContentTooShortError), "short"),
    (BROKEN, "network"),
    ((net.SSLError, http.client.HTTPException), "protocol"),
    (net.TransportError, "network"),
)
TEXTS = (
    ("blocked", BOT_WALL),
    ("throttled", r"rate.?limit|too many requests"),
    ("age", r"confirm your age|age.?(restrict|limit|verif|gate)"),
    ("geo", r"(in|from|outside) (your|this) (country|region|location)|geo.?(restrict|block)"),
    ("live", r"live event|premieres? |not currently live|will begin in"),
    ("encrypted", r"\bDRM\b"),
    ("gone", r"video (is )?unavailable|(been|was) (removed|deleted|terminated)|no longer (available|exist)|not exist"),
    ("private", r"private|log ?in\b|sign in|members?.only|subscri|premium|purchase|password"),
    (
        "unsupported",
        r"initialization fragment found after|extension .* is unusual|requested format is not available|ffmpeg|could not be found|rtmp",
    ),
    ("not_media", r"unsupported url|no video formats|any data blocks|no (video|media) (could be )?found|no suitable"),
)
RETRIED = frozenset({"throttled", "network", "short", "timeout", "protocol"})


def failure(error: BaseException, *, last: BaseException | None = None) -> ItemError:
    """The ItemError (or TransientError) that stands for what went wrong; its detail is one short clean line without people in it.

    `last` is the last failed request, looked at where yt-dlp's downloader passes on its text only.
    Raises ResourceError where the disk is full or handles ran out.
    """
    found = list(causes(error))
    if last is not None and "Got error: " in str(error):
        found += causes(last)
    message = clean_text(re.sub(r"^(ERROR: )?(\[[\w:+-]+\] )?", "", str(error))) or type(error).__name__
    detail = mask_error(message)
    for cause in found:
        if isinstance(cause, ItemError):
            return cause
        if isinstance(cause, net.HTTPError):
            return _by_status(cause, detail)
        if machine := resource_error(cause, where="while fetching"):
            raise machine from error
        if isinstance(cause, OSError) and cause.errno == errno.EFBIG:
            return ItemError("too_big", detail)
    for kind, reason in TYPES:
        if any(isinstance(cause, kind) for cause in found):
            return _error(reason, detail)
    for reason, pattern in TEXTS:
        if re.search(pattern, message, re.IGNORECASE):
            return _error(reason, detail)
    return ItemError("error", detail)


def retry_after_s(value: str | None, *, now: float | None = None) -> float | None:
    """Seconds a Retry-After header asks for: digits or an HTTP date, never negative; None for garbage."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,12}", text):
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return max(0.0, moment.timestamp() - (time.time() if now is None else now))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _by_status(error: net.HTTPError, detail: str) -> ItemError:
    status = int(error.status)
    wait = retry_after_s(error.response.headers.get("Retry-After"))
    if error.redirect_loop or 300 <= status < 400:
        return ItemError("redirect", detail)
    if status in {425, 429, 503}:
        return TransientError("throttled", detail, retry_after_s=wait)
    if status == 408:
        return TransientError("timeout", detail)
    if status >= 500:
        return TransientError("network", detail, retry_after_s=wait)
    return ItemError(STATUS.get(status, "error"), detail)


def _error(reason: str, detail: str) -> ItemError:
    return TransientError(reason, detail) if reason in RETRIED else ItemError(reason, detail)
