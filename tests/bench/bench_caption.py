"""What the caption stage costs around its model: clips/s of the stage over clips/s of a bare batched generate loop.

Run: python -m tests.bench.bench_caption [--sizes tiny,small] [--repeats 5] [--clips N] [--batch N] [--threads 1]
[--gpu].
Both caption the middle keyframes of the bundled real videos, repeated under other ids, with the same BLIP-2 of random
weights, in this process and in turns: the stage as a run does it (pending clips asked for, keyframe packs read, batches
saved, the unit's part published), the loop as one would write it by hand (decode the JPEGs, processor, generate, decode
the tokens), both in batches of what the stage settled on. Random weights rarely end a text, so nearly every one has all
its tokens; trained ones mostly stop sooner. `--gpu`: BLIP-2-opt-2.7b's size alone, in bfloat16, made on the GPU.
The last line is one JSON object: `stage_over_bare` (median of the rounds' ratios, the least of the sizes; by size in
`by_size`, with its spread), `clips_per_s` and `peak_mb` (of the largest size), `hours_per_million`, `batch`, `gpu_peak_mb`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hdvg.captioners import clean
from hdvg.captioners.blip2 import BEAMS, MAX_TOKENS, Blip2
from hdvg.dataset.dataset import Dataset
from hdvg.keyframes import Shot
from hdvg.networks.memory import memory_of
from pipelines import perform
from pipelines.perform import make_gate
from tests.bench.bench_measures import shots_of
from tests.bench.machine import BUNDLED_720P, describe, spread
from tests.captioned import OPT_2_7B, SMALL, TINY, random_blip2, waiting_unit, word_tokenizer
from tests.footage import find

SIZES = {"tiny": TINY, "small": SMALL, "opt-2.7b": OPT_2_7B}
CLIPS = {"tiny": 1024, "small": 64, "opt-2.7b": 2048}
BATCH = {"tiny": 0, "small": 8, "opt-2.7b": 0}
CLIPS_A_VIDEO = 32
MIB = 2**20


class Bench:
    """One model, and the two ways to have it caption the same clips."""

    def __init__(self, size: str, *, device: str, videos: Sequence[Sequence[Shot]], asked: dict[str, Any]) -> None:
        import torch

        self.recipe = {"captioner": "blip2", "model": f"random/{size}", **asked}
        self._videos, self._device = videos, device
        self._dtype = torch.bfloat16 if device == "cuda" else torch.float32
        loaded = random_blip2(SIZES[size], word_tokenizer(SIZES[size].words), device=device, dtype=self._dtype)
        self._processor, self._network = loaded
        self._captioner: Blip2 | None = None
        self._loaded = loaded
        self._turn = itertools.count()

    @property
    def weights(self) -> int:
        return sum(weight.numel() for weight in self._network.parameters())

    @property
    def batch(self) -> int:
        assert self._captioner is not None
        return self._captioner.batch

    def stage(self, folder: Path) -> tuple[float, float, list[str]]:
        """Seconds on the clock and of CPU that a unit takes, and its texts by video and clip."""
        dataset, unit = waiting_unit(folder / str(next(self._turn)), self.recipe, self._videos)
        recipe = dataset.plan.recipe
        self._captioner = self._captioner or Blip2(recipe.caption, self._loaded)
        perform._models["caption"] = recipe, self._captioner  # as after a worker's first unit
        job = perform.Job(dataset.root, dataset.store.run, "caption", unit)
        start, cpu = time.perf_counter(), time.process_time()
        done = perform.perform(job, make_gate(recipe), dataset)
        spent = time.perf_counter() - start, time.process_time() - cpu
        print(f"  stage {spent[0]:.2f} s, model {done.busy_s / done.seconds:.1%} of it, {done.ahead:.1f} batches ahead")
        return *spent, texts_of(dataset, unit)

    def bare(self, _: Path | None = None) -> tuple[float, float, list[str]]:
        """The same of a loop around `generate`."""
        jpegs = [shot.keyframes["middle"] for shots in self._videos for shot in shots]
        texts: list[str] = []
        start, cpu = time.perf_counter(), time.process_time()
        for first in range(0, len(jpegs), self.batch):
            texts += self._generate(jpegs[first : first + self.batch])
        return time.perf_counter() - start, time.process_time() - cpu, texts

    def _generate(self, jpegs: Sequence[bytes]) -> list[str]:
        import torch
        from PIL import Image

        pictures = [Image.open(BytesIO(jpeg)).convert("RGB") for jpeg in jpegs]
        inputs = self._processor(images=pictures, return_tensors="pt").to(self._device, self._dtype)
        asked = {
            "num_beams": self.recipe["beams"] or BEAMS,
            "max_new_tokens": self.recipe["max_tokens"] or MAX_TOKENS,
        }
        with torch.inference_mode():
            tokens = self._network.generate(**inputs, do_sample=False, **asked)
        return [clean(text, lower_case=True) for text in self._processor.batch_decode(tokens, skip_special_tokens=True)]


def texts_of(dataset: Dataset, unit: str) -> list[str]:
    """What a unit's clips are called, by video and clip; "" where there is no text."""
    (part,) = (dataset.root / "parts" / "caption").glob(f"{unit}-*.parquet")
    rows = sorted(pq.read_table(part).to_pylist(), key=lambda row: (row["video_id"], row["clip_id"]))
    return [row["text"] or "" for row in rows]


