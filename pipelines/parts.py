"""Which videos are fetched in part, what is recorded of it, and by what their clips are named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

from hdvg.config.child_settings import Scene
from hdvg.dataset.scene_views import PLACES
from hdvg.errors import ItemError, NotAskedError
from hdvg.ids import clip_id, scene_clip_id
from hdvg.media.excerpt import opening_sha256
from hdvg.sources.blocklist import block_list
from hdvg.sources.fetch import Fetched
from hdvg.sources.wanted import Wanted
from pipelines.items import SourceItem, SplitItem
from pipelines.work import Row, Work

GIVEN = "select given, given_digest from given_videos where video_id = ?"


class Parts(NamedTuple):
    """What is wanted of a video (None: all of it), the hash of these scenes, and why it is all though scenes are given."""

    wanted: Wanted | None = None
    digest: str | None = None
    whole_because: str | None = None


NOTHING = Parts()


def wanted_of(work: Work[Any], item: SourceItem) -> Parts:
    """What is wanted of the item's video: its given scenes, if it has any."""
    recipe = work.dataset.recipe
    row = item if "given" in item else _asked_again(work, item)
    if not row["given"]:
        return NOTHING
    if block_list(recipe.fetch).files:
        return Parts(whole_because="the block list names files by the hash of all their bytes")
    return Parts(Wanted(scenes_of(row["given"]), recipe.split.given, recipe.limits.max_pixels), row["given_digest"])


def scenes_of(given: Sequence[Row]) -> list[Scene]:
    """What a published set's rows say of where its clips lie."""
    return [cast("Scene", {name: scene[name] for name in PLACES}) for scene in given]


def _asked_again(work: Work[Any], item: SourceItem) -> Row:
    """The scenes of a video that is fetched again for its clips."""
    with work.dataset.manifest(unit=work.unit) as manifest:
        rows = manifest.rows(GIVEN, [item["video_id"]])
    return rows[0] if rows else {"given": None, "given_digest": None}


def part_row(fetched: Fetched, digest: str | None, whole_because: str | None) -> Row:
    """The columns of a download that record what was fetched of the source."""
    if fetched.excerpt is None:
        return {"whole_because": whole_because or fetched.whole_because}
    ranges = [
        {"start": start, "until": end, "kind": fetched.excerpt["kind"]} for start, end in fetched.excerpt["ranges"]
    ]
    return {"fetched_ranges": ranges, "source_bytes": fetched.excerpt["size"], "sections_digest": digest}


def refuse_other_part(work: Work[Any], again: Row) -> None:
    """Raise NotAskedError if a source was fetched again for other scenes than its download was: then it has other bytes though
    its link gives the same, and the download with all scenes comes first."""
    with work.dataset.manifest(unit=work.unit) as manifest:
        before = manifest.one("select sections_digest from videos where video_id = ?", [again["video_id"]])
    if before != again.get("sections_digest"):
        raise NotAskedError("lost_source", "its parts are fetched for other scenes now: the download comes first")


def clip_names(work: Work[Any], item: SplitItem) -> Callable[[int, int, str], str]:
    """Names of the video's clips, from their span and time base: by the file's bytes, but by the link where the clips are
    given and the video might be fetched in part, whether it was or not."""
    if work.dataset.recipe.fetch.sections == "whole" or not item["given"]:
        return partial(clip_id, item["sha256"])
    path = work.dataset.store.find_media(item["sha256"])
    if path is None:
        raise ItemError("lost_source", item["source"])
    return partial(scene_clip_id, item["video_id"], opening_sha256(path))
