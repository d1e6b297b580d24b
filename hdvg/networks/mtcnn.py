"""MTCNN: where in a picture faces are, and how surely; whose they are is not asked.

Paper: Zhang et al., Joint face detection and alignment using multi-task cascaded convolutional networks (arXiv:1604.02878):
one small network slides over the picture in several sizes, two more look again at what it proposes. Trained on WIDER FACE;
weights: the PyPI package mtcnn (MIT), which is not imported. Thresholds and overlaps are that package's.
Shapes: N boxes of left, top, right, bottom in px and how surely a face, 0-1.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hdvg.networks.mtcnn_onnx import DECIDE, PROPOSE, REFINE, graph

if TYPE_CHECKING:
    from hdvg.networks.pictures import Picture

CELL_PX, STRIDE_PX = 12, 2
"""What the sliding network sees at once, and how far it moves."""

SMALLEST = 1 / 32
"""Of the longer side: the least face that is looked for."""

SHRINK = 0.709
"""From one size of the picture to the next: half of the area."""

PROPOSED, REFINED, DECIDED = 0.6, 0.7, 0.8
"""Least confidences of the three networks."""

Boxes = npt.NDArray[np.float64]  # (N, 5)


class FaceFinder:
    """The three networks, from the folder of the package's weights, each on one thread of the CPU.

    Raises ValueError if a file holds another network.
    """

    def __init__(self, folder: Path) -> None:
        from hdvg.networks.onnx import CPU, Network

        layouts = {"pnet": PROPOSE, "rnet": REFINE, "onet": DECIDE}
        self._propose, self._refine, self._decide = (
            Network(graph(folder / f"{name}.lz4", layout), threads=1, providers=(CPU,))
            for name, layout in layouts.items()
        )

    def faces(self, picture: Picture) -> Boxes:
        """The faces of a BGR picture, surest first; (N, 5)."""
        import cv2

        rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
        boxes_N5 = self._proposed(rgb)
        for network, side, least in ((self._refine, 24, REFINED), (self._decide, 48, DECIDED)):
            if not len(boxes_N5):
                return boxes_N5
            squares_N5 = _squares(boxes_N5)
            found_N6 = network(np.stack([_input(_patch(rgb, box, side)) for box in squares_N5]))
            boxes_N5 = distinct(_moved(squares_N5, found_N6, least), 0.7, of_smaller=network is self._decide)
        return boxes_N5

    def _proposed(self, rgb: Picture) -> Boxes:
        """Where the sliding network sees a face, in each size of the picture."""
        import cv2

        high, wide = rgb.shape[:2]
        scale = CELL_PX / max(SMALLEST * max(high, wide), CELL_PX)
        each = [np.empty((0, 5))]
        while min(high, wide) * scale >= CELL_PX:
            size = round(wide * scale), round(high * scale)
            small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
            (found_6HW,) = self._propose(_input(small)[None])
            rows, columns = np.nonzero(found_6HW[1] > PROPOSED)
            corners_N2 = np.stack([columns, rows], axis=1) * STRIDE_PX + 1
            cells_N5 = np.hstack([corners_N2, corners_N2 + CELL_PX - 1, np.zeros((len(rows), 1))]).astype(np.float64)
            moved_N5 = _moved(cells_N5, found_6HW[:, rows, columns].T, PROPOSED)
            moved_N5[:, :4] /= scale
            each.append(distinct(moved_N5, 0.5))
            scale *= SHRINK
        return distinct(np.concatenate(each), 0.7)


def distinct(boxes_N5: Boxes, most: float, *, of_smaller: bool = False) -> Boxes:
    """The surest boxes, surest first, none of which shares more than `most` with a surer one: of both, or of the smaller."""
    left_N5 = boxes_N5[np.argsort(-boxes_N5[:, 4], kind="stable")]
    kept = []
    while len(left_N5):
        first, left_N5 = left_N5[0], left_N5[1:]
        kept.append(first)
        sides_N2 = np.minimum(first[2:4], left_N5[:, 2:4]) - np.maximum(first[:2], left_N5[:, :2])
        both_N = sides_N2.clip(min=0).prod(axis=1)
        area, areas_N = np.prod(first[2:4] - first[:2]), np.prod(left_N5[:, 2:4] - left_N5[:, :2], axis=1)
        whole_N = np.minimum(area, areas_N) if of_smaller else area + areas_N - both_N
        left_N5 = left_N5[both_N <= most * whole_N]
    return np.array(kept).reshape(-1, 5)


def _moved(boxes_N5: Boxes, found_N6: npt.NDArray[np.float32], least: float) -> Boxes:
    """Boxes that are a face surely enough, with their sides where the network puts them, and how surely."""
    sure_N = found_N6[:, 1] > least
    boxes_N5, found_N6 = boxes_N5[sure_N].copy(), found_N6[sure_N].astype(np.float64)
    sizes_N2 = boxes_N5[:, 2:4] - boxes_N5[:, :2]
    boxes_N5[:, :4] += found_N6[:, 2:] * np.tile(sizes_N2, 2)
    boxes_N5[:, 4] = found_N6[:, 1]
    return boxes_N5


def _squares(boxes_N5: Boxes) -> Boxes:
    """The same boxes, their shorter sides as long as the longer ones, about the same centres."""
    centres_N2 = (boxes_N5[:, :2] + boxes_N5[:, 2:4]) / 2
    halves_N1 = (boxes_N5[:, 2:4] - boxes_N5[:, :2]).max(axis=1, keepdims=True) / 2
    return np.hstack([centres_N2 - halves_N1, centres_N2 + halves_N1, boxes_N5[:, 4:]])


def _patch(rgb: Picture, box_5: Boxes, side_px: int) -> Picture:
    """What lies in a box, `side_px` x `side_px`; black outside of the picture."""
    import cv2

    left, top, right, bottom = (round(edge) for edge in box_5[:4].tolist())
    canvas = np.zeros((max(bottom - top, 1), max(right - left, 1), 3), dtype=np.uint8)
    inside = rgb[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    canvas[max(-top, 0) : max(-top, 0) + inside.shape[0], max(-left, 0) : max(-left, 0) + inside.shape[1]] = inside
    return cv2.resize(canvas, (side_px, side_px), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _input(rgb: Picture) -> npt.NDArray[np.float32]:
    """(H, W, 3) -> (3, H, W) in -1..1."""
    return ((rgb.astype(np.float32) - np.float32(127.5)) / np.float32(128)).transpose(2, 0, 1)
