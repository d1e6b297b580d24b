"""Take names and e-mail addresses of people out of what a source says about a video."""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from hdvg.ids import digest

EMAIL = re.compile(r"[\w.+-]{1,64}[@\uff20][\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
NAMED = re.compile(
    r"\b((?:claims? by|content from|(?:uploaded|blocked|made private|removed) by)) (?!the (?:uploader|user)\b).*"
)
HANDLE = re.compile(r"(?<=/)@[^/?#]+")
PEOPLE = (
    *("uploader", "uploader_id", "channel", "creator", "creators", "artist", "artists"),
    *("album_artist", "album_artists", "composer", "composers"),
)
OPAQUE = re.compile(
    r"\d+|UC[\w-]{22}|[0-9a-f]{16,64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+@N\d+|did:plc:[a-z2-7]{24}"
)
"""Ids without a name in them: numbers, YouTube's, hashes, UUIDs, Flickr's, Bluesky's."""

GAP = r"[\W_]*"
NAMES_MOST = 50


def clean(value: object, *, most: int) -> str:
    """One line of text: NFC, without control, format and surrogate characters, from at most `most` of them."""
    text = unicodedata.normalize("NFC", str(value)[:most])
    return " ".join("".join(" " if char.isspace() else char for char in text if char.isspace() or _shown(char)).split())


def mask_mails(text: str) -> str:
    """The text with `<email>` for every address."""
    return EMAIL.sub("<email>", text)


def mask_error(text: str) -> str:
    """What a site says went wrong, without addresses and without the name of who claimed or blocked it."""
    return mask_mails(NAMED.sub(r"\1 <name>", text))


def opaque_id(site: object, value: object) -> str | None:
    """A channel's id if it says nothing to people; of a handle or name a hash, the same for the same site and channel."""
    text = clean(value, most=1000) if value is not None else ""
    if not text or OPAQUE.fullmatch(text):
        return text or None
    return digest("channel", str(site).partition(":")[0], text)


class People:
    """Who a yt-dlp info dict names as having made or uploaded the video: their names are masked in texts and addresses."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        names = {name for name in _names(info) if len(name) > 1 and not OPAQUE.fullmatch(name)}
        patterns = [_pattern(name) for name in sorted(names, key=lambda name: (-len(name), name))[:NAMES_MOST]]
        self._names = re.compile("|".join(patterns) or r"(?!)", re.IGNORECASE)

    def mask(self, text: str) -> str:
        """The text with `<email>` and `<name>` for addresses and names."""
        return self._names.sub("<name>", mask_mails(text))

    def mask_url(self, url: str) -> str:
        """The address with `_` for handles, names and e-mail addresses; the site's own name (`site.org`) stays."""
        parts = urllib.parse.urlsplit(url)
        labels = parts.netloc.rpartition("@")[2].split(".")
        labels[:-2] = [self._names.sub("_", label) for label in labels[:-2]]
        return urllib.parse.urlunsplit((parts.scheme, ".".join(labels), *map(self._mask_part, parts[2:])))

    def _mask_part(self, part: str) -> str:
        plain = urllib.parse.unquote(part)
        masked = self._names.sub("_", EMAIL.sub("_", HANDLE.sub("@_", plain)))
        return part if masked == plain else urllib.parse.quote(masked, safe="/?&=@:+,;!$'()*~")


def _names(info: Mapping[str, Any]) -> Iterator[str]:
    for key in PEOPLE:
        value = info.get(key)
        for name in value if isinstance(value, list | tuple) else [value]:
            if name is not None:
                yield clean(name, most=200).removeprefix("@")


def _pattern(name: str) -> str:
    """The name as a word of its own, its words joined by anything (`Jane Doe`, `jane_doe`, `janedoe`).

    Scripts without case often have no gaps between words: names in them are found inside others.
    """
    words = re.findall(r"[^\W_]+", name)
    if not words:
        return re.escape(name)
    before = r"(?<![^\W_])" if _is_cased(words[0][0]) else ""
    after = r"(?![^\W_])" if _is_cased(words[-1][-1]) else ""
    return before + GAP.join(map(re.escape, words)) + after


def _is_cased(char: str) -> bool:
    return char.isdigit() or char.lower() != char.upper()


def _shown(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} or char == "\u200d"
