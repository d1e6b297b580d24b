"""A linear codec, fitted on the dataset in seconds: the principal components of 8 x 8 patches, each of unit variance.

The best linear code of patches there is, for squared error (Eckart and Young 1936); no network.
Shapes: N pictures, H, W pixels, h = H / 8, w = W / 8, C channels, K patches, P = 192 numbers of a patch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hdvg.errors import UsageError
from hdvg.ids import digest
from hdvg.latents.encoders import FACTOR
from hdvg.latents.settings import Encoding

if TYPE_CHECKING:
    from hdvg.latents.encoders import Floats, Frames

PATCH = FACTOR * FACTOR * 3
HELD_SHARE = 5
"""One of so many pictures is not fitted to: the PSNR is measured on it."""


class Patches:
    """See `hdvg.latents.encoders.Codec`; reads what `fit` found."""

    needs: ClassVar[Mapping[str, str]] = {}
    posterior = False

    def __init__(self, encoding: Encoding, found: Sequence[Path], *, name: str) -> None:
        self.name = name
        with np.load(found[0], allow_pickle=False) as fitted:
            self._mean_P: Floats = fitted["mean_P"]
            self._basis_PC: Floats = fitted["basis_PC"]
            self._std_C: Floats = fitted["std_C"]
            self.psnr_db = float(fitted["psnr_db"])
        self.channels = int(self._basis_PC.shape[1])

    @staticmethod
    def files(encoding: Encoding, root: Path | None) -> list[Path]:
        """The fitted numbers in the dataset's `latents/`. Raises UsageError if they are not there (yet)."""
        path = (root or Path()) / fitted_name(encoding)
        if not path.is_file():
            raise UsageError(f"{path}: no such file; `hdvg encode DATASET` fits codec `patches` on the dataset")
        return [path]

    def encode(self, frames_NHWC: Frames, *, seed: str = "") -> Floats:
        """RGB -> (N, h, w, C)."""
        count, height, width, _ = frames_NHWC.shape
        flat_KP = _cut(frames_NHWC) - self._mean_P
        coded_KC: Floats = np.asarray(flat_KP @ self._basis_PC / self._std_C, np.float32)
        return coded_KC.reshape(count, height // FACTOR, width // FACTOR, self.channels)

    def decode(self, latents_NhwC: Floats) -> Frames:
        """(N, h, w, C) -> RGB (N, H, W, 3)."""
        flat_NhwP = (latents_NhwC * self._std_C) @ self._basis_PC.T + self._mean_P
        count, high, wide, _ = latents_NhwC.shape
        split = flat_NhwP.reshape(count, high, wide, FACTOR, FACTOR, 3).transpose(0, 1, 3, 2, 4, 5)
        pixels = split.reshape(count, high * FACTOR, wide * FACTOR, 3)
        levels: Frames = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
        return levels


def fitted_name(encoding: Encoding) -> str:
    """Where the fitted codec lies below the dataset's folder; other channels or buckets have one of their own."""
    return f"latents/patches-{digest('patches', 1, encoding.codec_channels, encoding.buckets)[:16]}.npz"


def fitted_psnr_db(root: Path, encoding: Encoding) -> float:
    """What comes back of pictures that were not fitted to, as `fit` found."""
    with np.load(root / fitted_name(encoding), allow_pickle=False) as fitted:
        return float(fitted["psnr_db"])


def fit(pictures: Sequence[Frames], channels: int, path: Path) -> None:
    """Fit to four of five pictures (H, W, 3) and write the codec; the last fifth gives its PSNR. Always the same bytes."""
    held = max(len(pictures) // HELD_SHARE, 1) if len(pictures) > 1 else 0
    fitted = pictures[: len(pictures) - held]
    count, sum_P, squares_PP = 0, np.zeros(PATCH), np.zeros((PATCH, PATCH))
    for picture in fitted:
        flat_KP = _cut(picture[None]).astype(np.float64)
        count, sum_P, squares_PP = count + len(flat_KP), sum_P + flat_KP.sum(0), squares_PP + flat_KP.T @ flat_KP
    mean_P = sum_P / count
    values_P, vectors_PP = np.linalg.eigh(squares_PP / count - np.outer(mean_P, mean_P))
    basis_PC = vectors_PP[:, ::-1][:, :channels]
    largest_C = basis_PC[np.abs(basis_PC).argmax(0), np.arange(channels)]
    std_C = np.sqrt(np.maximum(values_P[::-1][:channels], 1e-6))
    codec = {
        "mean_P": mean_P.astype(np.float32),
        "basis_PC": (basis_PC * np.sign(largest_C)).astype(np.float32),
        "std_C": std_C.astype(np.float32),
    }
    errors = [_squared_error(picture, codec) for picture in pictures[len(pictures) - max(held, 1) :]]
    psnr_db = 10 * np.log10(255**2 / max(float(np.mean(errors)), 1e-9))
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, psnr_db=np.float64(psnr_db), **codec)


def _squared_error(picture: Frames, codec: Mapping[str, Floats]) -> float:
    """Mean over the picture's numbers, of what comes back rounded to levels 0-255."""
    flat_KP = _cut(picture[None])
    back_KP = (flat_KP - codec["mean_P"]) @ codec["basis_PC"] @ codec["basis_PC"].T + codec["mean_P"]
    return float(np.mean((np.clip(np.round(back_KP), 0, 255) - flat_KP) ** 2))


def _cut(frames_NHWC: Frames) -> Floats:
    """Patches (K, P), row by row of each picture."""
    count, height, width, _ = frames_NHWC.shape
    split = frames_NHWC.reshape(count, height // FACTOR, FACTOR, width // FACTOR, FACTOR, 3)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(-1, PATCH).astype(np.float32)


def by_hash(name: str) -> str:
    """A key by which names are in an order that has nothing to do with what they name."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
