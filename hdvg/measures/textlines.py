"""What a line of text says: PP-OCR's recogniser over boxes that its detector found.

Weights and characters: PP-OCRv6 small, inside the PyPI package rapidocr (Apache-2.0), which is not imported. It reads Latin,
Han, Hiragana and Katakana; of other scripts it reads nothing, or has little confidence in it.
The network gives the probability of each character at every eighth column of a line
48 px high; repeats fall together and blanks fall away (CTC, Graves et al. 2006).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.measures.textboxes import Boxes, Picture
from hdvg.networks.files import shipped
from hdvg.networks.onnx import Network

HIGH_PX, LEAST_PX, MOST_PX = 48, 320, 2400
"""Height of a line as the network sees it, and its least and largest width; shorter ones are filled up."""
MARGIN = 0.2
"""Of a line's height: the network was trained on boxes that lie less close to the letters than the detector's here."""
UPRIGHT = 1.5
"""A box so many times higher than wide holds letters one below the other, and is turned."""
SCRIPTS = {"CJK": "han", "HIRAGANA": "kana", "KATAKANA": "kana", "LATIN": "latin"}
"""By the first word of a character's name in Unicode."""
OTHER = "other"


@dataclass(frozen=True)
class Line:
    """A line of text, and the mean probability of its characters, 0-1."""

    text: str
    confidence: float


def weights() -> Path:
    """The recogniser's file. Raises UsageError if its package is not whole."""
    return shipped("rapidocr", "models/PP-OCRv6_rec_small.onnx", spoken="rapidocr")


class Reader:
    """Reads lines of text."""

    @cached_property
    def network(self) -> Network:
        """Loaded at the first use."""
        return Network(weights())

    @cached_property
    def characters(self) -> tuple[str, ...]:
        """What the network's outputs stand for; the first is the blank."""
        return ("", *self.network.metadata["character"].split("\n"), " ")

    def read(self, picture: Picture, boxes: Boxes) -> list[Line]:
        """The lines in the boxes (n, 4 corners, xy) of a picture, from top to bottom; those without a letter or a digit, or in a script that it
        does not read, are left out."""
        order = sorted(boxes, key=lambda box: (float(box[:, 1].mean()), float(box[:, 0].min())))
        lines = [self.decoded(self.network(_input(line_of(picture, box))[None])[0]) for box in order]
        return [line for line in lines if any(one.isalnum() for one in line.text) and script_of(line.text) != OTHER]

    def decoded(self, chances_TC: npt.NDArray[np.float32]) -> Line:
        """The line that probabilities by column and character spell."""
        best = chances_TC.argmax(axis=1)
        starts = np.append(True, best[1:] != best[:-1]) & (best > 0)
        text = "".join(self.characters[number] for number in best[starts])
        return Line(" ".join(text.split()), float(chances_TC.max(axis=1)[starts].mean()) if starts.any() else 0.0)


def line_of(picture: Picture, box: npt.NDArray[np.float32]) -> Picture:
    """What a box holds, upright: (height, width, 3)."""
    left, right = (part[np.argsort(part[:, 1])] for part in np.split(box[np.argsort(box[:, 0], kind="stable")], 2))
    corners = np.array([left[0], right[0], right[1], left[1]], np.float32)  # from the top left one, clockwise
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    wide, tall = float(np.hypot(*across)), float(np.hypot(*down))
    more = MARGIN * min(wide, tall)
    ways = across / max(wide, 1e-6) * more, down / max(tall, 1e-6) * more
    corners += np.array([-ways[0] - ways[1], ways[0] - ways[1], ways[0] + ways[1], ways[1] - ways[0]], np.float32)
    size = max(round(wide + 2 * more), 1), max(round(tall + 2 * more), 1)
    target = np.array([(0, 0), (size[0], 0), size, (0, size[1])], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, target)
    line = cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.rot90(line) if size[1] > UPRIGHT * size[0] else line, np.uint8)


def _input(line: Picture) -> npt.NDArray[np.float32]:
    """(3, HIGH_PX, W) in -1..1, 0 behind the line's end."""
    wide = min(max(round(line.shape[1] * HIGH_PX / line.shape[0]), 1), MOST_PX)
    small = cv2.resize(line, (wide, HIGH_PX))
    found = np.zeros((3, HIGH_PX, max(wide, LEAST_PX)), np.float32)
    found[:, :, :wide] = (small.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)
    return found


def script_of(text: str) -> str | None:
    """The script that most letters are of: one of `SCRIPTS`, `kana` if a tenth of them is, for Japanese is written in both, or
    OTHER; None without a letter."""
    letters = (one for one in unicodedata.normalize("NFKC", text) if one.isalpha())
    counts = Counter(SCRIPTS.get(unicodedata.name(one, "").split(" ")[0], OTHER) for one in letters)
    if not counts:
        return None
    return "kana" if counts["kana"] * 10 >= counts.total() else counts.most_common(1)[0][0]
