"""What commands cost as a dataset grows: CPU seconds and peak memory of each, in a process of its own, over SYNTHETIC datasets.

Run: python -m tests.bench.bench_scale [--rows 10000,100000,1000000]. The clips are drawn by SQL, 20 a video and 64
videos a unit, each unit with parts of its own, all cut (into no file) and captioned, nine rules; nothing is decoded. Times are
CPU seconds of all threads, less those of starting Python and opening the dataset; the wall clock of this machine says nothing.
`with answers` is behind `hdvg compact`, whose own cost is `compact`. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.machine import describe
from tests.synthetic import RULES, draw_dataset

CUT = {
    "clip_sha256": "repeat(md5(i::varchar), 2)",
    "clip_bytes": "2000000",
    "clip_width": "1280",
    "clip_height": "720",
    "cut_mode": "'smart'",
}
SHARDS = (
    "import tempfile; from hdvg.dataset.shard_plan import plan_shards; plan_shards(dataset, Path(tempfile.mkdtemp()))"
)
OPERATIONS = {
    "views": "with dataset.manifest(): pass",
    "count": "with dataset.manifest() as manifest: manifest.one('select count(*) from dataset where keep')",
    "lookup": "with dataset.manifest() as manifest: manifest.rows('select * from dataset where clip_id = ?', [clip])",
    "explain": "from hdvg.reports.explain import explain; explain(dataset, clip)",
    "status": "from hdvg.reports.status import status; status(dataset)",
    "idle_order": "from pipelines.run import plan_order; plan_order(dataset, dataset.plan.stages)",
    "idle_shards": SHARDS,
    "job": "from pipelines.perform import Job, pending_items; pending_items(dataset, Job(dataset.root, 'bench', 'cut', 16 * '0'))",
}
"""By name, Python over `dataset`; `clip` is the id of one."""

WRITTEN = """
import tempfile
from hdvg.dataset.layout import shard_row_name
from hdvg.dataset.shard_plan import note_stamps, plan_shards
plan = plan_shards(dataset, Path(tempfile.mkdtemp()))
(dataset.root / "shards").mkdir()
for name, content in plan.contents.items():
    (dataset.root / f"shards/{name}.parquet").touch()
    (dataset.root / shard_row_name(name, content)).write_bytes((dataset.root / "parts/shard/seed.parquet").read_bytes())
dataset.store.begin()
note_stamps(dataset, plan)
"""
"""Shards as if they had been written."""

CHILD = """
import hashlib, json, sys, time
from pathlib import Path
import duckdb, pyarrow.parquet
from hdvg.dataset.dataset import Dataset
from hdvg.networks.memory import ProcessMemory
start = time.process_time()
dataset = Dataset.open(Path(sys.argv[1]), run="bench")
clip = hashlib.md5(b"7").hexdigest()
{code}
print(json.dumps([time.process_time() - start, ProcessMemory().peak() / 2**20]))
"""

Spent = tuple[float, float]
"""CPU seconds, peak MB."""


def bench_scale(rows: list[int]) -> dict[str, float]:
    """The figures, see above. Needs 3 kB of disk a row while it runs."""
    with tempfile.TemporaryDirectory() as folder:
        draw_dataset(Path(folder) / "least", 20, keep=RULES)
        start_s, start_mb = _child(Path(folder) / "least", "pass")
    print(f"starting costs {start_s:.2f} CPU s, which is taken off the times below, and {start_mb:.0f} MB")
    figures: dict[str, float] = {}
    print(f"{'operation':<25}" + "".join(f"{count:>18,}" for count in rows))
    grown: dict[int, dict[str, Spent]] = {}
    for count in rows:
        with tempfile.TemporaryDirectory() as folder:
            grown[count] = _grown(Path(folder) / "grown", count)
        figures |= {
            f"{name.replace(' ', '_')}_{count}_s": round(spent[0] - start_s, 2) for name, spent in grown[count].items()
        }
        figures |= {f"{name.replace(' ', '_')}_{count}_mb": round(spent[1]) for name, spent in grown[count].items()}
    for name in grown[rows[0]]:
        cells = (f"{grown[count][name][0] - start_s:.2f} s {grown[count][name][1]:,.0f} MB" for count in rows)
        print(f"{name:<25}" + "".join(f"{cell:>18}" for cell in cells))
    return figures


def _grown(root: Path, count: int) -> dict[str, Spent]:
    draw_dataset(root, count, keep=RULES, clips=CUT, a_unit=64, cut=True)
    found = {"shards_first": _child(root, WRITTEN)}
    found |= {name: _child(root, code) for name, code in OPERATIONS.items()}
    found["compact"] = _child(root, "dataset.compact()")
    return found | {f"{name} with answers": _child(root, code) for name, code in OPERATIONS.items()}


def _child(root: Path, code: str) -> Spent:
    words = [sys.executable, "-c", CHILD.replace("{code}", code), str(root)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ)
    cpu_s, peak_mb = json.loads(done.stdout.splitlines()[-1])
    return cpu_s, peak_mb


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="10000,100000,1000000", help="how many clips, several by commas")
    print(describe())
    print(json.dumps(bench_scale([int(word) for word in parser.parse_args().rows.split(",")])))
