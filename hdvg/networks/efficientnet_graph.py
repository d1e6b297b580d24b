"""The stored weights of EfficientNet-Lite0 as an ONNX graph, with every batch norm folded into the convolution before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hdvg.networks.efficientnet import CLASSES, EPSILON, HEAD, SIDE_PX, STAGES, STEM
from hdvg.networks.torch_pickle import read_tensors

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

OPSET, IR_VERSION = 17, 8
"""Of 2022; what onnxruntime reads does not end with a newer onnx."""


def graph(weights: Path) -> bytes:
    """A serialised ONNX model: `pictures` (B, 3, 224, 224) in -1..1 -> `logits` (B, 1000).

    The file names its tensors otherwise but lists them in the order of the layers; every shape is compared.
    Raises ValueError if count or shapes differ: then it is another network.
    """
    from onnx import TensorProto, helper

    try:
        nodes, tensors = _layers(_Tensors(read_tensors(weights).values()))
    except ValueError as error:
        raise ValueError(f"{weights} holds no EfficientNet-Lite0: {error}") from error
    pictures = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ("B", 3, SIDE_PX, SIDE_PX))
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("B", CLASSES))
    whole = helper.make_graph(nodes, "efficientnet-lite0", [pictures], [logits], initializer=tensors)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


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


class _Graph:
    """Nodes and their weights, as layers are added; a layer takes the name of its input and gives that of its output."""

    def __init__(self, stored: _Tensors) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: list[TensorProto] = []
        self.stored = stored

    def add(self, kind: str, inputs: Sequence[str], *, output: str | None = None, **attributes: Any) -> str:
        """An ONNX operator over named values."""
        from onnx import helper

        name = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: npt.NDArray[Any]) -> str:
        """Weights in float32, by a name."""
        from onnx import numpy_helper

        name = f"tensor_{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name))
        return name

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


def _layers(stored: _Tensors) -> tuple[list[NodeProto], list[TensorProto]]:
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
    return net.nodes, net.tensors
