"""The columns of a list: which one holds links and which one their texts, by known names or as the user names them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from hdvg.errors import ItemError, UsageError, suggestion
from hdvg.sources.canonical import canonical
from hdvg.sources.folder import VIDEO_SUFFIXES

LINKS = (
    *("url", "link", "source", "href", "video_url", "contenturl", "content_url", "webpage_url", "youtube_url", "video_link"),
    *("path", "file_name", "file_path", "filepath", "filename", "media_path", "video_path", "relpath", "video", "video_file"),
    *("file", "uri", "media"),
)  # fmt: skip
"""Names of columns that hold a link or a path, in small letters, the first one wins: ours, WebVid's (`contentUrl`), Open-Sora's
(`path`, `relpath`), LTX's (`media_path`), `videofolder`'s (`file_name`), VideoX-Fun's (`file_path`), those of `datasets` (`video`)."""

TEXTS = ("caption", "text", "prompt", "description")
"""Names of columns that hold the text of a link, in small letters."""

TEXT_OF = {"contenturl": "name"}
"""Where such a column holds the links, this one holds texts: WebVid's."""

SPANS = frozenset(
    {"timestamp", "timestamps", "start", "end", "start_s", "end_s", "start_time", "end_time", "start_ms", "end_ms"}
)
"""Where one of these stands, texts are of parts of a video: `hdvg import spans` reads such a table."""

SHOWN = 300


@dataclass(frozen=True)
class Columns:
    """The columns that the user names; None: one of those known."""

    link: str | None = None
    text: str | None = None


class Found(NamedTuple):
    """Columns of a list as it spells them: those that may hold the link, the best first, and that of texts."""

    links: tuple[str, ...]
    text: str | None


class Entry(NamedTuple):
    """One link as its list writes it: line or row from 1, what is wrong with it, the text that is given for it, and the
    source if the list itself holds the video."""

    line: int
    link: str
    error: str | None = None
    text: str | None = None
    held: str | None = None


def find_columns(names: Sequence[str], wanted: Columns, *, source: str) -> Found | None:
    """Which of the columns are meant; None if no name is known and none is asked for. Raises UsageError for a missing one."""
    plain = {name.strip().lower(): name for name in reversed(names)}
    for flag, name in (("--link-column", wanted.link), ("--text-column", wanted.text)):
        if name is not None and name.strip().lower() not in plain:
            hint = suggestion(name, names, f"it has: {', '.join(names)[:SHOWN]}")
            raise UsageError(f"{source}: {flag} {name!r}: the list has no such column; {hint}")
    links = (wanted.link.strip().lower(),) if wanted.link else tuple(name for name in LINKS if name in plain)
    if not links:
        return None
    known = () if SPANS & plain.keys() else (TEXT_OF.get(links[0], ""), *TEXTS)
    text = wanted.text.strip().lower() if wanted.text else next((name for name in known if name in plain), None)
    return Found(tuple(plain[name] for name in links), plain[text] if text else None)


def refuse_unknown(row: Any, *, source: str) -> NoReturn:
    """Raise UsageError: in no column a link is expected; the first row is shown."""
    shown = row if isinstance(row, str) else json.dumps(row, ensure_ascii=False, default=_brief)
    raise UsageError(
        f"{source}: no column with links is known ({', '.join(LINKS[:5])}, path, file_name, …); its first row: {shown[:SHOWN]}; "
        "name the column: --link-column NAME, and that of texts, if there is one: --text-column NAME"
    )


def entry_of(row: Mapping[str, Any], line: int, found: Found, *, base: Path) -> Entry:
    """The entry of a row by the names in it: of several columns the first that leads somewhere, else the first with text."""
    values = [row.get(name) for name in found.links]
    cells = [value.strip() for value in values if isinstance(value, str) and value.strip()]
    text = row.get(found.text) if found.text else None
    given = text.strip() if isinstance(text, str) and text.strip() else None
    if not cells:
        held = next((value for value in values if value is not None and not isinstance(value, str)), None)
        why = f"`{found.links[0]}` holds no text here" if held is not None else "the row has no link"
        return Entry(line, "", why, given)
    best = cells[0] if len(cells) == 1 else next((cell for cell in cells if _leads(cell, base)), cells[0])
    return Entry(line, best, None, given)


def is_like_link(cell: str, *, base: Path) -> bool:
    """Whether a cell is, or was meant as, a link or a path of a video: so the row is no header."""
    cell = cell.strip()
    suffix = re.search(r"\.\w{2,5}$", cell.lower())
    return "://" in cell or (suffix is not None and suffix[0] in VIDEO_SUFFIXES) or _leads(cell, base)


def _leads(cell: str, base: Path) -> bool:
    try:
        canonical(cell, base=base)
    except ItemError:
        return False
    return True


def _brief(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)
