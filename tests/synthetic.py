"""SYNTHETIC datasets of any size: part files whose columns are drawn by SQL, as a run would have left them; no video is behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import part_name
from hdvg.dataset.seals import sealed
from hdvg.dataset.stages import part_schema
from hdvg.filtering.pool import resolve_quantiles
from hdvg.planning import make_plan
from schemas.columns import sql_type
from schemas.inputs import INPUTS

NORMAL = "sqrt(-2 * ln(1 - random())) * cos(6.283185307179586 * random())"
SHARE = "case when random() < 0.8 then 0.0 else random() end"

CLIPS = {
    "clip_id": "md5(i::varchar)",
    "video_id": "md5((i // 20)::varchar)",
    "time_base": "'1/1000'",
    "start_pts": "(i % 20) * 10000",
    "end_pts": "(i % 20) * 10000 + 5000",
    "start_s": "(i % 20) * 10.0",
    "end_s": "(i % 20) * 10.0 + 5",
    "keyframes": "repeat(md5((i // 20)::varchar), 2)",
    "width": "case when u < 0.5 then 1280 when u < 0.9 then 1920 else 640 end",
    "height": "case when u < 0.5 then 720 when u < 0.9 then 1080 else 480 end",
    "aspect": "case when u < 0.9 then 1.7777777777777777 else 1.3333333333333333 end",
    "fps": "case when u < 0.3 then 25.0 when u < 0.6 then 30.0 else 29.97 end",
    "duration_s": f"round(0.6 + exp(1.2 + 0.9 * {NORMAL}), 3)",
    "luma_mean": f"greatest(0.0, least(255.0, 105 + 40 * {NORMAL}))",
    "luma_std": f"abs(50 + 15 * {NORMAL})",
    **dict.fromkeys(
        ("black_share", "static_share", "freeze_share", "slideshow_share", "under_share", "over_share"), SHARE
    ),
    **dict.fromkeys(("flicker_levels", "jump_levels", "noise_levels", "blockiness", "shake_px_s"), f"exp({NORMAL})"),
    **dict.fromkeys(("motion_px_s", "camera_px_s", "local_px_s", "svd_flow_px"), f"exp(2.8 + 1.1 * {NORMAL})"),
    "colourfulness": f"abs(40 + 20 * {NORMAL})",
    "active_width": "case when u < 0.9 then 1.0 else 0.75 end",
    "active_height": "1.0",
    "active_share": "case when u < 0.9 then 1.0 else 0.75 end",
    "active_aspect": "case when u < 0.9 then 1.7777777777777777 else 1.3333333333333333 end",
    "detail_height_px": f"720 * (1 + 0.1 * {NORMAL})",
    "interlace_share": SHARE,
    "sharpness": f"exp(5 + 1.1 * {NORMAL})",
    "text_area": SHARE,
    "text_boxes": "(random() * 9)::bigint",
    "text_stable": "random() < 0.1",
    "subtitle": "random() < 0.05",
    "duplicate": "random() < 0.03",
    "duplicate_bits": "random() * 12",
    "diverse_draw": "random()",
    "kind": "'short'",
    "text": "'clip ' || i || ' shows a synthetic scene'",
    "language": "'en'",
    "captioner": "'tags'",
    "model": "'synthetic'",
    "words": "6 + i % 5",
}
"""By column, what clip number `i` has; `u` is its video's, 0-1."""

VIDEOS = {
    "sha256": "video_id",
    "title": "'a synthetic video'",
    "licence_class": "case when u < 0.6 then 'cc-by' else 'unknown' end",
    "open_licence": "u < 0.6",
    "categories": "[case when u < 0.5 then 'Nature' else 'Sports' end]",
    "fetched_at": "'2026-01-01T00:00:00+00:00'",
}

RULES = {
    "too_short": "duration_s >= 2",
    "too_long": "duration_s <= 20",
    "low_resolution": "short_px >= 720",
    "not_widescreen": "1.742 <= aspect <= 1.813",
    "low_motion": "motion_px_s >= 4",
    "static": "static_share <= 0.5",
    "dark": "luma_mean >= 16",
}
"""What benchmarks keep clips by, beside what they add."""

STAGES = ("split", "text", "pool", "caption")


