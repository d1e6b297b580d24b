"""How long `hdvg filter --what-if` takes over 10 M clips, as a user runs it: a process of its own, from start to report.

Run: python -m tests.bench.bench_whatif [--rows 10000000] [--part-rows 500000] [--repeats 5]. The clips are SYNTHETIC: numbers drawn from
distributions shaped like those of web videos, in a dataset of which only the snapshot of the measures exists. Ten rules
over eight measures, with nulls, measures not taken, and a quantile; two bounds are supposed, one of them the quantile's.
The last line is one JSON object:
`whatif_10m_s` (median seconds on the clock), `whatif_cpu_s` (CPU seconds of that process, all threads), `whatif_peak_mb` (its
largest memory), `rows`, and, over `part_rows` synthetic clips in one part file for every 64 videos, `snapshot_s`,
`snapshot_cpu_s` and `snapshot_peak_mb` of building the snapshot from the views.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.plan import Plan
from hdvg.dataset.snapshot import COLUMNS, ROW_GROUP, snapshot_name
from hdvg.dataset.stages import part_schema
from hdvg.planning import make_plan
from schemas.columns import sql_type
from schemas.measures import ALL_MEASURED
from tests.bench.machine import describe, spread
from tests.synthetic import RULES

ROOT = Path(__file__).parents[2]
CLIPS_A_VIDEO, VIDEOS_A_UNIT = 20, 64

KEEP = {
    **RULES,
    "high_motion": "motion_px_s <= 400",
    "blurry": "sharpness >= quantile(0.1)",
    "copy": "not duplicate",
}
WHAT_IF = ("motion_px_s >= 6", "sharpness >= quantile(0.15)")

NORMAL = "sqrt(-2 * ln(1 - random())) * cos(6.283185307179586 * random())"
DRAWN = {
    "clip_id": "md5(i::varchar)",
    "video_id": f"md5((i // {CLIPS_A_VIDEO})::varchar)",
    "width": "case when u < 0.5 then 1280 when u < 0.9 then 1920 else 640 end",
    "height": "case when u < 0.5 then 720 when u < 0.9 then 1080 else 480 end",
    "short_px": "case when u < 0.5 then 720 when u < 0.9 then 1080 else 480 end",
    "aspect": "case when u < 0.9 then 1.7777777777777777 else 1.3333333333333333 end",
    "fps": "25.0",
    "duration_s": f"0.6 + exp(1.2 + 0.9 * {NORMAL})",
    "luma_mean": f"greatest(0.0, least(255.0, 105 + 40 * {NORMAL}))",
    "luma_std": f"abs(50 + 15 * {NORMAL})",
    "black_share": "case when random() < 0.97 then 0.0 else random() end",
    "motion_px_s": f"case when random() < 0.01 then null else exp(2.8 + 1.1 * {NORMAL}) end",
    "static_share": "case when random() < 0.6 then 0.0 else random() end",
    "sharpness": f"exp(5 + 1.1 * {NORMAL})",
    "phash": "substr(md5((i + 1)::varchar), 1, 16)",
    "draw": "random()",
    "pool_status": "case when taken < 0.6 then 'ok' end",
    "duplicate": "case when taken < 0.6 then random() < 0.03 end",
    "diverse_draw": "case when taken < 0.6 then random() end",
}
"""By column, what a synthetic clip number `i` has: most videos are 720p or 1080p, times and motion log-normal, one clip in
a hundred without motion, and 40 % of clips not yet compared with others. `u` is the video's, `taken` the clip's."""


@dataclass(frozen=True)
class Spent:
    """What a process took."""

    seconds: float
    cpu_s: float
    peak_mb: float
    said: str


def bench_whatif(rows: int = 10_000_000, *, part_rows: int = 500_000, repeats: int = 5) -> dict[str, float]:
    """The figures, see above. Needs 100 bytes of disk a row while it runs."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = _dataset(Path(folder) / "big")
        _draw_snapshot(dataset, rows)
        options = [word for rule in WHAT_IF for word in ("--what-if", rule)]
        runs = [_child("-m", "hdvg.cli", "filter", str(dataset.root), *options, "--json") for _ in range(repeats)]
        report = json.loads(runs[0].said)
    assert report["all"]["clips"] == rows
    print(f"what-if over {rows} synthetic clips: {spread([run.seconds for run in runs])} s on the clock,", end=" ")
    print(f"{spread([run.cpu_s for run in runs])} s CPU, {max(run.peak_mb for run in runs):.0f} MB at most;", end=" ")
    print(f"kept {report['before']['share']:.1%} now, {report['after']['share']:.1%} then")
    with tempfile.TemporaryDirectory() as folder:
        dataset = _dataset(Path(folder) / "parts")
        files = _draw_parts(dataset, part_rows)
        built = _child("-c", BUILD, str(dataset.root))
    assert int(built.said) == part_rows
    print(f"snapshot of {part_rows} synthetic clips in {files} parts: {built.seconds:.2f} s on the clock,", end=" ")
    print(f"{built.cpu_s:.2f} s CPU, {built.peak_mb:.0f} MB; one run, no spread")
    return {
        "rows": rows,
        "whatif_10m_s": round(statistics.median(run.seconds for run in runs), 2),
        "whatif_cpu_s": round(statistics.median(run.cpu_s for run in runs), 2),
        "whatif_peak_mb": round(max(run.peak_mb for run in runs)),
        "part_rows": part_rows,
        "snapshot_s": round(built.seconds, 2),
        "snapshot_cpu_s": round(built.cpu_s, 2),
        "snapshot_peak_mb": round(built.peak_mb),
    }


