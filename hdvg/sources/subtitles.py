"""What came with the video: its language, its chapters, and one track of subtitles as lines of text with times."""

from __future__ import annotations

import re
import signal
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yt_dlp.utils
from yt_dlp.utils import ISO639Utils

from hdvg.errors import ItemError, TransientError
from hdvg.sources.calls import Beside, Chapter, FetchSettings, SubtitleLine
from hdvg.sources.client import Client
from hdvg.sources.cues import READERS, UNREADABLE, Line, read_lines
from hdvg.sources.failures import failure
from hdvg.sources.info import NOTHING_BESIDE, clean_text, seconds
from hdvg.sources.people import People

WALL_S = 60.0
"""Most time for subtitles, all tries together: they must not cost the video that came before them."""
PAUSE_S = 1.0
NAME = "subtitles.bin"
MOST_BYTES = 8 * 2**20
"""Of one track; automatic captions of four hours of talk take 3 MB."""

MOST_CHAPTERS = 200
MOST_LINES = 20_000
MOST_CHARS = 1_000_000
PLAIN_WAYS = frozenset({None, "http", "https", "m3u8_native"})
OWN = "-orig"
"""How the large site's extractor marks automatic captions in the language that is spoken."""


@dataclass(frozen=True)
class Track:
    """Subtitles that a site offers: a language as the site writes it, `manual` or `automatic`, and yt-dlp's words on its file."""

    name: str
    origin: str
    form: Mapping[str, Any]


def beside(client: Client, info: Mapping[str, Any], settings: FetchSettings) -> Beside:
    """The columns `info.BESIDE_KEYS` of the video that `client` has fetched, of which `info` is the info dict.

    What goes wrong with subtitles is a note, never an error: `not_offered`, `unreadable`, `truncated`, or a reason of `REASONS`.
    Raises ResourceError on a full disk.
    """
    people, languages = People(info), settings["subtitles"]
    found: Beside = {
        **NOTHING_BESIDE,
        "language": spoken_language(info),
        "chapters": _chapters(info.get("chapters"), people),
    }
    if not languages:
        return found
    track = choose(info, languages, automatic=settings["automatic_subtitles"])
    if track is None:
        return {**found, "subtitles_note": "not_offered"}
    try:
        with _alarm(WALL_S):
            lines = read_lines(_fetch(client, track, settings), str(track.form["ext"]))
    except ItemError as error:
        return {**found, "subtitles_note": error.reason}
    if not lines:
        return {**found, "subtitles_note": "unreadable"}
    kept = list(_bounded(_masked(line, people) for line in lines))
    return {
        **found,
        "subtitles": [_row(line) for line in kept],
        "subtitles_language": language_tag(track.name),
        "subtitles_origin": track.origin,
        "subtitles_note": "truncated" if len(kept) < len(lines) else None,
    }


def _row(line: Line) -> SubtitleLine:
    starts = None if line.word_starts_s is None else list(line.word_starts_s)
    return {"start_s": line.start_s, "end_s": line.end_s, "text": line.text, "word_starts_s": starts}


def choose(info: Mapping[str, Any], languages: Iterable[str], *, automatic: bool) -> Track | None:
    """The first of the `languages` that somebody wrote subtitles in, else that a machine heard; no translation by machine.

    A language stands for its regional forms too, which come second; `*` for any, the video's own first.
    """
    own = spoken_language(info)
    offers = [("manual", _readable(info.get("subtitles")))]
    if automatic:
        offers.append(("automatic", _heard(_readable(info.get("automatic_captions")), own)))
    for origin, tracks in offers:
        for wanted in languages:
            for name in _matching(tracks, wanted, own):
                return Track(name, origin, tracks[name])
    return None


def _readable(tracks: object) -> dict[str, Mapping[str, Any]]:
    """Of each language the format that is read best, where one can be read at all."""
    found = {}
    for name, forms in tracks.items() if isinstance(tracks, Mapping) else ():
        ways = [form for form in forms or [] if form.get("ext") in READERS and form.get("protocol") in PLAIN_WAYS]
        if ways := [form for form in ways if form.get("url") or form.get("data")]:
            found[str(name)] = min(ways, key=lambda form: list(READERS).index(form["ext"]))
    return found


def _heard(tracks: dict[str, Mapping[str, Any]], own: str | None) -> dict[str, Mapping[str, Any]]:
    """Of automatic captions those in the language that is spoken; none if that is unknown of several."""
    heard = {name: form for name, form in tracks.items() if not _translated(form)}
    if marked := {name: form for name, form in heard.items() if name.endswith(OWN)}:
        return marked
    if own:
        return {name: form for name, form in heard.items() if _first(name) == _first(own)}
    return heard if len(heard) == 1 else {}


