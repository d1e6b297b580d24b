"""The table of stages: the only place that lists them.

Plans and fingerprints, seeds, views, what is wanted and what failed, `verify`, `status`, what a take-down purges and the
commands of single stages are made from it; `pipelines/graph.py` adds the function to run. It is light, for `hdvg --help`
reads it: what is heavy is named `module:NAME`, and imported where it is needed.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hdvg.config.writers import stage_of, step_and_writer
from hdvg.ids import settings_fingerprint

if TYPE_CHECKING:
    import pyarrow as pa

    from hdvg.config.recipe import Recipe

DOWNLOAD, SPLIT, MEASURE, REMEASURE, LEARNED, POOL, CUT, CAPTION, MATCH, ASSESS, SHARD = (
    "download", "split", "measure", "remeasure", "learned", "pool", "cut", "caption", "match", "assess", "shard",
)  # fmt: skip
"""Entries that code elsewhere has to name for what is theirs alone."""


@dataclass(frozen=True)
class Shaping:
    """What a fingerprint is made of: the recipe, the fingerprints of the stages before, and whose stage it is."""

    recipe: Recipe
    located: Recipe
    """The same, with the files of plug-ins named by their full paths."""
    fingerprints: Mapping[str, str]
    of: str = ""
    """The measure or the writer, of an entry that has a stage for each."""


@dataclass(frozen=True)
class Entry:
    """What is known of a stage, or of the stages that are alike: one for each keyframe measure, one for each writer."""

    name: str
    after: tuple[str, ...]
    """Entries whose stages come before it."""
    schema: str | pa.Schema
    """Of its parts: `OUTCOME`, then its columns. Where the stages of an entry differ: a mapping, by stage."""
    shaped_by: str | Callable[[Shaping], Sequence[Any]] = "hdvg.dataset.shaping:of_the_split"
    """All that shapes its results, ready for JSON; what does not change here is not done again."""
    version: int = 1
    """Raise it when the stage's code changes what it writes: its parts then become new work."""
    key: Literal["video_id", "clip_id"] = "clip_id"
    """What its items are."""
    due: str = "select video_id, clip_id from measured where {may_pass}"
    """SQL: the keys of the items it is for. `{may_pass}` holds of clips that no rule has dropped so far, `{passes}` of those
    that pass every rule that does not look at captions."""
    items: str = "select * from dataset"
    """SQL: its items, a row each, with every column that its function needs."""
    view: str = ""
    """The view of the newest row of every item; `<name>_rows` if it is not named."""
    views: str | type = "hdvg.dataset.views:StageViews"
    """Makes its SQL; a subclass for a stage with other SQL."""
    per: Literal["dataset", "measure", "writer"] = "dataset"
    """What there is one such stage for."""
    parts: Literal["unit", "pool", "shard"] = "unit"
    """What a part file is of; only stages of units are run by the graph."""
    is_wanted: Callable[[Recipe], bool] = field(default=lambda recipe: True)
    """Whether a recipe asks for it at all."""
    by_rules: bool = False
    """Whether rules decide if it is wanted: its fingerprint is then made whenever rules change."""
    media: Mapping[str, str] = field(default_factory=dict)
    """Columns that name files of media/, each with the query by which `verify` looks for them: `sha256`, and `what` it is."""
    clip_columns: tuple[str, ...] = ()
    """Columns that name other clips, of a part of the whole pool: a take-down removes it if one of them is lost."""
    command: str = ""
    """The command that runs it; its own name if none is said."""
    help: str = ""
    """The sentence of that command; without it none is made from this entry."""

    def rows_view(self) -> str:
        """The view of its newest rows."""
        return self.view or f"{self.name}_rows"


ALONE = (
    "select d.*, v.sha256, m.{stage}_lacks as versions, m.split_pack, m.pack_number from dataset d join videos v using (video_id) "
    "join measured m using (video_id, clip_id)"
)
"""SQL: clips, with the measures that they lack."""

