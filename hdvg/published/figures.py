"""What is published of HD-VG-130M and other sets: clip durations, words of captions, keep rates, to compare a dataset with."""

from __future__ import annotations

from typing import NamedTuple

DURATION_BINS: dict[str, tuple[float, float | None]] = {
    "0-2 s": (0, 2),
    "2-4 s": (2, 4),
    "4-8 s": (4, 8),
    "8-14 s": (8, 14),
    "14-20 s": (14, 20),
    "over 20 s": (20, None),
}
"""Seconds of a clip: least, and what it stays below. The release's figure does not say where an edge counts."""

FIGURE_DURATIONS = {
    "0-2 s": 0.394,
    "2-4 s": 0.198,
    "4-8 s": 0.200,
    "8-14 s": 0.144,
    "14-20 s": 0.041,
    "over 20 s": 0.023,
}
"""Shares in the figure of HD-VG-130M's release."""

SAMPLE_DURATIONS = {
    "0-2 s": 0.344,
    "2-4 s": 0.250,
    "4-8 s": 0.248,
    "8-14 s": 0.119,
    "14-20 s": 0.026,
    "over 20 s": 0.014,
}
"""Shares counted over the first 100 videos of the release, 8312 scenes."""

SAMPLE_MEAN_S, SAMPLE_MEDIAN_S = 4.53, 3.10
"""Of the same scenes."""


class KeepRate(NamedTuple):
    """The share that a published set kept by rules on these columns."""

    share: float
    of: str
    columns: frozenset[str]


KEEP_RATES = (
    KeepRate(0.75, "SVD, text", frozenset({"text_area", "text_boxes"})),
    KeepRate(0.75, "SVD, motion", frozenset({"svd_flow_px", "motion_px_s", "local_px_s", "camera_px_s"})),
    KeepRate(0.75, "SVD, aesthetics", frozenset({"aesthetic"})),
    KeepRate(0.20, "OpenVid-1M, aesthetics", frozenset({"aesthetic"})),
    KeepRate(0.50, "SVD, text-image match", frozenset({"caption_similarity"})),
)
"""By kind of rule (Stable Video Diffusion, arXiv:2311.15127, E.2; OpenVid-1M). HD-VG-40M's own are not published."""

OVERALL = (
    KeepRate(0.31, "HD-VG-40M of HD-VG-130M", frozenset()),
    KeepRate(0.26, "SVD's LVD-F of LVD", frozenset()),
)
"""Of all rules together: 40 of 130 M, 152 of 580 M."""

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
