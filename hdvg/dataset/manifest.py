"""Ask DuckDB about a dataset: the views of schemas/manifest.sql over its part files."""

from __future__ import annotations

import importlib.resources
import re
import string
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from hdvg.config.deadline import Answer, OverError, within
from hdvg.dataset.alone_views import alone_sql
from hdvg.dataset.caption_views import caption_sql
from hdvg.dataset.connection import QUERY_TOO_LONG, SHARE, TOO_LONG, connect, end, longest_s, refuse_other
from hdvg.dataset.damage import leave_out, naming
from hdvg.dataset.layout import EVERYTHING, Look, files, pattern, seed_name
from hdvg.dataset.marks import table_sql
from hdvg.dataset.measure_views import measured_columns
from hdvg.dataset.parts import no_rows, read_as, read_parts
from hdvg.dataset.plan import Plan
from hdvg.dataset.scene_views import given_sql, has_given
from hdvg.dataset.stages import DOWNLOAD, SHARD, entry_of, in_order, part_schema
from hdvg.dataset.tables import TABLES
from hdvg.dataset.tombstones import forgotten_sql, tombstone_files
from hdvg.dataset.view_making import AllViews, views_on
from hdvg.dataset.views import Scope, stage_views
from hdvg.errors import UsageError
from schemas.clips import CUT, SPAN
from schemas.given import GIVEN
from schemas.inputs import INPUTS
from schemas.measures import ALL_MEASURED, DERIVED, POOL_MEASURED
from schemas.rejected import REJECTED
from schemas.tombstones import TOMBSTONES
from schemas.videos import FETCHED, SCANNED

VIEWS = (
    "videos", "clips", "measures", "verdicts", "captions", "subtitles", "shards", "failures", "dataset", "inputs", "rejected",
)  # fmt: skip
"""The views whose names and columns users' scripts may rely on."""

NO_WORD = re.compile(r"\W")

NOTHING_WANTED = """select null::varchar as stage, null::varchar as key, null::varchar as video_id, null::varchar as old_status,
    null::varchar as old_reason, null::bigint as attempt where false"""


def views_sql(plan: Plan, root: Path, *, relative: bool = False, unit: str | None = None) -> str:
    """The statements that make the views of the dataset at `root`.

    `relative` writes paths relative to the dataset's folder; `unit` narrows every view to one unit's files.
    """
    prefix = "" if relative else f"{no_glob(str(root))}/"
    reads = partial(_reads, root, plan, prefix=prefix, unit=None if relative else unit)
    forgotten = bool(tombstone_files(root))
    living = "anti join forgotten using (video_id) " if forgotten else ""
    scope = Scope(
        recipe=plan.recipe,
        verdicts=plan.verdicts,
        measures=plan.measures,
        stages=plan.known_stages,
        rows=reads,
        made=plan.fingerprints.__contains__,
        living=living,
        compared=has_given(root),
    )
    imported = (root / "rejected").exists()  # not in a dataset of an earlier version
    inputs = read_as(INPUTS, literal(prefix + pattern("inputs")))
    template = string.Template(
        importlib.resources.files("schemas").joinpath("manifest.sql").read_text(encoding="utf-8")
    )
    return template.substitute(
        inputs=inputs,
        rejected=read_as(REJECTED, literal(prefix + pattern("rejected"))) if imported else no_rows(REJECTED),
        unit_filter=_unit_filter(unit),
        forgotten=_forgotten_view(prefix, inputs, unit, reads(DOWNLOAD)) if forgotten else "",
        living=living,
        **caption_sql(plan.recipe),
        **given_sql(plan.recipe, read=_given(root, prefix, unit), living=living),
        **_stage_sql(scope),
        **alone_sql(scope),
        **table_sql(root, prefix, plan.recipe, forgotten=forgotten, is_unit=unit is not None),
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
    )