STAGES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name=DOWNLOAD,
            after=(),
            schema="schemas.parts:DOWNLOAD",
            shaped_by="hdvg.dataset.shaping:download",
            version=2,
            key="video_id",
            items="select v.* exclude (given_digest), g.given_digest, g.given "
            "from videos v left join given_videos g using (video_id)",
            view="downloaded",
            views="hdvg.dataset.scene_views:Downloads",
            media={
                "sha256": "select sha256, 'source of video ' || video_id as what from videos where status = 'ok' and {keep_sources}"
            },
            help="Only fetch the videos (hdvg download demo --links links.txt --out my-dataset)",
        ),
        Entry(
            name=SPLIT,
            after=(DOWNLOAD,),
            schema="schemas.parts:SPLIT",
            shaped_by="hdvg.dataset.shaping:split",
            version=3,
            key="video_id",
            items="select v.* exclude (given_digest), g.given_digest, g.given "
            "from videos v left join given_videos g using (video_id)",
            views="hdvg.dataset.scene_views:Splits",
            media={"keyframes": "select keyframes as sha256, 'keyframes of video ' || video_id as what from clips"},
            help="Only decode what is fetched: shots, measures, keyframes (hdvg split my-dataset)",
        ),
        Entry(
            name=MEASURE,
            after=(SPLIT,),
            schema="schemas.parts:KEYFRAME_MEASURES",
            shaped_by="hdvg.dataset.shaping:measure",
            version=0,
            views="hdvg.dataset.measure_views:Keyframed",
            per="measure",
            by_rules=True,
            help="Only measure: what rules need of keyframes, and what clips lack, alone "
            "(hdvg measure my-dataset --set 'measure.ask.logo.question=Is there a visible logo?')",
        ),
        Entry(
            name=REMEASURE,
            after=(MEASURE,),
            schema="schemas.parts:REMEASURE",
            items=ALONE.format(stage=REMEASURE),
            views="hdvg.dataset.alone_views:Alone",
            is_wanted=lambda recipe: any(one.stage == REMEASURE for one in recipe.measure.taken),
            by_rules=True,
            media={"pack": "select pack as sha256, 'pack of video ' || video_id as what from packs"},
            command=MEASURE,
        ),
        Entry(
            name=LEARNED,
            after=(REMEASURE,),
            schema="schemas.parts:REMEASURE",
            items=ALONE.format(stage=LEARNED),
            views="hdvg.dataset.alone_views:Alone",
            is_wanted=lambda recipe: any(one.stage == LEARNED for one in recipe.measure.taken),
            by_rules=True,
            command=MEASURE,
        ),
        Entry(
            name=POOL,
            after=(LEARNED,),
            schema="schemas.parts:POOL",
            shaped_by="hdvg.dataset.shaping:pool",
            view="pooled",
            views="hdvg.dataset.measure_views:Pooled",
            parts="pool",
            clip_columns=("clip_id", "duplicate_of", "duplicate_group"),
        ),
        Entry(
            name=CUT,
            after=(POOL,),
            schema="schemas.parts:CUT",
            shaped_by="hdvg.dataset.shaping:cut",
            version=2,
            due="select video_id, clip_id from measured where {passes}",
            items="select d.*, v.sha256, v.decode_errors, v.retimed_frames from dataset d join videos v using (video_id)",
            view="cuts",
            media={
                "clip_sha256": "select clip_sha256 as sha256, 'clip ' || clip_id as what from clips "
                "where cut_status = 'ok' and clip_pack is null",
                "clip_pack": "select clip_pack as sha256, 'clips of video ' || video_id as what from clips where cut_status = 'ok'",
            },
            help="Only cut the kept clips (hdvg cut my-dataset --set cut.mode=encode)",
        ),
        Entry(
            name=CAPTION,
            after=(POOL,),
            schema="schemas.parts:CAPTION",
            shaped_by="hdvg.dataset.shaping:caption",
            version=2,
            view="captioned",
            views="hdvg.dataset.caption_views:Captions",
            per="writer",
        ),
        Entry(
            name=MATCH,
            after=(CAPTION,),
            schema="schemas.parts:MATCH",
            shaped_by="hdvg.dataset.shaping:match",
            view="matched",
            views="hdvg.dataset.caption_views:Matches",
            per="writer",
            is_wanted=lambda recipe: MATCH in recipe.homes and bool(recipe.caption.writers),
            by_rules=True,
            command=CAPTION,
        ),
        Entry(
            name=ASSESS,
            after=(CUT, MATCH),
            schema="schemas.parts:REMEASURE",
            items=ALONE.format(stage=ASSESS),
            views="hdvg.dataset.alone_views:Alone",
            is_wanted=lambda recipe: any(one.stage == ASSESS for one in recipe.measure.taken),
            by_rules=True,
            command=MEASURE,
        ),
        Entry(
            name=SHARD,
            after=(ASSESS,),
            schema="schemas.parts:SHARD_PART",
            view="shards",
            views="hdvg.dataset.views:ShardViews",
            parts="shard",
        ),
    )
}


