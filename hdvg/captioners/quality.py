"""What is measured of a caption's text: length, repetition, odd characters, and phrases that no caption should hold."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

from hdvg.captioners.language import pieces

INSIDE = "'’-"
"""What may stand inside a word."""

PLAIN = frozenset(" .,;:!?'\"()-’‘“”–—…&%/" + "،؛؟۔" + "־׳״" + "。，、；：！？「」『』（）《》·" + "।" + "\u200c\u200d")
"""Characters that any caption may hold, beside letters and digits: stops and marks of Latin, Arabic, Hebrew, Chinese, Hindi,
and what joins letters or keeps them apart."""

BOILERPLATE = re.compile(
    r"\b(?:"
    r"as an ai|i am an ai|i'm an ai|language model|i (?:can ?not|can't)|i(?:'m| am) (?:unable|not able|sorry)|"
    r"unable to (?:view|see|access|provide|determine)|no image (?:was|is)? ?(?:provided|attached)|"
    r"(?:please )?(?:provide|upload|share) (?:the|an|more) (?:image|picture|video|frames?)|"
    r"please subscribe|(?:like and|don't forget to) subscribe|click (?:the )?link|link in (?:bio|the description)|"
    r"all rights reserved|stock (?:photo|footage|video)|royalty[- ]free|video not available|"
    r"here(?:'s| is) (?:a|the) (?:caption|description)"
    r")\b",
    re.IGNORECASE,
)
"""Refusals, talk of being a model, phrases of platforms and of stock sellers."""


def wording(text: str) -> dict[str, Any]:
    """The columns schemas.captions.WORDING of a text.

    A word is a run of letters, their marks and digits, in lower case, and of scripts that part no words by spaces three letters; a text of
    two words has no trigram, and none that is repeated.
    """
    words = [piece.lower() for word in _runs(text) for piece in pieces(word)]
    return {
        "words": len(words),
        "repeated_words": _repeated(words),
        "repeated_trigrams": _repeated(zip(words, words[1:], words[2:], strict=False)),
        "odd_characters": odd_characters(text),
        "boilerplate": BOILERPLATE.search(text.replace("’", "'")) is not None,
    }


def _runs(text: str) -> list[str]:
    """Runs of letters with their marks (of Hindi, Arabic, Hebrew, ... they are characters by themselves), digits, and `INSIDE`."""
    spaced = "".join(
        letter if letter.isalnum() or letter in INSIDE or unicodedata.category(letter)[0] == "M" else " "
        for letter in text
    )
    return [run for run in (run.strip(INSIDE) for run in spaced.replace("--", " ").split()) if run]


def odd_characters(text: str) -> float:
    """Share of the characters that are neither plain nor letters of the script that most of its letters have, 0-1."""
    letters = [_script(letter) for letter in text if unicodedata.category(letter)[0] in "LM"]
    scripts = Counter(script for script in letters if script)
    most = max(scripts.values(), default=0) + letters.count("")
    plain = sum(letter in PLAIN or unicodedata.category(letter) == "Nd" for letter in text)
    return 1 - (most + plain) / len(text) if text else 0.0


def _script(letter: str) -> str:
    """A letter's script, by the first word of its name; "" for marks that belong to the letter before."""
    if unicodedata.category(letter)[0] == "M":
        return ""
    script = unicodedata.name(letter, "NONE").split()[0]
    return "JAPANESE OR CHINESE" if script in {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"} else script


def _repeated(things: Iterable[Hashable]) -> float:
    every = list(things)
    return 1 - len(set(every)) / len(every) if every else 0.0
