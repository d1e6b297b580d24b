"""Which rows hold a condition: one byte a row, worked out once and kept for the questions that follow.

Where a bound is an edge, codes decide, and no database is asked; both ways give the same rows, to the last one.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from hdvg.config.rules import Bound, Quantiles, Rule
from hdvg.dataset.snapshot import SOURCE
from hdvg.errors import UsageError
from hdvg.explore.selection import NO_MARK, Condition
from hdvg.explore.sidecar import Sidecar

Mask = NDArray[np.bool_]
FLAG = re.compile(r"\s*(not\s+)?([a-z_][a-z0-9_]*)\s*")
NO_CODE = 256
"""What no row has."""
MOST_BYTES = 300_000_000
"""Of all masks that are kept."""
FIRST_MOST = 64
"""Masks of the first rows that are kept."""


class SupersededError(UsageError):
    """A newer question took the place of this one."""


class Asking:
    """One question while it is answered: it ends early where a newer one of its channel has come."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._running: set[duckdb.DuckDBPyConnection] = set()
        self._lock = threading.Lock()

    def stop(self) -> None:
        """End it, from another thread."""
        self._over.set()
        with self._lock:
            for connection in self._running:
                connection.interrupt()

    def check(self) -> None:
        """Raise SupersededError if it is to end."""
        if self._over.is_set():
            raise SupersededError("a newer question took the place of this one")

    def run(self, connection: duckdb.DuckDBPyConnection, sql: str, values: Any = ()) -> Any:
        """The answer's Arrow table. Raises SupersededError if it was stopped."""
        self.check()
        with self._lock:
            self._running.add(connection)
        try:
            return connection.sql(sql, params=list(values)).to_arrow_table()
        except duckdb.InterruptException:
            raise SupersededError("a newer question took the place of this one") from None
        finally:
            with self._lock:
                self._running.discard(connection)


Other = Callable[[Condition, Asking], Mask]
"""Decides conditions on what lies beside the sidecar: marks, the map, likeness."""


