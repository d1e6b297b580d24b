"""The README's picture: the demo's real videos through the recipe `demo`, drawn from the dataset that comes out.

Write it anew: python -m tests.picture
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import cv2

ROOT = Path(__file__).parent.parent
MEDIA = ROOT / "pipelines/demo/media"
PICTURE = ROOT / "docs/picture.svg"
STEPS = ("links", "download", "split", "measure", "verdict", "cut", "caption", "shards")
ASKED = (
    "select v.link, d.clip_id, d.keep, d.reasons, d.caption, c.start_s, d.duration_s, d.motion_px_s, d.short_px "
    "from dataset d join clips c using (clip_id) join videos v on v.video_id = c.video_id order by d.keep desc, v.link"
)
WIDTH, MARGIN, TILE, GAP, HIGH = 960, 20, 220, 13, 124
TILES = 4
LOOK = 0.72  # share of the clip before its picture: where the cockatoo shows its face
STYLE = (
    "text{font-family:system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif;fill:#24292f}"
    ".step{font-size:14px;text-anchor:middle}.said{font-size:12px}.small{font-size:11px;fill:#57606a}"
    ".kept{font-size:12px;font-weight:600;fill:#1a7f37}.dropped{font-size:12px;font-weight:600;fill:#cf222e}"
)


def curate(folder: Path) -> list[dict[str, Any]]:
    """The clips of the demo's videos, as the recipe `demo` judges them."""
    dataset = str(folder / "dataset")
    hdvg = [sys.executable, "-c", "from hdvg.cli import main; main()"]
    run = ["run", "demo", "--links", str(MEDIA), "--out", dataset, "--runner", "serial"]
    subprocess.run([*hdvg, *run], check=True, cwd=ROOT)
    said = subprocess.run([*hdvg, "query", dataset, ASKED, "--json"], check=True, cwd=ROOT, capture_output=True)
    rows: list[dict[str, Any]] = json.loads(said.stdout)
    return rows


def chosen(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One clip a video, kept ones first."""
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        first.setdefault(row["link"], row)
    return list(first.values())[:TILES]


def thumbnail(row: dict[str, Any]) -> str:
    """A look into the clip as a small JPEG, base64."""
    video = cv2.VideoCapture(str(MEDIA / Path(row["link"]).name))
    video.set(cv2.CAP_PROP_POS_MSEC, (row["start_s"] + row["duration_s"] * LOOK) * 1000)
    _, frame = video.read()
    high, wide = frame.shape[:2]
    side = round(min(high, wide * HIGH / TILE))
    across = round(side * TILE / HIGH)
    top, left = (high - side) // 2, (wide - across) // 2
    small = cv2.resize(
        frame[top : top + side, left : left + across], (2 * TILE, 2 * HIGH), interpolation=cv2.INTER_AREA
    )
    return base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 72])[1].tobytes()).decode()


def flow() -> list[str]:
    """The stages as boxes in a row."""
    step = (WIDTH - 2 * MARGIN) / len(STEPS)
    drawn = []
    for place, name in enumerate(STEPS):
        x = MARGIN + place * step
        colour = "#ddf4ff" if name != "verdict" else "#fff8c5"
        drawn.append(
            f'<rect x="{x:.0f}" y="20" width="{step - 18:.0f}" height="34" rx="6" fill="{colour}" stroke="#8c959f"/>'
        )
        drawn.append(f'<text class="step" x="{x + (step - 18) / 2:.0f}" y="42">{name}</text>')
        if place:
            drawn.append(f'<path d="M{x - 16:.0f} 37h12m-5 -4l5 4l-5 4" fill="none" stroke="#57606a"/>')
    return drawn


def tile(row: dict[str, Any], place: int) -> list[str]:
    """A clip: its picture, what was measured, its verdict and caption."""
    x = MARGIN + place * (TILE + GAP)
    drawn = [
        f'<image x="{x}" y="76" width="{TILE}" height="{HIGH}" href="data:image/jpeg;base64,{thumbnail(row)}"/>',
        f'<text class="small" x="{x}" y="218">{row["duration_s"]:.1f} s, {row["short_px"]:.0f} px, '
        f"motion {row['motion_px_s']:.0f} px/s</text>",
    ]
    verdict = "kept" if row["keep"] else f"dropped: {', '.join(row['reasons'])}"
    drawn.append(f'<text class="{verdict.partition(":")[0]}" x="{x}" y="238">{escape(verdict)}</text>')
    for number, line in enumerate(textwrap.wrap(row["caption"] or "", 36)[:3]):
        drawn.append(f'<text class="said" x="{x}" y="{257 + 16 * number}">{escape(line)}</text>')
    return drawn


def draw(rows: list[dict[str, Any]]) -> str:
    """The picture as SVG."""
    tiles = [line for place, row in enumerate(rows) for line in tile(row, place)]
    credit = "Videos: Blender Foundation (CC BY 3.0), imageio (BSD-2), NASA, WordPress (CC0): see pipelines/demo/media/README.md"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 325" width="{WIDTH}" height="325">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="325" fill="#fff"/>',
        *flow(),
        *tiles,
        f'<text class="small" x="{MARGIN}" y="314">{credit}</text>',
        "</svg>",
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        PICTURE.write_text(draw(chosen(curate(Path(scratch)))), encoding="utf-8")
