"""EfficientNet-Lite0 through onnxruntime: its stored weights as an ONNX graph, batch norms folded into the convolutions.

The graph is built in memory when the network is loaded: 0.3 s of CPU, half of it the import of onnx.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hdvg.networks.efficientnet import CLASSES, EPSILON, HEAD, SIDE_PX, STAGES, STEM
from hdvg.networks.onnx_graph import Graph
from hdvg.networks.torch_pickle import read_tensors

if TYPE_CHECKING:
    from hdvg.networks.onnx import Network


def load_network(weights: Path) -> Network:
    """The network on one thread of the CPU: (B, 3, 224, 224) in -1..1 -> logits (B, 1000).

    Raises ValueError if the file holds the weights of another network.
    """
    from hdvg.networks.onnx import CPU, Network

    return Network(graph(weights), threads=1, providers=(CPU,))


def graph(weights: Path) -> bytes:
    """A serialised ONNX model: `pictures` (B, 3, 224, 224) in -1..1 -> `logits` (B, 1000).

    The file names its tensors otherwise but lists them in the order of the layers; every shape is compared.
    Raises ValueError if count or shapes differ: then it is another network.
    """
    try:
        net = _layers(_Tensors(read_tensors(weights).values()))
    except ValueError as error:
        raise ValueError(f"{weights} holds no EfficientNet-Lite0: {error}") from error
    ends = {"given": ("pictures", ("B", 3, SIDE_PX, SIDE_PX)), "made": ("logits", ("B", CLASSES))}
    return net.model("efficientnet-lite0", **ends)


class _Tensors:
    """Stored tensors, taken one after the other with the shape that the next layer has."""

    def __init__(self, stored: Iterable[npt.NDArray[Any]]) -> None:
        self._left = list(stored)[::-1]

    def take(self, *shape: int) -> npt.NDArray[Any]:
        """The next tensor. Raises ValueError if there is none, or if it is of another shape."""
        found = self._left.pop() if self._left else None
        if found is None or found.shape != shape:
            raise ValueError(f"a tensor of shape {shape} was to come, not {None if found is None else found.shape}")
        return found

    def end(self) -> None:
        """Raise ValueError if tensors are left."""
        if self._left:
            raise ValueError(f"{len(self._left)} tensors too many")


class _Graph(Graph):
    """The layers of an EfficientNet, each with the next of the stored tensors."""

    def __init__(self, stored: _Tensors) -> None:
        super().__init__()
        self.stored = stored

    def conv(self, x: str, shape: tuple[int, int, int], *, stride: int = 1, groups: int = 1) -> str:
        """A convolution of (outer, inner, kernel) without bias, and its batch norm.

        Padded as TensorFlow's "same": an odd pixel of padding goes to the right and the bottom.
        """
        outer, inner, kernel = shape
        taken = self.stored.take(outer, inner // groups, kernel, kernel)
        scale, shift, mean, variance = (self.stored.take(outer).astype(np.float64) for _ in range(4))
        self.stored.take()  # how many batches the norm has seen
        gain = scale / np.sqrt(variance + EPSILON)
        folded = [self.constant(taken * gain[:, None, None, None]), self.constant(shift - mean * gain)]
        return self.add("Conv", [x, *folded], auto_pad="SAME_UPPER", strides=[stride, stride], group=groups)

    def relu6(self, x: str) -> str:
        """Values cut to 0..6."""
        return self.add("Clip", [x, *map(self.constant, (np.array(0), np.array(6)))])

    def block(self, x: str, shape: tuple[int, int, int], *, expansion: int, stride: int) -> str:
        """Inverted residual: widen (1x1), filter each channel (k x k), narrow (1x1); added to its input if shapes agree."""
        outer, inner, kernel = shape
        wide = inner * expansion
        y = self.relu6(self.conv(x, (wide, inner, 1))) if expansion > 1 else x
        y = self.relu6(self.conv(y, (wide, wide, kernel), stride=stride, groups=wide))
        y = self.conv(y, (outer, wide, 1))
        return self.add("Add", [x, y]) if stride == 1 and inner == outer else y


def _layers(stored: _Tensors) -> _Graph:
    """The nodes from `pictures` to `logits`, and their weights."""
    net = _Graph(stored)
    x = net.relu6(net.conv("pictures", (STEM, 3, 3), stride=2))
    inner = STEM
    for expansion, kernel, stride, outer, count in STAGES:
        for index in range(count):
            x = net.block(x, (outer, inner, kernel), expansion=expansion, stride=stride if index == 0 else 1)
            inner = outer
    x = net.relu6(net.conv(x, (HEAD, inner, 1)))
    x = net.add("Flatten", [net.add("GlobalAveragePool", [x])])
    classifier = [net.constant(stored.take(CLASSES, HEAD)), net.constant(stored.take(CLASSES))]
    net.add("Gemm", [x, *classifier], output="logits", transB=1)
    stored.end()
    return net
