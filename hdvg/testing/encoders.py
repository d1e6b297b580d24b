"""What every codec and text encoder keeps: shapes, types, no dependence on the batch, and a name for its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hdvg.latents.encoders import FACTOR, codec_name, has_posterior, load_codec, load_text, text_name
from hdvg.latents.settings import Encoding

TEXTS = ("a dog runs over the grass", "", "two people talk in a room while it is raining outside and nobody listens")


def check_codec(name: str, *, root: Path | None = None, **settings: Any) -> None:
    """Check the codec of that name, with these settings of `data`; `root` is the folder of a dataset, for `patches`."""
    encoding = Encoding.model_validate({"codec": name, **settings})
    codec = load_codec(encoding, root)
    assert codec.name == codec_name(encoding, root), "`name` is the one that the class is made with"
    wide = codec.channels * (2 if has_posterior(encoding, root) and encoding.keeps == "both" else 1)
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 112, 3), dtype=np.uint8)
    latents = codec.encode(frames, seed="a clip")
    assert latents.dtype == np.float32, f"latents are float32, not {latents.dtype}"
    wanted = (3, 64 // FACTOR, 112 // FACTOR, wide)
    assert latents.shape == wanted, f"latents of (3, 64, 112, 3) are (N, h, w, C) = {wanted}, not {latents.shape}"
    assert np.isfinite(latents).all(), "latents are finite"
    again = codec.encode(frames, seed="a clip")
    np.testing.assert_array_equal(again, latents, "the same pictures and seed give other latents")
    if not has_posterior(encoding, root) or encoding.keeps == "mean":
        alone = np.concatenate([codec.encode(frames[at : at + 1], seed="a clip") for at in range(len(frames))])
        np.testing.assert_allclose(alone, latents, atol=1e-4, err_msg="latents depend on the batch")
    back = codec.decode(latents[..., : codec.channels])
    assert back.dtype == np.uint8, f"decode() gives uint8, not {back.dtype}"
    assert back.shape == frames.shape, f"decode() gives {frames.shape} back, not {back.shape}"


def check_text_encoder(name: str, *, root: Path | None = None, **settings: Any) -> None:
    """Check the text encoder of that name, with these settings of `data`."""
    encoding = Encoding.model_validate({"text": name, **settings})
    encoder = load_text(encoding, root)
    assert encoder.name == text_name(encoding, root), "`name` is the one that the class is made with"
    states = encoder.states(TEXTS)
    wanted = (len(TEXTS), *encoder.shape)
    assert states.shape == wanted, f"states of {len(TEXTS)} texts are (N, L, X) = {wanted}, not {states.shape}"
    assert states.dtype == np.float32, f"states are float32, not {states.dtype}"
    assert np.isfinite(states).all(), "states are finite"
    alone = np.concatenate([encoder.states([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, states, atol=1e-5, err_msg="states depend on the other texts of a call")
    assert encoder.states([]).shape == (0, *encoder.shape), "no texts give (0, L, X)"
