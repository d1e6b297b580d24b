"""How fast `hdvg explore` answers over 10 M clips, as a browser asks it, and how much memory its server takes, building included.

Run: python -m tests.bench.bench_explore [--rows 10000000] [--part-rows 500000] [--repeats 30]. The clips are SYNTHETIC: every measure that is
a number is drawn, so that a row has about 60 of them. The last line is one JSON object:
`rows`, `columns`; `codes_s`, `codes_cpu_s`, `codes_peak_mb` of making codes of the rows; `explore_first_paint_s` (start of the process
until /api/meta and twelve histograms are there, the tables being made; the browser's own part is not in it) and `paint_cpu_s`, the
server's CPU by then; then medians on the clock (`…_ms`) and of the server's CPU (`…_cpu_ms`): `first_touch` of the cube's first eighth
after the selection has changed (and its 95th percentiles), `whole_cube`, `count`, `rows` (a page from a random place), `sort` (the first
page by a measure), `search` (the first page of the clips that have two words in caption or title), `whatif`; `server_peak_mb` (VmHWM,
mapped codes included); and over `part_rows` clips in one part file for every 64 videos `build_s`, `build_cpu_s` and `build_peak_mb` of
reading the clips from the views.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.snapshot import columns_of
from hdvg.explore.sidecar import ROW_GROUP, SHOWN, rows_name
from schemas.columns import sql_type
from schemas.measures import ALL_MEASURED, RULED
from tests.bench.bench_whatif import DRAWN, NORMAL, _child, _dataset, _draw_parts
from tests.bench.machine import describe
from tests.explorer import Browser

VISIBLE = 12
OTHER = {
    "clip_sha256": "md5(i::varchar) || md5(i::varchar)",
    "caption": "'a clip of number ' || i || ' in which something moves over a ground of green and grey'",
    "captioner": "'tags'",
    "cut_status": "'ok'",
    "clip_codec": "'h264'",
    "title": "'film ' || (i // 20)",
    "source": "'https://example.org/' || (i // 20)",
    "unit": "lpad((i // 1280)::varchar, 16, '0')",
    "start_s": "(i % 20) * 5.0",
    "end_s": "(i % 20) * 5.0 + 4.0",
    "start_pts": "i % 20",
    "n_frames": "100",
}


def bench_explore(rows: int, *, part_rows: int, repeats: int, big: str | None = None) -> dict[str, Any]:
    """The figures, see above. Needs 600 bytes of disk a row while it runs."""
    figures: dict[str, Any] = {"rows": rows}
    with tempfile.TemporaryDirectory() if big is None else nullcontext(big) as folder:
        dataset = (
            _dataset(Path(folder) / "big") if not (Path(folder) / "big").exists() else Dataset.open(f"{folder}/big")
        )
        if not (dataset.root / rows_name(dataset)).exists():
            _child("-m", __spec__.name, "--draw", "rows", "--into", str(dataset.root), "--rows", str(rows))
        made = _child("-c", CODES, str(dataset.root))
        figures |= {"columns": int(made.said), "codes_s": round(made.seconds, 1), "codes_cpu_s": round(made.cpu_s, 1)}
        figures |= {"codes_peak_mb": round(made.peak_mb)}
        figures |= _served(dataset, repeats)
    with tempfile.TemporaryDirectory() as folder:
        dataset = _dataset(Path(folder) / "parts")
        _child("-m", __spec__.name, "--draw", "parts", "--into", str(dataset.root), "--rows", str(part_rows))
        built = _child("-c", CODES, str(dataset.root))
        figures |= {"part_rows": part_rows, "build_s": round(built.seconds, 1), "build_cpu_s": round(built.cpu_s, 1)}
        figures |= {"build_peak_mb": round(built.peak_mb)}
    return figures


CODES = """
import sys
from hdvg.dataset.dataset import Dataset
from hdvg.explore.state import copied
dataset = Dataset.open(sys.argv[1])
print(len(copied(dataset, dataset.store, lambda *_: None).columns))
"""


def _draw_rows(dataset: Dataset, rows: int) -> None:
    """The file of rows that the explorer would make of this dataset, had it these clips."""
    path = dataset.root / rows_name(dataset)
    path.parent.mkdir()
    shown = re.findall(r"(?:as )?(\w+)(?:,|\s*$)", SHOWN)
    columns = [*columns_of(dataset), *shown]
    chosen = ", ".join(f"{_drawn(name, number)} as {name}" for number, name in enumerate(columns))
    with duckdb.connect(config={"memory_limit": "2GB", "temp_directory": str(path.parent / "spill")}) as connection:
        connection.execute("select setseed(0.5)")
        connection.execute(
            f"create table places as select i, md5_number_lower(md5(i::varchar)) / 18446744073709551616.0 as draw "
            f"from range({rows}) t(i) order by draw"
        )
        connection.execute(
            f"copy (select {chosen} from (select *, hash(i // 20) / 18446744073709551616.0 as u, random() as taken from places)) "
            f"to '{path}' (format parquet, row_group_size {ROW_GROUP})"
        )


def _drawn(name: str, number: int) -> str:
    """SQL of a column's values: as in `bench_whatif`, else of a shape by its place in the list."""
    if name in ("draw", "clip_id"):
        return "draw" if name == "draw" else "md5(i::varchar)"
    if name in DRAWN or name in OTHER:
        return {**DRAWN, **OTHER}[name]
    kind = RULED.get(name)
    if kind is None or pa.types.is_string(kind):
        return f"null::{_type(name)}"
    if pa.types.is_boolean(kind):
        return "random() < 0.1"
    if pa.types.is_integer(kind):
        return "(random() * 40)::bigint"
    shapes = (f"round(exp(2 + {NORMAL}), 4)", f"round(50 + 10 * {NORMAL}, 4)", "case when random() < 0.8 then 0.0 else round(random(), 4) end")  # fmt: skip
    return shapes[number % len(shapes)]


