"""Spans of the user's own, a span a row: `link, start_s, end_s`, and if wanted `id` and `caption`; times are seconds or stamps."""

from __future__ import annotations

from hdvg.ids import digest
from hdvg.published.entries import Bad, Scene, forward, time_ms, timed
from hdvg.published.tables import Row, rest, text

TAKEN = ("link", "start_s", "end_s", "id", "caption")


def read_row(row: Row) -> tuple[str, list[Scene | Bad]]:
    """A link and one span of its video."""
    link, name = row["link"], text(row, "id")
    span = forward(time_ms(row["start_s"]), time_ms(row["end_s"]))
    return link, [timed(name, digest("spans", link)[:12], span, text(row, "caption"), rest(row, *TAKEN))]
