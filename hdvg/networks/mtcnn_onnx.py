"""The three networks of MTCNN through onnxruntime: their stored weights as ONNX graphs, built in memory.

Layouts: Zhang et al. (arXiv:1604.02878), as the PyPI package mtcnn (MIT) has them: of kernels (high, wide, in, out), of
dense layers (in, out), whose inputs run column by column. Each network gives (B, 6, ...): how surely no face and a face, 0-1,
and by how much the sides of the box are off, in its widths and heights: left, top, right, bottom.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hdvg.networks.joblib_pickle import read_arrays
from hdvg.networks.onnx_graph import Graph, Shape

MARKS = 10
"""Numbers of the five points of a face, which nobody asks for."""


@dataclass(frozen=True)
class Layout:
    """(kernel, channels, side of the pool after it or 0, its padding) of each convolution; then, of those that have one,
    outputs of the dense layer, px of a side that it takes, and what is left of that before it."""

    convolutions: tuple[tuple[int, int, int, str], ...]
    dense: int = 0
    side_px: int | None = None
    left: int = 0
    marks: bool = False


PROPOSE = Layout(((3, 10, 2, "SAME_UPPER"), (3, 16, 0, ""), (3, 32, 0, "")))
REFINE = Layout(
    ((3, 28, 3, "SAME_UPPER"), (3, 48, 3, "VALID"), (2, 64, 0, "")),
    dense=128,
    side_px=24,
    left=3,
)
DECIDE = Layout(
    ((3, 32, 3, "SAME_UPPER"), (3, 64, 3, "VALID"), (3, 64, 2, "SAME_UPPER"), (2, 128, 0, "")),
    dense=256,
    side_px=48,
    left=3,
    marks=True,
)


def graph(stored: Path, layout: Layout) -> bytes:
    """A serialised ONNX model: `pictures` (B, 3, H, W), RGB in -1..1 -> `found` (B, 6, h, w), or (B, 6) of a `side_px`.

    Raises ValueError if the file holds another network.
    """
    weights = _Weights(stored)
    net, x, inner = Graph(), "pictures", 3
    for kernel, outer, pool, padding in layout.convolutions:
        x = net.add("Conv", [x, *map(net.constant, weights.convolution(kernel, inner, outer))])
        x = net.add("PRelu", [x, net.constant(weights.take(1, 1, outer).reshape(outer, 1, 1))])
        inner = outer
        if pool:
            x = net.add("MaxPool", [x], kernel_shape=[pool, pool], strides=[2, 2], auto_pad=padding)
    if not layout.dense:
        offsets, odds = (net.add("Conv", [x, *map(net.constant, weights.convolution(1, inner, n))]) for n in (4, 2))
    else:
        x = net.add("Flatten", [net.add("Transpose", [x], perm=[0, 3, 2, 1])])
        x = net.add("Gemm", [x, *map(net.constant, weights.dense(inner * layout.left**2, layout.dense))])
        x = net.add("PRelu", [x, net.constant(weights.take(layout.dense))])
        heads = {n: weights.dense(layout.dense, n) for n in ((4, MARKS, 2) if layout.marks else (4, 2))}
        offsets, odds = (net.add("Gemm", [x, *map(net.constant, heads[n])]) for n in (4, 2))
    weights.end()
    net.add("Concat", [net.add("Softmax", [odds], axis=1), offsets], axis=1, output="found")
    side: Shape = ("H", "W") if layout.side_px is None else (layout.side_px, layout.side_px)
    ends = ("B", 6) if layout.dense else ("B", 6, "h", "w")
    return net.model("mtcnn", given=("pictures", ("B", 3, *side)), made=("found", ends))


class _Weights:
    """Stored arrays, taken one after the other with the shape that the next layer has."""

    def __init__(self, stored: Path) -> None:
        self._from = stored
        self._left = read_arrays(stored)[::-1]

    def take(self, *shape: int) -> npt.NDArray[np.float32]:
        """The next array. Raises ValueError if there is none, or if it is of another shape."""
        found = self._left.pop() if self._left else None
        if found is None or found.shape != shape:
            was = None if found is None else found.shape
            raise ValueError(f"{self._from} is no network of MTCNN: an array of {shape} was to come, not {was}")
        return found

    def convolution(self, kernel: int, inner: int, outer: int) -> tuple[npt.NDArray[np.float32], ...]:
        """Kernels (out, in, high, wide) and offsets."""
        return self.take(kernel, kernel, inner, outer).transpose(3, 2, 0, 1), self.take(outer)

    def dense(self, inner: int, outer: int) -> tuple[npt.NDArray[np.float32], ...]:
        """Weights (in, out) and offsets."""
        return self.take(inner, outer), self.take(outer)

    def end(self) -> None:
        """Raise ValueError if arrays are left."""
        if self._left:
            raise ValueError(f"{self._from} is no network of MTCNN: {len(self._left)} arrays too many")