def draw_dataset(
    root: Path, rows: int, *, keep: Mapping[str, str], clips: Mapping[str, str] | None = None, videos: Mapping[str, str] | None = None,
    name: str = "synthetic", a_unit: int | None = None, cut: bool = False,
) -> Dataset:  # fmt: skip
    """A dataset of `rows` clips, 20 a video; `clips` and `videos` are columns drawn otherwise.

    `a_unit` videos are a unit, each with parts of its own; else all are one. `cut`: every clip is cut, into no file.
    """
    root.mkdir(parents=True)
    rules = {"copy": "not duplicate", "little_text": "text_area <= 0.9", **keep}
    dataset = Dataset(root, make_plan(parse_recipe({"name": name, "keep": rules})))
    dataset.store.begin()
    dataset.prepare()
    columns = {**CLIPS, **(clips or {})}
    of_video = {**VIDEOS, **(videos or {})}
    with duckdb.connect() as connection:
        connection.execute("select setseed(0.5)")
        drawn = ", ".join(f"{sql} as {name}" for name, sql in columns.items())
        connection.execute(
            f"create table clips as select i, {drawn} from "
            f"(select i, hash(i // 20) / 18446744073709551616.0 as u from range({rows}) t(i))"
        )
        drawn = ", ".join(f"{sql} as {name}" for name, sql in of_video.items())
        connection.execute(
            f"create table videos as select n, video_id, {drawn} from "
            "(select i // 20 as n, video_id, hash(i // 20) / 18446744073709551616.0 as u from clips where i % 20 = 0)"
        )
        _write(dataset, connection, a_unit=a_unit, cut=cut)
    with dataset.manifest() as manifest:
        quantiles = resolve_quantiles(dataset.plan.recipe.rules, manifest.connection, "measured")
    dataset = Dataset(root, replace(dataset.plan, quantiles=quantiles), dataset.store)
    dataset.prepare()
    return dataset


def _write(dataset: Dataset, connection: duckdb.DuckDBPyConnection, *, a_unit: int | None, cut: bool) -> None:
    unit = "'u'" if a_unit is None else f"lpad(to_hex(n // {a_unit}), 16, '0')"
    connection.execute(f"alter table videos add column unit varchar; update videos set unit = {unit}")
    link = "video_id as link_id, video_id as link, 'https://videos.example/' || n as source, n as line, 'x' as origin, 1::bigint as seq"
    accepted = f"select {link}, video_id, unit, 'new' as status, null as reason, null as detail from videos"
    _put(dataset, connection, "inputs/00001-x.parquet", accepted, INPUTS)
    for name, first, last in connection.execute("select unit, min(n), max(n) from videos group by unit").fetchall():
        connection.execute(f"create or replace temp view unit_videos as from videos where n between {first} and {last}")
        connection.execute(
            f"create or replace temp view unit_clips as from clips where i // 20 between {first} and {last}"
        )
        _part(dataset, connection, "download", "unit_videos", name)
        for stage in (*STAGES, *(["cut"] if cut else [])):
            if stage in dataset.plan.fingerprints:
                part = {"part": f"'{name}-rows'"} if stage == "pool" else {}
                _part(dataset, connection, stage, "unit_clips", name, **part)
    if "pool" in dataset.plan.fingerprints:
        connection.execute("create table pool_index as select distinct unit || '-rows' as part from videos")
        connection.execute("insert into pool_index values (null)")
        _part(dataset, connection, "pool", "pool_index", "all", content="'made up'")


def _part(
    dataset: Dataset, connection: duckdb.DuckDBPyConnection, stage: str, table: str, unit: str, **fixed: str
) -> None:
    """One part of a stage for the rows of a table; of a split, a row more for each video. `fixed`: SQL of columns."""
    held = {name for (name, *_) in connection.execute(f"describe {table}").fetchall()}
    fixed |= {"status": "'ok'", "generation": "0::bigint", "attempt": "1::bigint"}

    def row(known: set[str]) -> str:
        return ", ".join(
            f"{fixed.get(field.name, field.name if field.name in known else 'null')}::{sql_type(field.type)} as {field.name}"
            for field in part_schema(stage)
        )

    sql = f"select {row(held)} from {table}"
    if stage == "split":
        sql = f"select {row({'video_id'})} from unit_videos union all {sql}"
    _put(dataset, connection, part_name(stage, unit, dataset.plan.fingerprints[stage], 0), sql, part_schema(stage))


def _put(dataset: Dataset, connection: duckdb.DuckDBPyConnection, name: str, sql: str, schema: pa.Schema) -> None:
    """A sealed file of the answer, as `Store` writes it, but not durable."""
    rows = connection.sql(sql).to_arrow_table()
    (dataset.root / name).write_bytes(sealed(rows.select(schema.names).cast(schema)))
