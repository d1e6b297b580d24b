"""An ONNX graph that is put together layer by layer, from weights that were stored as something else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

OPSET, IR_VERSION = 17, 8
"""Of 2022; what onnxruntime reads does not end with a newer onnx."""

Shape = Sequence[int | str]


class Graph:
    """Nodes and their weights, as layers are added; a layer takes the name of its input and gives that of its output."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: list[TensorProto] = []

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

    def model(self, name: str, *, given: tuple[str, Shape], made: tuple[str, Shape]) -> bytes:
        """The serialised model from one value to another, each float32, with its name and shape; a letter is any size."""
        from onnx import TensorProto, helper

        start, end = (helper.make_tensor_value_info(end, TensorProto.FLOAT, shape) for end, shape in (given, made))
        whole = helper.make_graph(self.nodes, name, [start], [end], initializer=self.tensors)
        model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return bytes(model.SerializeToString())
