"""From what a source calls its licence to one of a few classes, by a strict grammar: what is not understood is `other`."""

from __future__ import annotations

import re

CLASSES = ("cc0", "public-domain", "cc-by", "cc-by-sa", "cc-by-nc", "cc-by-nc-sa", "cc-by-nd", "cc-by-nc-nd", "other", "unknown")  # fmt: skip
OPEN = frozenset({"cc0", "public-domain", "cc-by", "cc-by-sa"})
"""Classes that allow to pass on the work, changed or not, for any purpose."""

MAX_CHARS = 200

WHOLE = {
    "": "unknown",
    "none": "unknown",
    "unknown": "unknown",
    "null": "unknown",
    "n a": "unknown",
    "creativecommon": "cc-by",  # what YouTube's API calls its one Creative Commons licence
    "no rights reserved": "public-domain",  # SoundCloud
    "united states government work": "public-domain",  # Flickr
    "public domain work": "public-domain",
    "public domain mark": "public-domain",
    "pdm": "public-domain",
    "public domain dedication": "cc0",  # PeerTube, Flickr
    "public domain dedication cc0": "cc0",
    "creative commons zero public domain dedication": "cc0",  # Wikimedia Commons
}
"""Texts that mean a class as a whole: lower-case words, one space between them."""

SPELLINGS = (
    (r"https?://|www\.|[?#].*|\.\s*$", " "),
    (r"creativecommons\.org/publicdomain/zero\b", " cc0 "),
    (r"creativecommons\.org/(licenses/(?=\w)|(?=publicdomain/mark\b))", " cc "),
    (r"(this (work|video) is )?licensed under (a |the )?", " "),
    (r"\b(deed|legalcode)(\.[a-z_-]+)?\b|\.html?\b", " "),
    (r"public[ _-]?domain", " pd "),
    (r"\bcc[ _-]?(zero|0)\b|creative[ -]?commons[ -]zero|(?<=\bcc )zero\b", " cc0 "),
    (r"creative[ _-]?commons", " cc "),
    (r"non[ _-]?commercial", " nc "),
    (r"no[ _-]?deriv(ative[ _-]works|atives|ative|s)\b", " nd "),
    (r"share[ _-]?alike", " sa "),
    (r"\bcc[ _]?by\b", " cc by "),
    (r"\battribution\b", " by "),
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ELEMENTS = frozenset({"by", "nc", "nd", "sa"})
COMBINATIONS = frozenset({"by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd"})
VERSION = re.compile(r"v?[1-4](\.[0-9])?")
FILLING = _words(
    "cc license licence version reuse allowed international unported generic igo mark dedication universal"
)
PORTS = _words(
    "ar au at be br bg ca cl cn co cr hr cz dk ec eg ee fi fr de gr gt hk hu in ie il it jp kr lu mk my mt mx nl nz no "
    "pe ph pl pt pr ro rs sg si sk za es se ch tw th ug uk us vn ve "
    "argentina australia austria belgium brazil bulgaria canada chile china mainland colombia costa rica croatia czech "
    "republic denmark ecuador egypt estonia finland france germany greece guatemala hong kong hungary india ireland "
    "israel italy japan south korea luxembourg macedonia malaysia malta mexico netherlands new zealand norway peru "
    "philippines poland portugal puerto romania serbia singapore slovenia slovakia africa spain sweden switzerland "
    "taiwan thailand uganda united kingdom england wales scotland states vietnam venezuela"
)
"""Words of the jurisdictions that Creative Commons licences were fitted to; they come after a version number."""


def licence_class(text: str | None) -> str:
    """One of `CLASSES`: `unknown` if the source says nothing, `other` for all that is not surely one of the open or
    Creative Commons licences, such as YouTube's own. Words that are not understood make it `other`: no restriction is lost.
    """
    words = " ".join(re.findall(r"[a-z0-9]+", (text or "").lower()[:MAX_CHARS]))
    if words in WHOLE:
        return WHOLE[words]
    spelt = (text or "").lower()[: MAX_CHARS + 1]
    if len(spelt) > MAX_CHARS:
        return "other"
    for pattern, word in SPELLINGS:
        spelt = re.sub(pattern, word, spelt)
    return _parse(re.findall(r"[^\s/(),;:\u2010-\u2015-]+", spelt))


def open_licence(licence: str) -> bool:
    """Whether a class of `licence_class` allows redistribution and derivatives for any purpose."""
    return licence in OPEN


def _parse(words: list[str]) -> str:
    """The class that understood words name: elements and fillings, then a version, then a jurisdiction."""
    named: list[str] = []
    versioned = False
    for word in words:
        if VERSION.fullmatch(word):
            versioned = True
        elif word in ELEMENTS | {"cc0", "pd"}:
            named.append(word)
        elif word not in FILLING and not (versioned and word in PORTS):
            return "other"
    if "cc0" in named:
        return "cc0" if set(named) <= {"cc0", "pd"} else "other"
    if named == ["pd"]:
        return "public-domain"
    combined = "-".join(sorted(set(named), key=["by", "nc", "nd", "sa", "pd"].index))
    return f"cc-{combined}" if combined in COMBINATIONS else "other"
