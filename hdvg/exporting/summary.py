"""Summary of an export, for its card and its description: counts, licences, hosts, captioners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hdvg.exporting.selection import Chosen
from hdvg.reports.concepts import concepts

RIGHTS = (
    "Clips are parts of other people's videos: each row's `licence`, `licence_class` and `source` say under which terms it may "
    "be used, and people may be seen or heard in them. If the owner of a video removes it, or asks for its removal, remove its "
    "clips from your copy too: `hdvg forget` does it in a dataset made with hdvg."
)

LICENCE_URLS = {
    "cc0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "public-domain": "https://creativecommons.org/publicdomain/mark/1.0/",
}
"""Of the classes that name one licence; the others leave its version open; each row's `licence` has it."""

_SOURCES = """
select coalesce(nullif(regexp_extract(source, '^[a-z0-9]+://([^/:]+)', 1), ''), 'files') as host,
    count(*) as clips, count(distinct video_id) as videos, sum(duration_s) / 3600 as hours
from exported group by host order by clips desc, host
"""
_LICENCES = """
select coalesce(licence_class, 'unknown') as licence_class, count(*) as clips, sum(duration_s) / 3600 as hours
from exported group by all order by clips desc, licence_class
"""
_WRITERS = """
select kind, captioner, model, coalesce(language, '') as language, count(*) as texts
from (select unnest(texts, recursive := true) from exported) group by all order by texts desc, kind, captioner, model
"""
_TOTALS = """
select count(*) as clips, count(distinct video_id) as videos, coalesce(sum(duration_s), 0) / 3600 as hours,
    coalesce(sum(clip_bytes), 0) as bytes from exported
"""


@dataclass(frozen=True)
class Summary:
    """Counts of the exported clips, each a list of rows, the most frequent first."""

    totals: dict[str, Any]
    licences: list[dict[str, Any]]
    hosts: list[dict[str, Any]]
    writers: list[dict[str, Any]]
    concepts: list[dict[str, Any]]
    """See `hdvg.reports.concepts`."""

    @classmethod
    def of(cls, chosen: Chosen) -> Summary:
        """Of the clips that are chosen; read from the shards' small columns."""
        rows = chosen.rows
        return cls(rows(_TOTALS)[0], rows(_LICENCES), rows(_SOURCES), rows(_WRITERS), concepts(rows, "exported"))

    @property
    def sentence(self) -> str:
        """The totals."""
        return (
            f"{self.totals['clips']} clips, each one shot, with captions, from {self.totals['videos']} videos; "
            f"{self.totals['hours']:.2f} hours."
        )

    @property
    def licence_terms(self) -> list[str]:
        """Of each class that occurs: its page, or its name where that leaves the version open."""
        return [LICENCE_URLS.get(row["licence_class"], row["licence_class"]) for row in self.licences]

    @property
    def languages(self) -> list[str]:
        """ISO 639 codes of the texts."""
        return sorted({row["language"] for row in self.writers} - {""})
