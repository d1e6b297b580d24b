"""The graph: which stages there are, in what order, what each needs and adds, and what it may use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import schemas.captions
from hdvg import captioners
from hdvg.config.caption import name_in_errors
from hdvg.config.recipe import Recipe
from hdvg.config.sections import Run
from hdvg.config.writers import step_and_writer
from hdvg.dataset.clip_files import HELD
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.stages import (
    ASSESS,
    CAPTION,
    CUT,
    DOWNLOAD,
    LEARNED,
    MATCH,
    MEASURE,
    REMEASURE,
    SPLIT,
    STAGES,
    comes_before,
    part_schema,
)
from hdvg.errors import UsageError
from hdvg.measures import keyframed
from hdvg.measures.keyframed import KEYFRAME_MEASURES
from pipelines import caption_stages, learned, measures_alone, sizes, sounds, stages
from pipelines.sizes import Size
from pipelines.work import Row, Work
from schemas.measures import KEYFRAME_MEASURED
from schemas.outcomes import OUTCOME
from schemas.pass_measures import MEASURED


@dataclass(frozen=True)
class Stage:
    """What an entry of the table of stages does: `run` turns a unit's pending items into rows with the columns `adds`.

    `needs` are the columns of an item, of the entry's `items`. `adds` may be left out of a stage that fills all columns of its
    parts.
    """

    name: str
    run: Callable[[Work[Any]], Iterator[Row]]
    needs: tuple[str, ...]
    adds: tuple[str, ...] = ()
    cpus: float = 1
    workers: Callable[[Run, Size], int] = sizes.per_core
    """How many units at once, given the run's settings and the cluster's size."""
    load: Callable[[Recipe], Any] | None = None
    """Loads the model that `run` works with, once per process: such a stage runs in processes that stay."""
    gpus: Callable[[Run], float] = lambda run: 0.0
    """What such a process takes of a GPU, where there is one."""
    saves: bool = False
    """Whether `run` saves batches as they are done: they are dear, and a killed worker must not lose many."""
    committed: Callable[[Dataset, list[Row], list[Row]], None] | None = None
    """What is to be done with a unit's items and rows once they are published."""
    sources: Literal["", "fetches", "uses"] = ""
    """Whether its rows name source files that it fetched, or a source may be needed no more once a unit has passed it."""


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SPAN = _columns(
    "clip_id time_base start_pts end_pts start_frame end_frame n_frames start_s end_s opens_with opens_frames "
    "closes_with closes_frames stitched first_look last_look keyframes"
)
GIVEN = _columns("given_origin given_id given_shift_frames given_caption given_short_ms given_digest")
GEOMETRY = _columns("width height fps duration_s")
MEASURES = tuple(field.name for field in MEASURED if field.name not in GEOMETRY)
FROM_KEYFRAMES = ("text_area", "text_boxes", "subtitle", "screen", "title_card", "text_written")
"""Measures of keyframes, if they were taken; a captioner may use them."""

FETCHED = _columns(
    "sha256 bytes title licence licence_class open_licence uploader_id upload_date categories extractor format_id format_choice "
    "webpage_url info_duration_s yt_dlp_version language chapters subtitles subtitles_language subtitles_origin "
    "subtitles_note fetched_at fetched_ranges source_bytes whole_because sections_digest"
)
SCANNED = _columns(
    "container codec pix_fmt coded_width coded_height rotation mirrored odd_turn sar start_pts n_frames vfr interlaced hdr "
    "size_changes decoded_frames decode_errors retimed_frames time_base tools"
)


SPOKEN = _columns("start_s end_s spoken subtitles_language subtitles_origin extractor")
"""Columns about what is said in a clip: `spoken` are the lines of its video's subtitles that are said while it lasts."""

HEARD = _columns("clip_id start_pts end_pts time_base sha256 source") + HELD
"""Columns by which a clip's sound is found."""


def _measure(name: str) -> Stage:
    """The stage that takes a measure of keyframes, or of sound."""
    hears = name in keyframed.OF_SOUND
    return Stage(
        name=name,
        run=sounds.measure if hears else stages.measure,
        needs=HEARD if hears else ("clip_id", "keyframes"),
        adds=("clip_id", *(field.name for field in KEYFRAME_MEASURED[name])),
        workers=sizes.measures,
        load=lambda recipe: keyframed.load(name, recipe.measure),
        gpus=lambda run: 0.0 if name in keyframed.ON_CPU else run.measure_gpus,
    )