def _reads(root: Path, plan: Plan, stage: str, *, prefix: str, unit: str | None) -> str:
    """SQL: the rows of a stage's parts, of one unit if that has parts of its own; none if it was never wanted."""
    if stage != SHARD and stage not in plan.fingerprints:
        return no_rows(part_schema(stage))
    fingerprint = plan.fingerprints.get(stage, "*")
    of = entry_of(stage).parts
    if unit is None or of == "shard":
        return read_parts(stage, literal(prefix + pattern("parts", stage=stage, fingerprint=fingerprint)))
    units = [unit, EVERYTHING] if of == "pool" else [unit]
    found = [path for one in units for path in files(root, "parts", stage=stage, unit=one, fingerprint=fingerprint)]
    return read_parts(stage, path_list(found or [root / seed_name(stage, fingerprint)]))


def _given(root: Path, prefix: str, unit: str | None) -> str | None:
    """SQL: the rows of the given scenes, None if there are none."""
    held = files(root, "given", unit=unit or "*")
    return read_as(GIVEN, path_list(held) if unit else literal(prefix + pattern("given"))) if held else None


def wanted_view(stage: str) -> str:
    """The view of what is wanted of a stage: who asks of one alone need not wait until DuckDB has planned all."""
    return f"wanted_{NO_WORD.sub('_', stage)}"


def _stage_sql(scope: Scope) -> dict[str, str]:
    """The views of all stages, what is wanted of them, and what failed."""
    makers = [stage_views(entry.name) for entry in in_order()]
    wanted = {wanted_view(name): stage_views(name).wanted(scope, name) or NOTHING_WANTED for name in scope.stages}
    columns, joins = measured_columns(scope)
    return {
        "stage_views": "\n".join(maker.views(scope) for maker in makers),
        "stage_wanted": "".join(f"create or replace view {name} as\n{sql};\n\n" for name, sql in wanted.items()),
        "all_wanted": "\nunion all by name\n".join(f"from {name}" for name in wanted) or NOTHING_WANTED,
        "stage_failures": "".join(f"\nunion all by name\n{sql}" for maker in makers for sql in maker.failures(scope)),
        "keyframe_columns": columns,
        "keyframe_joins": joins,
    }


def _unit_filter(unit: str | None) -> str:
    return f"where unit = {literal(unit)}" if unit else ""


def _forgotten_view(prefix: str, inputs: str, unit: str | None, download: str) -> str:
    """The view that `inputs` and `downloaded` leave out: all others begin with these."""
    sql = forgotten_sql(
        inputs=f"(from {inputs} {_unit_filter(unit)})",
        download=download,
        tombstones=read_as(TOMBSTONES, literal(prefix + pattern("tombstones"))),
    )
    return f"-- Videos that were taken down: see `hdvg forget`.\ncreate or replace view forgotten as\n{sql};\n\n"


def path_list(paths: Iterable[Path]) -> str:
    """SQL: a list of files, for a function that reads them."""
    return f"[{', '.join(literal(no_glob(str(path))) for path in paths)}]"