def entry_of(stage: str) -> Entry:
    """The entry that a stage is of: `caption-vlm` is of `caption`, a keyframe measure's of `measure`."""
    return STAGES.get(step_and_writer(stage)[0]) or STAGES[MEASURE]


def in_order() -> tuple[Entry, ...]:
    """The entries, each behind those that come before it, otherwise as the table has them."""
    left, done = dict(STAGES), dict[str, Entry]()
    while left:
        ready = next((one for one in left.values() if not set(one.after) & left.keys()), None)
        if ready is None:
            raise ValueError(f"the stages {', '.join(left)} come before each other")
        done[ready.name] = left.pop(ready.name)
    return tuple(done.values())


def comes_before(stage: str, later: str) -> bool:
    """Whether one stage, or entry, has to be done before the other."""
    first, before = entry_of(stage).name, entry_of(later).after
    return first in before or any(comes_before(stage, name) for name in before)


def stage_names(recipe: Recipe, measures: Sequence[str]) -> tuple[str, ...]:
    """The names of all stages of a recipe that takes these keyframe measures, in order; shards have no such stage.

    The stages of one writer follow each other: whom the next one writes for may hang on how the texts of this one match.
    """
    names: list[str] = []
    for per, group in itertools.groupby(in_order(), key=lambda entry: entry.per):
        entries = [entry for entry in group if entry.is_wanted(recipe) and entry.parts != "shard"]
        if per == "writer":
            names += [stage_of(entry.name, writer) for writer in recipe.caption.writers for entry in entries]
        else:
            names += [name for entry in entries for name in (measures if per == "measure" else [entry.name])]
    return tuple(names)


def part_schema(stage: str) -> pa.Schema:
    """The schema of a stage's parts."""
    found = resolve(entry_of(stage).schema)
    schema: pa.Schema = found[stage] if isinstance(found, Mapping) else found
    return schema


def shape(stage: str, recipe: Recipe, fingerprints: Mapping[str, str], *, located: Recipe | None = None) -> str:
    """The fingerprint of a stage; `located` is the recipe with plug-ins' files by full path.

    Raises UsageError if a model, or a package that it needs, is not there.
    """
    entry = entry_of(stage)
    of = stage if entry.per == "measure" else step_and_writer(stage)[1] if entry.per == "writer" else ""
    shaping = resolve(entry.shaped_by)(Shaping(recipe, located or recipe, fingerprints, of))
    return settings_fingerprint(stage if entry.per == "measure" else entry.name, entry.version, *shaping)


def with_media() -> Iterator[tuple[Entry, str, str]]:
    """Entry, column and query of everything that names files of media/."""
    return ((entry, column, sql) for entry in STAGES.values() for column, sql in entry.media.items())


def resolve(what: Any) -> Any:
    """What `module:NAME` names; anything but text is what it is."""
    if not isinstance(what, str):
        return what
    module, _, name = what.partition(":")
    return getattr(importlib.import_module(module), name)
