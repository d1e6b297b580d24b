"""Ask DuckDB about a dataset: the views of schemas/manifest.sql over its part files."""

from __future__ import annotations

import importlib.resources
import re
import string
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from hdvg.dataset.caption_views import caption_sql, caption_wanted
from hdvg.dataset.parts import no_rows, nulls, read_as, read_parts
from hdvg.dataset.plan import Plan
from hdvg.dataset.scene_views import given_sql, has_given
from hdvg.dataset.tombstones import FILES, forgotten_sql, tombstone_files
from hdvg.errors import UsageError
from schemas.clips import CUT, SPAN
from schemas.given import GIVEN
from schemas.inputs import INPUTS
from schemas.measures import ALL_MEASURED, DERIVED, KEYFRAME_MEASURED, POOL, POOL_MEASURED
from schemas.parts import SHARD_PART
from schemas.rejected import REJECTED
from schemas.tombstones import TOMBSTONES
from schemas.videos import FETCHED, SCANNED

VIEWS = (
    "videos",
    "clips",
    "measures",
    "verdicts",
    "captions",
    "subtitles",
    "shards",
    "failures",
    "dataset",
    "inputs",
    "rejected",
)
"""The views whose names and columns users' scripts may rely on."""


FEW = re.compile(
    r"create or replace view (?=(?:forgotten|given|given_videos|inputs|downloaded|scanned|cuts|captioned|matched|videos|texts|checked|measured|"
    r"\w+_rows)\n?\s*as\b)"
)
"""The views that a unit's manifest reads once, as tables: DuckDB plans a view anew wherever it is named, and that takes longer
than a unit's rows. Not `pooled`, which is of all units."""


READING = re.compile(r"create or replace view (\w+) as\n((?:(?!;\n).)*read_parquet(?:(?!;\n).)*);\n", re.DOTALL)
"""The views that read files. While the others are made, empty tables stand for them: DuckDB plans a view as it is made, with
all that it is made of, and to plan that files are read takes longest."""


def views_sql(
    plan: Plan, root: Path, *, relative: bool = False, unit: str | None = None, stage: str | None = None
) -> str:
    """The statements that make the views of the dataset at `root`.

    `relative` writes paths relative to the dataset's folder; `unit` narrows every view to one unit's files; `stage`
    narrows `wanted` to it: DuckDB plans what is joined to the views, and that takes longer than a unit's rows.
    """
    prefix = "" if relative else f"{no_glob(str(root))}/"

    def files(stage: str) -> str:
        if relative or unit is None or stage == POOL:
            return literal(f"{prefix}parts/{stage}/*-{plan.fingerprints[stage]}-*.parquet")
        seed = root / "parts" / stage / f"seed-{plan.fingerprints[stage]}-0.parquet"
        found = sorted((root / "parts" / stage).glob(f"{unit}-{plan.fingerprints[stage]}-*.parquet"))
        return path_list(found or [seed])

    forgotten = bool(tombstone_files(root))
    living = "anti join forgotten using (video_id) " if forgotten else ""
    held = sorted(root.glob(f"given/{unit or ''}*.parquet"))
    given = path_list(held) if unit else literal(f"{prefix}given/*.parquet")
    imported = (root / "rejected").exists()  # not in a dataset of an earlier version
    template = string.Template(
        importlib.resources.files("schemas").joinpath("manifest.sql").read_text(encoding="utf-8")
    )
    return template.substitute(
        inputs=read_as(INPUTS, literal(f"{prefix}inputs/*.parquet")),
        rejected=read_as(REJECTED, literal(f"{prefix}rejected/*.parquet")) if imported else no_rows(REJECTED),
        unit_filter=_unit_filter(unit),
        forgotten=_forgotten_view(prefix, unit, files("download")) if forgotten else "",
        living=living,
        shard=read_as(SHARD_PART, literal(f"{prefix}parts/shard/*.parquet")),
        **{stage: read_parts(stage, files(stage)) for stage in ("download", "split", POOL, "cut")},
        **caption_sql(plan, files),
        **given_sql(plan, read=read_as(GIVEN, given) if held else None, compared=has_given(root), living=living),
        caption_wanted=caption_wanted(plan, only=stage),
        **_keyframe_sql(plan, files, only=stage),
        fetched_columns=", ".join(f"d.{field.name}" for field in FETCHED if field.name != "subtitles"),
        scanned_columns=", ".join(f"s.{field.name}" for field in SCANNED),
        span_columns=", ".join(f"c.{field.name}" for field in SPAN),
        of_view="span_id(c.video_id, c.start_pts, c.end_pts, c.time_base) as span_id, c.start_frame is null as partial",
        cut_columns=", ".join(f"cuts.{field.name}" for field in CUT if field.name != "clip_id"),
        clip_measured_columns=", ".join(f"c.{field.name}" for field in ALL_MEASURED),
        measured_columns=", ".join(field.name for field in ALL_MEASURED),
        derived_columns=", ".join(f"{sql} as {name}" for name, (_, sql) in DERIVED.items()),
        pool_columns=", ".join(f"pooled.{field.name}" for field in POOL_MEASURED),
        reasons=plan.verdicts.reasons(),
        may_pass=plan.verdicts.may_pass(),
        due=plan.verdicts.before_captions(),
    )


