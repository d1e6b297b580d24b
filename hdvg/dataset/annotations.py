"""Write and read what people say of clips: marks, better captions and notes, as rows of the table `annotations`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hdvg.dataset.connection import connect
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.marks import NAME, are_there
from hdvg.dataset.tables import TABLES, newest, reread, write_rows
from hdvg.errors import UsageError
from schemas.annotations import MARKS

SAID = ("mark", "caption", "note")
"""Columns that an author fills."""

CAPTION_MOST, NOTE_MOST, AUTHOR_MOST = 10_000, 10_000, 100
"""Characters."""

Row = dict[str, Any]


def current(dataset: Dataset, clip_ids: Sequence[str]) -> dict[tuple[str, str], Row]:
    """What is said of these clips now, by clip and author; rows of `annotations`."""
    if not are_there(dataset.root):
        return {}
    return reread(lambda: _current(dataset, clip_ids))


def _current(dataset: Dataset, clip_ids: Sequence[str]) -> dict[tuple[str, str], Row]:
    sql = newest(TABLES[NAME], dataset.root)
    with connect(dataset.root) as connection:
        asked = f"from ({sql}) where list_contains(?::varchar[], clip_id)"
        rows = connection.sql(asked, params=[list(clip_ids)]).to_arrow_table().to_pylist()
    return {(row["clip_id"], row["author"]): row for row in rows}


def annotate(dataset: Dataset, said: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Write what is said, durably, in one file; returns the rows as they then stand. No run lock is needed.

    Each entry has `clip_id`, `video_id`, `author`, and those of `mark`, `caption` and `note` that it changes: null takes back,
    what it does not name stays as it was. Raises UsageError for another mark, or text that is too long or holds control
    characters.
    """
    from hdvg.captioners.quality import wording

    entries = [dict(entry) for entry in said]
    partial = [entry["clip_id"] for entry in entries if not entry.keys() >= set(SAID)]
    held = current(dataset, partial) if partial else {}  # else nothing of what was said before stays
    rows: dict[tuple[str, str], Row] = {}
    for entry in entries:
        key = entry["clip_id"], plain_line(entry["author"], "author", AUTHOR_MOST) or ""
        if not key[1]:
            raise UsageError("an author has a name, such as --author ada")
        before = rows.get(key) or held.get(key) or {}
        row = {name: before.get(name) for name in SAID} | {name: entry[name] for name in SAID if name in entry}
        row = _checked(row)
        row |= wording(row["caption"]) if row["caption"] else {}
        rows[key] = {"clip_id": key[0], "video_id": entry["video_id"], "author": key[1], **row}
    is_first = not are_there(dataset.root)
    write_rows(dataset.store, NAME, rows.values())
    if is_first:
        with dataset.store.aside() as beside:
            dataset.write_views(beside)
    return list(rows.values())


def _checked(row: Row) -> Row:
    if row["mark"] is not None and row["mark"] not in MARKS:
        raise UsageError(f"mark {row['mark']!r}: would do: {', '.join(MARKS)}, or none to take it back")
    return row | {
        "caption": plain_line(row["caption"], "caption", CAPTION_MOST),
        "note": plain_line(row["note"], "note", NOTE_MOST),
    }


def plain_line(text: str | None, what: str, most: int) -> str | None:
    """One line in NFC, null if it is empty."""
    if text is None:
        return None
    line = unicodedata.normalize("NFC", " ".join(str(text).split()))
    if len(line) > most:
        raise UsageError(f"{what}: {len(line)} characters; at most {most}")
    odd = next((char for char in line if unicodedata.category(char) in {"Cc", "Cs", "Cn", "Co"}), None)
    if odd is not None:
        raise UsageError(f"{what}: holds {odd!r}, which is no text; letters, digits and signs would do")
    return line or None
