"""Files of every layout are read by the columns of today's schema: null where a file is older, and nothing else."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvg.dataset.manifest import literal, no_glob, path_list
from hdvg.dataset.parts import no_rows, read_as, read_parts
from hdvg.dataset.stages import MEASURE, STAGES, part_schema
from schemas.columns import sql_type
from schemas.given import GIVEN
from schemas.inputs import INPUTS
from schemas.measures import KEYFRAME_MEASURED
from schemas.rejected import REJECTED
from schemas.shards import SHARDS
from schemas.tombstones import TOMBSTONES

NOW = pa.schema(
    {"video_id": pa.string(), "n": pa.int64(), "share": pa.float64(), "open": pa.bool_(), "tags": pa.list_(pa.string())}
)


@pytest.fixture
def files(tmp_path: Path) -> str:
    """Of an older, the present and a newer layout, whose columns stand in another order; as SQL."""
    older = pa.table({"video_id": ["old"], "n": [1]})
    present = pa.table(
        {"video_id": ["now"], "n": [2], "share": [0.5], "open": [True], "tags": [["a", "b"]]}, schema=NOW
    )
    newer = pa.table({"new": ["?"], "tags": [["c"]], "open": [False], "share": [0.9], "n": [3], "video_id": ["new"]})
    for name, table in (("0", older), ("1", present), ("2", newer)):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    return literal(f"{no_glob(str(tmp_path))}/*.parquet")


def rows(sql: str) -> list[tuple]:
    return duckdb.sql(sql).fetchall()


def test_column_that_a_file_lacks_is_null_and_one_that_no_schema_knows_is_left_out(files):
    read = duckdb.sql(f"from {read_as(NOW, files)} order by n")
    assert read.columns == NOW.names
    assert [str(kind) for kind in read.types] == ["VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR[]"]
    assert read.fetchall() == [
        ("old", 1, None, None, None),
        ("now", 2, 0.5, True, ["a", "b"]),
        ("new", 3, 0.9, False, ["c"]),
    ]


@pytest.mark.parametrize(
    ("where", "videos"),
    [
        ("share is null", ["old"]),
        ("share > 0.4", ["now", "new"]),
        ("share is distinct from 0.5", ["old", "new"]),
        ("open", ["now"]),
        ("not open", ["new"]),
        ("coalesce(share, 1) = 1", ["old"]),
        ("len(tags) = 2", ["now"]),
        ("n < 2", ["old"]),
    ],
)
def test_condition_on_a_column_that_a_file_lacks_finds_what_it_finds_of_nulls(files, where, videos):
    assert rows(f"select video_id from {read_as(NOW, files)} where {where} order by n") == [(name,) for name in videos]


def test_column_that_no_file_has_is_null_and_has_its_type(tmp_path):
    pq.write_table(pa.table({"video_id": ["a"]}), tmp_path / "a.parquet")
    read = read_as(NOW, path_list([tmp_path / "a.parquet"]))
    assert rows(f"from {read}") == [("a", None, None, None, None)]
    assert rows(f"select sum(n), max(share), count(tags) from {read} where n is null") == [(None, None, 0)]


@pytest.mark.parametrize(
    "schema",
    [
        *map(part_schema, [*(name for name in STAGES if name != MEASURE), *KEYFRAME_MEASURED]),
        GIVEN,
        INPUTS,
        REJECTED,
        SHARDS,
        TOMBSTONES,
    ],
)
def test_every_table_of_a_dataset_is_read_with_its_names_and_types(schema, tmp_path):
    pq.write_table(pa.table({"video_id": ["a"]}), tmp_path / "a.parquet")
    for source in (read_as(schema, path_list([tmp_path / "a.parquet"])), no_rows(schema)):
        read = duckdb.sql(f"from {source}")
        assert read.columns == schema.names
        assert read.types == [duckdb.sqltype(sql_type(field.type)) for field in schema]


def test_parts_of_a_further_writer_are_read_as_those_of_the_first(tmp_path):
    pq.write_table(part_schema("caption").empty_table(), tmp_path / "a.parquet")
    files = path_list([tmp_path / "a.parquet"])
    assert duckdb.sql(f"from {read_parts('caption-vlm', files)}").columns == part_schema("caption").names
