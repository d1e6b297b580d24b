"""The source's own title, cleaned into a phrase that could stand for a caption; of videos without an informative title, nothing.

A title is about the whole video, not the shot: that is why it is a kind of text of its own. What goes: addresses, handles,
hashtags (a trailing run goes, one inside a sentence keeps its word), pictographs, brackets of nothing but packaging
("[Official Video]", "(4K)"), names of platforms and of channels behind a bar, SHOUTING, runs of punctuation, and numbers of
episodes, seasons and parts at either end, as they say nothing of the picture.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from hdvg.captioners import Written, clean
from hdvg.captioners.language import NEEDS, words
from hdvg.config.caption import Writer
from hdvg.errors import UsageError
from hdvg.ids import digest
from hdvg.keyframes import Shot

VERSION = 1
"""Raise it when code changes the texts."""

BATCH = 256
LEAST_WORDS = 2
LEAST_LETTERS, MOST_LETTERS = 4, 4000
MOST_ROUNDS = 16
"""What one rule leaves behind may be another's to take."""

PACKAGING = (
    r"official|music|lyrics?|video|videos|audio|visuali[sz]er|clip|clipe|mv|m/v|pv|hd|fhd|uhd|hq|hdr|full|ultra|remaster(?:ed)?|"
    r"explicit|only|with|in|and|high|quality|definition|resolution|stereo|3d|free|download|re-?upload(?:ed)?|version|subs?|"
    r"subtitles?|subtitulado|legendado|cc|eng|english|oficial|offiziell(?:es)?|officiel(?:le)?|trailer|teaser|shorts?|vlog|"
    r"2k|4k|5k|8k|\d{3,4}p\d*|\d{2,3}\s?fps|(?:19|20)\d\d"
)
TECHNICAL = r"hd|fhd|uhd|hq|hdr|full hd|ultra hd|2k|4k|5k|8k|\d{3,4}p\d*|\d{2,3}\s?fps"
PLATFORM = r"youtube|vimeo|dailymotion|tiktok|facebook|instagram|twitch|bilibili|niconico|veoh|metacafe|pexels|pixabay"
NUMBERED = r"(?:episodes?|eps?|parts?|pt|chapter|vol(?:ume)?|season|folge|teil|partie|parte|capitulo|capítulo)"
EPISODE = rf"(?:s\d{{1,2}}\s?e\d{{1,3}}|{NUMBERED}\.?\s?\#?\d{{1,4}}(?:\s?(?:/|of)\s?\d{{1,4}})?|\#\d{{1,4}})"
FRACTION = r"\d{1,4}\s?/\s?\d{1,4}"
ENDINGS = r"com|org|net|tv|io|uk|de|fr|gg|ly|ru|jp|cn|app|xyz|gov|edu"  # none that is a word: "home.It was"
BEFORE = r"(?:\b(?:by|with|from|to|at|on|via|feat\.?|ft\.?)\s+)?"
FILE = r"mp4|mov|avi|mkv|webm|m4v|mts|m2ts|3gp|wmv|flv|mpe?g|ogv|ts"
MARKS = dict.fromkeys(map(ord, "\u2122\u2120\u00ae\u00a9"), " ")  # of trade and copyright: NFKC makes letters of two
BRACKETS = str.maketrans("【】〔〕", "[][]")
ONLY_PACKAGING = re.compile(rf"(?:(?:{PACKAGING})\b[\s,&+|/.\-]*)+", re.IGNORECASE)
CAMERA = re.compile(
    r"(?:img|vid|dsc[nf]?|mvi|mov|gopr|gh\d\d|gx\d\d|pxl|dji|p\d{3}|sam|cimg|wp|screen[ _-]?record(?:ing)?|screenrecorder|"
    r"video|clip|movie|untitled|new project|my (?:movie|video)|sequence|rec|output|whatsapp video)"
    r"[\s_\-.(]*(?:[\d\s_\-.():]|at|am|pm|wa\d+)*",
    re.IGNORECASE,
)