def _unit_filter(unit: str | None) -> str:
    return f"where unit = {literal(unit)}" if unit else ""


def _forgotten_view(prefix: str, unit: str | None, download: str) -> str:
    """The view that `inputs` and `downloaded` leave out: all others begin with these."""
    sql = forgotten_sql(
        inputs=f"(from {read_as(INPUTS, literal(f'{prefix}inputs/*.parquet'))} {_unit_filter(unit)})",
        download=read_parts("download", download),
        tombstones=read_as(TOMBSTONES, literal(f"{prefix}{FILES}")),
    )
    return f"-- Videos that were taken down: see `hdvg forget`.\ncreate or replace view forgotten as\n{sql};\n\n"


def path_list(paths: Iterable[Path]) -> str:
    """SQL: a list of files, for a function that reads them."""
    return f"[{', '.join(literal(no_glob(str(path))) for path in paths)}]"


def read_parquet(pattern: str) -> str:
    """SQL: the rows of files that a pattern names and that no schema describes, such as those of a scratch folder."""
    return f"read_parquet({literal(pattern)}, hive_partitioning = false, union_by_name = true)"


def _keyframe_sql(plan: Plan, files: Callable[[str], str], *, only: str | None) -> dict[str, str]:
    """The parts of the views that depend on which keyframe measures there are; one never taken has columns of nulls.

    With `only`, no other stage's items are wanted.
    """
    views, columns, joins, wanted, failures = [], [], [], [], []
    for name, fields in KEYFRAME_MEASURED.items():
        if name in plan.fingerprints:
            views.append(
                f"create or replace view {name}_rows as\n"
                f"select * from {read_parts(name, files(name))}\n"
                "qualify row_number() over (partition by video_id, clip_id order by generation desc) = 1;\n"
            )
            columns += [f"{name}_rows.status as {name}_status", *(f"{name}_rows.{field.name}" for field in fields)]
            joins.append(f"left join {name}_rows using (video_id, clip_id)\n")
        else:
            columns += [f"null::varchar as {name}_status", nulls(fields)]
    for name in plan.measures:
        open_to_all = plan.recipe.measure.all
        passes = "true" if open_to_all else f"({plan.verdicts.passes_before(name)}) and {plan.verdicts.may_pass()}"
        wanted += [
            f"select '{name}' as stage, clip_id as key, video_id, r.status as old_status, r.reason as old_reason, r.attempt\n"
            f"from (select video_id, clip_id from measured where {passes})\n"
            f"left join (select video_id, clip_id, status, reason, attempt from {name}_rows) r using (video_id, clip_id)\n"
            "union all by name\n"
        ] * (only in {None, name})
        failures.append(
            f"\nunion all by name\nselect r.clip_id as key, '{name}' as stage, r.status, r.reason, r.detail, r.attempt, "
            f"v.source, video_id\nfrom {name}_rows r join videos v using (video_id) "
            "where r.status <> 'ok' and v.status = 'ok'"
        )
    if plan.needs_pool and only is None:
        wanted.append(
            "select 'pool' as stage, clip_id as key, video_id, pool_status as old_status, null::varchar as old_reason, "
            f"null::bigint as attempt\nfrom measured where {plan.verdicts.in_pool()}\nunion all by name\n"
        )
    return {
        "keyframe_views": "".join(views),
        "keyframe_columns": "".join(f"{column}, " for column in columns),
        "keyframe_joins": "".join(joins),
        "keyframe_wanted": "".join(wanted),
        "keyframe_failures": "".join(failures),
    }


