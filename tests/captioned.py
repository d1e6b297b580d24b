"""A BLIP-2 of random weights in any size, and a unit of real keyframes that waits to be captioned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import UNIT_MOST, accept
from hdvg.dataset.stages import part_schema
from hdvg.dataset.store import Store
from hdvg.keyframes import Shot
from hdvg.planning import make_plan
from schemas.keyframes import KEYFRAMES

KEPT = {
    "duration_s": 5.0,
    "start_s": 0.0,
    "end_s": 5.0,
    "n_frames": 125,
    "short_px": 1080,
    "width": 1920,
    "height": 1080,
    "aspect": 16 / 9,
}
"""What is told of a clip that any recipe keeps."""


@dataclass(frozen=True)
class Size:
    """The parts of a BLIP-2: what its configs differ in from transformers' defaults, which are BLIP-2-opt-2.7b's eyes."""

    words: int
    query_tokens: int = 32
    vision: dict[str, Any] = field(default_factory=dict)
    qformer: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)


_LITTLE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
_MIDDLING = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 6}
TINY = Size(
    words=120,
    query_tokens=4,
    vision={**_LITTLE, "intermediate_size": 64, "image_size": 32, "patch_size": 8},
    qformer={**_LITTLE, "intermediate_size": 64},
    text={**_LITTLE, "ffn_dim": 64},
)
SMALL = Size(
    words=8000,
    vision={**_MIDDLING, "intermediate_size": 1536},
    qformer={**_MIDDLING, "intermediate_size": 1536},
    text={**_MIDDLING, "ffn_dim": 1536},
)
OPT_2_7B = Size(
    words=50_300,
    text={"hidden_size": 2560, "num_hidden_layers": 32, "num_attention_heads": 32, "ffn_dim": 10_240},
)


def word_tokenizer(words: int) -> Any:
    """A tokenizer whose every token but three is a word: w3, w4, ..."""
    import tokenizers
    import transformers

    vocabulary = {"<pad>": 0, "</s>": 1, "<image>": 2, **{f"w{number}": number for number in range(3, words)}}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<pad>"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, bos_token="</s>", eos_token="</s>", pad_token="<pad>", padding_side="left"
    )


def random_blip2(size: Size, tokenizer: Any, *, device: str = "cpu", dtype: Any = None) -> tuple[Any, Any]:
    """Processor and network, made on the device; pixels, words and special tokens fit each other."""
    import torch
    import transformers

    pad, end, image = tokenizer.convert_tokens_to_ids(["<pad>", "</s>", "<image>"])
    vision = transformers.Blip2VisionConfig(**{"initializer_range": 0.02, **size.vision})
    qformer = transformers.Blip2QFormerConfig(
        **{"vocab_size": size.words, "encoder_hidden_size": vision.hidden_size, **size.qformer}
    )
    text = transformers.OPTConfig(vocab_size=size.words, pad_token_id=pad, bos_token_id=end, **size.text)
    text.eos_token_id = end
    config = transformers.Blip2Config(
        vision_config=vision.to_dict(),
        qformer_config=qformer.to_dict(),
        text_config=text.to_dict(),
        num_query_tokens=size.query_tokens,
        image_token_index=image,
    )
    torch.manual_seed(0)
    with torch.device(device):
        network = transformers.Blip2ForConditionalGeneration._from_config(config, dtype=dtype or torch.float32)
    side = {"height": vision.image_size, "width": vision.image_size}
    pixels = transformers.BlipImageProcessorPil(size=side)
    return transformers.Blip2Processor(pixels, tokenizer, num_query_tokens=size.query_tokens), network.eval()


def waiting_unit(root: Path, caption: dict[str, Any], videos: Sequence[Sequence[Shot]]) -> tuple[Dataset, str]:
    """A dataset, and a unit of it with a video for each list of shots: downloaded, split, and kept whole.

    Clips are renamed by video and place, for the same shots may come again.
    """
    root.mkdir(parents=True, exist_ok=True)
    plan = make_plan(parse_recipe({"name": "waiting", "caption": caption}))
    dataset = Dataset(root, plan, Store(root, run="waiting"))
    dataset.store.begin()
    dataset.prepare()
    links = root.parent / f"{root.name}-links.txt"
    links.write_text("\n".join(f"https://a.org/{number}.mp4" for number in range(UNIT_MOST * len(videos))))
    accept(dataset, str(links))  # so many that a unit has as many videos as wanted; the others are never looked at
    with dataset.manifest() as manifest:
        unit = manifest.one("select min(unit) from inputs")
        names = [
            row["video_id"] for row in manifest.rows("select video_id from inputs where unit = ? order by all", [unit])
        ]
    fetched, split = [], []
    for name, shots in zip(names, videos, strict=True):
        base = {"video_id": name, "status": "ok", "generation": 0, "attempt": 1}
        clips = [(f"{name}-{place:04}", shot) for place, shot in enumerate(shots)]
        pack = _pack(dataset.store, clips)
        fetched.append(
            {
                **base,
                "sha256": f"{len(fetched):064}",
            }
        )
        split.append(base)
        split += [
            {**base, **KEPT, "clip_id": clip, "start_pts": place, "end_pts": place + 1, "keyframes": pack}
            for place, (clip, _) in enumerate(clips)
        ]
    for stage, rows in (("download", fetched), ("split", split)):
        name = f"parts/{stage}/{unit}-{plan.fingerprints[stage]}-0.parquet"
        dataset.store.publish_table(name, pa.Table.from_pylist(rows, schema=part_schema(stage)))
    return dataset, unit


def _pack(store: Store, clips: Sequence[tuple[str, Shot]]) -> str:
    """The keyframes of a video's clips, stored."""
    rows = [
        {"clip_id": clip, "position": position, "pts": place, "frame": place, "jpeg": picture}
        for place, (clip, shot) in enumerate(clips)
        for position, picture in shot.keyframes.items()
    ]
    with store.scratch() as scratch:
        pq.write_table(pa.Table.from_pylist(rows, schema=KEYFRAMES), scratch / "pack")
        return store.put_media(scratch / "pack", "parquet")