def _rule(pattern: str, replacement: str = " ") -> Callable[[str], str]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda text: compiled.sub(replacement, text)


RULES: Sequence[Callable[[str], str]] = (
    _rule(rf"{BEFORE}<(?:email|name)>"),
    _rule(r"</?[a-z]{1,10}/?>"),
    _rule(rf"{BEFORE}\b(?:(?:https?|ftp)://\S*|www\.\S+|(?:youtu\.be|t\.co|t\.me)/\S+)"),
    _rule(rf"{BEFORE}[\w.+-]{{1,64}}@[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,8}}"),
    _rule(rf"{BEFORE}\b[a-z0-9-]{{2,63}}(?:\.[a-z0-9-]{{2,63}}){{0,3}}\.(?:{ENDINGS})\b(?:/\S*)?(?![\w.]*\w)"),
    _rule(rf"{BEFORE}(?<![\w.])@[\w.\-]*\w"),
    _rule(r"(?<!\w)[@#](?!\w)"),
    _rule(r"#(?:shorts?|short_?video|viral\w*|fyp\w*|foryou\w*|trending\w*|reels?|tiktok)\b"),
    _rule(rf"\s*[\[({{]\s*(?:(?:{PACKAGING})\b[\s,&+|/.\-]*)+\s*[\])}}]"),
    _rule(r"[\[({]\W*[\])}]"),
    _rule(rf"\s*[\[(]\s*(?:{EPISODE}|{FRACTION})\s*[\])]\s*$"),
    _rule(rf"[\s\-|:,]+(?:on\s+)?(?:{PLATFORM})\s*$"),
    _rule(r"(?:[\s\-|:,]+|\b)official\s+(?:(?:music|lyrics?|hd|4k)\s+)*(?:video|audio|clip)\s*$"),
    _rule(rf"(?:[\s\-|:,]+(?:in\s+)?(?:{TECHNICAL}))+\s*[!.]*$"),
    _rule(rf"^\s*(?:(?:{TECHNICAL})\b[\s\-|:,]+)+"),
    _rule(rf"(?:[\s\-|:,]+)(?:\b|(?=\#))(?:{EPISODE}|(?<=[\-|:,]\s){FRACTION})\s*$"),
    _rule(rf"^\s*{EPISODE}(?:\s*[\-|:.,)]+|\s+(?!of\b)(?=\w))"),
    _rule(rf"\.(?:{FILE})\s*$"),
    _rule(r"[!?]*(?:!\?|\?!|\?\?)[!?]*", "?"),
    _rule(r"!{2,}", "!"),
    _rule(r"\.{2,}|\u2026", "..."),
    _rule(r"([,;:\-])(?:\s*\1)+", r"\1"),
    _rule(r"[*~_=<>^|\\]{2,}|(?<!\w)[*~_=<>^\\]+|[*~_=<>^\\]+(?!\w)"),
    _rule(r"\s+([,.!?;:])", r"\1"),
    _rule(r"^[\s\-|:;,./\\~*_=+<>\u2013\u2014!?)\]}&]+|[\s\-|:;,/\\~*_=<>\u2013\u2014(\[{&@#]+$", ""),
)


