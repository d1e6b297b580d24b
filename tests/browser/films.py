"""A dataset for pages: a hundred and eighty clips of real films, with captions and titles from people who mean harm."""

from __future__ import annotations

import random
from pathlib import Path

from hdvg.dataset.dataset import Dataset
from tests.products import Clip, make
from tests.videos import draw_scenes

VIDEOS, CLIPS = 36, 5
HARMLESS = (
    "a red kite over the sea",
    "two people talk in a room",
    "rain on a window, seen from inside",
    "a dog runs along the beach",
)
HOSTILE = (
    "</script><script>window.harmed = 1</script>",
    "<img src=x onerror='window.harmed = 2'>",
    "<svg onload=window.harmed=3>",
    "javascript:window.harmed=4",
    "&lt;script&gt;window.harmed=5&lt;/script&gt;",
    "<!--<script>window.harmed=6//-->",
    "{{constructor.constructor('window.harmed=7')()}}",
    "${window.harmed=8}",
    "' onmouseover='window.harmed=9",
    '"><iframe srcdoc="<script>parent.harmed=10</script>">',
    "line\u2028separator\u2029paragraph",
    "right\u202eto\u2066left\u2069",
    "bell\u0007escape\u001b[31mnull",
    "=HYPERLINK(\"http://a.org\")",
    "\u05e9\u05dc\u05d5\u05dd \u0633\u0644\u0627\u0645 mixed",
    "<style>*{display:none}</style>",
    "<base href='http://a.org/'>",
    "<a href='javascript:window.harmed=11'>click</a>",
    "]]><![CDATA[<script>window.harmed=12</script>",
    "\ufeffzero\u200bwidth\u00adsoft",
)  # fmt: skip


def hostile(number: int) -> str:
    """One of sixty, each with its number."""
    return f"{HOSTILE[number % len(HOSTILE)]} {number}"


def make_films(folder: Path) -> Dataset:
    """The dataset; spans of 0.4 to 30 s, of which the rule keeps what lasts 2 s."""
    films = [_film(folder / f"film{seed}.mp4", seed) for seed in range(3)]
    chance = random.Random(7)
    videos = []
    for video in range(VIDEOS):
        clips, at = [], 0
        for _ in range(CLIPS):
            length = round(1000 * chance.choice([0.4, 1.2, 2.0, chance.uniform(2, 30)]))
            number = video * CLIPS + len(clips)
            caption = hostile(number) if number < 60 else f"{HARMLESS[number % len(HARMLESS)]}, number {number}"
            title = hostile(video) if video < 60 and video % 2 else None
            clips.append(Clip(at, at + length, films[number % 3], caption, width=1280 + 2 * number, title=title))
            at += length + 40
        videos.append(clips)
    return make(folder / "films", videos)


def _film(path: Path, seed: int) -> bytes:
    draw_scenes(path, scene_frames=(30,), seed=seed)
    return path.read_bytes()
