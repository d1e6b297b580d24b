"""Measures that are taken alone: of the pass, where clips lack one or its newest version, and the user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from hdvg.config.own_measures import PREVIEW, PREVIEW_VERSION, Input, Taken
from hdvg.config.recipe import Recipe
from hdvg.dataset.alone_views import MAPS
from hdvg.dataset.clip_files import cut_file
from hdvg.dataset.damage import say
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.packs import Section, add_sections
from hdvg.errors import DamagedError, ItemError
from hdvg.media import measure_calls
from hdvg.plugins import load_named
from pipelines.items import AloneItem, AssessItem, RemeasureItem
from pipelines.keyframes import Packs
from pipelines.previews import take_previews
from pipelines.stages import by_video, source_file
from pipelines.work import Row, Work, scratch_path

if TYPE_CHECKING:
    from hdvg.config.child_settings import SplitSettings

Found = list[measure_calls.Values]
"""For each item, by measure, what its class gave."""

RemeasureWork = Work[RemeasureItem]


class Own:
    """The measures that run in this process, each made when it is first needed: they may hold a model."""

    def __init__(self, recipe: Recipe) -> None:
        self.taken = {one.name: one for one in recipe.measure.taken}
        self.newest: dict[str, tuple[str, int]] = {}
        """Of the video in hand: by the pack that its items name, the one made of it by now, for clips done one by one; and its number."""
        self._made: dict[str, Any] = {}

    def made(self, one: Taken) -> Any:
        """An instance of the measure's class."""
        if one.name not in self._made:
            self._made[one.name] = load_named(one.made_by)(**one.options)
        return self._made[one.name]


def remeasure(work: RemeasureWork) -> Iterator[Row]:
    """Take what clips lack of the measures that need no cut: from the source and the keyframes, in one decode a video."""
    return _each_video(work)


def assess(work: Work[AssessItem]) -> Iterator[Row]:
    """Take what clips lack of the measures of cut files and captions."""
    return _each_video(work)


def _each_video(work: Work[Any]) -> Iterator[Row]:
    for items in by_video(work.items):
        work.model.newest.clear()
        yield from work.guarded_batch(lambda some: _take(work, some), items)


def _take(work: Work[Any], items: list[Any]) -> list[Row]:
    """The rows of one video's clips: what any of them lacks is taken of all."""
    marks = {mark for item in items for mark in item["versions"].split()}
    lacks = [one for one in work.model.taken.values() if one.mark in marks]
    with work.dataset.store.scratch() as scratch:
        values, added = values_and_sections(work, items, lacks, scratch)
        pack = _publish(work, items, added, scratch)
    return [row_of(item, lacks, value) | pack for item, value in zip(items, values, strict=True)]


def values_and_sections(
    work: Work[Any], items: list[Any], lacks: Sequence[Taken], scratch: Path
) -> tuple[list[dict[str, Any]], Added]:
    """Take these measures of one video's clips: of each clip the values by measure, and the sections of its pack."""
    values: list[dict[str, Any]] = [{} for _ in items]
    measures_of = sorted((one for one in lacks if one.columns), key=lambda one: one.input)
    for given, group in groupby(measures_of, key=lambda one: one.input):
        measures = list(group)
        for value, found in zip(values, GIVEN[given](work, items, measures, scratch), strict=True):
            value |= {one.name: one.checked(found[one.name]) for one in measures}
    added = _series(items, lacks, values)
    if any(one.name == PREVIEW for one in lacks):
        added[PREVIEW] = PREVIEW_VERSION, take_previews(work, items, scratch)
    return values, added


def row_of(item: AloneItem, lacks: Sequence[Taken], value: Mapping[str, Any]) -> Row:
    """The row of a clip that holds these measures, with their values by name and column."""
    row: Row = {"video_id": item["video_id"], "clip_id": item["clip_id"]}
    row["measure_versions"] = " ".join(one.mark for one in lacks)
    maps: dict[str, list[tuple[str, Any]]] = {name: [] for name in MAPS.values()}
    for one in lacks:
        for column, found in value.get(one.name, {}).items():
            kind = one.columns[column][0]
            if not one.is_own:
                row[column] = found
            elif kind in MAPS:
                maps[MAPS[kind]].append((column, found))
    return row | maps


def _frames(work: RemeasureWork, items: list[RemeasureItem], measures: list[Taken], scratch: Path) -> Found:
    recipe = work.dataset.recipe
    path, settings = str(source_file(work, items[0])), cast("SplitSettings", recipe.split.model_dump())
    threads, max_pixels = work.threads, recipe.limits.max_pixels
    asked = measure_calls.remeasure(path, _spans(items), _wanted(measures), settings, threads, max_pixels)
    return work.sandbox.call(asked, scratch, work.limits)


