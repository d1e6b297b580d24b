"""Stable Diffusion's autoencoder, or another of diffusers' AutoencoderKL, from a local folder.

Paper: Rombach et al., latent diffusion (arXiv:2112.10752), section 3.1; a diagonal normal posterior for each latent cell.
Shapes: N pictures, H, W pixels, h = H / 8, w = W / 8, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hdvg.errors import UsageError, first_line
from hdvg.latents.encoders import FACTOR
from hdvg.latents.settings import Encoding
from hdvg.networks.files import local_path

if TYPE_CHECKING:
    from hdvg.latents.encoders import Floats, Frames

WANTED = (
    "a folder of diffusers' AutoencoderKL (config.json, diffusion_pytorch_model.safetensors), such as `vae` of "
    "Stable Diffusion 2.1, or the folder above it"
)
BATCH = 16
"""Pictures at once."""


class Vae:
    """See `hdvg.latents.encoders.Codec`; latents are scaled as the model's own config says."""

    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "diffusers": "diffusers"}
    posterior = True

    def __init__(self, encoding: Encoding, found: Sequence[Path], *, name: str) -> None:
        from hdvg.networks.loading import device

        self.name = name
        self._keeps = encoding.keeps
        self._device = device()
        self._network = _load(found[0]).to(self._device)
        config = self._network.config
        if 2 ** (len(config.block_out_channels) - 1) != FACTOR:
            raise UsageError(
                f"data.codec_folder = '{found[0]}': not {FACTOR} times smaller pictures; it takes {WANTED}"
            )
        self._scale, self._shift = float(config.scaling_factor), float(config.shift_factor or 0.0)
        self.channels = int(config.latent_channels)

    @staticmethod
    def files(encoding: Encoding, root: Path | None) -> list[Path]:
        """The folder. Raises UsageError if it is absent or of another layout."""
        folder = local_path(encoding.codec_folder, setting="data.codec_folder", wanted=WANTED)
        found = folder / "vae" if (folder / "vae").is_dir() else folder
        if not (found / "config.json").is_file():
            raise UsageError(f"data.codec_folder = '{folder}': no config.json in it; it takes {WANTED}")
        return [found]

    def encode(self, frames_NHWC: Frames, *, seed: str = "") -> Floats:
        """RGB -> (N, h, w, C): the mean, or one draw; (N, h, w, 2C): mean and log variance, as settings ask."""
        import torch

        rows = []
        with torch.inference_mode():
            for start in range(0, len(frames_NHWC), BATCH):
                pixels = torch.from_numpy(frames_NHWC[start : start + BATCH]).to(self._device).permute(0, 3, 1, 2)
                posterior = self._network.encode(pixels.float() / 127.5 - 1).latent_dist
                mean, logvar = (posterior.mean - self._shift) * self._scale, posterior.logvar + 2 * np.log(self._scale)
                rows.append(torch.cat([mean, logvar], dim=1).permute(0, 2, 3, 1).cpu().numpy())
        both = np.concatenate(rows)
        mean_NhwC, logvar_NhwC = both[..., : self.channels], both[..., self.channels :]
        if self._keeps == "both":
            return both
        if self._keeps == "mean":
            return np.ascontiguousarray(mean_NhwC)
        from hdvg.draws import chance

        noise = chance(0, seed, epoch=0, purpose="posterior").standard_normal(mean_NhwC.shape, dtype=np.float32)
        drawn: Floats = mean_NhwC + np.exp(logvar_NhwC / 2) * noise
        return drawn

    def decode(self, latents_NhwC: Floats) -> Frames:
        """(N, h, w, C) -> RGB (N, H, W, 3)."""
        import torch

        rows = []
        with torch.inference_mode():
            for start in range(0, len(latents_NhwC), BATCH):
                z = torch.from_numpy(latents_NhwC[start : start + BATCH]).to(self._device).permute(0, 3, 1, 2).float()
                pixels = self._network.decode(z / self._scale + self._shift).sample
                levels = ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
                rows.append(levels.permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(rows)


def _load(folder: Path) -> Any:  # Any: diffusers hardly types it
    """The network in float32. Raises UsageError if the folder holds none."""
    import diffusers
    from safetensors import SafetensorError

    kind: Any = diffusers.AutoencoderKL
    try:
        return kind.from_pretrained(folder, local_files_only=True).float().eval()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        first = first_line(error)
        raise UsageError(f"data.codec_folder = '{folder}': cannot be loaded ({first}); it takes {WANTED}") from error
