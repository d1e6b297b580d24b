"""Codecs (pictures to latents and back) and text encoders (texts to token states): what they are, found by name.

Nothing heavy is imported here: networks load when one is made.
Shapes: N pictures or texts, H, W pixels, h = H / 8, w = W / 8, C channels, L tokens, X their width.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hdvg.ids import digest
from hdvg.latents import CODEC, TEXT
from hdvg.latents.settings import Encoding
from hdvg.networks import files
from hdvg.plugins import locate_name
from hdvg.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Frames = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

FACTOR = 8
"""How many times smaller than its picture a latent is, each way."""


class Codec(Protocol):
    """Pictures to latents of about unit variance, and back.

    `name` says which one and ends in 12 digits of its weights' digest. With a `posterior`, `encode` gives what
    `Encoding.keeps` asks for; others have nothing to draw.
    """

    name: str
    channels: int
    posterior: bool

    def encode(self, frames_NHWC: Frames, *, seed: str = "") -> Floats:
        """RGB -> (N, h, w, C), or (N, h, w, 2C) of means and log variances; a draw depends on `seed` alone."""

    def decode(self, latents_NhwC: Floats) -> Frames:
        """(N, h, w, C) -> RGB (N, H, W, 3)."""


class TextEncoder(Protocol):
    """Texts to token states; `name` as of a `Codec`, `shape` is (L, X).

    It may have a method `lengths(texts)`: the tokens of each whole text, a list of ints, so that what is cut can be said.
    """

    name: str
    shape: tuple[int, int]

    def states(self, texts: Sequence[str]) -> Floats:
        """(N, L, X); a text's states depend on the others of its call by rounding only (below 1e-5)."""


def load_codec(encoding: Encoding, root: Path | None = None) -> Codec:
    """The codec, in memory; `root` is the dataset's folder, or a training run's: any with the `latents/patches-*.npz` of
    `patches`, or the `plugins/` of a codec of one's own.

    Raises UsageError if its files or a package are not there.
    """
    codec: Codec = _load(CODEC, encoding.codec, encoding, root)
    return codec


def load_text(encoding: Encoding, root: Path | None = None) -> TextEncoder:
    """The text encoder, in memory; `root` as of `load_codec`. Raises UsageError if its files or a package are not there."""
    text: TextEncoder = _load(TEXT, encoding.text, encoding, root)
    return text


def lengths(text: TextEncoder, texts: Sequence[str]) -> list[int | None]:
    """Tokens of each whole text, the marks of its ends included; None if the encoder does not count."""
    counted: list[int | None] = text.lengths(texts) if hasattr(text, "lengths") else [None] * len(texts)
    return counted


def codec_name(encoding: Encoding, root: Path | None = None) -> str:
    """The codec's `name`, without loading it. Raises UsageError as `load_codec` does."""
    return _name(CODEC, encoding.codec, encoding, root)


def text_name(encoding: Encoding, root: Path | None = None) -> str:
    """The text encoder's `name`, likewise."""
    return _name(TEXT, encoding.text, encoding, root)


def has_posterior(encoding: Encoding, root: Path | None = None) -> bool:
    """Whether the codec has something to draw, so that `Encoding.keeps` means anything."""
    return bool(getattr(CODEC.find(_located(encoding.codec, root)), "posterior", False))


def _load(registry: Registry, name: str, encoding: Encoding, root: Path | None) -> Any:
    found = _files(registry, name, encoding, root)
    kind = registry.find(_located(name, root))
    return registry.checked(name, kind(encoding, found, name=_name(registry, name, encoding, root)))


def _files(registry: Registry, name: str, encoding: Encoding, root: Path | None) -> list[Path]:
    """The files that shape the encoder's numbers, beside a plug-in's code."""
    kind = registry.find(_located(name, root))
    found: list[Path] = kind.files(encoding, root) if hasattr(kind, "files") else []
    return found


def _name(registry: Registry, name: str, encoding: Encoding, root: Path | None) -> str:
    digests = [files.digest(path) for path in _files(registry, name, encoding, root)]
    if not registry.is_plugin(name):
        return f"{name}@{digest(digests)[:12]}"
    located = _located(name, root)
    version = getattr(registry.find(located), "version", None)
    return f"{registry.reference(located).attribute}@{digest(registry.code(located), version, digests)[:12]}"


def _located(name: str, root: Path | None) -> str:
    return name if root is None else locate_name(name, root)