class Masks:
    """The masks of one sidecar; for many threads."""

    def __init__(
        self,
        sidecar: Sidecar,
        connection: duckdb.DuckDBPyConnection,
        *,
        others: Mapping[str, Other],
        said: Callable[[], tuple[str, ...]],
    ) -> None:
        self._sidecar = sidecar
        self._connection = connection
        self._others = others
        self._said = said
        self._held: OrderedDict[tuple[Any, ...], Mask] = OrderedDict()
        self._lock = threading.Lock()
        self._most = max(8, MOST_BYTES // max(len(sidecar.lengths_s), 1))
        self._beginnings: dict[int, Masks] = {}
        self._whole: Masks | None = None

    def first(self, rows: int) -> Masks:
        """The same of the first rows alone, which asks nothing of the others."""
        with self._lock:
            if rows not in self._beginnings:
                begun = Masks(self._sidecar.first(rows), self._connection, others=self._others, said=self._said)
                begun._whole, begun._most = self, FIRST_MOST
                self._beginnings[rows] = begun
            return self._beginnings[rows]

    def of(self, condition: Condition, quantiles: Quantiles, asking: Asking) -> Mask:
        """[rows]. Raises UsageError where a condition cannot be worked out."""
        key = self.key(condition, quantiles)
        held = self._known(key)
        if held is not None:
            return held
        return self._hold(key, self._made(condition, quantiles, asking))

    def _hold(self, key: tuple[Any, ...], made: Mask) -> Mask:
        with self._lock:
            self._held[key] = made
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        return made

    def _known(self, key: tuple[Any, ...]) -> Mask | None:
        with self._lock:
            held = self._held.get(key)
            if held is not None:
                self._held.move_to_end(key)
                return held
        whole = self._whole._known(key) if self._whole else None
        return None if whole is None else whole[: len(self._sidecar.lengths_s)]

    def key(self, condition: Condition, quantiles: Quantiles) -> tuple[Any, ...]:
        """What the condition's rows depend on; equal keys are equal rows. What people say counts where it is looked at."""
        bounds = (bound.value(quantiles) for rule in condition.rules for bound in rule.quantiles)
        looks = condition.sort in ("marks", "text") or any("marked_" in str(part) for part in condition.key)
        return (*condition.key, *bounds, *(self._said() if looks else ()))

    def rule(self, rule: Rule, quantiles: Quantiles, asking: Asking) -> Mask:
        """[rows]: which pass a rule."""
        return self.of(Condition("rule", ("rule", rule.text), rule.column, (rule,)), quantiles, asking)

    def unknown(self, rule: Rule, quantiles: Quantiles, asking: Asking) -> Mask:
        """[rows]: of which a rule says neither that they pass nor that they break it."""
        if any(bound.value(quantiles) is None for bound in rule.bounds):
            return np.ones(len(self._sidecar.lengths_s), bool)
        flag = FLAG.fullmatch(rule.text)
        column = self._sidecar.columns.get(rule.column or (flag[2] if flag else ""))
        if column is not None and column.kind != "text":
            key = ("unknown", column.name)
            held = self._known(key)
            return self._hold(key, np.asarray(self._sidecar.codes_of(column.name) == 0)) if held is None else held
        sql = f"{rule.sql(quantiles)} is null"
        return self.of(Condition("sql", ("sql", sql), values=(sql,)), {}, asking)

    def _made(self, condition: Condition, quantiles: Quantiles, asking: Asking) -> Mask:
        if condition.sort == "rule":
            (rule,) = condition.rules
            by_codes = self._by_codes(rule.low, rule.high, quantiles) if rule.column else self._flag(rule.text)
            return by_codes if by_codes is not None else self._asked(rule.sql(quantiles), asking)
        if condition.sort == "range":
            return self._range(condition, asking)
        if condition.sort == "dropped":
            passes = [self.rule(rule, quantiles, asking) for rule in condition.rules]
            return ~np.logical_and.reduce(passes) if passes else np.zeros(len(self._sidecar.lengths_s), bool)
        if condition.sort == "only":
            return self._only(condition, asking)
        if condition.sort == "sql":
            return self._asked(f"({condition.values[0]})", asking)
        return self._others[condition.sort](condition, asking)[: len(self._sidecar.lengths_s)]

    def _range(self, condition: Condition, asking: Asking) -> Mask:
        by_codes = self._by_codes(condition.low, condition.high, {})
        if by_codes is not None:
            return by_codes
        signs = ((condition.low, ">=", ">"), (condition.high, "<=", "<"))
        sides = [
            f"{condition.column} {closed if bound.closed else strict} {bound.number!r}::double" for bound, closed, strict in signs if bound
        ]  # fmt: skip
        return self._asked(" and ".join(sides).replace("inf::", "'inf'::").replace("nan::", "'nan'::"), asking)

    def _by_codes(self, low: Bound | None, high: Bound | None, quantiles: Quantiles) -> Mask | None:
        """None where a bound is no edge, or the measure has no codes."""
        bounds = [bound for bound in (low, high) if bound]
        if not bounds or bounds[0].column not in self._sidecar.columns:
            return None
        if not all(np.isfinite(bound.value(quantiles) or 0.0) for bound in bounds):
            return None
        codes = self._sidecar.codes_of(bounds[0].column)
        passing = self._sidecar.columns[bounds[0].column].axis().passing(low, high, quantiles)
        if passing is None:
            return None
        first, last = max(passing[0], 1), passing[1]
        if first > last:
            return np.zeros(len(codes), bool)
        return np.asarray(codes - np.uint8(first) <= np.uint8(last - first))  # code 0 wraps round to the largest

    def _flag(self, text: str) -> Mask | None:
        """The rows of a rule that is a boolean alone, such as `not duplicate`; None for others."""
        found = FLAG.fullmatch(text)
        column = self._sidecar.columns.get(found[2]) if found else None
        if found is None or column is None or column.kind != "boolean":
            return None
        wanted = 0.0 if found[1] else 1.0
        return np.asarray(self._sidecar.codes_of(column.name) == (1 + column.edges.index(wanted) if wanted in column.edges else NO_CODE))  # fmt: skip

    def _only(self, condition: Condition, asking: Asking) -> Mask:
        column = self._sidecar.columns[condition.column or ""]
        codes = self._sidecar.codes_of(column.name)
        table = np.zeros(256, bool)
        if column.kind == "text":
            table[[1 + column.values.index(value) for value in condition.values if value in column.values]] = True
            table[0] = None in condition.values
            return np.asarray(table[codes])
        if not column.lossless:
            values = ", ".join(repr(float(value)) for value in condition.values if value is not None)
            nothing = f" or {column.name} is null" if None in condition.values else ""
            return self._asked(f"{column.name}::double in ({values or 'null'}){nothing}", asking)
        table[
            [
                1 + column.edges.index(float(value))
                for value in condition.values
                if value is not None and float(value) in column.edges
            ]
        ] = True
        table[0] = None in condition.values
        return np.asarray(table[codes])

    def _asked(self, sql: str, asking: Asking) -> Mask:
        """What DuckDB says of every row; null is no."""
        with self._connection.cursor() as cursor:
            try:
                rows = len(self._sidecar.lengths_s)
                return asked(cursor, f"({sql}) and place < {rows}" if self._whole else sql, rows, asking)
            except duckdb.Error as error:
                raise UsageError(str(error).splitlines()[0]) from None


def asked(cursor: duckdb.DuckDBPyConnection, sql: str, rows: int, asking: Asking, values: Any = ()) -> Mask:
    """[rows]: those of which a condition on the table `SOURCE` holds."""
    mask = np.zeros(rows, bool)
    mask[
        asking.run(cursor, f"select place::uinteger as place from {SOURCE} where {sql}", values)["place"].to_numpy()
    ] = True
    return mask


def is_marked(values: tuple[Any, ...], mark: str | None) -> bool:
    """Whether a clip's mark is one of those that a condition names."""
    return (mark or NO_MARK) in values
