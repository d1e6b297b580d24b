"""The figures to reach at a million clips, and what was reached of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Results = Mapping[tuple[str, int], Mapping[str, float]]
"""By operation and size, what it took."""

SMALL, LARGE = 100_000, 1_000_000
"""Clips: growth is from the one to the other."""

DUPLICATES = "duplicates"
VIEWS_OF_VIDEOS = "views of 150,000 videos"
JOB_POOL = "job, pool of 5 M rows"
UNANSWERED = ", no answers kept"


@dataclass(frozen=True)
class Figure:
    """At most `target`; `value` is None where what it needs was not measured."""

    target: float
    value: Callable[[Results], float | None]


def of(operation: str, what: str = "cpu_s", *, size: int = LARGE) -> Callable[[Results], float | None]:
    """What an operation took."""
    return lambda results: results.get((operation, size), {}).get(what)


def ratio(
    over: Callable[[Results], float | None], under: Callable[[Results], float | None]
) -> Callable[[Results], float | None]:
    """One figure over another."""

    def value(results: Results) -> float | None:
        high, low = over(results), under(results)
        return None if high is None or not low else high / low

    return value


def growth(operation: str, what: str = "cpu_s") -> Callable[[Results], float | None]:
    """How many times more it takes at ten times the size."""
    return ratio(of(operation, what), of(operation, what, size=SMALL))


FIGURES: dict[str, Figure] = {
    "lookup_1m_s": Figure(0.3, of("lookup")),
    "count_1m_s": Figure(1.5, of("count")),
    "status_1m_s": Figure(5.0, of("status")),
    "explain_1m_s": Figure(1.0, of("explain")),
    "idle_run_1m_mb": Figure(800.0, of("idle run", "peak_mb")),
    "idle_run_1m_s": Figure(10.0, of("idle run")),
    "purge_one_shards": Figure(2.0, of("purge", "shards_written")),
    "purge_one_shards_read": Figure(2.0, of("purge", "shards_read")),
    "job_pool_mb_growth": Figure(1.1, ratio(of(JOB_POOL, "peak_mb"), of("job", "peak_mb"))),
    "views_150k_videos_s": Figure(0.5, of(VIEWS_OF_VIDEOS, size=SMALL)),
    "lookup_growth": Figure(1.3, growth("lookup")),
    "purge_growth": Figure(1.3, growth("purge")),
    "job_growth": Figure(1.3, growth("job")),
    "duplicates_1m_mb": Figure(1000.0, of(DUPLICATES, "peak_mb")),
}


def reached(results: Results) -> dict[str, dict[str, float | bool]]:
    """By figure, its target, what was measured, and whether that is reached; those alone that were measured."""
    found = {name: (figure.target, figure.value(results)) for name, figure in FIGURES.items()}
    return {
        name: {"target": target, "value": round(value, 3), "reached": value <= target}
        for name, (target, value) in found.items()
        if value is not None
    }
