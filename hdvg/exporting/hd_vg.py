"""`hd-vg`: links, spans and captions in the released layout of HD-VG-130M, `hdvg_<i>.json`; no pixels.

A scene that came from published metadata is written back as it came: parent, span, scene cut, id, order and caption. A clip
of our own becomes a parent clip of one scene, `[0, -1]`: its span in the video in milliseconds from the video's first frame,
each end rounded to the nearest (a half: up), its `fps` as decoded, its `clip_id` ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from hdvg.dataset.manifest import literal, no_glob
from hdvg.errors import UsageError
from hdvg.exporting import Piece
from hdvg.exporting.croissant import beside
from hdvg.exporting.job import Job
from hdvg.ids import digest

VERSION = 1
"""Raise it when the same scenes come to be laid out otherwise."""

VIDEOS = 18_750
"""Videos in a file, as in the release."""

_MS = "(((coalesce({end}) - l.first_pts)::hugeint * 2000 * l.ticks + l.per_s) // (2 * l.per_s))::bigint"
"""Milliseconds of a pts since the video's first frame, half up."""

_LINKS = """
create temp table links as
select video_id, link, seq, line, start_pts as first_pts,
    split_part(time_base, '/', 1)::bigint as ticks, split_part(time_base, '/', 2)::bigint as per_s
from videos
"""

_LINKED = """
create temp table linked as
select clip_id, video_id, given_id, given_origin as origin, caption, fps from dataset semi join chosen using (clip_id)
"""

_OWN = f"""
create temp table own as
select true as own, '' as file, l.seq * 1000000000 + l.line as place, c.start_pts as turn, c.video_id, c.clip_id as name,
    null::varchar as parent, {_MS.format(end="c.cut_start_pts, c.start_pts")} as parent_start_ms,
    {_MS.format(end="c.cut_end_pts, c.end_pts")} as parent_end_ms, c.fps,
    0::bigint as start_frame, -1::bigint as end_frame, c.caption, null::varchar as extra
from dataset c join links l using (video_id)
where clip_id in (select clip_id from linked anti join given g using (video_id, given_id))
"""

_GIVEN = """
create temp view scenes_given as
from (select false as own, g.file, g.place, g.place as turn, g.video_id, g.given_id as name, g.parent,
    coalesce(g.parent_start_ms, g.start_ms) as parent_start_ms, coalesce(g.parent_end_ms, g.end_ms) as parent_end_ms, {fps} as fps,
    coalesce(g.start_frame, 0) as start_frame, coalesce(g.end_frame, -1) as end_frame, {caption} as caption,
    case when g.origin = 'hd-vg' then g.extra end as extra
from given g {selection}) where parent_start_ms is not null and fps is not null
"""
"""What this layout can say: it counts frames in a parent that has its place in the video."""


class Scene(NamedTuple):
    """A row of the query, in this order."""

    video_id: str
    link: str
    name: str
    parent: str | None
    start_ms: int
    end_ms: int
    fps: float | None
    start_frame: int
    end_frame: int
    caption: str | None
    extra: str | None


_COLUMNS = "video_id, link, name, parent, parent_start_ms, parent_end_ms, fps, start_frame, end_frame, caption, extra"


