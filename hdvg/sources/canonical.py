"""The one canonical spelling of a link or a local file, so that the same video is known by the same text."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import urllib.parse
from pathlib import Path

from hdvg.errors import ItemError
from hdvg.sources.buckets.spelling import is_bucket, object_link, without_query

MAX_CHARS = 4096
TRACKING = re.compile(r"utm_\w*|fbclid|gclid", re.IGNORECASE)
YOUTUBE_TRACKING = re.compile(r"utm_\w*|fbclid|gclid|si|feature", re.IGNORECASE)
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
YOUTUBE = re.compile(r"(?:(?:www|m|music)\.)?youtube(?:-nocookie)?\.com")
YOUTUBE_PATH = re.compile(r"/(?:shorts|embed|live|v)/([\w-]{11})/?", re.ASCII)
YOUTUBE_ID = re.compile(r"[\w-]{11}", re.ASCII)
NUMBER = r"(?:0[xX][0-9a-fA-F]*|[0-9]+)"
CREDENTIALS = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#]*@")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
DEFAULT_PORTS = {"http": 80, "https": 443}


def canonical(raw: str, *, base: Path | None) -> str:
    """An http(s) URL in canonical spelling, the link of an object in a bucket, or `file:///absolute/path` of an existing local
    file.

    A relative path is taken from `base`; None allows no local file. Raises ItemError("bad_input").
    """
    text = _short(raw)
    scheme = SCHEME.match(text)
    if scheme and scheme[1].lower() in DEFAULT_PORTS:
        return _web(text)
    if is_bucket(text):
        return object_link(text)
    if base is not None and not (scheme and "://" in text) and (path := _existing(text, base)):
        return path.as_uri()
    if scheme:
        hint = (
            "write the path of the file instead"
            if scheme[1].lower() == "file"
            else "only http and https, s3, gs and az are"
        )
        raise ItemError("bad_input", f"`{scheme[1].lower()}:` links are not fetched; {hint}")
    raise ItemError("bad_input", f"neither an http(s) link nor an existing file: {text[:200]!r}")


def canonical_web(raw: str) -> str:
    """As `canonical`, of http(s) alone: what a page or a site's list names may neither be a file nor lie in the user's buckets."""
    text = _short(raw)
    scheme = SCHEME.match(text)
    if scheme is None or scheme[1].lower() not in DEFAULT_PORTS:
        raise ItemError("bad_input", f"neither an http nor an https link: {masked(text)[:200]!r}")
    return _web(text)


def _short(raw: str) -> str:
    text = raw.strip()
    if not text or len(text) > MAX_CHARS:
        raise ItemError("bad_input", f"{'longer than ' + str(MAX_CHARS) + ' characters' if text else 'empty'}")
    return text


def local_path(source: str) -> Path:
    """The path behind a canonical `file:` source; of a video in a list's cell, the list's."""
    quoted = source.removeprefix("file://").partition("#")[0]
    return Path(os.fsdecode(urllib.parse.unquote_to_bytes(quoted)))


def masked(text: str) -> str:
    """A link without the user and password that it may have, or a bucket's signature, as it can be stored and shown."""
    return without_query(CREDENTIALS.sub(r"\1***@", text))


def _existing(text: str, base: Path) -> Path | None:
    try:
        path = (base / text).resolve()
        return path if path.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None


def _web(text: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ItemError("bad_input", "a control character in the link")
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ItemError("bad_input", str(error)) from error
    if "@" in parts.netloc or "\\" in parts.netloc:
        raise ItemError(
            "bad_input", "a user name or password in the link: it would be stored with every clip; take it out"
        )
    host = _host(parts.hostname or "")
    if port == 0:
        raise ItemError("bad_input", "port 0")
    path = _path(_percent(parts.path, "/"))
    if video := _youtube(host, path, parts.query):
        return f"https://www.youtube.com/watch?v={video}"
    tracking = YOUTUBE_TRACKING if YOUTUBE.fullmatch(host) else TRACKING
    kept = [pair for pair in parts.query.split("&") if pair and not tracking.fullmatch(pair.partition("=")[0])]
    netloc = host if port in (None, DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    query = _percent("&".join(kept), "/?")
    route = parts.fragment if parts.fragment.startswith(("/", "!")) else ""  # the page's own address, not a place on it
    return (
        f"{parts.scheme}://{netloc}{path}{'?' + query if query else ''}{'#' + _percent(route, '/?') if route else ''}"
    )


def _host(host: str) -> str:
    """Lower-case ASCII; numeric forms of IPv4 (`0x7f.1`) as four decimals; IPv6 in brackets."""
    try:
        if ":" in host:
            return f"[{ipaddress.IPv6Address(host)}]" if "%" not in host else _bad_host(host)
        name = host.encode("idna").decode("ascii").lower().removesuffix(".")
        if re.fullmatch(rf"{NUMBER}(?:\.{NUMBER}){{0,3}}", name):
            return socket.inet_ntoa(socket.inet_aton(name))
    except (UnicodeError, OSError, ValueError):
        return _bad_host(host)
    labels = name.split(".")
    if not all(re.fullmatch(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", label) for label in labels) or len(name) > 253:
        return _bad_host(host)
    return name if not re.fullmatch(NUMBER, labels[-1]) else _bad_host(host)


def _bad_host(host: str) -> str:
    raise ItemError("bad_input", f"no host name: {host[:100]!r}")


def _percent(text: str, safe: str) -> str:
    """Percent-encoding as RFC 3986 prefers it: none for unreserved characters, upper-case hex for the rest."""
    text = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)
    text = re.sub(r"%([0-9A-Fa-f]{2})", _one_percent, text)
    return urllib.parse.quote(text, safe=f"%:@!$&'()*+,;=~{safe}", errors="replace")


def _one_percent(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16))
    return char if char in UNRESERVED else f"%{found[1].upper()}"


def _path(path: str) -> str:
    """Without `.` and `..` segments; doubled slashes and a slash at the end stay."""
    if "/." not in path:
        return path or "/"
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def _youtube(host: str, path: str, query: str) -> str | None:
    """The id of the one video that a YouTube link means, if it means one."""
    found: str | None = None
    if host in {"youtu.be", "www.youtu.be"}:
        found = path.strip("/")
    elif YOUTUBE.fullmatch(host):
        if path.rstrip("/") == "/watch":
            found = urllib.parse.parse_qs(query).get("v", [""])[0]
        elif match := YOUTUBE_PATH.fullmatch(path):
            found = match[1]
    return found if found and YOUTUBE_ID.fullmatch(found) else None
