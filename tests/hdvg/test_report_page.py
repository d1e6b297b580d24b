"""The page of `hdvg report` in a browser: its counts are DuckDB's, nothing runs that is not its own, keys and axe find no fault."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from hdvg.config.rules import Bound, parse_rules
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.snapshot import SOURCE, measures
from hdvg.filtering.edges import REPORT_BINS, Axis, axes, bounds_in_force
from hdvg.filtering.edit import range_text
from hdvg.reports.page.rows import bounded
from hdvg.reports.page.write import written
from tests.browser import browser, needs_chromium, opened
from tests.synthetic import draw_dataset

pytestmark = needs_chromium

CLIPS = 4000
SPECIAL = "when i % 41 = 0 then null when i % 41 = 1 then 'nan'::double when i % 41 = 2 then 'inf'::double when i % 41 = 3 then '-inf'::double"
KEEP = {
    "too_short": "duration_s >= 2",
    "moves": "4.1 < motion_px_s <= 400",
    "sharp": "sharpness >= quantile(0.1)",
    "still": "static_share < 0.75",
}
DRAWN = {
    "motion_px_s": f"case {SPECIAL} when i % 41 = 4 then 4.1 when i % 41 = 5 then 400.0 else exp(2.8 + 1.1 * random()) end",
    "luma_mean": f"case {SPECIAL} else round(105 + 40 * random(), 1) end",
    "static_share": "case when i % 50 = 0 then null else (i % 9) / 8 end",
    "camera_px_s": "case when i % 3 = 0 then 0.0 else random() end",
}
HOSTILE = [
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "\u2028alert(1)\u2029", "\u202egnp.exe",
    "<!--", "--><script>alert(1)</script>", "]]>", "&lt;script&gt;alert(1)&lt;/script&gt;", "javascript:alert(1)", "'\"><b>", "\x00\x1b[31m",
    "${alert(1)}", "{{7*7}}", "<style>*{display:none}</style>", "</title><script>alert(1)</script>", "<base href=//x>", "<iframe srcdoc=x>",
    "=cmd|' /C calc'!A0", "\ufeff\u200bzero", "<math><mtext></mtext></math>", "\\u003cscript>", "%3Cscript%3E", "<a href=javascript:alert(1)>x</a>",
    "x" * 4000, "مرحبا <b>", "<template><script>alert(1)</script></template>", "<link rel=stylesheet href=//x>", "</style><script>", "\u2066\u2069",
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return draw_dataset(tmp_path_factory.mktemp("report") / "drawn", CLIPS, keep=KEEP, clips=DRAWN)


@pytest.fixture(scope="module")
def page(dataset: Dataset) -> Path:
    path = dataset.root.parent / "report.html"
    written(dataset, out=path, say=lambda said: None)
    return path


@pytest.fixture(scope="module")
def connection(dataset: Dataset) -> Iterator[duckdb.DuckDBPyConnection]:
    with measures(dataset, [], lambda said: None) as found:
        yield found


def end(bound: Bound | None) -> dict[str, Any] | None:
    return None if bound is None else {"value": bound.number, "closed": bound.closed, "share": None}


def drawn_range(draw: random.Random, axis: Axis, *, is_boolean: bool) -> tuple[Bound | None, Bound | None]:
    """A bound on one side or both, each on an edge, or for a lossless axis anywhere."""
    if is_boolean:
        return (
            (Bound(axis.measure, True, 1.0), None) if draw.random() < 0.5 else (None, Bound(axis.measure, False, 1.0))
        )
    finite = [float(edge) for edge in axis.edges if -1e308 < edge < 1e308]
    values = sorted(draw.choice(finite) for _ in range(2))
    if axis.lossless and draw.random() < 0.5:
        values = sorted(value + draw.random() for value in values)
    low, high = (Bound(axis.measure, draw.random() < 0.5, value) for value in values)
    if axis.passing(low, None, {}) is None:  # `>` of this edge divides its bin
        low = replace(low, closed=True)
    if axis.passing(None, high, {}) is None:
        high = replace(high, closed=False)
    sides = draw.choice(("low", "high", "both"))
    return low if sides != "high" else None, high if sides != "low" else None


def written_rule(name: str, low: Bound | None, high: Bound | None, *, is_boolean: bool) -> str:
    return range_text(name, low, high) if not is_boolean else name if low else f"not {name}"


def test_500_random_bounds_give_duckdbs_counts_and_hours(dataset, page, connection, chromium):
    draw = random.Random(7)
    plan, columns = dataset.plan, dataset.plan.recipe.measure.columns
    bounds = bounds_in_force(plan.recipe.rules, plan.quantiles)
    known = [one for one in axes(connection, bounded(columns), bounds=bounds, bins=REPORT_BINS) if len(one.edges)]
    asked, expected, texts = [], [], []
    for _ in range(500):
        rules = []
        for axis in draw.sample(known, draw.choice((1, 1, 2, 3))):
            is_boolean = not columns.is_number(axis.measure)
            low, high = drawn_range(draw, axis, is_boolean=is_boolean)
            rules.append({"column": axis.measure, "low": end(low), "high": end(high)})
            texts.append(written_rule(axis.measure, low, high, is_boolean=is_boolean))
        asked.append(rules)
        tests = [rule.sql({}) for rule in parse_rules({f"r{n}": text for n, text in enumerate(texts[-len(rules) :])})]
        sql = f"select count(*), coalesce(sum(duration_s), 0) from {SOURCE} where {' and '.join(tests)}"
        expected.append(connection.execute(sql).fetchall()[0])
    signs = {sign for text in texts for sign in text.split() if sign in {"<", "<=", ">", ">="}}
    assert signs == {"<=", ">=", "<", ">"}
    with opened(chromium, page) as tab:
        found = tab.evaluate("async (asked) => Promise.all(asked.map((rules) => report.count(rules)))", asked)
    assert [one and one["clips"] for one in found] == [clips for clips, _ in expected]
    assert [one["seconds"] for one in found] == pytest.approx([seconds for _, seconds in expected], abs=CLIPS * 0.0005)
    assert len({clips for clips, _ in expected}) > 300  # no empty comparison