def _translated(form: Mapping[str, Any]) -> bool:
    return "tlang" in urllib.parse.parse_qs(urllib.parse.urlsplit(str(form.get("url"))).query)


def _matching(tracks: Iterable[str], wanted: str, own: str | None) -> list[str]:
    if wanted == "*":
        return sorted(tracks, key=lambda name: own is None or _first(name) != _first(own))
    tags = {name: language_tag(name) or "" for name in tracks}
    same = [name for name, tag in tags.items() if tag.lower() == wanted.lower()]
    return same + [name for name, tag in tags.items() if tag.lower().startswith(f"{wanted.lower()}-")]


def _first(name: str) -> str:
    """The language of a tag, without script and region."""
    return (language_tag(name) or name).partition("-")[0]


def language_tag(value: object) -> str | None:
    """What a source calls a language, as a BCP 47 tag of language, script and region; None if it is no such tag."""
    text = str(value).removesuffix(OWN).replace("_", "-")
    found = re.match(r"([A-Za-z]{2,3})(?![^-])(-[A-Za-z]{4}(?![^-]))?(-(?:[A-Za-z]{2}|[0-9]{3})(?![^-]))?", text)
    if not found:
        return None
    language, script, region = found[1].lower(), found[2] or "", found[3] or ""
    return (ISO639Utils.long2short(language) or language) + script.title() + region.upper()


def spoken_language(info: Mapping[str, Any]) -> str | None:
    """The video's own language, where its source says one: of the video, else of the formats whose sound it prefers, else
    of the automatic captions that it says are no translation."""
    if own := language_tag(info.get("language")):
        return own
    ranks: dict[float, set[str | None]] = {}
    for form in info.get("formats") or []:
        if tag := language_tag(form.get("language")):
            ranks.setdefault(form.get("language_preference") or -1, set()).add(tag)
    marked = {language_tag(name) for name in info.get("automatic_captions") or {} if str(name).endswith(OWN)}
    found = ranks[max(ranks)] if ranks else marked
    return found.pop() if len(found) == 1 else None


def _chapters(chapters: object, people: People) -> list[Chapter] | None:
    """Chapters in order, as far as they have times; None if the source has none."""
    found: list[Chapter] = []
    some = chapters[:MOST_CHAPTERS] if isinstance(chapters, list) else []
    for chapter in (one for one in some if isinstance(one, Mapping)):
        start_s, end_s = seconds(chapter.get("start_time")) or 0.0, seconds(chapter.get("end_time"))
        if end_s is not None and start_s < end_s:
            title = clean_text(chapter.get("title"))
            found.append({"start_s": start_s, "end_s": end_s, "title": title and people.mask(title)})
    return found or None


def _fetch(client: Client, track: Track, settings: Mapping[str, Any]) -> bytes:
    """The bytes of a track, empty if yt-dlp cannot put its segments together; what may pass is tried again. Raises ItemError."""
    for trial in range(settings["tries"]):
        try:
            return _file(client, track.form)
        except ItemError as error:
            found = error
        except UNREADABLE:
            return b""
        except (yt_dlp.utils.YoutubeDLError, OSError) as error:
            found = failure(error, last=client.broken)
        if not isinstance(found, TransientError) or trial + 1 == settings["tries"]:
            raise found
        time.sleep(min(max(PAUSE_S * 2**trial, found.retry_after_s or 0.0), settings["max_wait_s"]))
    raise AssertionError("tries >= 1 by the settings")


def _file(client: Client, form: Mapping[str, Any]) -> bytes:
    """The bytes of a file of subtitles, or of what the site's page itself holds of them."""
    if form.get("data") is not None:
        return str(form["data"])[:MOST_BYTES].encode()
    client.fetch_beside(NAME, dict(form), most_bytes=MOST_BYTES)
    path = Path(NAME)
    data = path.read_bytes()
    path.unlink()
    return data


@contextmanager
def _alarm(wall_s: float) -> Iterator[None]:
    """Raise ItemError("timeout") in the body when its time is over, whatever it waits for; of this process's main thread."""

    def ring(*_: object) -> None:
        raise ItemError("timeout", f"over {wall_s:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, wall_s, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _masked(line: Line, people: People) -> Line:
    """The line without names; a word less or more, and the times of its words are unknown."""
    text = people.mask(line.text)
    same = len(text.split()) == len(line.text.split())
    return replace(line, text=text, word_starts_s=line.word_starts_s if same else None)


def _bounded(lines: Iterable[Line]) -> Iterator[Line]:
    chars = 0
    for number, line in enumerate(lines):
        chars += len(line.text)
        if number >= MOST_LINES or chars > MOST_CHARS:
            return
        yield line
