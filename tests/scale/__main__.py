"""What commands cost as a dataset grows: CPU seconds and peak memory of each, in a process of its own, over SYNTHETIC datasets.

    python -m tests.scale [--sizes 10k,100k,1m] [--folder FOLDER] [--only OPERATION ...]

The clips are drawn by SQL, 20 a video and 64 videos a unit, each unit with parts of its own, all cut (into no file) and
captioned, nine rules; nothing is decoded. CPU seconds are of all threads and children, behind a first call over 20 clips, so
that no start of Python is in them; the wall clock of a shared machine says nothing. The table is Markdown, the last line is
one JSON object: by figure its target, and what was reached. `--folder` keeps the datasets for the next time (3 kB a clip).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.machine import describe
from tests.scale import datasets
from tests.scale.figures import DUPLICATES, JOB_POOL, LARGE, SMALL, UNANSWERED, VIEWS_OF_VIDEOS, reached
from tests.scale.operations import CHANGING, COMPACT, READING

LEAST = 20
"""Clips of the dataset of first calls."""
TWICE = ("count", "lookup", "explain", "status")
"""Operations that are measured without kept answers, too."""
POOL_ROWS, VIDEOS = 5_000_000, 150_000

Took = dict[str, float]


class Meter:
    """Measures operations, those that were asked for."""

    def __init__(self, folder: Path, only: Sequence[str]) -> None:
        self._folder, self._only = folder, set(only)
        self._least = datasets.made(folder, LEAST)
        self.results: dict[tuple[str, int], Took] = {}

    def wants(self, *names: str) -> bool:
        """Whether any of these is asked for."""
        return not self._only or bool(self._only & set(names))

    def measure(self, operation: str, root: Path, size: int, name: str | None = None) -> None:
        """Measure it, called `name` in the results."""
        name = name or operation
        if self.wants(name):
            least = datasets.linked(self._least, self._folder / "least")
            words = [sys.executable, "-m", "tests.scale.child", operation, str(least), str(root)]
            took = subprocess.run(words, capture_output=True, text=True, check=False)
            if took.returncode:
                raise SystemExit(f"{name} over {size} clips: {took.stderr[-3000:]}")
            self.note(name, size, json.loads(took.stdout.splitlines()[-1]))

    def note(self, name: str, size: int, took: Took) -> None:
        """Keep, and say, what something took."""
        self.results[name, size] = took
        print(f"{size:>10,} {name:<28} {_cell(took)}", file=sys.stderr, flush=True)


def measure_size(meter: Meter, folder: Path, size: int) -> None:
    """All operations over so many clips."""
    root = datasets.made(folder, size)
    for name in READING:
        meter.measure(name, root, size)
    copy = folder / "copy"
    bare = [name + UNANSWERED for name in TWICE]
    if meter.wants(*bare, *COMPACT):
        datasets.without_answers(root, copy)
        for name, said in zip(TWICE, bare, strict=True):
            meter.measure(name, copy, size, said)
        for name in COMPACT:
            meter.measure(name, copy, size)
    for name in filter(meter.wants, CHANGING):
        meter.measure(name, datasets.linked(root, copy), size)
    if size == SMALL and meter.wants(VIEWS_OF_VIDEOS):
        meter.measure("views", datasets.of_videos(root, copy, VIDEOS), size, VIEWS_OF_VIDEOS)
    if size == LARGE and meter.wants(JOB_POOL):
        meter.measure("job", datasets.with_pool_rows(root, copy, POOL_ROWS), size, JOB_POOL)
    shutil.rmtree(copy, ignore_errors=True)
    if meter.wants(DUPLICATES):
        meter.note(DUPLICATES, size, _duplicates(size))


def _duplicates(clips: int) -> Took:
    words = [sys.executable, "-m", "tests.bench.bench_duplicates", "--clips", str(clips)]
    said = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    return {"cpu_s": said["dedup_cpu_s"], "peak_mb": said["peak_mb"], "recall": said["recall"]}


def table(results: dict[tuple[str, int], Took], sizes: Sequence[int]) -> Iterator[str]:
    """Lines of Markdown: by operation what it took at each size, and the growth between the last two."""
    yield f"| what | {' | '.join(f'{size:,} clips' for size in sizes)} | growth |"
    yield f"|---|{'---|' * len(sizes)}---|"
    for name in dict.fromkeys(name for name, _ in results):
        took = [results.get((name, size)) for size in sizes]
        last = [one["cpu_s"] for one in took[-2:] if one]
        grown = f"{last[1] / last[0]:.1f} ×" if len(last) == 2 and last[0] else ""
        yield f"| {name} | {' | '.join(_cell(one) if one else '' for one in took)} | {grown} |"


def _cell(took: Took) -> str:
    more = "".join(f", {name} {value:g}" for name, value in took.items() if name not in ("cpu_s", "peak_mb"))
    return f"{took['cpu_s']:.2f} s, {took['peak_mb']:,.0f} MB{more}"


def size_of(text: str) -> int:
    """`10k` is 10,000, `1m` a million. Raises ValueError for what is no number."""
    number = text.lower().removesuffix("k").removesuffix("m")
    return int(number) * {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)


def main(words: Sequence[str] | None = None) -> int:
    """0, unless an operation fails."""
    asked = _arguments().parse_args(words)
    sizes = sorted(map(size_of, asked.sizes.split(",")))
    print(describe())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(asked.folder or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        meter = Meter(folder, asked.only or ())
        for size in sizes:
            measure_size(meter, folder, size)
    print("\n".join(table(meter.results, sizes)))
    print(json.dumps(reached(meter.results)))
    return 0


def _arguments() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__, formatter_class=form)
    parser.add_argument("--sizes", default="10k,100k,1m", help="how many clips, several by commas")
    parser.add_argument("--folder", help="where the datasets lie, and stay")
    names = [*READING, *(name + UNANSWERED for name in TWICE), *COMPACT, *CHANGING]
    names += [VIEWS_OF_VIDEOS, JOB_POOL, DUPLICATES]
    parser.add_argument("--only", nargs="+", metavar="OPERATION", choices=names, help=", ".join(names))
    return parser


if __name__ == "__main__":
    sys.exit(main())
