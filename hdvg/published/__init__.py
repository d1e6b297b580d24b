"""What is published of HD-VG-130M, to compare a dataset with."""

from __future__ import annotations

WORD_BINS: dict[str, tuple[int, int | None]] = {
    "under 7": (0, 6),
    "7-9": (7, 9),
    "10-11": (10, 11),
    "over 11": (12, None),
}
"""Words of a caption, least and most."""

FIGURE_WORDS = {"under 7": 0.058, "7-9": 0.429, "10-11": 0.379, "over 11": 0.134}
"""Shares in the release's own figure, whose bins are 7-9 and 9-11: it does not say where 9 counts."""

SAMPLE_WORDS = {"under 7": 0.008, "7-9": 0.489, "10-11": 0.384, "over 11": 0.120}
"""Shares counted over the first 100 videos of the release, 8312 captions."""

SAMPLE_MEAN_WORDS, SAMPLE_MEDIAN_WORDS, SAMPLE_STARTS_WITH_A = 9.71, 10, 0.91
"""Of the same captions; the last is the share whose first word is `a`."""
