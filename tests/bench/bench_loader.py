"""How many training samples one core takes from the latent store, beside a WebDataset tar and Parquet of the same samples.

Run: python -m tests.bench.bench_loader [--clips 6000] [--repeats 5]. The numbers are SYNTHETIC, of the full-size model's
shape: latents 16 × 24 × 43 × 4 and text states 77 × 1024, float16, 290 kB a sample, two windows and texts a clip. It counts CPU
seconds (the machine may be shared), every round all contestants one after the other. Ours: the order, the choices (window,
text, drop, time) and the read of a random window and text into reused float32 buffers; then the whole `DataFeed.step`, with
noise, into new memory; and, as theirs, the read alone. Theirs: latents and text decoded as float16, WebDataset in the tar's own order, Parquet in random
order from a file that stays open, one sample a row group. Files are in the page cache; CPU caches are 100 times smaller.
The last line is one JSON object: `samples_per_s_core` (median), `with_noise_s_core`, `copies_s_core` (the read alone, as
float16), `order_us`, `read_us` of a sample, `webdataset_s_core`, `parquet_s_core`.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import webdataset

from hdvg.ids import digest
from hdvg.latents.settings import Encoding
from hdvg.latents.store import Latents
from hdvg.latents.units import EMPTY, Keys
from hdvg.training.feed import DataFeed, Drawn
from hdvg.training.settings import TrainRecipe
from hdvg.training.sources import Member
from tests.bench.machine import describe, spread

LATENT, TEXT = (16, 24, 43, 4), (77, 1024)
WINDOWS = 2
UNIT = 256
THEIR_SAMPLES = 500
SAMPLE_BYTES = 2 * (int(np.prod(LATENT)) + int(np.prod(TEXT)))


def bench_loader(clips: int = 6000, *, repeats: int = 5) -> dict[str, float]:
    """The figures, see above."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        clips = min(clips, int(shutil.disk_usage(folder).free * 0.5 / SAMPLE_BYTES / WINDOWS))
        size = clips * WINDOWS * SAMPLE_BYTES / 1e9
        print(f"{clips} clips, {WINDOWS} windows and texts of each, {size:.1f} GB; {repeats} rounds of all samples")
        recipe = TrainRecipe.model_validate({"run": {"batch": 16}, "validation": {"clips": 0}})
        feed = DataFeed([Member(write_store(Path(folder), clips), "bench")], recipe)
        theirs = write_theirs(Path(folder), min(clips, THEIR_SAMPLES))
        read(feed, range(clips // 16))  # the files come into the page cache
        rounds = [
            contest(feed, theirs, range(number * clips // 16, (number + 1) * clips // 16)) for number in range(repeats)
        ]
    for name in rounds[0]:
        print(f"  {name}: {spread([one[name] for one in rounds])}")
    return {name: round(statistics.median(one[name] for one in rounds), 1) for name in rounds[0]}


def contest(feed: DataFeed, theirs: dict[str, Callable[[], int]], steps: range) -> dict[str, float]:
    """Each contestant once: samples (or microseconds) of CPU."""
    batch = feed.recipe.run.batch
    whole = cpu_s(lambda: read(feed, steps)) / len(steps) / batch
    drawn = cpu_s(lambda: [feed.drawn(step) for step in steps]) / len(steps) / batch
    whose = [one for step in steps for one in feed.drawn(step)]
    copied = cpu_s(lambda: copy(feed, whose)) / len(whose)
    few = steps[: max(len(steps) // 8, 1)]
    noise = cpu_s(lambda: [feed.step(step) for step in few]) / len(few) / batch
    ours = {
        "samples_per_s_core": 1 / whole,
        "with_noise_s_core": 1 / noise,
        "copies_s_core": 1 / copied,
        "order_us": drawn * 1e6,
        "read_us": (whole - drawn) * 1e6,
    }
    return ours | {f"{name}_s_core": take() / cpu_s(take) for name, take in theirs.items()}


def read(feed: DataFeed, steps: Iterable[int]) -> None:
    """Every sample of the steps into the same buffers."""
    batch = feed.recipe.run.batch
    latents_BTHWC, text_BLX = torch.empty((batch, *LATENT)), torch.empty((batch, *TEXT))
    for step in steps:
        for place, one in enumerate(feed.drawn(step)):
            feed.fill(one, latents_BTHWC[place], text_BLX[place])


def copy(feed: DataFeed, whose: Iterable[Drawn]) -> None:
    """As the others do: only read, as float16."""
    latent, text = np.empty(LATENT, np.float16), np.empty(TEXT, np.float16)
    for one in whose:
        feed.members[0].latents.read(one.number, one.window, latent)
        feed.members[0].latents.read_text(one.text, text)


def cpu_s(work: Callable[[], object]) -> float:
    """CPU time of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random float16 near 1: quickly made, and no faster to read than others."""
    return (rng.integers(0, 1024, shape, np.uint16) | 0x3C00).view(np.float16)


def write_store(root: Path, clips: int) -> Latents:
    """Units as `hdvg encode` writes them, and what `Latents.open` would find of them in a dataset."""
    rng = np.random.default_rng(0)
    keys = Keys("codec", "text", ("windows",), "states")
    for key in (*keys.windows, keys.states):
        (root / "latents" / key).mkdir(parents=True)
    (root / "latents/windows/about.json").write_text(json.dumps({"channels": LATENT[3]}))
    np.save(root / f"latents/states/{EMPTY}.npy", np.zeros((1, *TEXT), np.float16))
    rows, texts = [], []
    for start in range(0, clips, UNIT):
        count = min(UNIT, clips - start)
        paths = [root / "latents" / key / f"{start:08d}.npy" for key in ("windows", "states")]
        for path, shape in zip(paths, (LATENT, TEXT), strict=True):
            np.save(path, numbers(rng, (count * WINDOWS, *shape)))
        for place in range(count):
            name = digest(start + place)
            first = place * WINDOWS
            told = {"clip_id": name, "video_id": name, "text_ids": ["a", "b"], "weights": [3.0, 1.0], "bucket": 0}
            rows.append({**told, "windows": WINDOWS, "starts_s": [0.0, 1.0], "unit": str(paths[0]), "first": first})
            texts += [{"unit": str(paths[1]), "row": first + text} for text in range(WINDOWS)]
    for number, row in enumerate(rows):
        row["first_text"] = number * WINDOWS
    buckets = ((LATENT[0], LATENT[1] * 8, LATENT[2] * 8),)
    return Latents(
        root, pa.Table.from_pylist(rows), pa.Table.from_pylist(texts), keys=keys, encoding=Encoding(buckets=buckets)
    )


def write_theirs(root: Path, samples: int) -> dict[str, Callable[[], int]]:
    """The same samples in a tar and in Parquet; what reads them all and says how many they were."""
    rng = np.random.default_rng(1)
    tar, parquet = root / "samples.tar", root / "samples.parquet"
    schema = pa.schema([("latent", pa.binary()), ("text", pa.binary())])
    with webdataset.TarWriter(str(tar)) as sink, pq.ParquetWriter(parquet, schema, compression="none") as writer:
        for number in range(samples):
            latent, text = numbers(rng, LATENT), numbers(rng, TEXT)
            sink.write({"__key__": f"{number:06d}", "latent.npy": npy(latent), "text.npy": npy(text)})
            writer.write_table(pa.table({"latent": [latent.tobytes()], "text": [text.tobytes()]}, schema))
    file = pq.ParquetFile(parquet, memory_map=True)

    def from_tar() -> int:
        given = webdataset.WebDataset(str(tar), shardshuffle=False).decode().to_tuple("latent.npy", "text.npy")
        return sum(latent.shape == LATENT and text.shape == TEXT for latent, text in given)

    def from_parquet() -> int:
        for number in rng.permutation(samples):
            row = file.read_row_group(int(number))
            for name, shape in (("latent", LATENT), ("text", TEXT)):
                np.frombuffer(row[name].chunk(0)[0].as_buffer(), np.float16).reshape(shape)
        return samples

    return {"webdataset": from_tar, "parquet": from_parquet}


def npy(array: np.ndarray) -> bytes:
    """The bytes of a .npy file."""
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


def parser() -> argparse.ArgumentParser:
    """What may be asked of it."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--clips", type=int, default=6000)
    made.add_argument("--repeats", type=int, default=5)
    return made


def main() -> None:
    """A table, then one line of JSON."""
    asked = parser().parse_args()
    print(describe())
    print(json.dumps(bench_loader(asked.clips, repeats=asked.repeats)))


if __name__ == "__main__":
    main()