class Manifest:
    """A DuckDB connection with the dataset's views; use as a context manager. `sql` makes them, without kept answers."""

    def __init__(
        self,
        root: Path,
        plan: Plan,
        *,
        unit: str | None = None,
        without: Collection[Path] = (),
        live: bool = False,
        look: Look | None = None,
    ) -> None:
        self._connection = connect(root, small=unit is not None)
        self._root, self._unit, self._is_lost = root, unit, False
        self.sql = leave_out(views_sql(plan, root, unit=unit), without)
        self._views = views_on(self._connection, self.sql, look or Look(root), of_unit=unit is not None, live=live)
        if tombstone_files(root) and isinstance(self._views, AllViews):
            self.hold("forgotten")  # every view asks for it

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_lost:  # else it would wait for the query
            end(self._connection)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection, with all views on it."""
        self.judging(self._views.need)
        return self._connection

    def hold(self, *names: str) -> None:
        """Read these views once, into memory, for a command that asks of them again and again."""
        for name in names:
            self.judging(partial(self._views.need, name))
            if not self._views.is_held(name):
                sql = f"create table held_{name} as from {name}; create or replace view {name} as from held_{name}"
                self.judging(partial(self._connection.execute, sql))

    def put(self, name: str, rows: pa.Table) -> None:
        """Make a table of these rows, for queries to join."""
        self._connection.register("given_rows", rows)
        self._connection.execute(f"create table {name} as from given_rows")
        self._connection.unregister("given_rows")

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        """The answer as one dict a row; `values` are bound to the `?` marks."""
        rows: list[dict[str, Any]] = self.table(sql, values).to_pylist()
        return rows

    def table(self, sql: str, values: Sequence[object] = ()) -> pa.Table:
        """The answer as an Arrow table."""
        return self.judging(lambda: self._ready_for(sql).sql(sql, params=list(values)).to_arrow_table())

    def one(self, sql: str, values: Sequence[object] = ()) -> Any:
        """The single value of the answer."""
        rows = self.fetch(sql, values)
        return rows[0][0] if rows else None

    def fetch(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The answer as one tuple a row."""
        return self.judging(lambda: self._ready_for(sql).execute(sql, list(values)).fetchall())

    def copy(self, sql: str, path: Path, options: str = "format parquet") -> None:
        """Write the answer to a file; `options`: of DuckDB's `copy`."""
        asked = f"copy ({sql}) to {literal(str(path))} ({options})"
        self.judging(lambda: self._ready_for(sql).execute(asked))

    def _ready_for(self, sql: str) -> duckdb.DuckDBPyConnection:
        self._views.need(sql)
        return self._connection

    def judging(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` gives, which asks this connection for what rules say. Raises OverError if that takes far too long."""
        with naming(self._root):
            return self._within(ask, longest_s(self._root, unit=self._unit), TOO_LONG)

    def _within(self, ask: Callable[[], Answer], limit_s: float, said: str, cursor: Any = None) -> Answer:
        if self._is_lost:
            raise UsageError("a query before this one could not be stopped: open the dataset anew")
        try:
            return within(cursor or self._connection, ask, limit_s=limit_s, said=said.format(limit_s))
        except OverError as error:
            self._is_lost = error.is_lost
            raise

    def guard(self, memory: str = f"{SHARE:.0%}") -> None:
        """From now on the connection reads nothing but the dataset's folder, writes nothing, and stays so."""
        self._connection.execute(f"set allowed_directories = [{literal(str(self._root))}]")
        self._connection.execute(f"set memory_limit = '{memory}'")
        self._connection.execute("set enable_external_access = false; set lock_configuration = true")

    def select(self, sql: str, *, limit_s: float = 300.0) -> pa.Table:
        """Answer a user's query: exactly one SELECT. After `guard`.

        Raises UsageError with DuckDB's words if the query is refused, wrong, takes longer than `limit_s`, or too much memory.
        """
        with _worded(), naming(self._root):
            return self._within(lambda: self._select(sql), limit_s, QUERY_TOO_LONG)

    def _select(self, sql: str) -> pa.Table:
        refuse_other(self._connection, sql)
        return self._ready_for(sql).sql(sql).to_arrow_table()

    def batches(self, sql: str, *, size: int) -> Iterator[pa.RecordBatch]:
        """The answer to a user's query in pieces of `size` rows, on a cursor of its own. Raises as `select`."""
        cursor = self._connection.cursor()  # never closed by hand: a query that is left behind would keep that waiting
        with _worded(), naming(self._root):
            refuse_other(self._connection, sql)
            self._within(partial(self._views.need, sql), longest_s(self._root), TOO_LONG)
            left = (batch for answer in [cursor.sql(sql)] for batch in answer.to_arrow_reader(size))
            limit_s = longest_s(self._root)
            while (batch := self._within(lambda: next(left, None), limit_s, TOO_LONG, cursor)) is not None:
                yield batch


@contextmanager
def _worded() -> Iterator[None]:
    """What DuckDB says against a user's query, as a UsageError."""
    try:
        yield
    except (MemoryError, pa.ArrowMemoryError, duckdb.OutOfMemoryException) as error:
        raise UsageError(
            f"the query wants more memory than there is; narrow it ({error or 'out of memory'})"
        ) from error
    except duckdb.Error as error:
        raise UsageError(
            f'{error}\nviews: {", ".join((*VIEWS, *TABLES))}; `hdvg query … "describe dataset"` lists columns'
        ) from error


def no_glob(path: str) -> str:
    """The path, with what DuckDB would take for a pattern taken as it stands."""
    return re.sub(r"[\[*?]", r"[\g<0>]", path)


def literal(text: str) -> str:
    """The text as a literal in SQL."""
    return "'" + text.replace("'", "''") + "'"
