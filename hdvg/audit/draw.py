"""Draw an audit's questions: groups of clips by predicted error, clips at random, and an order that is valid wherever one stops."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from hdvg.audit.strata import EXPECTED, Counts, Values, allocate, by_rank, stratify
from hdvg.audit.topics import CAPTION, Side, Topic, bounded, topics
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.manifest import Manifest
from hdvg.dataset.tables import write_rows
from hdvg.errors import UsageError
from hdvg.ids import digest

CLICKS = 300
"""Questions of an audit."""
LEAST = 10
"""Questions of a rate, if it has so many clips."""
POOL = 500_000
"""Clips of a rate that are looked at to draw from; of more, so many at random."""

UNTIL = "until "
"""How `ahead` begins where the groups were drawn one by one; the width behind it."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Drawing:
    """How the questions are drawn: at most `clicks`; until all intervals are so narrow, by anytime bounds, if it says `until`."""

    clicks: int = CLICKS
    until: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Pool:
    """The clips of one rate; `scale`: how many of the dataset's clips each stands for."""

    topic: Topic
    side: Side
    clips: pa.Table
    scale: float

    def predicted(self) -> Values:
        """A share of errors for each clip."""
        for place in range(len(self.topic.near)):
            near = self.clips[f"near_{place}"].to_numpy().astype(np.float64)
            if not np.isnan(near).all():
                return by_rank(near)
        return np.full(len(self.clips), EXPECTED)


def draw(dataset: Dataset, names: Sequence[str] | None = None, how: Drawing | None = None) -> str:
    """Draw and store the questions of a new audit; returns its name. Raises UsageError where there is no clip to ask about."""
    how = how or Drawing()
    rng = np.random.default_rng(how.seed if how.seed is not None else secrets.randbits(64))
    with dataset.manifest() as manifest:
        manifest.hold("clip_rows")
        sides = [(topic, side) for topic in topics(dataset.plan, names) for side in topic.sides]
        pools = [_pool(manifest, topic, side, rng) for topic, side in sides]
        pools = [pool for pool in pools if len(pool.clips)]
        if not pools:
            raise UsageError(f"{dataset.root}: no clip to ask about; `hdvg status` says what there is")
        budgets = _budgets([len(pool.clips) for pool in pools], how.clicks)
        drawn = [_questions(pool, budget, how, rng) for pool, budget in zip(pools, budgets, strict=True)]
        rows = [row for _, row in sorted((pair for pairs in drawn for pair in pairs), key=lambda pair: pair[0])]
        texts = _texts(manifest, [row["clip_id"] for row in rows if row["topic"] == CAPTION])
    audit = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{rng.integers(16**4):04x}"
    for place, row in enumerate(rows):
        row |= {"audit": audit, "place": place, "question": digest(audit, place, row["clip_id"])[:12]}
        if row["topic"] == CAPTION:
            row["asked"] += f" “{texts.get(row['clip_id'], '')}”"
    write_rows(dataset.store, "questions", rows)
    return audit


def _pool(manifest: Manifest, topic: Topic, side: Side, rng: np.random.Generator) -> Pool:
    where = topic.where(side)
    count = int(manifest.one(f"select count(*) from clip_rows where {where}"))
    keep = 1 if count <= POOL else -(-count // POOL)
    some = f"{where} and hash(clip_id, {int(rng.integers(2**31))}) % {keep} = 0" if keep > 1 else where
    near = "".join(f", ({sql})::double as near_{place}" for place, sql in enumerate(topic.near))
    column = bounded(topic.rule).column if topic.rule is not None else None
    value = f"({column})::double" if column else "null::double"
    clips = manifest.table(
        f"select clip_id, video_id, {value} as value{near} from clip_rows where {some} order by clip_id"
    )
    return Pool(topic, side, clips, count / max(len(clips), 1))


def _budgets(sizes: Sequence[int], clicks: int) -> list[int]:
    """The same for all rates, and what those with few clips leave for the others."""
    budgets = [0] * len(sizes)
    left = max(clicks, LEAST * len(sizes))
    for done, place in enumerate(sorted(range(len(sizes)), key=lambda place: sizes[place])):
        budgets[place] = min(sizes[place], left // (len(sizes) - done))
        left -= budgets[place]
    return budgets


def _questions(pool: Pool, clicks: int, how: Drawing, rng: np.random.Generator) -> list[tuple[float, Row]]:
    """The questions of one rate, each with its place, 0-1, among those of all rates."""
    predicted = pool.predicted()
    group = stratify(predicted)
    sizes = np.bincount(group).astype(np.int64)
    means = np.bincount(group, predicted) / sizes
    picked = _one_a_video(group, pool.clips["video_id"].to_numpy(zero_copy_only=False), rng)
    order = _drawn(sizes, clicks, rng) if how.until else _interleaved(allocate(sizes, clicks), rng)
    ids, videos, values = (pool.clips[name].to_pylist() for name in ("clip_id", "video_id", "value"))
    rows = []
    for key, stratum in order:
        if not picked[stratum]:  # no further video has a clip of the group
            if how.until:
                break  # a draw that is left out would not be at random
            continue
        clip = picked[stratum].pop()
        rows.append((key, {
            "clip_id": ids[clip], "video_id": videos[clip], "topic": pool.topic.name, "side": pool.side,
            "asked": pool.topic.asked, "wrong": pool.topic.wrong(pool.side),
            "rule": pool.topic.rule.text if pool.topic.rule else None, "value": values[clip],
            "stratum": int(stratum), "stratum_clips": round(int(sizes[stratum]) * pool.scale),
            "predicted": float(means[stratum]), "ahead": f"{UNTIL}{how.until}" if how.until else "fixed",
        }))  # fmt: skip
    return rows


def _one_a_video(group: Counts, videos: Any, rng: np.random.Generator) -> list[list[int]]:
    """Of each group its clips in random order, one of each video at most."""
    picked: list[list[int]] = [[] for _ in range(int(group.max()) + 1)]
    seen: set[tuple[int, str]] = set()
    for clip in rng.permutation(len(group)):
        key = int(group[clip]), videos[clip]
        if key not in seen:
            seen.add(key)
            picked[key[0]].append(int(clip))
    return picked


def _interleaved(counts: Counts, rng: np.random.Generator) -> list[tuple[float, int]]:
    """The groups in an order of which every beginning holds about the same share of each."""
    return [
        ((step + start) / count, group)
        for group, (count, start) in enumerate(zip(counts, rng.random(len(counts)), strict=True))
        for step in range(count)
    ]


def _drawn(sizes: Counts, clicks: int, rng: np.random.Generator) -> list[tuple[float, int]]:
    """The groups drawn one by one, each by half its share and half the same: what anytime bounds need."""
    chances = (sizes / sizes.sum() + 1 / len(sizes)) / 2
    drawn = rng.choice(len(sizes), clicks, p=chances)
    return [((step + 0.5) / clicks, int(group)) for step, group in enumerate(drawn)]


def _texts(manifest: Manifest, clips: list[str]) -> dict[str, str]:
    asked = "select clip_id, text from caption_rows where list_contains(?::varchar[], clip_id)"
    return {row["clip_id"]: row["text"] for row in manifest.rows(asked, [clips])} if clips else {}
