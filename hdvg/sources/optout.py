"""What a host may say against our use of a video: robots.txt and opt-out headers."""

from __future__ import annotations

import re
import urllib.robotparser
from email.message import Message

AGENT = "hdvg"
REFUSALS = frozenset({"noai", "noimageai", "nodownload"})
OTHER_RULES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


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
            if ours and (said := REFUSALS & set(re.split(r"[\s;:]+", part))):
                return f"X-Robots-Tag: {min(said)}"
    if str(headers.get("TDM-Reservation", "")).strip() == "1":
        return "TDM-Reservation: 1"
    return None


def robots_rules(text: str) -> urllib.robotparser.RobotFileParser:
    """The rules of a robots.txt; ask with `can_fetch(AGENT, url)`. An empty text allows everything."""
    rules = urllib.robotparser.RobotFileParser()
    rules.parse(text.splitlines())
    return rules
