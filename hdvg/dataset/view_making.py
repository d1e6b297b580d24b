"""Make a dataset's views on a connection: all at once, or, where rows are few, when a query first names them, as tables."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from typing import Literal

import duckdb

from hdvg.dataset.damage import READS
from hdvg.dataset.kept_views import with_kept
from hdvg.dataset.layout import Look, is_small
from hdvg.dataset.stages import STAGES

FEW = (
    "annotations", "forgotten", "given", "given_videos", "inputs", "scanned", "videos", "texts", "checked", "measured",
)  # fmt: skip
"""With the views of stages and all others named `..._rows`: those that a unit's manifest reads once, as tables. DuckDB plans a
view anew wherever it is named, and that takes longer than a unit's rows."""

READING = re.compile(r"create or replace view (\w+) as\n((?:(?!;\n).)*read_parquet(?:(?!;\n).)*);\n", re.DOTALL)
"""The views that read files. While the others are made, empty tables stand for them: DuckDB plans a view as it is made, with
all that it is made of, and to plan that files are read takes longest."""

VIEW, TABLE = "create or replace view ", "create table "
EVERY = re.compile(rf"{VIEW}(?=\w+\n?\s*as\b)")
NOTHING = re.compile(r"(?!)")
NAMED = re.compile(r"(?:\s|--[^\n]*\n)*create (?:or replace )?(?:view|table|macro) (\w+)")
WORD = re.compile(r"\w+")
NO_NAMES = re.compile(r"--[^\n]*|'(?:[^']|'')*'")
"""In our statements: comments and texts."""
ODD = re.compile(r"[$\\]|/\*")
"""What may stand around a quote that begins no text: then words count wherever they stand."""

LATEST = 1000
PIECE = re.compile(r"(?<=;\n)(?=(?:--[^\n]*\n|\n)*create (?:or replace )?(?:view|table|macro) )")
CATALOGUE = re.compile(
    r"\b(?:show|describe|summarize|pragma|information_schema|duckdb_\w+|sqlite_\w+|query(?:_table)?\s*\()"
)
"""In a query, what may look at every view, or at one whose name the query makes."""


def views_on(
    connection: duckdb.DuckDBPyConnection, sql: str, look: Look, *, of_unit: bool, live: bool
) -> AllViews | LazyViews:
    """The views that `sql` makes of the dataset that is looked at; `live` ones see files that come later."""
    if of_unit or (not live and is_small(look.root)):
        return LazyViews(connection, sql, as_tables="of units" if of_unit else "every")
    sql, kept = with_kept(look.root, sql, look)
    if kept:  # over a million clips the end of an answer, where its groups are named, takes longest to read, and is read thrice
        connection.execute("set parquet_metadata_cache = true")
    if not live and "dataset" in kept:  # then most of them read one file, and each is made at once
        return LazyViews(connection, sql, as_tables="none", kept=kept)
    return AllViews(connection, sql, kept)


class AllViews:
    """All views, there from the beginning; each query reads the files that are there then. `kept`: those that read one answer."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, sql: str, kept: frozenset[str]) -> None:
        self._kept = kept
        connection.execute(READING.sub(_empty, sql))
        for view in READING.finditer(sql):
            connection.execute(f"drop table {view[1]}; {view[0]}")

    def need(self, sql: str | None = None) -> None:
        """Nothing: all are there."""

    def is_held(self, name: str) -> bool:
        """Whether it costs little to ask of it again."""
        return name in self._kept


def _empty(reading: re.Match[str]) -> str:
    """The statement that makes an empty table of a view's columns; of the files that it reads one is looked at."""

    def first(read: re.Match[str]) -> str:
        found = next(glob.iglob(read[1].replace("''", "'")), None)
        return read[0] if found is None else "read_parquet('{}'".format(glob.escape(found).replace("'", "''"))

    return f"create table {reading[1]} as from ({READS.sub(first, reading[2])}) limit 0;\n"


@dataclass(frozen=True)
class _Making:
    """A statement that makes a table, view or macro, the words in it, and the view to make where a table cannot be."""

    statement: duckdb.Statement
    words: frozenset[str]
    as_view: str | None


class LazyViews:
    """Views that are made before the first query that names them, or a view made of them.

    Those of `as_tables` become tables then; `kept`: views that read one answer.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        sql: str,
        *,
        as_tables: Literal["every", "of units", "none"],
        kept: frozenset[str] = frozenset(),
    ) -> None:
        self._connection = connection
        places = {"every": EVERY, "of units": _held(), "none": NOTHING}[as_tables]
        self._left = dict(_parsed(connection, places.sub(TABLE, sql)))
        self._held = set(kept)

    def need(self, sql: str | None = None) -> None:
        """Make all that the text of a query may name, and what that is made of; without a text, everything.

        What cannot be a table, for a damaged file or a rule that raises, is a view: the query then says so, if it needs it.
        """
        wanted = set(self._left) if sql is None or CATALOGUE.search(sql.lower()) else self._named(sql)
        for name in [name for name in self._left if name in wanted]:
            self._make(name, self._left[name])
            del self._left[name]

    def is_held(self, name: str) -> bool:
        """Whether it costs little to ask of it again: whether it is a table by now, or reads one answer."""
        return name in self._held

    def _make(self, name: str, making: _Making) -> None:
        try:
            self._connection.execute(making.statement)
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            if making.as_view is None:
                raise
            self._connection.execute(making.as_view)
        else:
            self._held |= {name} if making.as_view else set()

    def _named(self, sql: str) -> set[str]:
        found: set[str] = set()
        words = set(WORD.findall(sql.lower()))
        while new := words & self._left.keys() - found:
            found |= new
            words = {word for name in new for word in self._left[name].words}
        return found


def _parsed(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, _Making]:
    """What the statements make, by name. To parse them takes long, and most are the same for every unit and run."""
    try:
        return dict(_parsed_one(connection, piece) for piece in PIECE.split(sql) if piece.strip())
    except (duckdb.ParserException, ValueError):  # what looks like the end of a statement stands in a text of a rule
        return dict(map(_making, connection.extract_statements(sql)))


def _parsed_one(connection: duckdb.DuckDBPyConnection, piece: str) -> tuple[str, _Making]:
    known = _latest.get(piece)
    if known is None:
        (statement,) = connection.extract_statements(piece)
        if len(_latest) >= LATEST:
            _latest.clear()
        known = _latest[piece] = _making(statement)
    return known


_latest: dict[str, tuple[str, _Making]] = {}


def _making(statement: duckdb.Statement) -> tuple[str, _Making]:
    text = statement.query
    found = NAMED.match(text)
    assert found, text
    head, rest = text[: found.start(1)], text[found.start(1) :]
    return found[1], _Making(statement, _words(rest), VIEW + rest if head.endswith(TABLE) else None)


def _words(statement: str) -> frozenset[str]:
    plain = statement.lower()
    return frozenset(WORD.findall(plain if ODD.search(plain) else NO_NAMES.sub(" ", plain)))


def _held() -> re.Pattern[str]:
    """Where a statement begins that makes one of the views that a unit's manifest reads once."""
    of_units = {entry.rows_view() for entry in STAGES.values() if entry.parts != "shard"}
    names = "|".join(sorted({*FEW, *of_units}))
    return re.compile(rf"{VIEW}(?=(?:{names}|\w+_rows)\n?\s*as\b)")