class Title:
    """No model, and no keyframe is looked at."""

    name = "title"
    needs: ClassVar[Mapping[str, str]] = NEEDS

    def __init__(self, settings: Writer) -> None:
        self.model = f"title-cleaner-{VERSION} {self.fingerprint(settings)[:8]}"
        self.batch = settings.batch or BATCH
        self._lower_case = settings.lower_case

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`; raises UsageError if `caption.model` is set, as there is none."""
        if settings.model is not None:
            raise UsageError(f"caption.model = {settings.model!r}: captioner `title` has no model; leave it out")
        return digest("title", VERSION)[:16]

    def prepare(self, shot: Shot) -> str:
        """The title, cleaned; "" if there is none, or none worth a caption."""
        title = shot.measures.get("title")
        return clean(clean_title(title), lower_case=self._lower_case) if isinstance(title, str) else ""

    def write(self, prepared: Sequence[str]) -> list[Written]:
        """See `Captioner.write`."""
        return [Written({"title": text}) for text in prepared]


def clean_title(title: str) -> str:
    """A title as a phrase; "" if under two words are left, or it is a file's name. Cleaning it again changes nothing."""
    text = clean(unicodedata.normalize("NFKC", title[:MOST_LETTERS].translate(MARKS)), lower_case=False)
    for _ in range(MOST_ROUNDS):
        before, text = text, _quieter(_shorter(text))
        if text == before:
            break
    else:
        return ""
    letters = sum(letter.isalpha() for letter in text)
    informative = words(text) >= LEAST_WORDS and letters >= LEAST_LETTERS and not ONLY_PACKAGING.fullmatch(text)
    return text if informative else ""


def _shorter(text: str) -> str:
    """Every rule once."""
    text = _pictographs_out(html.unescape(text).translate(BRACKETS))
    text = _tags_out(text)
    text = _unnamed(text)
    text = _head(text)
    for rule in RULES:
        text = rule(text)
    return clean(text, lower_case=False)


def _pictographs_out(text: str) -> str:
    """Without emoji, symbols and what joins or colours them; letters of Persian and Hindi keep their joiners."""
    kept = [" " if _is_pictograph(letter) else letter for letter in text]
    return re.sub(r"(?<![^\W\d_])[\u200c\u200d]+|[\u200c\u200d]+(?![^\W\d_])", "", "".join(kept))


def _is_pictograph(letter: str) -> bool:
    kind = unicodedata.category(letter)
    return (
        (kind in ("So", "Sk") and letter not in "\u00b0^`")
        or letter in "\ufe0e\ufe0f\u20e3"
        or "\u2190" <= letter <= "\u2bff"
    )


def _tags_out(text: str) -> str:
    """A trailing run of hashtags goes; elsewhere the word stays."""
    trailing = re.compile(r"(?:(?:^|\s+|(?<=[^\s\w]))#\w*[^\W\d]\w*[,;]?)+\s*$")
    return re.sub(r"#(?=\w*[^\W\d])", "", trailing.sub("", text))


def _unnamed(text: str) -> str:
    """A file's name is no title; one with words in it has them parted."""
    bare = re.sub(rf"\.(?:{FILE})$", "", text.strip(), flags=re.IGNORECASE)
    if CAMERA.fullmatch(bare) or not re.search(r"[^\W\d_]", bare):
        return ""
    if not re.search(r"\s", bare) and "_" in bare:
        return " ".join(bare.replace("_", " ").split())
    return text


def _head(text: str) -> str:
    """What stands before the first bar; with what comes next if that alone is a single word."""
    pieces = [
        piece.strip() for piece in re.split(r"\s*(?:\||\u2502|\u4e28|(?<=\s)(?://|\u2022|\u00b7)(?=\s))\s*", text)
    ]
    pieces = [piece for piece in pieces if re.search(r"\w", piece)]
    if len(pieces) < 2:
        return text
    return pieces[0] if words(pieces[0]) >= LEAST_WORDS else f"{pieces[0]}, {pieces[1]}"


def _quieter(text: str) -> str:
    """SHOUTING lowered: all of it where most letters are capitals, else the words of six letters and more."""
    letters = [letter for letter in text if letter.isalpha() and letter.lower() != letter.upper()]
    loud = sum(letter.isupper() for letter in letters)
    if len(text.split()) > 1 and loud > 0.6 * len(letters):
        lowered = text.lower()
        return lowered[:1].upper() + lowered[1:]
    return re.sub(r"[^\W\d_]{6,}", lambda word: word[0].capitalize() if word[0].isupper() else word[0], text)
