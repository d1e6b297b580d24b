"""A Whisper of a few thousand random weights, saved as transformers saves one."""

from __future__ import annotations

from pathlib import Path

import tokenizers
import torch
import transformers

from tests.tools import stir

LANGUAGES = ("en", "de", "fr")
SPECIAL = [
    *("<|endoftext|>", "<|startoftranscript|>", *(f"<|{one}|>" for one in LANGUAGES)),
    *("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
]


def make(folder: Path) -> None:
    """Save it; its weights are large enough for the sound to change the text."""
    torch.manual_seed(2)
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    letters = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(["hello there"], tokenizers.trainers.BpeTrainer(vocab_size=270, initial_alphabet=letters))
    known = bpe.get_vocab()
    first = len(known)
    tokenizer = transformers.WhisperTokenizer(vocab=known, merges=[], eos_token=SPECIAL[0], bos_token=SPECIAL[0], unk_token=SPECIAL[0])  # fmt: skip
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL})
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    assert min(ids.values()) >= first
    extractor = transformers.WhisperFeatureExtractor(feature_size=16)
    transformers.WhisperProcessor(extractor, tokenizer).save_pretrained(folder)
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes |= {
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "d_model": 16,
        "num_mel_bins": 16,
        "max_target_positions": 64,
    }
    tokens = {"pad_token_id": end, "bos_token_id": end, "eos_token_id": end, "decoder_start_token_id": start}
    network = transformers.WhisperForConditionalGeneration(
        transformers.WhisperConfig(vocab_size=max(ids.values()) + 1, **sizes, **tokens, begin_suppress_tokens=None)
    )
    stir(network)
    settings = network.generation_config
    settings._from_model_config = False
    settings.is_multilingual = True
    settings.lang_to_id = {f"<|{one}|>": ids[f"<|{one}|>"] for one in LANGUAGES}
    settings.task_to_id = {one: ids[f"<|{one}|>"] for one in ("transcribe", "translate")}
    settings.no_timestamps_token_id = ids["<|notimestamps|>"]
    settings.prev_sot_token_id = ids["<|startofprev|>"]
    plain = {known[letter] for letter in "abcdefghijklmnopqrstuvwxyz"}
    settings.suppress_tokens = [token for token in range(network.config.vocab_size) if token not in plain]
    network.save_pretrained(folder)
    settings.save_pretrained(folder)
