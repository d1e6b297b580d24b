"""Benchmark of listing: how much of opening and asking a dataset goes into finding which files there are, on this disk.

    python -m tests.bench.bench_listing [--clips 1000000] [--videos 210000] [--folder FOLDER]

Over SYNTHETIC datasets of `tests.scale`: one with the answers of its views kept, and one of 100,000 clips whose parts stand for so
many videos, none of them compacted. Of an operation, done once before: its CPU seconds; those of the very listings that hdvg asks
for meanwhile, done again by themselves; those that DuckDB needs to find the files that its views read; and, for an index of names would
cost as much, those of reading the ledger, which names as many. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hdvg.dataset import layout, ledger
from hdvg.dataset.dataset import Dataset
from tests.bench.machine import describe
from tests.scale import datasets
from tests.scale.operations import Operation, count, lookup, views

OPERATIONS = {"kept": {"views": views, "count": count, "lookup": lookup}, "raw": {"views": views}}
"""By state of the dataset; of one that is not compacted every other operation takes many times as long as the views alone."""
LINKED = 100_000
"""Clips whose parts stand for more videos."""
PATTERN = re.compile(r"read_parquet\('((?:[^']|'')*)'")


def measured(operation: Operation, root: Path) -> dict[str, float]:
    """What the operation takes, and its listings."""
    listed = layout._listed
    asked: list[tuple[Path, str]] = []

    def noted(folder: Path, wanted: str) -> list[str]:
        asked.append((folder, wanted))
        return listed(folder, wanted)

    operation(root)
    whole = cpu_s(lambda: operation(root))
    layout._listed = noted
    operation(root)
    layout._listed = listed
    with Dataset.open(root).manifest(live=True) as manifest:
        patterns = [found.replace("''", "'") for found in PATTERN.findall(manifest.sql)]
        globs = [lambda one=one: manifest.connection.execute("select count(*) from glob(?)", [one]) for one in patterns]
        return {
            "cpu_s": whole,
            "listings": len(asked),
            "own_s": cpu_s(lambda: [listed(*words) for words in asked]),
            "ledger_s": cpu_s(lambda: ledger.read(root)),
            "globs": len(globs),
            "duckdb_s": cpu_s(lambda: [look() for look in globs]),
        }


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds, the least of three."""
    took = []
    for _ in range(3):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return min(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--videos", type=int, default=210_000, help="of the dataset that is not compacted")
    parser.add_argument("--folder", type=Path, help="keeps the datasets for the next time")
    args = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.folder or Path(temporary)).resolve()
        raw = datasets.of_videos(datasets.made(folder, LINKED), folder / "raw", args.videos)
        row: dict[str, float] = {}
        for state, place in {"kept": datasets.made(folder, args.clips), "raw": raw}.items():
            row[f"{state}_parts"] = sum(1 for _ in place.glob("parts/*/*.parquet"))
            for name, operation in OPERATIONS[state].items():
                took = measured(operation, place)
                row |= {f"{state}_{name}_{what}": round(value, 4) for what, value in took.items()}
                print(f"{state}, {row[f'{state}_parts']} parts, {name}: {took}", flush=True)
        shutil.rmtree(raw)
    print(json.dumps(row))


if __name__ == "__main__":
    main()