class Manifest:
    """A DuckDB connection with the dataset's views; use as a context manager."""

    def __init__(self, root: Path, plan: Plan, *, unit: str | None = None, stage: str | None = None) -> None:
        self.connection = duckdb.connect()
        self._root = root
        sql = views_sql(plan, root, unit=unit, stage=stage)
        if unit:
            self.connection.execute("set threads = 1")  # its rows are few, and jobs run side by side
            self.connection.execute(FEW.sub("create table ", sql))
        else:
            self.connection.execute(READING.sub(r"create table \1 as from (\2) limit 0;\n", sql))
            for view in READING.finditer(sql):
                self.connection.execute(f"drop table {view[1]}; {view[0]}")
        if tombstone_files(root) and not unit:
            self.hold("forgotten")  # every view asks for it

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def hold(self, *names: str) -> None:
        """Read these views once, into memory, for a command that asks of them again and again."""
        for name in names:
            self.connection.execute(f"create table held_{name} as from {name}")
            self.connection.execute(f"create or replace view {name} as from held_{name}")

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        """The answer as one dict a row; `values` are bound to the `?` marks."""
        rows: list[dict[str, Any]] = self.table(sql, values).to_pylist()
        return rows

    def table(self, sql: str, values: Sequence[object] = ()) -> pa.Table:
        """The answer as an Arrow table."""
        return self.connection.sql(sql, params=list(values)).to_arrow_table()

    def one(self, sql: str, values: Sequence[object] = ()) -> Any:
        """The single value of the answer."""
        rows = self.connection.execute(sql, list(values)).fetchall()
        return rows[0][0] if rows else None

    def guard(self) -> None:
        """From now on the connection reads nothing but the dataset's folder, writes nothing, and stays so."""
        self.connection.execute(f"set allowed_directories = [{literal(str(self._root))}]")
        self.connection.execute("set enable_external_access = false; set lock_configuration = true")

    def select(self, sql: str, *, limit_s: float = 300.0) -> pa.Table:
        """Answer a user's query: exactly one SELECT. After `guard`.

        Raises UsageError with DuckDB's words if the query is refused, wrong, or takes longer than `limit_s`.
        """
        with _worded():
            self._refuse_other(sql)
            watchdog = threading.Timer(limit_s, self.connection.interrupt)
            watchdog.start()
            try:
                return self.connection.sql(sql).to_arrow_table()
            except duckdb.InterruptException:
                raise UsageError(f"the query ran longer than {limit_s:g} s; narrow it, or raise --limit-s") from None
            finally:
                watchdog.cancel()

    def batches(self, sql: str, *, size: int) -> Iterator[pa.RecordBatch]:
        """The answer to a user's query in pieces of `size` rows, on a cursor of its own. Raises as `select`."""
        with _worded(), self.connection.cursor() as cursor:
            self._refuse_other(sql)
            yield from cursor.sql(sql).to_arrow_reader(size)

    def _refuse_other(self, sql: str) -> None:
        """Raise UsageError for what is not one SELECT."""
        statements = self.connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise UsageError('a query is one SELECT statement, such as "select * from dataset where keep"')


@contextmanager
def _worded() -> Iterator[None]:
    """What DuckDB says against a user's query, as a UsageError."""
    try:
        yield
    except duckdb.Error as error:
        raise UsageError(
            f'{error}\nviews: {", ".join(VIEWS)}; `hdvg query … "describe dataset"` lists columns'
        ) from error


def ask(root: Path, plan: Plan, sql: str, *, limit_s: float = 300.0) -> pa.Table:
    """Answer a user's query; see `Manifest.select`."""
    with Manifest(root, plan) as manifest:
        manifest.guard()
        return manifest.select(sql, limit_s=limit_s)


def newest_generation(paths: Iterable[Path]) -> int:
    """The highest generation among a unit's part files, -1 if there is none."""
    return max((int(path.stem.rsplit("-", 1)[1]) for path in paths), default=-1)


def no_glob(path: str) -> str:
    """The path, with what DuckDB would take for a pattern taken as it stands."""
    return re.sub(r"[\[*?]", r"[\g<0>]", path)


def literal(text: str) -> str:
    """The text as a literal in SQL."""
    return "'" + text.replace("'", "''") + "'"
