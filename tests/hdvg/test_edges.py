"""Counts by the bins of an axis against DuckDB's own."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from hdvg.config.rules import Quantiles, parse_rule, parse_rules
from hdvg.dataset.snapshot import SOURCE
from hdvg.filtering.edges import EXPLORER_BINS, REPORT_BINS, Axis, axes, axis, bounds_in_force, value_sql
from tests.told import told

CLIPS = 6000
RULES = {
    "still": "static_share <= 0.5",
    "moves": "motion_px_s > 4.1",
    "short": "2 <= duration_s < 20",
    "sharp": "sharpness >= quantile(0.1)",
    "drawn": "diverse_draw < 0.25",
    "boxes": "text_boxes <= 3",
}
QUANTILES: Quantiles = {"sharpness:0.1": 0.1234567890123456789}
MEASURES = ("static_share", "motion_px_s", "duration_s", "sharpness", "diverse_draw", "text_boxes", "duplicate")


def clips() -> duckdb.DuckDBPyConnection:
    """Ties, null, NaN, both infinities, values on thresholds and beside them, measures not taken."""
    draw = np.random.default_rng(3)

    def numbers(values: np.ndarray, *special: float | None) -> list[float | None]:
        made: list[float | None] = values.tolist()
        for place in draw.choice(CLIPS, 1200, replace=False):
            made[place] = special[place % len(special)]
        return made

    inf, nan = float("inf"), float("nan")
    beside = [float(np.nextafter(4.1, 9)), float(np.nextafter(4.1, 0))]
    taken = ["ok" if one else None for one in draw.random(CLIPS) < 0.7]
    return told(
        clip_id=[f"c{place:05}" for place in range(CLIPS)],
        static_share=numbers(draw.integers(0, 9, CLIPS) / 8, None, nan),
        motion_px_s=numbers(draw.lognormal(2, 2, CLIPS), None, nan, inf, -inf, 4.1, *beside, 0.0, -3.5),
        duration_s=numbers(0.5 + draw.exponential(5, CLIPS), 2.0, 20.0, 1e300),
        sharpness=numbers(draw.random(CLIPS), None, QUANTILES["sharpness:0.1"]),
        diverse_draw=numbers(draw.random(CLIPS), 0.25, None),
        duplicate=[bool(one) for one in draw.random(CLIPS) < 0.1],
        pool_status=taken,
        text_boxes=[int(one) for one in draw.integers(0, 40, CLIPS)],
        text_status=taken,
    )


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    return clips()


def made(connection: duckdb.DuckDBPyConnection, bins: int) -> dict[str, Axis]:
    bounds = bounds_in_force(parse_rules(RULES), QUANTILES)
    return {one.measure: one for one in axes(connection, MEASURES, bounds=bounds, bins=bins)}


def codes(connection: duckdb.DuckDBPyConnection, one: Axis) -> np.ndarray:
    return one.codes(
        connection.sql(f"select {value_sql(one.measure)} from {SOURCE} order by place").to_arrow_table()[0]
    )


@pytest.mark.parametrize("bins", [REPORT_BINS, EXPLORER_BINS])
def test_codes_count_what_duckdb_counts_on_every_edge_and_every_bound_in_force(connection, bins):
    found = made(connection, bins)
    for one in found.values():
        assert 1 <= len(one.edges) <= bins
        assert (np.diff(one.edges[:-1]) > 0).all()
        held = codes(connection, one)
        below = np.cumsum(np.bincount(held, minlength=len(one.edges) + 1)[1:])
        value = value_sql(one.measure)
        for place in range(0, len(one.edges), 7):
            edge = one.edges[place]
            expected = connection.execute(
                f"select count(*) from {SOURCE} where {value} >= ?", [float(edge)]
            ).fetchall()[0]
            assert below[-1] - (below[place - 1] if place else 0) == expected[0], (one.measure, edge)
        assert (held == 0).sum() == connection.sql(f"select count(*) from {SOURCE} where {value} is null").fetchall()[
            0
        ][0]
    for rule in parse_rules(RULES):
        one = found[str(rule.column)]
        span = one.passing(rule.low, rule.high, QUANTILES)
        assert span is not None
        held = codes(connection, one)
        expected = connection.sql(f"select count(*) from {SOURCE} where {rule.sql(QUANTILES)}").fetchall()[0][0]
        assert ((held >= span[0]) & (held <= span[1])).sum() == expected > 0, rule.text


@pytest.mark.parametrize("written", ["4.1", "2", "1e-3", "-3.5", "-1e300", "1e300", "0"])
@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
def test_a_bound_is_judged_exactly_or_not_at_all(connection, written, sign):
    rule = parse_rule("r", f"motion_px_s {sign} {written}")
    for bins in (REPORT_BINS, EXPLORER_BINS):
        one = made(connection, bins)["motion_px_s"]
        span = one.passing(rule.low, rule.high, {})
        if span is not None:
            held = codes(connection, one)
            expected = connection.sql(f"select count(*) from {SOURCE} where {rule.sql({})}").fetchall()[0][0]
            assert ((held >= span[0]) & (held <= span[1])).sum() == expected
        else:
            between = ("1e-3",) if sign in {">=", "<"} else ("1e-3", "2")  # 2 is an edge because it is round
            assert written in between


def test_few_values_are_lossless_and_judge_every_bound(connection):
    found = made(connection, EXPLORER_BINS)
    assert [one.measure for one in found.values() if one.lossless] == ["static_share", "text_boxes", "duplicate"]
    one = found["text_boxes"]
    rule = parse_rule("r", "2.5 < text_boxes <= 17")
    assert one.passing(rule.low, rule.high, {}) == (4, 18)


def test_both_sides_of_a_bound_round_numbers_and_the_ends_are_edges():
    values = np.random.default_rng(1).random(50_000)
    ends = (float(values.min()), float(values.max()))
    one = axis("x", values, ends=ends, bounds=[0.1234567], bins=EXPLORER_BINS)
    for edge in (0.1234567, np.nextafter(0.1234567, 1), 0.1, 0.25 * 2, *ends):
        assert edge in one.edges
    assert len(one.edges) == EXPLORER_BINS
    places = np.searchsorted(np.sort(values), one.edges[1:-1]) / len(values)
    assert np.diff(places).max() < 0.02  # no bin is crowded


def test_a_value_that_many_clips_share_has_a_bin_of_its_own():
    values = np.concatenate([np.zeros(8000), np.random.default_rng(1).random(2000) + 1e-9])
    one = axis("x", values, ends=(0.0, 1.0), bounds=[], bins=EXPLORER_BINS)
    place = one.cut(0.0, above=True)
    assert place is not None
    assert one.edges[place - 1] == 0.0


def test_a_measure_without_values_has_no_bins(connection):
    (one,) = axes(connection, ["nsfw"], bounds={"nsfw": [0.5]}, bins=REPORT_BINS)
    assert len(one.edges) == 0
    assert one.lossless
    assert not codes(connection, one).any()