def _type(name: str) -> str:
    return next((sql_type(field.type) for field in ALL_MEASURED if field.name == name), "varchar")


def _served(dataset: Dataset, repeats: int) -> dict[str, Any]:
    """What a browser meets."""
    command = [sys.executable, "-m", "hdvg.cli", "explore", str(dataset.root), "--no-browser"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r":(\d+)/#token=(\S+)", process.stdout.readline())
            assert found is not None
            browser = Browser(int(found[1]))
            browser.open(found[2])
            columns = [column["name"] for column in browser.ready(limit_s=600)["columns"] if column["kind"] != "text"]
            browser.post("/api/hist", {"selection": {"verdict": "kept"}, "columns": columns[:VISIBLE]})
            paint = time.perf_counter() - start
            paid = _cpu_ms(process.pid) / 1000
            figures = {"explore_first_paint_s": round(paint, 2), "paint_cpu_s": round(paid, 2)} | _touched(
                browser, columns, process.pid, repeats
            )
            figures["server_peak_mb"] = _peak_mb(process.pid)
        finally:
            process.terminate()
    return figures


class Clock:
    """Times of questions by name, on the clock and of the server's CPU, in ms."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.took: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    def ask(self, name: str, question: Callable[[], Any]) -> Any:
        """The answer, which must be one."""
        cpu, start = _cpu_ms(self._pid), time.perf_counter()
        answer = question()
        self.took.setdefault(name, []).append(1000 * (time.perf_counter() - start))
        self.cpu.setdefault(name, []).append(_cpu_ms(self._pid) - cpu)
        assert answer.status == 200, answer.body
        return answer

    def figures(self) -> dict[str, Any]:
        """Medians by name."""
        found = {f"{name}_ms": round(statistics.median(some)) for name, some in self.took.items()}
        return found | {f"{name}_cpu_ms": round(statistics.median(some)) for name, some in self.cpu.items()}

    def p95(self, name: str, *, cpu: bool = False) -> int:
        """The 95th percentile."""
        ordered = sorted((self.cpu if cpu else self.took)[name])
        return round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))])


def _touched(browser: Browser, columns: list[str], pid: int, repeats: int) -> dict[str, Any]:
    draw, clock = random.Random(1), Clock(pid)
    rules = browser.get("/api/meta").json["rules"]
    for number in range(repeats):
        column, *others = draw.sample(columns, VISIBLE + 1)
        bound = {"column": "luma_mean", "low": draw.choice([16, 20, 30.5, 40])}
        selection = {"verdict": "kept", "bounds": [bound, {"column": others[0], "low": draw.random()}]}
        body = {"selection": selection, "column": column, "columns": others, "part": "eighth"}
        clock.ask("first_touch", partial(browser.post, "/api/cube", body))
        clock.ask("whole_cube", partial(browser.post, "/api/cube", {**body, "part": "all"}))
        clock.ask("count", partial(browser.post, "/api/count", {"selection": selection}))
        if number < 5:
            total = int(browser.post("/api/count").json["total"])
            at = {"offset": total - 10 if number == 0 else draw.randrange(total - 50), "limit": 50}
            clock.ask("rows", partial(browser.post, "/api/rows", at))
            clock.ask("sort", partial(browser.post, "/api/rows", {"sort": {"column": column}, "limit": 50}))
            words = f"{draw.randrange(10_000)} film"
            clock.ask("search", partial(browser.post, "/api/search", {"text": words, "limit": 50}))
            draft = {rule["name"]: rule["text"] for rule in rules} | {"tried": f"luma_mean >= {draw.randrange(16, 60)}"}
            clock.ask("whatif", partial(browser.post, "/api/whatif", {"rules": draft}))
    of_eighth = {
        "first_touch_p95_ms": clock.p95("first_touch"),
        "first_touch_p95_cpu_ms": clock.p95("first_touch", cpu=True),
    }
    return clock.figures() | of_eighth


def _cpu_ms(pid: int) -> float:
    """CPU of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rows", type=int, default=10_000_000)
    made.add_argument("--part-rows", type=int, default=500_000)
    made.add_argument("--repeats", type=int, default=30)
    made.add_argument("--big", metavar="FOLDER", help="draw the large dataset here, and keep it for another run")
    made.add_argument(
        "--draw",
        choices=("rows", "parts"),
        help="the bench's own: draw clips, in a process whose memory counts nowhere",
    )
    made.add_argument("--into", help="the bench's own: a dataset")
    return made


def main() -> None:
    args = parser().parse_args()
    if args.draw:
        draw = _draw_rows if args.draw == "rows" else _draw_parts
        draw(Dataset.open(args.into), args.rows)
        return
    print(describe())
    print(json.dumps(bench_explore(args.rows, part_rows=args.part_rows, repeats=args.repeats, big=args.big)))


if __name__ == "__main__":
    main()