GRAPH: tuple[Stage, ...] = (
    Stage(
        name=DOWNLOAD,
        run=stages.download,
        needs=("source", "given", "given_digest"),
        adds=FETCHED,
        cpus=0.25,  # it waits for the network
        workers=sizes.downloads,
        sources="fetches",
    ),
    Stage(
        name=SPLIT,
        run=stages.split,
        needs=("source", "sha256", "given", "given_digest"),
        adds=(*SPAN, *GEOMETRY, *MEASURES, "measure_versions", "measure_faults", *SCANNED, *GIVEN),
    ),
    *(_measure(name) for name in KEYFRAME_MEASURES),
    Stage(
        name=REMEASURE,
        run=measures_alone.remeasure,
        needs=_columns("clip_id start_pts end_pts time_base keyframes split_pack pack_number sha256 source versions")
        + HELD,
        workers=sizes.own_measures,
        load=measures_alone.Own,
        committed=measures_alone.drop_old_packs,
        gpus=lambda run: run.measure_gpus,
    ),
    Stage(
        name=LEARNED,
        run=learned.learned,
        needs=("clip_id", "keyframes", "versions"),
        workers=sizes.captioners,
        load=measures_alone.Own,
        gpus=lambda run: run.caption_gpus,
        saves=True,
    ),
    Stage(
        name=CUT,
        run=stages.cut,
        needs=_columns(
            "clip_id start_pts end_pts n_frames first_look last_look decode_errors retimed_frames sha256 source "
            "clean_left clean_top clean_width clean_height"
        ),
        adds=_columns(
            "clip_id clip_sha256 clip_bytes clip_width clip_height clip_codec cut_mode cut_start_pts cut_end_pts "
            "cut_n_frames copied_frames cut_decoded_frames clip_pack clip_offset"
        ),
        sources="uses",
    ),
    Stage(
        name=CAPTION,
        run=caption_stages.caption,
        needs=(
            "clip_id",
            "keyframes",
            "title",
            "given_origin",
            "given_caption",
            "written",
            *SPOKEN,
            *_columns("start_pts end_pts time_base source held"),
            *GEOMETRY,
            *MEASURES,
            *FROM_KEYFRAMES,
        ),
        adds=tuple(field.name for field in schemas.captions.CAPTION),
        workers=sizes.captioners,
        load=lambda recipe: captioners.load(recipe.caption),
        gpus=lambda run: run.caption_gpus,
        saves=True,
    ),
    Stage(
        name=MATCH,
        run=caption_stages.match,
        needs=("clip_id", "texts", "embedding"),
        adds=tuple(field.name for field in schemas.captions.MATCH),
        workers=sizes.captioners,
        load=lambda recipe: keyframed.load("semantics", recipe.measure),
        gpus=lambda run: run.measure_gpus,
    ),
    Stage(
        name=ASSESS,
        run=measures_alone.assess,
        needs=_columns("clip_id keyframes split_pack pack_number texts versions") + HELD,
        workers=sizes.measures,
        load=measures_alone.Own,
        committed=measures_alone.drop_old_packs,
        gpus=lambda run: run.measure_gpus,
    ),
)


def find_stage(name: str) -> Stage:
    """The stage of that name; `caption-vlm` and `match-vlm` are those of a further writer."""
    known = {stage.name: stage for stage in GRAPH}
    if name in known:
        return known[name]
    step, writer = step_and_writer(name)
    load = known[step].load if step == MATCH else lambda recipe: _load_writer(recipe, writer)
    return replace(known[step], name=name, load=load)


def _load_writer(recipe: Recipe, writer: str) -> Any:
    with name_in_errors(writer):
        return captioners.load(recipe.caption.writers[writer])


def check(graph: Iterable[Stage] = GRAPH) -> None:
    """Before the first byte moves: every column a stage needs comes from before it, and parts hold what stages add.

    Raises UsageError naming the stage and the columns.
    """
    # `texts` are the last stage's, put together, `written` those of other writers; `given` stands beside the links;
    # `spoken` is a part of `subtitles`; `held` says where a clip's bytes are;
    # `versions` are of the measures that a clip lacks, `split_pack` is the split's; these two may be of a run before:
    known = {*HELD, "pack_number"}
    known |= {
        "video_id",
        "source",
        "texts",
        "written",
        "given",
        "given_digest",
        "spoken",
        "held",
        "versions",
        "split_pack",
    }
    for stage in graph:
        missing = [name for name in stage.needs if name not in known]
        if missing:
            raise UsageError(f"stage {stage.name} needs {', '.join(missing)}, which no stage before it adds")
        adds, stored = added(stage), _stored(stage)
        if stored != set(adds):
            odd = ", ".join(sorted(stored ^ set(adds)))
            raise UsageError(f"stage {stage.name} and its part's schema differ in: {odd}")
        known |= set(adds)


def check_table() -> None:
    """Every entry of the table of stages that units pass is done by the graph, and nothing else is, in an order that the table
    allows. Raises UsageError naming the stage."""
    done = [stage.name for stage in GRAPH]
    wanted = {entry.name for entry in STAGES.values() if entry.parts == "unit"} - {MEASURE} | set(KEYFRAME_MEASURES)
    if odd := wanted ^ set(done):
        name = min(odd)
        where = "pipelines/graph.py" if name in wanted else "hdvg/dataset/stages.py"
        raise UsageError(f"stage {name} is missing in {where}: a stage stands in both")
    for place, name in enumerate(done):
        late = [other for other in done[place + 1 :] if comes_before(other, name)]
        if late:
            raise UsageError(
                f"stage {name} stands before {late[0]} in pipelines/graph.py, and behind it in hdvg/dataset/stages.py"
            )


def added(stage: Stage) -> tuple[str, ...]:
    """The columns that a stage adds: what it says, else all of its parts."""
    return stage.adds or tuple(name for name in part_schema(stage.name).names if name in _stored(stage))


def _stored(stage: Stage) -> set[str]:
    return set(part_schema(stage.name).names) - {field.name for field in OUTCOME}


def describe(graph: Iterable[Stage] = GRAPH) -> str:
    """The graph as lines of text: what each stage needs and adds."""
    return "\n".join(f"{stage.name}: needs {', '.join(stage.needs)}; adds {', '.join(added(stage))}" for stage in graph)
