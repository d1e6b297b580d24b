"""Slots for models of quality by local path: of pictures between two prompts, and networks that take a clip's frames.

Shapes: B clips, T frames, P pairs of prompts, D the width of a CLIP-like model, S the side of a picture in px.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hdvg.captioners.prompting import show
from hdvg.config.asked import Asker
from hdvg.errors import UsageError
from hdvg.keyframes import Shot
from hdvg.networks import files

if TYPE_CHECKING:
    from hdvg.networks.pictures import Picture

CLIP_WANTED = "a folder of a CLIP-like model in transformers' layout, with its tokenizer"
NETWORK_WANTED = "an ONNX file whose one input is float32 (1, 3, T, S, S), or (1, T, 3, S, S)"

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures in RGB, 0-1: what video networks, DOVER among them, are trained with."""


class ClipIqa:
    """How much more like a text of good quality than like one of bad quality the pictures are, 0-1: CLIP-IQA (arXiv:2207.12396).

    The mean over pictures and pairs of prompts; numbers vary by rounding with the split into calls (< 1e-5).
    """

    def __init__(self, *, name: str, model: str, frames: int, prompts: Sequence[Sequence[str]]) -> None:
        import torch

        from hdvg.networks.clip import Clip

        setting = f"measure.quality.{name}.model"
        folder = files.local_path(model, setting=setting, wanted=CLIP_WANTED)
        self._name, self._asker = name, Asker(frames=frames)
        self._clip = Clip(folder, setting=setting, device="cuda" if torch.cuda.is_available() else "cpu")
        texts_PD = _units(self._clip.texts([text for pair in prompts for text in pair]))
        self._good_PD, self._bad_PD = texts_PD[0::2], texts_PD[1::2]
        self.frames = frames

    def measure(self, shots: Sequence[Shot]) -> list[dict[str, float | None]]:
        """One number a clip, in order; None if no picture decodes. Raises ResourceError if GPU memory is too small."""
        clips = [_pictures(shot, self._asker) for shot in shots]
        vectors = iter(_units(self._clip.pictures([picture for clip in clips for picture in clip])))
        made: list[dict[str, float | None]] = []
        for clip in clips:
            here_TD = np.array([next(vectors) for _ in clip])
            made.append({self._name: self._share(here_TD) if len(clip) else None})
        return made

    def _share(self, vectors_TD: npt.NDArray[np.float64]) -> float:
        differences_TP = self._clip.scale * (vectors_TD @ (self._good_PD - self._bad_PD).T)
        return float(np.mean(1 / (1 + np.exp(-differences_TP))))


class Network:
    """A network that takes a clip as T frames, evenly over what is stored of it, and gives scores, whose mean counts."""

    def __init__(self, *, name: str, model: str, frames: int) -> None:
        from hdvg.networks.onnx import Network as Onnx

        setting = f"measure.quality.{name}.model"
        path = files.local_path(model, setting=setting, wanted=NETWORK_WANTED)
        self._name, self._asker, self.frames = name, Asker(frames=frames), frames
        self._network = Onnx(path)
        shape = [size if isinstance(size, int) else 0 for size in self._network.shape]
        places = [place for place in (1, 2) if len(shape) == 5 and shape[place] == 3]
        if not places or 0 in shape[1:] or shape[3] != shape[4]:
            raise UsageError(f"{setting} = {model!r}: its input is {self._network.shape}; it takes {NETWORK_WANTED}")
        self._channels = places[0]
        self._length, self._side = shape[3 - self._channels], shape[3]

    def measure(self, shots: Sequence[Shot]) -> list[dict[str, float | None]]:
        """One number a clip, in order; None if no picture decodes."""
        return [{self._name: self._score(_pictures(shot, self._asker))} for shot in shots]

    def _score(self, pictures: Sequence[Picture]) -> float | None:
        if not pictures:
            return None
        places = np.linspace(0, len(pictures) - 1, self._length).round().astype(int)
        sized = [self._sized(picture) for picture in pictures]
        clip_TSSC = (np.stack([sized[place] for place in places]).astype(np.float32) / 255 - MEAN) / DEVIATION
        axes = (3, 0, 1, 2) if self._channels == 1 else (0, 3, 1, 2)
        return float(self._network(clip_TSSC.transpose(axes)[None].astype(np.float32)).mean())

    def _sized(self, picture: Picture) -> Picture:
        """RGB, S x S."""
        import cv2

        smaller = min(picture.shape[:2]) > self._side
        way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        return cv2.resize(picture, (self._side, self._side), interpolation=way)[:, :, ::-1].astype(np.uint8, copy=False)


def _pictures(shot: Shot, asker: Asker) -> list[Picture]:
    """What is shown of the clip, BGR."""
    shown = show(shot, asker)
    return [] if shown is None else [np.asarray(picture)[:, :, ::-1] for picture in shown.pictures]


def _units(vectors_ND: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The same, each of length 1."""
    wide_ND = vectors_ND.astype(np.float64)
    unit: npt.NDArray[np.float64] = wide_ND / np.maximum(np.linalg.norm(wide_ND, axis=-1, keepdims=True), 1e-12)
    return unit
