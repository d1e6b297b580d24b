"""Vision-language models of a few thousand random weights, of three families that treat pictures differently."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.tools import stir

SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
SPECIAL = ["<pad>", "</s>", "<image>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
SPECIAL += ["<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}PICTURE{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} Answer:{% endif %}"
)


def folders(factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where a model of a family lies, made when it is first asked for."""

    @cache
    def folder(family: str) -> Path:
        made = factory.mktemp(family)
        make(family, made)
        return made

    return folder


def make(family: str, folder: Path) -> None:
    """Save a model of `MAKERS`; its weights are large enough for pictures to change the text."""
    torch.manual_seed(0)
    network = MAKERS[family](folder)
    stir(network)
    network.generation_config.repetition_penalty = 1.3
    network.save_pretrained(folder)


def make_tokenizer(picture: str) -> Any:
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    letters = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, initial_alphabet=letters)
    bpe.train_from_iterator(["a dog runs over the grass", "two people talk in a room"], trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="</s>",
        pad_token="<pad>",
        chat_template=TEMPLATE.replace("PICTURE", picture),
        extra_special_tokens={
            "image_token": "<image>",
            "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        }
        if picture == "<image>"
        else {},
    )


def make_llava(folder: Path) -> Any:
    """Every picture is 32 x 32 px for it."""
    tokenizer = make_tokenizer("<image>")
    pixels = LlavaImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    transformers.LlavaProcessor(
        pixels,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=tokenizer.chat_template,
    ).save_pretrained(folder)
    return transformers.LlavaForConditionalGeneration(
        transformers.LlavaConfig(
            text_config=transformers.LlamaConfig(**SHAPE, vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=1),
            vision_config=transformers.CLIPVisionConfig(**SHAPE, image_size=32, patch_size=8),
            image_token_id=2,
        )
    )


def make_qwen2_vl(folder: Path) -> Any:
    """Pictures keep their shape, and give more or fewer tokens; its processor has a part for videos, left out here."""
    tokenizer = make_tokenizer("<|vision_start|><|image_pad|><|vision_end|>")
    pixels = Qwen2VLImageProcessorPil(patch_size=4, merge_size=2, size={"shortest_edge": 64, "longest_edge": 1024})
    tokenizer.save_pretrained(folder)
    pixels.save_pretrained(folder)
    rope = {"type": "mrope", "mrope_section": [1, 1, 2]}
    text = {**SHAPE, "num_key_value_heads": 2, "rope_scaling": rope, "vocab_size": len(tokenizer)}
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "mlp_ratio": 2, "patch_size": 4}
    return transformers.Qwen2VLForConditionalGeneration(
        transformers.Qwen2VLConfig(
            text_config={**text, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None},
            vision_config=vision,
            **{"image_token_id": 3, "video_token_id": 4, "vision_start_token_id": 5, "vision_end_token_id": 6},
        )
    )


def make_idefics3(folder: Path) -> Any:
    """Pictures are cut into tiles, more or fewer, each of which is a picture."""
    tokenizer = make_tokenizer("<image>")
    pixels = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    transformers.Idefics3Processor(
        pixels, tokenizer, image_seq_len=4, chat_template=tokenizer.chat_template
    ).save_pretrained(folder)
    text = transformers.LlamaConfig(**SHAPE, vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=1)
    vision = {**SHAPE, "image_size": 32, "patch_size": 8}
    config = transformers.Idefics3Config(
        text_config=text, vision_config=vision, image_token_id=2, scale_factor=2, pad_token_id=0
    )
    return transformers.Idefics3ForConditionalGeneration(config)


MAKERS = {"llava": make_llava, "qwen2_vl": make_qwen2_vl, "idefics3": make_idefics3}