def _sound(work: RemeasureWork, items: list[RemeasureItem], measures: list[Taken], scratch: Path) -> Found:
    path, base = str(source_file(work, items[0])), items[0]["time_base"]
    asked = measure_calls.listen(path, _spans(items), base, _wanted(measures))
    return work.sandbox.call(asked, scratch, work.limits)


def _preview(work: RemeasureWork, items: list[RemeasureItem], measures: list[Taken], scratch: Path) -> Found:
    recipe, path = work.dataset.recipe, str(source_file(work, items[0]))
    threads, max_pixels = work.threads, recipe.limits.max_pixels
    asked = measure_calls.preview(path, str(scratch), _spans(items), threads, max_pixels)
    names = work.sandbox.call(asked, scratch, work.limits)
    return [
        {one.name: work.model.made(one).measure(frames) for one in measures}
        for frames in (np.load(scratch_path(scratch, name), allow_pickle=False) for name in names)
    ]


def _keyframes(work: RemeasureWork, items: list[RemeasureItem], measures: list[Taken], scratch: Path) -> Found:
    packs = Packs(work.dataset.store)
    return [{one.name: work.model.made(one).measure(packs.shot(item)) for one in measures} for item in items]


def _clip(work: Work[AssessItem], items: list[AssessItem], measures: list[Taken], scratch: Path) -> Found:
    found: Found = []
    for item in items:
        content = cut_file(work.dataset.store, item)
        if content is None:
            raise ItemError("lost_clip", "no cut file; measures of clips need cut.mode other than virtual")
        found.append({one.name: work.model.made(one).measure(content) for one in measures})
    return found


def _text(work: Work[AssessItem], items: list[AssessItem], measures: list[Taken], scratch: Path) -> Found:
    texts = [{one["kind"]: one["text"] for one in item["texts"] or []} for item in items]
    return [{one.name: work.model.made(one).measure(text) for one in measures} for text in texts]


GIVEN: Mapping[Input, Callable[[Work[Any], list[Any], list[Taken], Path], Found]] = {
    "frames": _frames,
    "sound": _sound,
    "preview": _preview,
    "keyframes": _keyframes,
    "clip": _clip,
    "text": _text,
}
"""By input, what takes measures of one video's clips; those of `shots` have a stage of their own, `pipelines.learned`."""


def _spans(items: list[RemeasureItem]) -> list[measure_calls.Span]:
    return [{"start_pts": item["start_pts"], "end_pts": item["end_pts"]} for item in items]


def _wanted(measures: list[Taken]) -> dict[str, measure_calls.Wanted]:
    return {one.name: {"made_by": one.made_by, "options": dict(one.options)} for one in measures}


Added = dict[str, tuple[str, pa.Table]]
"""Sections of a pack: by name, the version and the rows."""


def sections_of(one: Taken) -> list[Section]:
    """The sections that a measure makes."""
    if one.name == PREVIEW:
        return [(PREVIEW, PREVIEW_VERSION)]
    return [(name, one.version) for name, (kind, _) in one.columns.items() if kind == "series"]


def _series(items: list[Any], lacks: Sequence[Taken], values: list[dict[str, Any]]) -> Added:
    """The series that were taken."""
    names, added = pa.array([item["clip_id"] for item in items], pa.string()), Added()
    for one in lacks:
        for column, version in (section for section in sections_of(one) if section[0] in one.columns):
            found = pa.array([value[one.name][column] for value in values], pa.list_(pa.float64()))
            added[column] = version, pa.table({"clip_id": names, "values": found})
    return added


def _publish(work: Work[Any], items: list[Any], added: Added, scratch: Path) -> Row:
    """Publish the video's pack with these sections, which keep their rows of other clips; which it is, and whose place it takes."""
    if not added:
        return {"pack": None, "replaces": None, "pack_number": None}
    name, number = work.model.newest.get(items[0]["keyframes"], (items[0]["keyframes"], items[0]["pack_number"] or 0))
    old = work.dataset.store.find_media(name)
    if old is None:
        raise DamagedError(say(work.dataset.root, [f"media/{name[:2]}/{name}.*"], "lost"))
    add_sections(old, added, scratch / "pack")
    pack = work.dataset.store.put_media(scratch / "pack", "zip")
    work.model.newest[items[0]["keyframes"]] = pack, number + 1
    return {"pack": pack, "replaces": items[0]["split_pack"], "pack_number": number + 1}


def drop_old_packs(dataset: Dataset, items: list[Row], rows: list[Row]) -> None:
    """Remove the packs whose place others have taken."""
    packs = {row["video_id"]: row["pack"] for row in rows if row.get("pack")}
    for item in items:
        if packs.get(item["video_id"], item["keyframes"]) != item["keyframes"]:
            dataset.store.remove_media(item["keyframes"])
