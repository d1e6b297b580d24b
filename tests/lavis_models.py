"""Models for the process of captioner `lavis`, passed to it by `--loader`: one without LAVIS, one of LAVIS itself.

This file runs under whichever Python the process has; it takes the place of `lavis.models.load_model_and_preprocess`.
"""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

SIDE_PX = 28
WORDS = ["a dog runs over the grass", "two people talk in a room", "a photo of a red car on a street\n"]


def environment(folder: Path, *, python: Path, function: str) -> Path:
    """A folder that looks like a built environment; its Python is `python`, which passes a function of this file on."""
    program = folder / "bin" / "python"
    program.parent.mkdir(parents=True)
    loader = shlex.quote(f"{Path(__file__).resolve()}:{function}")
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} "$@" --loader {loader}\n')
    program.chmod(0o755)
    return folder


def stand_in(*, name: str, model_type: str, is_eval: bool, device: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """A model that names the colour of a picture's corner (of a black one its process), and dies or hangs on some colours."""
    print("Downloading: 100%|", flush=True)
    if name != "standin":
        raise AttributeError("'NoneType' object has no attribute 'from_pretrained'")  # as LAVIS puts it
    if model_type == "too_large":
        raise MemoryError("CUDA out of memory")
    assert is_eval
    return Colours(model_type), {"eval": _colour}, {}


class Colours:
    """`model_type` is one of plain, roomy, short_of_memory (no more than two pictures, or none, fit), broken."""

    def __init__(self, model_type: str) -> None:
        self._type = model_type

    def generate(self, samples: dict[str, Any], *, use_nucleus_sampling: bool, num_beams: int, max_length: int) -> Any:
        os.write(1, b'garbage\n{"texts": []}\n')
        print({"texts": ["not", "these"]}, flush=True)
        pictures = [tuple(int(value) for value in picture) for picture in samples["image"]]
        if self._type == "short_of_memory" or (self._type == "roomy" and len(pictures) > 2):
            raise RuntimeError("CUDA error: out of memory")
        if (128, 0, 0) in pictures:
            os.kill(os.getpid(), signal.SIGSEGV)
        if (0, 128, 0) in pictures:
            time.sleep(3600)
        if (0, 0, 128) in pictures:
            raise ValueError("no blue, please")
        how = f"{samples.get('prompt', 'of')} {num_beams} {max_length}"
        texts = {(0, 0, 0): f"process {os.getpid()}"}
        return [texts.get(picture, f"{' '.join(map(str, picture))} {how}") for picture in pictures]


def _colour(picture: Any) -> Any:
    """RGB picture -> the mean colour of its first 8x8 pixels in steps of 64, which JPEG does not change."""
    import numpy as np
    import torch

    return torch.tensor(np.asarray(picture)[:8, :8].mean((0, 1)) + 32).div(64, rounding_mode="floor") * 64


def tiny(*, name: str, model_type: str, is_eval: bool, device: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """LAVIS's own Blip2OPT with few and random weights, by LAVIS's own loading of a config and a checkpoint.

    What it would download (EVA-ViT, the tokenizer and weights of BERT and OPT) is made here instead.
    """
    import torch
    from lavis.models import load_model_and_preprocess
    from lavis.models.blip2_models.blip2_opt import Blip2OPT

    _make_instead_of_download()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "tiny.pth"
        torch.save({"model": tiny_weights(seed=0)}, checkpoint)
        config = Path(folder) / "tiny.yaml"
        config.write_text(
            f"model: {{load_finetuned: true, finetuned: {checkpoint}, image_size: {SIDE_PX}, vit_precision: fp32,"
            " num_query_token: 4, opt_model: tiny, prompt: a photo of}\n"
            f"preprocess: {{vis_processor: {{eval: {{name: blip_image_eval, image_size: {SIDE_PX}}}}}}}\n"
        )
        Blip2OPT.PRETRAINED_MODEL_CONFIG_DICT["tiny"] = str(config)
        loaded: tuple[Any, dict[str, Any], dict[str, Any]] = load_model_and_preprocess(
            name=name, model_type=model_type, is_eval=is_eval, device=device
        )
        return loaded


def tiny_weights(*, seed: int) -> dict[str, Any]:
    """A state dict of the tiny Blip2OPT; large enough weights that pictures change the text."""
    import torch
    from lavis.models.blip2_models.blip2_opt import Blip2OPT

    _make_instead_of_download()
    torch.manual_seed(seed)
    model = Blip2OPT(img_size=SIDE_PX, vit_precision="fp32", num_query_token=4, opt_model="tiny")
    weights: dict[str, Any] = {
        key: torch.randn_like(value) * 0.3 if value.is_floating_point() and value.ndim > 1 else value
        for key, value in model.float().state_dict().items()
    }
    weights["query_tokens"] *= 10
    weights["opt_proj.weight"] *= 20
    return weights


def _make_instead_of_download() -> None:
    import lavis.models.blip2_models.blip2 as base
    import lavis.models.blip2_models.blip2_opt as opt
    from lavis.models.blip2_models.modeling_opt import OPTConfig
    from lavis.models.eva_vit import VisionTransformer

    tokenizer = _tokenizer()
    shape = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    bert = base.BertConfig(**shape, intermediate_size=64)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    text = OPTConfig(**shape, ffn_dim=64, word_embed_proj_dim=32, pad_token_id=pad, bos_token_id=end, eos_token_id=end)
    base.create_eva_vit_g = lambda *size: VisionTransformer(size[0], 14, embed_dim=32, depth=2, num_heads=4)
    base.Blip2Base.init_tokenizer = classmethod(lambda cls: tokenizer)
    base.BertConfig.from_pretrained = classmethod(lambda cls, where: bert)
    base.BertLMHeadModel.from_pretrained = classmethod(lambda cls, where, config: cls(config))
    opt.AutoTokenizer.from_pretrained = staticmethod(lambda where, use_fast: tokenizer)
    opt.OPTForCausalLM.from_pretrained = classmethod(lambda cls, where, torch_dtype: cls(text).to(torch_dtype))


def _tokenizer() -> Any:
    import tokenizers
    import transformers

    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    bpe.train_from_iterator(WORDS, tokenizers.trainers.BpeTrainer(vocab_size=120, special_tokens=["<pad>", "</s>"]))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="</s>", eos_token="</s>", pad_token="<pad>"
    )
