"""EfficientNet-Lite0 in plain torch, for a GPU and large batches; `efficientnet` says what it is, and runs it without torch.

Shapes: B pictures, C channels, H height, W width, K = 1000 classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hdvg.networks.efficientnet import CLASSES, CROP, EPSILON, HEAD, SIDE_PX, STAGES, STEM


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "same": an odd pixel of padding goes to the right and the bottom."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        high, wide = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x_BCHW.shape[-2:])
        padded_BCHW = F.pad(x_BCHW, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return F.conv2d(padded_BCHW, self.weight, self.bias, self.stride, groups=self.groups)


def _conv(inner: int, outer: int, *, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution without bias and its batch norm."""
    return [
        SameConv(inner, outer, kernel, stride, groups=groups, bias=False),
        nn.BatchNorm2d(outer, eps=EPSILON),
    ]


class Block(nn.Module):
    """Inverted residual: widen (1x1), filter each channel (k x k), narrow (1x1); added to the input if shapes agree."""

    def __init__(self, inner: int, *, outer: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inner * expansion
        widen = [*_conv(inner, wide), nn.ReLU6()] if expansion > 1 else []
        deep = [*_conv(wide, wide, kernel=kernel, stride=stride, groups=wide), nn.ReLU6()]
        self.body = nn.Sequential(*widen, *deep, *_conv(wide, outer))
        self.residual = stride == 1 and inner == outer

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, inner, H, W) -> (B, outer, H / stride, W / stride)."""
        y_BCHW: Tensor = self.body(x_BCHW)
        return x_BCHW + y_BCHW if self.residual else y_BCHW


class EfficientNetLite0(nn.Module):
    """4.65 million weights, 0.4 GFLOP a picture, 75.1 % top-1 on ImageNet as published."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_conv(3, STEM, kernel=3, stride=2), nn.ReLU6()]
        inner = STEM
        for expansion, kernel, stride, outer, count in STAGES:
            for index in range(count):
                first = stride if index == 0 else 1
                layers.append(Block(inner, outer=outer, expansion=expansion, kernel=kernel, stride=first))
                inner = outer
        self.features = nn.Sequential(*layers, *_conv(inner, HEAD), nn.ReLU6())
        self.classifier = nn.Linear(HEAD, CLASSES)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Pictures in -1..1 (B, 3, H, W) -> logits (B, K)."""
        logits_BK: Tensor = self.classifier(self.features(x_BCHW).mean(dim=(2, 3)))
        return logits_BK


def load_network(weights: Path) -> EfficientNetLite0:
    """The network in evaluation mode, with the state dict at `weights` laid onto it by position.

    The file names its tensors otherwise but lists them in the same order; every shape is compared.
    Raises ValueError if count or shapes differ: then it is another network.
    """
    network = EfficientNetLite0()
    stored = list(torch.load(weights, map_location="cpu", weights_only=True).values())
    ours = network.state_dict()
    if [tensor.shape for tensor in stored] != [tensor.shape for tensor in ours.values()]:
        raise ValueError(f"{weights} holds no EfficientNet-Lite0: {len(stored)} tensors, or their shapes, do not fit")
    network.load_state_dict(dict(zip(ours, stored, strict=True)))
    return network.eval()


def views(picture_HWC: npt.NDArray[np.uint8]) -> Tensor:
    """See `efficientnet.views`: the same but for rounding, in two thirds of the time."""
    rgb_HWC = np.ascontiguousarray(picture_HWC[:, :, ::-1])
    whole_BCHW = torch.from_numpy(rgb_HWC).permute(2, 0, 1)[None].float()
    high, wide = whole_BCHW.shape[2:]
    side = max(round(min(high, wide) * CROP), 1)
    top, left = (high - side) // 2, (wide - side) // 2
    middle_BCHW = whole_BCHW[:, :, top : top + side, left : left + side]
    small = [
        F.interpolate(view_BCHW, size=(SIDE_PX, SIDE_PX), mode="bicubic", antialias=True)
        for view_BCHW in (middle_BCHW, whole_BCHW)
    ]
    return torch.cat(small).clamp(0, 255) / 127.5 - 1
