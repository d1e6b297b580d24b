"""Benchmark of `hdvg import hd-vg`: a generated file of the official shape, with what is written of it, and a query over that.

    python -m tests.bench.bench_import [--videos 18750] [--files 1] [--repeats 1] [--seed 0]

By default a file is what `hdvg_0.json` is: 18,750 videos, about 560,000 parent clips, 1.5 million scenes, 266 MB. Each command
runs as users run it, in a process of its own; the peak is the largest resident memory of that process and its children together.
The peer is Python's `json.load` of the same file, which gives no rows yet. The last line is JSON: `rows_per_s` counts scenes over
the clock, from the start of the command to its end; `rows_per_cpu_s` over its CPU time, which a busy machine does not change.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.bench.machine import describe, spread
from tests.metadata import write_hd_vg

SETTINGS = ("--set", "caption.captioner=none")  # no model is asked for
SQL = (
    "select count(*) as scenes, count(distinct g.parent) as parents, round(avg(length(caption)), 1) as characters "
    "from read_parquet('{}/given/*.parquet') g join read_parquet('{}/inputs/*.parquet') i using (video_id)"
)
QUERY = "import duckdb, sys; duckdb.sql('set memory_limit=\"1GB\"'); print(duckdb.sql(sys.argv[1]).fetchall())"
LOAD = "import json, sys; print(len(json.load(open(sys.argv[1]))))"
POLL_S = 0.02


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its children, MB; 0 for one that is gone."""
    total = 0.0
    try:
        total = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return total
    return total + sum(resident_mb(int(child)) for child in children)


def measured(*command: str) -> dict[str, float]:
    """Run it: seconds on the clock and of CPU time, and the peak of its memory in MB. Raises CalledProcessError."""
    peak, over = 0.0, threading.Event()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:

        def watch() -> None:
            nonlocal peak
            while not over.wait(POLL_S):
                peak = max(peak, resident_mb(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        said = process.communicate()[1]
        over.set()
        watcher.join()
    wall_s = time.perf_counter() - start
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=said)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"s": wall_s, "cpu_s": cpu_s, "peak_mb": peak}


def bench_import(videos: int, *, files: int, repeats: int, seed: int) -> dict[str, Any]:
    """The numbers of an import, a query over it, and the peer."""
    with tempfile.TemporaryDirectory(prefix="hdvg-bench-") as temporary:
        folder = Path(temporary)
        paths = [folder / f"hdvg_{number}.json" for number in range(files)]
        for number, path in enumerate(paths):
            write_hd_vg(path, videos, seed=seed + number)
        size_mb = sum(path.stat().st_size for path in paths) / 1e6
        runs = []
        for number in range(repeats):
            root = folder / f"d{number}"
            command = (
                sys.executable,
                "-m",
                "hdvg.cli",
                "import",
                "hd-vg",
                *map(str, paths),
                "--out",
                str(root),
                *SETTINGS,
            )
            runs.append(measured(*command))
        scenes = _scenes(root)
        asked = measured(sys.executable, "-c", QUERY, SQL.format(root, root))
        peer = measured(sys.executable, "-c", LOAD, str(paths[0]))
        kept_mb = sum(path.stat().st_size for path in root.rglob("*.parquet")) / 1e6
    print(f"{files} x {videos} videos, {scenes} scenes, {size_mb:.0f} MB -> {kept_mb:.0f} MB of Parquet")
    for name, unit in (("s", "s"), ("cpu_s", "CPU s"), ("peak_mb", "MB at most")):
        print(f"import: {spread([run[name] for run in runs])} {unit}")
    print("query over it: " + ", ".join(f"{value:.2f} {name}" for name, value in asked.items()))
    print("json.load of one file: " + ", ".join(f"{value:.2f} {name}" for name, value in peer.items()))
    middle = {name: statistics.median(run[name] for run in runs) for name in ("s", "cpu_s")}
    return {
        "rows_per_s": round(scenes / middle["s"]),
        "peak_mb": round(max(run["peak_mb"] for run in [*runs, asked])),
        "rows_per_cpu_s": round(scenes / middle["cpu_s"]),
        "scenes": scenes,
        "size_mb": round(size_mb),
        "query_s": round(asked["s"], 2),
        "query_peak_mb": round(asked["peak_mb"]),
        "json_load_s": round(peer["s"], 2),
        "json_load_peak_mb": round(peer["peak_mb"]),
    }


def _scenes(root: Path) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(path).num_rows for path in (root / "given").glob("*.parquet"))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=18_750, help="videos of a file")
    parser.add_argument("--files", type=int, default=1, help="files that are imported by one command")
    parser.add_argument("--repeats", type=int, default=1, help="imports, each into a dataset of its own")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main() -> None:
    args = parser().parse_args()
    print(describe())
    print(json.dumps(bench_import(args.videos, files=args.files, repeats=args.repeats, seed=args.seed)))


if __name__ == "__main__":
    main()