BUILD = """
import sys
from pathlib import Path
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.snapshot import SOURCE, measures
with measures(Dataset.open(Path(sys.argv[1])), [], lambda said: None) as connection:
    print(connection.execute(f"select count(*) from {SOURCE}").fetchall()[0][0])
"""


def _dataset(root: Path) -> Dataset:
    """An empty dataset with the ten rules."""
    root.mkdir()
    plan = make_plan(parse_recipe({"keep": KEEP, "caption": {"captioner": "none"}}))
    dataset = Dataset(root, Plan(plan.recipe, plan.fingerprints, plan.measures, {"sharpness:0.1": 36.0}))
    dataset.store.begin()
    dataset.prepare()
    return dataset


def _clips(rows: int) -> str:
    """SQL of `rows` synthetic clips."""
    columns = ", ".join(f"{sql} as {name}" for name, sql in DRAWN.items())
    inner = (
        f"select i, hash(i // {CLIPS_A_VIDEO}) / 18446744073709551616.0 as u, random() as taken from range({rows}) t(i)"
    )
    return f"select {columns}, i from ({inner})"


def _draw_snapshot(dataset: Dataset, rows: int) -> None:
    """The file that the snapshot of this dataset would be, had it these clips."""
    path = dataset.root / snapshot_name(dataset)
    path.parent.mkdir()
    columns = ", ".join(name if name in DRAWN else f"{_null(name)} as {name}" for name in COLUMNS)
    with duckdb.connect() as connection:
        connection.execute("select setseed(0.5)")
        connection.execute(
            f"copy (select {columns} from ({_clips(rows)})) to '{path}' (format parquet, row_group_size {ROW_GROUP})"
        )


def _draw_parts(dataset: Dataset, rows: int) -> int:
    """Links, and parts of the stages download and split, for these clips; how many part files there are."""
    clips_a_unit = CLIPS_A_VIDEO * VIDEOS_A_UNIT
    units = -(-rows // clips_a_unit)
    unit = f"lpad((i // {clips_a_unit})::varchar, 16, '0')"
    shared = "'ok' as status, 0::bigint as generation, 1::bigint as attempt"
    with duckdb.connect() as connection:
        connection.execute(f"create table clips as select *, {unit} as unit, {shared} from ({_clips(rows)})")
        connection.execute(
            "create table videos as select distinct video_id, unit, status, generation, attempt from clips"
        )
        link = (
            "video_id as link_id, video_id as link, 'x' as source, 1::bigint as line, 'x' as origin, 1::bigint as seq"
        )
        connection.execute(
            f"copy (select {link}, video_id, unit, 'new' as status, null::varchar as reason, null::varchar as detail from videos) "
            f"to '{dataset.root / 'inputs/00001-x.parquet'}' (format parquet)"
        )
        for number in range(units):
            name = f"{number:016}"
            for stage in ("download", "split"):
                path = dataset.root / "parts" / stage / f"{name}-{dataset.plan.fingerprints[stage]}-0.parquet"
                connection.execute(f"copy ({_part(stage, name)}) to '{path}' (format parquet, compression zstd)")
    return 2 * units


def _part(stage: str, unit: str) -> str:
    """SQL of one unit's rows at a stage, in the part's columns."""
    names = part_schema(stage).names
    told = {"sha256": "video_id"} if stage == "download" else {}
    ours = {"video_id", "status", "generation", "attempt"}
    video = ", ".join(name if name in ours else f"{told.get(name, _null(name, stage))} as {name}" for name in names)
    if stage == "download":
        return f"select {video} from videos where unit = '{unit}'"
    clip = ", ".join(name if name in ours | set(DRAWN) else f"{_null(name, stage)} as {name}" for name in names)
    return f"select {video} from videos where unit = '{unit}' union all select {clip} from clips where unit = '{unit}'"


@functools.cache
def _null(name: str, stage: str | None = None) -> str:
    """A null of the column's type."""
    fields = [*(part_schema(stage) if stage else ()), *ALL_MEASURED]
    kind = next((sql_type(field.type) for field in fields if field.name == name), "varchar")
    return f"null::{kind}"


def _child(*arguments: str) -> Spent:
    """Run Python with these arguments in a process of its own."""
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, state, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(state)
    assert process.returncode == 0, arguments
    return Spent(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rows", type=int, default=10_000_000)
    made.add_argument("--part-rows", type=int, default=500_000)
    made.add_argument("--repeats", type=int, default=5)
    return made


def main() -> None:
    args = parser().parse_args()
    print(describe())
    print(json.dumps(bench_whatif(args.rows, part_rows=args.part_rows, repeats=args.repeats)))


if __name__ == "__main__":
    main()