def real_videos(clips: int) -> list[list[Shot]]:
    """Shots of the bundled videos, over and over, in videos of 32."""
    paths = [path for file in BUNDLED_720P if (path := find(file))]
    shots = itertools.cycle([shot for path in paths for shot in shots_of(path)])
    counts = [CLIPS_A_VIDEO] * (clips // CLIPS_A_VIDEO) + ([clips % CLIPS_A_VIDEO] if clips % CLIPS_A_VIDEO else [])
    return [list(itertools.islice(shots, count)) for count in counts]


class Peaks:
    """The most memory of this process and of the GPU while it is watched, MiB."""

    def __init__(self, device: str) -> None:
        self._watched = {name: memory_of(name) for name in {"cpu", device}}

    def begin(self) -> None:
        for watched in self._watched.values():
            if watched:
                watched.reset()

    def mb(self, device: str) -> float | None:
        """None where it cannot be told."""
        watched = self._watched.get(device)
        return round(watched.peak() / MIB, 1) if watched else None


def measure(bench: Bench, *, rounds: int, folder: Path, device: str) -> dict[str, Any]:
    """Print the rounds of one model; its figures."""
    ratios, cpu_ratios, rates, peaks = [], [], [], Peaks(device)
    bench.stage(folder)  # finds the batch
    bench.bare()
    for turn in range(rounds):
        order = (bench.stage, bench.bare) if turn % 2 else (bench.bare, bench.stage)
        spent = {}
        for way in order:
            peaks.begin()
            spent[way.__name__] = way(folder)
            if way == bench.stage:
                held = {"peak_mb": peaks.mb("cpu"), "gpu_peak_mb": peaks.mb("cuda")}
        (stage_s, stage_cpu_s, texts), (bare_s, bare_cpu_s, expected) = spent["stage"], spent["bare"]
        if device == "cpu":  # in 16 bits a text may depend on how the clips fall into batches
            assert texts == expected, "the stage says other than the bare loop"
        ratios.append(bare_s / stage_s)
        cpu_ratios.append(bare_cpu_s / stage_cpu_s)
        rates.append(len(texts) / stage_s)
        print(f"  bare {bare_s:.2f} s; stage over bare {ratios[-1]:.3f}, in CPU time {cpu_ratios[-1]:.3f}", flush=True)
    rate = statistics.median(rates)
    print(f"  stage over bare {spread(ratios)}, in CPU time {spread(cpu_ratios)}; {spread(rates)} clips/s")
    print(f"  peak {held['peak_mb']} MiB, GPU {held['gpu_peak_mb']} MiB; {1e6 / rate / 3600:.1f} h for a million clips")
    return {
        "stage_over_bare": round(statistics.median(ratios), 3),
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "in_cpu_time": round(statistics.median(cpu_ratios), 3),
        "clips_per_s": round(rate, 2),
        "hours_per_million": round(1e6 / rate / 3600, 1),
        "batch": bench.batch,
        "weights": bench.weights,
        **held,
    }


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=lambda text: text.split(","), default=["tiny", "small"], help=", ".join(SIZES))
    parser.add_argument("--clips", type=int, default=None, help=f"of a unit; else {CLIPS}")
    parser.add_argument("--repeats", type=int, default=5, help="rounds")
    parser.add_argument(
        "--batch", type=int, default=None, help=f"clips per forward pass; 0 finds it in a first round; else {BATCH}"
    )
    parser.add_argument("--beams", type=int, default=None)
    parser.add_argument("--max-tokens", type=int, default=None)
    parser.add_argument(
        "--threads", type=int, default=1, help="of torch on the CPU; on a busy machine more wait for each other"
    )
    parser.add_argument("--gpu", action="store_true", help="only BLIP-2-opt-2.7b's size, in bfloat16 on the GPU")
    return parser


def main() -> None:
    import torch

    args = parser().parse_args()
    sizes, device = (["opt-2.7b"], "cuda") if args.gpu else (args.sizes, "cpu")
    torch.set_num_threads(args.threads)
    asked = {"beams": args.beams, "max_tokens": args.max_tokens}
    print(describe())
    found: dict[str, dict[str, Any]] = {}
    for size in sizes:
        videos = real_videos(args.clips or CLIPS[size])
        batch = BATCH[size] if args.batch is None else args.batch
        bench = Bench(size, device=device, videos=videos, asked={**asked, "batch": batch})
        clips = f"{sum(map(len, videos))} clips in {len(videos)} videos, keyframes of {', '.join(BUNDLED_720P)}"
        print(f"{size}: {bench.weights / 1e6:.1f} million weights on {device}; {clips}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            found[size] = measure(bench, rounds=args.repeats, folder=Path(folder), device=device)
    print(describe())
    largest = max(found.values(), key=lambda one: one["weights"])
    print(
        json.dumps(
            {**largest, "stage_over_bare": min(one["stage_over_bare"] for one in found.values()), "by_size": found}
        )
    )


if __name__ == "__main__":
    main()
