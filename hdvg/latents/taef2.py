"""TAEF2: a tiny autoencoder, 8 times down to 32 channels; 1.3 M weights each way, 30-41 dB on real frames.

Weights and design: madebyollin (MIT). TAESD's stack of 3 x 3 convolutions and residual blocks, in which the blocks nearest
to the latent first add a GroupNorm branch; diffusers' AutoencoderTiny has no such branch. The weights' names give the
stack: number N is a convolution (`N.weight`) or a block (`N.conv.*`); numbers that are missing have no weights.
Shapes: N pictures, H, W pixels, h = H / 8, w = W / 8, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hdvg.errors import UsageError
from hdvg.latents.settings import Encoding
from hdvg.networks.files import local_path

if TYPE_CHECKING:
    from torch import Tensor

    from hdvg.latents.encoders import Floats, Frames

    Weights = Mapping[str, Tensor]

NAMES = ("taef2_encoder.safetensors", "taef2_decoder.safetensors")
WANTED = f"a folder with {NAMES[0]} and {NAMES[1]}"
GROUPS = 4
SCALE = 1 / 0.8
"""Of its latents' standard deviation over real frames, as its author states and we measured."""
CLAMP = 3.0
"""The decoder takes latents softly bounded: tanh(z / 3) * 3."""


class Taef2:
    """See `hdvg.latents.encoders.Codec`; latents are clean, there is no posterior."""

    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "safetensors": "safetensors"}
    posterior = False

    def __init__(self, encoding: Encoding, found: Sequence[Path], *, name: str) -> None:
        from hdvg.networks.loading import device

        self.name = name
        self._device = device()
        self._encoder, self._decoder = (_read(path, self._device) for path in found)
        self.channels = int(self._encoder[f"{_stack(self._encoder)[-1]}.weight"].shape[0])

    @staticmethod
    def files(encoding: Encoding, root: Path | None) -> list[Path]:
        """Encoder and decoder. Raises UsageError if one is absent."""
        folder = local_path(encoding.codec_folder, setting="data.codec_folder", wanted=WANTED)
        absent = [name for name in NAMES if not (folder / name).is_file()]
        if absent:
            raise UsageError(f"data.codec_folder = '{folder}': no {absent[0]} in it; it takes {WANTED}")
        return [folder / name for name in NAMES]

    def encode(self, frames_NHWC: Frames, *, seed: str = "") -> Floats:
        """RGB -> (N, h, w, C)."""
        import torch

        with torch.inference_mode():
            x = torch.from_numpy(frames_NHWC).to(self._device).permute(0, 3, 1, 2).float() / 255
            for number in _stack(self._encoder):
                has_bias = f"{number}.bias" in self._encoder
                x = _step(self._encoder, number, x, stride=1 if has_bias else 2)
            return np.ascontiguousarray((x * SCALE).permute(0, 2, 3, 1).cpu().numpy())

    def decode(self, latents_NhwC: Floats) -> Frames:
        """(N, h, w, C) -> RGB (N, H, W, 3)."""
        import torch
        from torch.nn import functional as F

        with torch.inference_mode():
            x = torch.from_numpy(latents_NhwC).to(self._device).permute(0, 3, 1, 2).float() / SCALE
            x = torch.tanh(x / CLAMP) * CLAMP
            first, *rest = _stack(self._decoder)
            x = F.relu(_step(self._decoder, first, x))
            for number in rest:
                is_upsampled = f"{number}.weight" in self._decoder and f"{number}.bias" not in self._decoder
                x = _step(self._decoder, number, F.interpolate(x, scale_factor=2) if is_upsampled else x)
            pixels = (x.clamp(0, 1) * 255).round().to(torch.uint8)
            return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())


def _step(weights: Weights, number: int, x: Tensor, *, stride: int = 1) -> Tensor:
    """One convolution, or one residual block with its branch if it has one."""
    from torch.nn import functional as F

    if f"{number}.weight" in weights:
        return F.conv2d(x, weights[f"{number}.weight"], weights.get(f"{number}.bias"), stride=stride, padding=1)
    if f"{number}.pool.0.weight" in weights:
        wide = F.conv2d(x, weights[f"{number}.pool.0.weight"])
        wide = F.group_norm(wide, GROUPS, weights[f"{number}.pool.1.weight"], weights[f"{number}.pool.1.bias"])
        x = x + F.conv2d(F.relu(wide), weights[f"{number}.pool.3.weight"])
    y = x
    for part in (0, 2, 4):
        y = F.conv2d(y, weights[f"{number}.conv.{part}.weight"], weights[f"{number}.conv.{part}.bias"], padding=1)
        y = F.relu(y) if part < 4 else y
    return F.relu(y + x)


def _stack(weights: Weights) -> list[int]:
    """The numbers that have weights, in order; an upsampling stands before each decoder's convolution without a bias.

    In the decoder blocks are followed by upsampling, then that convolution: both lose nothing by their order, for
    nearest-neighbour upsampling comes first in either reading.
    """
    return sorted({int(name.split(".")[0]) for name in weights})


def _read(path: Path, device: str) -> dict[str, Tensor]:
    """The weights in float32. Raises UsageError if they are none of TAEF2's."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = {name: tensor.float() for name, tensor in load_file(path, device=device).items()}
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); data.codec_folder takes {WANTED}") from error
    if not any(".pool." in name for name in weights) or not all(name[0].isdigit() for name in weights):
        raise UsageError(f"{path}: not TAEF2's weights; data.codec_folder takes {WANTED}")
    return weights
