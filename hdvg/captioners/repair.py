"""Read a JSON object out of a model's answer, also where prose surrounds it, braces are missing or it breaks off."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection
from typing import Any

MOST_CHARACTERS = 100_000
"""An answer that is longer is cut there: no object of a clip is so long."""

MOST_TRIES = 8
"""Opening braces at which an object may begin."""

_FENCE = re.compile(r"```\w*")
_TRAILING = re.compile(r",\s*([}\]])")
_CURLY = str.maketrans("“”„‟", '""""')
_UNTOLD = re.compile(r'([{,])\s*"(?:[^"\\]|\\.){0,80}"\s*(?::\s*[\w.+-]*)?\s*$')
"""A key at the end without a value, or with one that may go on."""

_DECODER = json.JSONDecoder(strict=False)


def object_in(answer: str, *, keys: Collection[str]) -> tuple[dict[str, Any], bool] | None:
    """The object that an answer holds, and whether the answer is that and nothing else; None if it holds none.

    An object has at least one of the `keys`, in whatever case. What a repair cannot know is left out, never made up.
    """
    said = _FENCE.sub("", answer[:MOST_CHARACTERS]).strip()
    try:
        whole = json.loads(answer)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict) and _has(whole, keys):
        return whole, True
    starts = [place for place, letter in enumerate(said) if letter == "{"][:MOST_TRIES]
    for text in [*(said[start:] for start in starts), *_unopened(said, keys)]:
        for reading in (_decoded, _mended, _literal):
            found = reading(text)
            if found is not None and _has(found, keys):
                return found, False
    return None


def _has(found: dict[str, Any], keys: Collection[str]) -> bool:
    return not {str(key).lower() for key in found}.isdisjoint(keys)


def _unopened(said: str, keys: Collection[str]) -> list[str]:
    """The text from its first key on, with the brace that it lacks."""
    names = "|".join(map(re.escape, keys))
    first = re.search(rf'["\']?\b(?:{names})\b["\']?\s*:', said, re.IGNORECASE)
    return ["{" + said[first.start() :]] if first else []


def _decoded(text: str) -> dict[str, Any] | None:
    """The object at the text's start, whatever follows it."""
    try:
        found, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _mended(text: str) -> dict[str, Any] | None:
    """The same with straight quotes, quoted keys, no commas too many, and all closed that was left open."""
    straight = text if '"' in text else text.translate(_CURLY)
    quoted = re.sub(r"([{,]\s*)([A-Za-z_]\w*)(\s*:)", r'\1"\2"\3', straight)
    for one in (straight, quoted):
        found = _decoded(_TRAILING.sub(r"\1", _closed(one)))
        if found is not None:
            return found
    return None


def _literal(text: str) -> dict[str, Any] | None:
    """A dictionary as Python writes it."""
    end = text.rfind("}")
    try:
        found = ast.literal_eval(text[: end + 1])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return found if isinstance(found, dict) else None


def _closed(text: str) -> str:
    """The text up to the end of its object; if that never comes, what is whole of it, closed."""
    open_, inside, escaped, begun = list[str](), False, False, 0
    for place, letter in enumerate(text):
        if inside:
            inside = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            inside, begun = True, place
        elif letter in "{[":
            open_.append("}" if letter == "{" else "]")
        elif letter in "}]" and open_:
            open_.pop()
            if not open_:
                return text[: place + 1]
    whole = text[:begun] if inside else text
    if open_ and open_[-1] == "}":
        whole = _UNTOLD.sub(lambda found: found[1].replace(",", ""), whole)
    return whole.rstrip(", \n\t") + "".join(reversed(open_))
