"""Contact sheets: clips that a query names, each with its frames and a label, as a picture or one that moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hdvg.errors import UsageError
from hdvg.media.preview import write_gif
from hdvg.reports.strips import SIZE, frames_of

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset

Row = Mapping[str, Any]

CLIPS_MOST = 500
"""Of one sheet: more make a picture that few programs open."""

SIDE_MOST_PX = 16_000

GIF_FPS = 4.0
GAP_PX, LINE_PX, FONT_PX = 8, 14, 11
LINES = 3
"""Of a label: id and verdict, what else the query gives, caption."""

PAPER, INK, KEPT, DROPPED, NONE = "#ffffff", "#222222", "#12692f", "#a3261b", "#d0d0d0"


@dataclass(frozen=True)
class Layout:
    """A cell for each clip, `columns` beside each other. In a picture a cell is `frames` wide, in a GIF one frame that moves."""

    columns: int
    frames: int
    moves: bool

    @property
    def cell(self) -> tuple[int, int]:
        """Width and height of a clip's place, px."""
        height, width = SIZE
        return width * (1 if self.moves else self.frames), height + LINES * LINE_PX + 4

    def size(self, clips: int) -> tuple[int, int]:
        """Width and height of the sheet, px. Raises UsageError if that is too much."""
        width, height = self.cell
        columns, rows = min(self.columns, clips), -(-clips // self.columns)
        size = columns * (width + GAP_PX) + GAP_PX, rows * (height + GAP_PX) + GAP_PX
        if max(size) > SIDE_MOST_PX:
            raise UsageError(
                f"a sheet of {clips} clips would be {size[0]} x {size[1]} px, more than {SIDE_MOST_PX}; "
                "take fewer clips with `limit 100` in the query, or other --columns, --frames"
            )
        return size

    def place(self, number: int) -> tuple[int, int]:
        """Left and top of a clip, px."""
        width, height = self.cell
        column, row = number % self.columns, number // self.columns
        return GAP_PX + column * (width + GAP_PX), GAP_PX + row * (height + GAP_PX)


def write_sheet(folder: Dataset, rows: Sequence[Row], path: Path, layout: Layout) -> int:
    """Write the clips of a query's rows, in their order, to a .png or .gif; returns how many of them have no picture.

    Raises UsageError if the rows name no clip of the dataset, too many, or the file cannot be written.
    """
    known = _known(folder, rows)
    packs = {row["clip_id"]: row["keyframes"] for row in known}
    pictures = frames_of(folder.store, packs, frames=layout.frames)
    size = layout.size(len(known))
    labels = [_label(row, layout.cell[0]) for row in known]
    turns = max(map(len, pictures.values()), default=1) if layout.moves else 1
    sheets = [_sheet([pictures.get(name, []) for name in packs], labels, layout, size, turn) for turn in range(turns)]
    try:
        if layout.moves:
            write_gif(np.stack([np.asarray(sheet) for sheet in sheets]), path, fps=GIF_FPS)
        else:
            sheets[0].save(path, "PNG")
    except OSError as error:
        raise UsageError(f"--out {path}: {error.strerror or error}; name a file in a folder that is there") from error
    return len(known) - len(pictures)


def _known(folder: Dataset, rows: Sequence[Row]) -> list[Row]:
    """What is known of the clips, once each, with what else the query gives of them as `others`."""
    if rows and "clip_id" not in rows[0]:
        raise UsageError(
            f"the query gives {', '.join(rows[0])} and no clip_id, by which clips are found: "
            'hdvg sheet DATASET "select clip_id, sharpness from dataset order by sharpness limit 40" -o sheet.png'
        )
    asked = {str(row["clip_id"]): row for row in rows}
    if not 0 < len(asked) <= CLIPS_MOST:
        raise UsageError(
            f"the query gives {len(asked)} clips; a sheet shows 1 to {CLIPS_MOST}: end it with `limit 100`"
        )
    with folder.manifest() as manifest:
        found = manifest.rows(
            "select clip_id, keep, reasons, caption, keyframes from dataset "
            "where clip_id in (select unnest(?::varchar[]))",
            [list(asked)],
        )
    known = {row["clip_id"]: row for row in found}
    if not known:
        raise UsageError(
            f'no clip {min(asked)!r} in {folder.root}; ids: hdvg query DATASET "select clip_id from clips"'
        )
    shown = ("clip_id", "keep", "reasons", "caption", "keyframes")
    return [
        known[name] | {"others": {key: value for key, value in row.items() if key not in shown}}
        for name, row in asked.items()
        if name in known
    ]


Line = tuple[str, str]
"""A text, and its colour."""


def _label(row: Row, width: int) -> list[Line]:
    """The lines below a clip, each as much as fits."""
    verdict = "kept" if row["keep"] else f"dropped: {', '.join(row['reasons'])}"
    others = ", ".join(f"{name} {_value(value)}" for name, value in row["others"].items())
    lines = [(f"{row['clip_id'][:10]}  {verdict}", KEPT if row["keep"] else DROPPED)]
    lines += [(text, INK) for text in (others, row["caption"]) if text]
    return [(_fitting(text, width), colour) for text, colour in lines]


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _fitting(text: str, width: int) -> str:
    """The text in one line of so many pixels; what is no printable character is a space."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text[: 2 * width]).split())
    font = _font()
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line + "…"


def _font() -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(FONT_PX)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's wheels have FreeType
    return font


def _sheet(
    pictures: Sequence[Sequence[Image.Image]],
    labels: Sequence[Sequence[Line]],
    layout: Layout,
    size: tuple[int, int],
    turn: int,
) -> Image.Image:
    """The sheet, at a turn of one that moves: clips with fewer frames begin again."""
    sheet = Image.new("RGB", size, PAPER)
    pen, font = ImageDraw.Draw(sheet), _font()
    height, width = SIZE
    for number, (frames, lines) in enumerate(zip(pictures, labels, strict=True)):
        left, top = layout.place(number)
        shown = frames[turn % len(frames) :][:1] if layout.moves and frames else frames
        for place, frame in enumerate(shown):
            sheet.paste(frame, (left + place * width, top))
        if not shown:
            pen.rectangle((left, top, left + width - 1, top + height - 1), fill=NONE)
            pen.text((left + 8, top + height // 2), "no picture", fill=INK, font=font)
        for line, (text, colour) in enumerate(lines):
            pen.text((left, top + height + 2 + line * LINE_PX), text, fill=colour, font=font)
    return sheet
