"""Views that are made when a query first names them give what views that are always there give, and no query pays for others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.dataset.manifest import VIEWS
from hdvg.dataset.view_making import LazyViews
from tests.layouts import DATASETS, VERSIONS, unpack

SQL = """-- A macro; its name stands in no list.
create or replace macro twice(x) as x * 2;
create or replace view one as
select 1 as x, 'three' as word; -- three
create or replace view two as
select twice(x) as x from one;
create or replace view three as
select x + 1 as x from two;
create or replace view torn as
select x, word::integer as number from one;
"""


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        yield made


def there(connection: duckdb.DuckDBPyConnection) -> set[str]:
    names = "select table_name from duckdb_tables() union select view_name from duckdb_views() where not internal"
    return {name for (name,) in connection.execute(names).fetchall()}


@pytest.mark.parametrize(
    ("query", "made"),
    [
        ("select 1", set()),
        ("FROM Two", {"one", "two"}),
        ('select * from "three" join one using (x)', {"one", "two", "three"}),
        ("describe one", {"one", "two", "three", "torn"}),
        ("from query('select * from ' || 'two')", {"one", "two", "three", "torn"}),
    ],
)
def test_a_query_makes_what_it_names_and_what_that_is_made_of(connection, query, made):
    views = LazyViews(connection, SQL, as_tables="every")
    views.need(query)
    assert there(connection) == made
    connection.execute(query)


def test_views_that_read_one_answer_are_made_when_named_and_hold_no_rows(connection):
    connection.execute("create table answer as select 1 as x")
    sql = "create or replace view one as\nselect x from answer;\ncreate or replace view two as\nselect x + 1 as y from one;\n"
    views = LazyViews(connection, sql, as_tables="none", kept=frozenset({"one"}))
    views.need("from one")
    assert there(connection) == {"answer", "one"}
    connection.execute("insert into answer values (5)")
    views.need("from two")
    assert connection.execute("from two order by y").fetchall() == [(2,), (6,)]
    assert (views.is_held("one"), views.is_held("two")) == (True, False)


def test_what_cannot_be_a_table_is_a_view_and_fails_the_queries_that_need_it_alone(connection):
    views = LazyViews(connection, SQL, as_tables="every")
    views.need("from torn")
    assert views.is_held("one")
    assert not views.is_held("torn")
    assert connection.execute("select x from torn").fetchall() == [(1,)]
    with pytest.raises(duckdb.ConversionException):
        connection.execute("select number from torn").fetchall()


@pytest.mark.parametrize("name", DATASETS)
def test_a_small_dataset_and_a_large_one_are_asked_with_the_same_answers(tmp_path, monkeypatch, name):
    unpack(VERSIONS[0], tmp_path)
    dataset = Dataset.open(tmp_path / name)
    found = []
    for most in (10**9, 0):
        monkeypatch.setattr("hdvg.dataset.layout.SMALL_BYTES", most)
        with dataset.manifest() as manifest:
            found.append({view: sorted(map(repr, manifest.rows(f"from {view}"))) for view in (*VIEWS, "wanted")})
            tables = manifest.one("select count(*) from duckdb_tables()")
        assert (tables > 1) == bool(most)  # of a large one, at most what is forgotten
    assert found[0] == found[1]


def test_only_a_live_manifest_sees_what_comes_later(new_dataset: Dataset, tmp_path: Path):
    count = "select count(*) from inputs"
    links = tmp_path / "links.txt"
    links.write_text("https://a.example/1.mp4\n")
    with new_dataset.manifest() as once, new_dataset.manifest(live=True) as live:
        assert (once.one(count), live.one(count)) == (0, 0)
        accept(new_dataset, str(links))
        assert (once.one(count), live.one(count)) == (0, 1)
