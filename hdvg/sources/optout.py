"""What a host may say against our use of a video: robots.txt, tdmrep.json, headers, and the page's own meta tags.

Any no is a no: a yes elsewhere does not lift it. Where a host says nothing, or nothing that can be read, it allows.
"""

from __future__ import annotations

import html
import json
import re
import urllib.parse
from dataclasses import dataclass
from email.message import Message

AGENT = "hdvg"
REFUSALS = frozenset({"noai", "noimageai", "nodownload", "noml"})
OTHER_RULES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
SIGNALS = re.compile(r"\b(?:ai-train\s*=\s*no|train-ai\s*=\s*n)\b")
"""contentsignals.org's and the IETF's (draft-ietf-aipref) ways to refuse training."""

META = re.compile(r"<meta\s[^<>]*>", re.IGNORECASE)
ATTRIBUTE = re.compile(r"\b(name|content)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
ROBOTS_KEYS = frozenset({"allow", "disallow", "content-signal", "content-usage"})
RULES_MOST = 10_000


def header_refusal(headers: Message) -> str | None:
    """The words of a header that says no (`X-Robots-Tag: noai`, `TDM-Reservation: 1`), else None.

    A tag after `name:` is for that robot only; the rules for others are not ours.
    """
    for value in headers.get_all("X-Robots-Tag", []):
        ours = True
        for part in str(value).lower().split(","):
            name, colon, rest = part.strip().partition(":")
            if colon and name.strip() not in OTHER_RULES:
                ours, part = name.strip() in {AGENT, "*"}, rest
            if ours and (refusals := REFUSALS & set(re.split(r"[\s;:]+", part))):
                return f"X-Robots-Tag: {min(refusals)}"
    if str(headers.get("TDM-Reservation", "")).strip() == "1":
        return "TDM-Reservation: 1"
    if SIGNALS.search(str(headers.get("Content-Usage", "")).lower()):
        return "Content-Usage: train-ai=n"
    return None


def page_refusal(text: str) -> str | None:
    """The words of a page's meta tag that says no (`robots`: `noai`; `tdm-reservation`: `1`), else None."""
    for tag in META.findall(text):
        attributes = {
            key.lower(): html.unescape(two or one or bare).strip().lower()
            for key, two, one, bare in ATTRIBUTE.findall(tag)
        }
        name, content = attributes.get("name"), attributes.get("content", "")
        if name in {"robots", AGENT} and (found := REFUSALS & set(re.split(r"[\s,;]+", content))):
            return f"meta {name}: {min(found)}"
        if name == "tdm-reservation" and content == "1":
            return "meta tdm-reservation: 1"
    return None


@dataclass(frozen=True)
class Robots:
    """What a robots.txt says to us: (pattern, allowed) rules and the first signal against training, if any."""

    rules: tuple[tuple[str, bool], ...] = ()
    signal: str | None = None

    def refusal(self, url: str) -> str | None:
        """Why this URL is not ours, else None. The longest pattern that fits decides, of two alike the one that allows."""
        fitting = [(len(pattern), allowed) for pattern, allowed in self.rules if _fits(pattern, url)]
        if fitting and not max(fitting)[1]:
            return "robots.txt"
        return f"robots.txt: {self.signal}" if self.signal else None


def robots_rules(text: str) -> Robots:
    """The rules of a robots.txt for `AGENT`, or those for `*` if it names us nowhere (RFC 9309)."""
    groups: dict[str, list[tuple[str, str]]] = {}
    agents: list[str] = []
    naming = False
    for line in text.removeprefix("\ufeff").splitlines()[:RULES_MOST]:
        key, colon, value = line.partition("#")[0].strip().partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "user-agent":
            agents = [*(agents if naming else ()), value.lower().partition("/")[0].strip()]
            for agent in agents:
                groups.setdefault(agent, [])
        elif key in ROBOTS_KEYS:
            for agent in agents:
                groups[agent].append((key, value))
        naming = key == "user-agent" or (naming and key not in ROBOTS_KEYS)
    mine = groups.get(AGENT, groups.get("*", []))
    rules = [(value, key == "allow") for key, value in mine if key.endswith("allow") and value]
    signals = [found[0] for key, value in mine if "-" in key and (found := SIGNALS.search(value.lower()))]
    return Robots(tuple(rules), signals[0] if signals else None)


def tdm_refusal(text: str, url: str) -> str | None:
    """The rule of a /.well-known/tdmrep.json that reserves this URL, else None.

    W3C community group report "TDM Reservation Protocol", 10 May 2024: the first rule whose `location` fits decides.
    """
    try:
        rules = json.loads(text)
    except (ValueError, RecursionError):
        return None
    for rule in rules[:RULES_MOST] if isinstance(rules, list) else []:
        if isinstance(rule, dict) and isinstance(rule.get("location"), str) and _fits(rule["location"], url):
            return "tdmrep.json" if str(rule.get("tdm-reservation")) == "1" else None
    return None


def _fits(pattern: str, url: str) -> bool:
    """Whether the URL's path and query begin with the pattern, in which `*` is anything and `$` at its end the end."""
    parts = urllib.parse.urlsplit(url)
    path = urllib.parse.unquote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    ended = pattern.endswith("$")
    first, *pieces = (urllib.parse.unquote(piece) for piece in pattern.removesuffix("$").split("*"))
    if not path.startswith(first):
        return False
    place = len(first)
    last = pieces.pop() if ended and pieces else None
    for piece in pieces:
        found = path.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    if last is not None:
        return path.endswith(last) and len(path) - len(last) >= place
    return not ended or place == len(path)
