"""SQL conditions that users write, read as one expression by DuckDB's own parser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from hdvg.config.deadline import OverError, within

if TYPE_CHECKING:
    import duckdb

MOST_CHARACTERS = 20_000
LIMIT_S = 10.0
"""Longest time to read a condition and to try it on one row; a sound one takes milliseconds."""

CONFIG: dict[str, Any] = {"threads": 1, "memory_limit": "256MB", "enable_external_access": False, "temp_directory": ""}
Result = TypeVar("Result")


GROWING = frozenset({
    "repeat", "lpad", "rpad", "range", "generate_series", "list_resize", "array_resize", "format", "printf", "bar", "bitstring",
    "sleep", "sleep_ms", "pg_sleep", "error",
})  # fmt: skip
"""Functions whose answer, or time, is of any size that a number in the row says: no test on one row bounds it."""


def check_expression(text: str, *, example: str) -> None:
    """Raise ValueError unless the text is one SQL expression by itself: brackets balanced, no second statement or clause."""
    _limited(lambda connection: _expression(connection, text, example))


def condition_columns(
    text: str, types: Mapping[str, pa.DataType], check_known: Callable[[Sequence[str]], None], *, example: str
) -> tuple[str, ...]:
    """The columns that one SQL condition on a row names; `check_known` raises ValueError for names not in `types`.

    Raises ValueError for what is no condition: a query inside, a window, a function that gives another answer each time, or
    what takes longer than `LIMIT_S` for one row.
    """

    def read(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
        nodes = list(_walk(_expression(connection, text, example)))
        if any("from_table" in node for node in nodes):
            raise ValueError("a condition looks at the columns of one row, without a query inside")
        if any(node.get("class") == "WINDOW" for node in nodes):
            raise ValueError("a condition looks at one row, without a window over others; quantile(0.25) bounds by all")
        _check_functions(connection, {node["function_name"] for node in nodes if node.get("class") == "FUNCTION"})
        columns = [".".join(node["column_names"]) for node in nodes if node.get("class") == "COLUMN_REF"]
        check_known(columns)
        if not columns:
            raise ValueError(f"no column in it; write such as {example}")
        connection.register("t", pa.table({name: pa.nulls(1, kind) for name, kind in types.items()}))
        asked = connection.sql(f"select {columns[0]}, ({text}) from t")  # beside a column no aggregate is valid
        if str(asked.types[1]) != "BOOLEAN":
            raise ValueError(f"gives {asked.types[1]}, not true or false; compare it with something, such as {example}")
        asked.fetchall()
        return tuple(dict.fromkeys(columns))

    return _limited(read)


def _limited(read: Callable[[duckdb.DuckDBPyConnection], Result]) -> Result:
    """What `read` gives on an empty database, within `LIMIT_S`; it may raise ValueError or duckdb.Error."""
    import duckdb

    connection = duckdb.connect(config=CONFIG)

    def ask() -> Result:
        with connection:
            return read(connection)

    try:
        return within(
            connection, ask, limit_s=LIMIT_S, said=f"takes longer than {LIMIT_S:g} s for one row; write a simpler one"
        )
    except (OverError, duckdb.Error) as error:
        raise ValueError(str(error).splitlines()[0]) from None


def _expression(connection: duckdb.DuckDBPyConnection, text: str, example: str) -> dict[str, Any]:
    """The tree of the expression; see `check_expression`.

    It is read with brackets around it and without: only one expression is the same in both. `a) or (b` is none without them,
    `a, b` another with them.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"{len(text)} characters; a condition has at most {MOST_CHARACTERS}")
    trees = []
    for sql in (f"select ({text})", f"select {text}"):
        row = connection.execute("select json_serialize_sql(?)", [sql]).fetchall()[0]
        tree = json.loads(row[0])
        if tree["error"]:
            raise ValueError(f"is not one SQL condition: {tree['error_message']}; write such as {example}")
        trees.append(_without_places([statement["node"] for statement in tree["statements"]]))
    with_brackets, bare = trees
    if with_brackets != bare or len(bare) != 1:
        raise ValueError(f"is not one SQL condition by itself; write such as {example}")
    selected: list[dict[str, Any]] = bare[0]["select_list"]
    return selected[0]


def _without_places(tree: Any) -> Any:
    """The tree without where in the text its parts stand."""
    if isinstance(tree, dict):
        return {key: _without_places(part) for key, part in tree.items() if not key.startswith("query_location")}
    return [_without_places(part) for part in tree] if isinstance(tree, list) else tree


def _check_functions(connection: duckdb.DuckDBPyConnection, names: set[str]) -> None:
    """Raise ValueError for functions that give another answer each time, more rows than one, or values of any size."""
    if growing := sorted(names & GROWING):
        raise ValueError(f"{growing[0]}() makes values of any size, or stops the work; a condition compares measures")
    sql = "select function_name from duckdb_functions() where function_name = ? and stability is distinct from 'CONSISTENT'"
    for name in sorted(names):
        if name == "unnest" or connection.execute(f"{sql} and function_type = 'scalar'", [name]).fetchall():
            raise ValueError(f"{name}() does not give the same answer for the same row each time")


def _walk(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _walk(branch)
