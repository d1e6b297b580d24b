"""Benchmark of the search for duplicates: a million made-up clips with known copies, and what the hashes cost a frame.

    python -m tests.bench.bench_duplicates [--clips 1000000] [--copies 0.05] [--seed 0]

Series of hashes are random walks (a new picture every 10 clips' worth, bits that flip from one to the next); a copy has
its bits flipped by 0-8 of 64 throughout, is shifted by up to a second, and comes from another video. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hdvg.duplicates import find_duplicates
from hdvg.measures.phash import SIDE_PX, hash_pairs, small
from hdvg.networks.memory import ProcessMemory
from tests.bench.machine import describe

BLOCK = 100_000
HASHES = pa.list_(pa.uint64())


def flips(random: np.random.Generator, bits: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Masks with so many random bits set (fewer where a bit is drawn twice)."""
    masks = np.zeros(len(bits), np.uint64)
    for number in range(int(bits.max(initial=0))):
        bit = np.uint64(1) << random.integers(0, 64, len(bits)).astype(np.uint64)
        masks ^= np.where(number < bits, bit, np.uint64(0))
    return masks


def walks(random: np.random.Generator, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Series of hashes one behind the other: each clip flips 0-6 bits a step."""
    starts = np.cumsum(lengths) - lengths
    pace = np.repeat(random.integers(0, 7, len(lengths)), lengths)
    steps = flips(random, pace)
    steps[starts] = random.integers(0, 2**64, len(lengths), dtype=np.uint64)
    walk = np.bitwise_xor.accumulate(steps)
    before = np.concatenate([[np.uint64(0)], walk[starts[1:] - 1]])
    return np.asarray(walk ^ np.repeat(before, lengths), dtype=np.uint64)


def made_up(n_clips: int, share: float, seed: int) -> tuple[pa.Table, int]:
    """A table of clips of 2-15 s, and how many of them are copies: the last ones, of the first ones."""
    random = np.random.default_rng(seed)
    n_copies = int(n_clips * share)
    lengths = random.integers(4, 31, n_clips - n_copies)
    whole, inner = walks(random, lengths), walks(random, lengths)
    parts = [(lengths, whole, inner)]
    ends = np.cumsum(lengths)
    shift = np.minimum(random.integers(0, 3, n_copies), lengths[:n_copies] // 4)
    kept = lengths[:n_copies] - shift
    at = np.arange(kept.sum()) + np.repeat(ends[:n_copies] - kept - np.cumsum(kept) + kept, kept)
    noise = np.repeat(flips(random, random.integers(0, 9, n_copies)), kept)
    parts.append((kept, whole[at] ^ noise, inner[at] ^ noise))
    lengths, whole, inner = (np.concatenate(one) for one in zip(*parts, strict=True))
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    names = [f"{number:032x}" for number in range(n_clips)]
    columns = {
        "clip_id": pa.array(names),
        "video_id": pa.array([f"{number // 10:032x}" for number in range(n_clips)]),
        "duration_s": pa.array(lengths / 2),
        "phashes": pa.ListArray.from_arrays(offsets, pa.array(whole)),
        "phashes_inner": pa.ListArray.from_arrays(offsets, pa.array(inner)),
    }
    return pa.table(columns), n_copies


def searched(n_clips: int, share: float, seed: int) -> dict[str, Any]:
    """Seconds, peak memory and recall of one search."""
    clips, n_copies = made_up(n_clips, share, seed)
    memory = ProcessMemory()
    memory.reset()  # what making them up took counts for nothing
    wall, cpu = time.perf_counter(), time.process_time()
    found = find_duplicates(clips)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = memory.peak()
    names = clips["clip_id"].to_pylist()
    truth = dict(zip(names[n_clips - n_copies :], names[:n_copies], strict=True))
    said = dict(zip(found["clip_id"].to_pylist(), found["duplicate_of"].to_pylist(), strict=True))
    right = sum(said[copy] == original for copy, original in truth.items())
    wrong = sum(of is not None and truth.get(name) != of for name, of in said.items())
    return {
        "clips": n_clips,
        "copies": n_copies,
        "recall": round(right / max(n_copies, 1), 4),
        "false": wrong,
        "dedup_s": round(wall, 1),
        "dedup_cpu_s": round(cpu, 1),
        "peak_mb": round(peak / 2**20),
    }


def hashing_us(frames: int = 2000) -> float:
    """CPU microseconds that the hashes cost a frame of the pass, 256 px wide."""
    grey = np.random.default_rng(0).integers(0, 255, (144, 256), np.uint8)
    cv2.setNumThreads(1)
    before = time.process_time()
    for _ in range(frames // 250):
        hash_pairs(np.array([small(grey) for _ in range(250)]).reshape(-1, SIDE_PX, SIDE_PX))
    return (time.process_time() - before) / frames * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--copies", type=float, default=0.05, help="share of the clips that are copies")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(describe())
    row = {"hash_us_per_frame": round(hashing_us(), 1)} | searched(args.clips, args.copies, args.seed)
    print(", ".join(f"{name} {value}" for name, value in row.items()))
    print(json.dumps(row))


if __name__ == "__main__":
    main()
