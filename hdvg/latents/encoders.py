"""Codecs (pictures to latents and back) and text encoders (texts to token states): what they are, found by name.

Nothing heavy is imported here: networks load when one is made.
Shapes: N pictures or texts, H, W pixels, h = H / 8, w = W / 8, C channels, L tokens, X their width.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hdvg.latents.settings import Encoding
from hdvg.networks import files
from hdvg.registry import find_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Frames = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

FACTOR = 8
"""How many times smaller than its picture a latent is, each way."""

# name -> "module:Class". The module imports nothing heavy at its top; the class has
#   `needs`                  modules it cannot work without -> what people call them
#   `files(encoding, root)`  a static method: the files and folders that shape its numbers; UsageError if one is absent
#   `Class(encoding, files, name=…)`  a `Codec` or a `TextEncoder`
CODECS: dict[str, str] = {
    "patches": "hdvg.latents.patches:Patches",
    "taef2": "hdvg.latents.taef2:Taef2",
    "vae": "hdvg.latents.vae:Vae",
}
TEXTS: dict[str, str] = {
    "minilm": "hdvg.latents.minilm:MiniLmStates",
    "clip": "hdvg.latents.clip:ClipStates",
}


class Codec(Protocol):
    """Pictures to latents of about unit variance, and back.

    `name` says which one and ends in 12 digits of its weights' digest. With a `posterior`, `encode` gives what
    `Encoding.keeps` asks for; others have nothing to draw.
    """

    name: str
    channels: int
    posterior: bool

    def encode(self, frames_NHWC: Frames, *, seed: str = "") -> Floats:
        """RGB -> (N, h, w, C), or (N, h, w, 2C) of means and log variances; a draw is told by `seed` alone."""

    def decode(self, latents_NhwC: Floats) -> Frames:
        """(N, h, w, C) -> RGB (N, H, W, 3)."""


class TextEncoder(Protocol):
    """Texts to token states; `name` as of a `Codec`, `shape` is (L, X)."""

    name: str
    shape: tuple[int, int]

    def states(self, texts: Sequence[str]) -> Floats:
        """(N, L, X); a text's states depend on the others of its call by rounding only (below 1e-5)."""


def load_codec(encoding: Encoding, root: Path | None = None) -> Codec:
    """The codec, in memory; `root` is the dataset's folder (or any with its `latents/patches-*.npz`), for `patches`.

    Raises UsageError if its files or a package are not there.
    """
    kind = find_class(CODECS, encoding.codec, called="codec", extra="train")
    codec: Codec = kind(encoding, kind.files(encoding, root), name=codec_name(encoding, root))
    return codec


def load_text(encoding: Encoding) -> TextEncoder:
    """The text encoder, in memory. Raises UsageError if its files or a package are not there."""
    kind = find_class(TEXTS, encoding.text, called="text encoder", extra="train")
    text: TextEncoder = kind(encoding, kind.files(encoding, None), name=text_name(encoding))
    return text


def codec_name(encoding: Encoding, root: Path | None = None) -> str:
    """The codec's `name`, without loading it. Raises UsageError as `load_codec` does."""
    return _name(CODECS, encoding.codec, encoding, root)


def text_name(encoding: Encoding) -> str:
    """The text encoder's `name`, likewise."""
    return _name(TEXTS, encoding.text, encoding, None)


def has_posterior(encoding: Encoding) -> bool:
    """Whether the codec has something to draw, so that `Encoding.keeps` means anything."""
    return bool(find_class(CODECS, encoding.codec, called="codec", extra="train").posterior)


def _name(catalogue: dict[str, str], name: str, encoding: Encoding, root: Path | None) -> str:
    from hdvg.ids import digest

    kind = find_class(catalogue, name, called="encoder", extra="train")
    return f"{name}@{digest([files.digest(path) for path in kind.files(encoding, root)])[:12]}"
