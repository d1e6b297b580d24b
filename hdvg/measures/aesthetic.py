"""A slot for aesthetic predictors in the manner of LAION: a head over CLIP's unit image vector.

Two layouts of heads are known, distinguished by their keys:
- linear (LAION-AI/aesthetic-predictor): `weight` (1, D) and `bias` (1), also below a prefix such as `layers.`;
- MLP (christophschuhmann/improved-aesthetic-predictor, `sac+logos+ava1-l14-linearMSE`): linear layers
  `layers.0`, `.2`, `.4`, `.6`, `.7`, with dropout between them and no non-linearity, so that it is affine as a whole.
Shapes: B pictures, D the width of the image tower.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from hdvg.config.sections import Measure
from hdvg.errors import UsageError, first_line
from hdvg.ids import digest
from hdvg.keyframes import Shot
from hdvg.networks import files
from hdvg.networks.pictures import keyframes

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
"""Raise it when code changes the numbers."""

CLIP_SETTING, HEAD_SETTING = "measure.aesthetic_path", "measure.aesthetic_head"
CLIP_WANTED = (
    "the folder of the CLIP model that the head was trained on, in transformers' layout (for LAION's: ViT-L/14)"
)
HEAD_WANTED = "the head's file: a state dict of one linear layer, or of the `sac+logos+ava1-l14-linearMSE` MLP"


class Aesthetic:
    """See schemas.measures.AESTHETIC for the columns; numbers vary by rounding with the split into calls (< 1e-5)."""

    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "transformers": "transformers", "PIL": "Pillow"}
    columns: ClassVar[tuple[str, ...]] = ("aesthetic", "aesthetic_model")

    def __init__(self, settings: Measure) -> None:
        import torch

        from hdvg.networks.clip import Clip

        folder, head = _paths(settings)
        self.model = f"{files.named(folder, files.digest(folder))}+{files.named(head, files.digest(head))}"
        self._layers = read_head(head)
        self._clip = Clip(folder, setting=CLIP_SETTING, device="cuda" if torch.cuda.is_available() else "cpu")
        width, head_width = self._clip.width, self._layers[0][0].shape[1]
        if width != head_width:
            raise UsageError(
                f"{HEAD_SETTING} = '{head}': takes {head_width} numbers, but '{folder}' gives {width}; "
                f"{CLIP_SETTING} takes {CLIP_WANTED}"
            )

    @staticmethod
    def fingerprint(settings: Measure) -> str:
        """16 hex digits of tower and head; torch stays unimported. Raises UsageError if one is not there."""
        folder, head = _paths(settings)
        return digest("aesthetic", VERSION, files.digest(folder), files.digest(head))[:16]

    def measure(self, wanted: Sequence[Shot], others: Sequence[Shot]) -> list[dict[str, Any]]:
        """One row a wanted shot, in order; `others` are not looked at. All is None if no keyframe decodes."""
        clips = [keyframes(shot) for shot in wanted]
        scores = iter(self._scores(self._clip.pictures([picture for clip in clips for picture in clip])))
        rows: list[dict[str, Any]] = []
        for clip in clips:
            here = [float(next(scores)) for _ in clip]
            rows.append(
                dict(zip(self.columns, (float(np.mean(here)), self.model) if here else (None, None), strict=True))
            )
        return rows

    def _scores(self, vectors_BD: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """(B,) scores of image vectors of any length, in float64."""
        x_BD = vectors_BD.astype(np.float64)
        x_BD /= np.maximum(np.linalg.norm(x_BD, axis=1, keepdims=True), 1e-12)
        for weight, bias in self._layers:
            x_BD = x_BD @ weight.T + bias
        return x_BD.reshape(-1)


Layer = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Weight (outputs, inputs) and bias (outputs)."""


def read_head(path: Path) -> list[Layer]:
    """The linear layers of a head, first to last; code in the file is never run. Raises UsageError on another layout."""
    state = _tensors(path)
    found: dict[int, dict[str, npt.NDArray[np.float64]]] = {}
    for key, tensor in state.items():
        part = re.fullmatch(r"(?:.*?(?:^|\.)(\d+)\.|\D*?)(weight|bias)", key)
        if part is None:
            raise UsageError(f"{HEAD_SETTING} = '{path}': unknown tensor {key}; it takes {HEAD_WANTED}")
        found.setdefault(int(part[1] or 0), {})[part[2]] = tensor.double().cpu().numpy()
    layers: list[Layer] = []
    for _, layer in sorted(found.items()):
        weight, bias = layer.get("weight"), layer.get("bias")
        chained = weight is not None and weight.ndim == 2 and (not layers or weight.shape[1] == layers[-1][0].shape[0])
        if weight is None or bias is None or not chained or bias.shape != weight.shape[:1]:
            raise UsageError(f"{HEAD_SETTING} = '{path}': its layers do not fit together; it takes {HEAD_WANTED}")
        layers.append((weight, bias))
    if tuple(sorted(found)) not in {(0,), (0, 2, 4, 6, 7)} or layers[-1][0].shape[0] != 1:
        raise UsageError(f"{HEAD_SETTING} = '{path}': layers {sorted(found)} are no known head; it takes {HEAD_WANTED}")
    return layers


def _tensors(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a file; Raises UsageError if it is none."""
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        first = first_line(error)
        raise UsageError(f"{HEAD_SETTING} = '{path}': cannot be read ({first}); it takes {HEAD_WANTED}") from error
    tensors = state.get("state_dict", state) if isinstance(state, Mapping) else {}
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise UsageError(f"{HEAD_SETTING} = '{path}': no state dict; it takes {HEAD_WANTED}")
    return tensors


def _paths(settings: Measure) -> tuple[Path, Path]:
    """Folder of the tower and file of the head. Raises UsageError if one is not set or not there."""
    folder = files.local_path(settings.aesthetic_path, setting=CLIP_SETTING, wanted=CLIP_WANTED)
    head = files.local_path(settings.aesthetic_head, setting=HEAD_SETTING, wanted=HEAD_WANTED)
    if not head.is_file():
        raise UsageError(f"{HEAD_SETTING} = '{head}': a folder; it takes {HEAD_WANTED}")
    return folder, head