class HdVg:
    """Videos in the order in which they came, imported ones first."""

    needs: ClassVar[dict[str, str]] = {}

    def __init__(self, job: Job) -> None:
        self._job = job
        self._sorted = job.scratch / "sorted.parquet"

    def pieces(self) -> list[Piece]:
        """One file for each 18,750 videos."""
        self._gather()
        one, rows = self._job.manifest.one, self._job.manifest.rows
        (content,) = rows(
            "select count(*) as n, bit_xor(hash(s)) as x, sum(hash(s)::hugeint)::varchar as t from scenes s"
        )
        if not content["n"]:
            raise UsageError(
                f"{self._job.dataset.root}: no scene to export"
                + (f": --where {self._job.wanted.where} holds for none" if self._job.wanted.where else "")
                + "; `hdvg import` brings published metadata in"
            )
        self._job.count(scenes=content["n"], videos=one("select count(*) from ranked"))
        starts = range(0, one("select count(*) from ranked"), VIDEOS)
        made = [
            Piece(
                f"hdvg_{number}.json",
                digest("hd-vg", VERSION, content, number),
                one(_COUNT, [start, start + VIDEOS]),
                partial(self._write, start),
            )
            for number, start in enumerate(starts)
        ]
        return [*made, beside(self._job, made, layout="hd-vg")]

    def _gather(self) -> None:
        """Make the view `scenes` and the table `ranked`: which scenes, and in which order the videos come."""
        job = self._job
        execute = job.manifest.connection.execute
        execute(_LINKS)
        if job.wanted.all_given:
            self._all_given()
            own = ""
        else:
            self._chosen()
            own = " union all by name from own"
        held = literal(str(job.scratch / "scenes.parquet"))
        execute(f"copy (select s.*, link from (from scenes_given{own}) s join links using (video_id)) to {held}")
        execute(
            f"create temp view scenes as from read_parquet({literal(no_glob(str(job.scratch)) + '/scenes.parquet')})"
        )
        execute(
            "create temp table ranked as select video_id, row_number() over (order by first, video_id) - 1 as rank, scenes "
            "from (select video_id, min((own, length(file), file, place)) as first, count(*) as scenes "
            "from scenes group by video_id)"
        )

    def _all_given(self) -> None:
        job = self._job
        where = f"where (\n{job.wanted.where or 'true'}\n)"
        with job.condition():
            found = job.manifest.one(f"select count(*) from given {where}")
        wanted = f"semi join links using (video_id) {where}"
        job.manifest.connection.execute(_GIVEN.format(caption="g.caption", fps="g.fps", selection=wanted))
        clips = job.manifest.one("select count(*) from scenes_given")
        why = "its video is not in the dataset (any more), or its set tells no frame rate or no place of its parent"
        left = [{"reason": why, "clips": found - clips}] if found > clips else []
        job.count(clips=clips, of="imported scenes", kept=found, left_out=left)

    def _chosen(self) -> None:
        job = self._job
        assert job.chosen
        execute = job.manifest.connection.execute
        execute(_LINKED)
        selection = (
            "join (select distinct on (video_id, given_id, origin) * from linked) l on g.video_id = l.video_id "
            "and g.given_id = l.given_id and g.origin = coalesce(l.origin, g.origin)"
        )
        execute(
            _GIVEN.format(caption="coalesce(g.caption, l.caption)", fps="coalesce(g.fps, l.fps)", selection=selection)
        )
        execute(_OWN)

    def _write(self, start: int, path: Path) -> None:
        connection = self._job.manifest.connection
        if not self._sorted.exists():
            connection.execute(
                f"copy (select rank, s.* from scenes s join ranked using (video_id) "
                f"order by rank, own, length(file), file, turn, name) to {literal(str(self._sorted))} (format parquet)"
            )
        reader = connection.sql(  # in the order of the file: DuckDB keeps that by default
            f"select {_COLUMNS} from read_parquet({literal(no_glob(str(self._sorted)))}) where rank >= ? and rank < ?",
            params=[start, start + VIDEOS],
        ).to_arrow_reader(8192)
        scenes = (
            Scene(*row)
            for batch in reader
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        )
        with path.open("w", encoding="ascii") as file:
            file.write("{")
            for number, (key, video) in enumerate(videos(scenes)):
                file.write(f"{',' if number else ''}\n{json.dumps(key)}: {json.dumps(video)}")
            file.write("\n}\n")


_COUNT = "select coalesce(sum(scenes), 0)::bigint from ranked where rank >= ? and rank < ?"


def videos(scenes: Iterable[Scene]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and entry of each video; `scenes` come video by video, each in the order to write.

    The key is the id that the parents' names begin with; of a video without such, ours.
    """
    seen: set[str] = set()
    for video_id, group in groupby(scenes, attrgetter("video_id")):
        held = list(group)
        parents = [scene.parent for scene in held if scene.parent]
        key = re.sub(r"\.\d+\.\w+$", "", parents[0]) if parents else video_id
        key = video_id if key in seen else key
        seen.add(key)
        yield key, {"url": held[0].link, "clip": _clips(key, held)}


def _clips(key: str, scenes: Iterable[Scene]) -> dict[str, Any]:
    """The parents of one video with their scenes; those that have no name get the next number that is free."""
    held = list(scenes)
    named = {scene.parent for scene in held}
    numbers = (name for number in range(2 * len(held)) if (name := f"{key}.{number}.mp4") not in named)
    clips: dict[str, Any] = {}
    for scene in held:
        name = scene.parent or next(numbers)
        span = [clock(scene.start_ms), clock(scene.end_ms)]
        parent = clips.setdefault(name, {"span": span, "fps": scene.fps, "scene_split": []})
        parent["scene_split"].append(_scene(scene))
    return clips


def _scene(scene: Scene) -> dict[str, Any]:
    fields = {"scene_cut": [scene.start_frame, scene.end_frame], "clip_id": scene.name, "caption": scene.caption}
    return fields | {name: value for name, value in json.loads(scene.extra or "{}").items() if name not in fields}


def clock(ms: int) -> str:
    """Milliseconds as `HH:MM:SS.mmm`."""
    seconds, rest = divmod(ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"
