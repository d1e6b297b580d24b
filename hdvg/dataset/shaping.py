"""What of a recipe shapes the results of each stage of the table; a default that comes with a new hdvg must not count.

Limits (sizes, times, hosts) and resources shape nothing: raising one is followed by `hdvg retry`, not by doing all again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hdvg import shots
from hdvg.captioners import CAPTIONER
from hdvg.config.caption import name_in_errors
from hdvg.config.writers import stage_of
from hdvg.measures.keyframed import fingerprint as measure_fingerprint
from schemas.measures import CAPTION, HOMES

if TYPE_CHECKING:
    from hdvg.config.settings import Settings
    from hdvg.dataset.stages import Shaping

FORMAT_SETTINGS = ("codecs", "max_fps", "hdr", "sound")
"""Settings of `fetch` that shape what is fetched, beside `min_height_px` and `codec`, where they are not as they come."""

SPLIT_SETTINGS = ("min_scene_s",)
"""Settings of `split` that came later."""
COPY_SETTINGS = ("semantic",)
"""Settings of `duplicates` that came later."""
DAMAGE_LIMITS = ("max_error_share", "min_whole_share")
"""Of `split`: they say which videos fail, not how the others are split."""


def download(shaping: Shaping) -> Sequence[Any]:
    """What chooses among formats, parts and subtitles."""
    fetch = shaping.recipe.fetch
    subtitles = [fetch.model_dump(include={"subtitles", "automatic_subtitles"})] if fetch.subtitles else []
    return (fetch.min_height_px, fetch.codec, *_changed(fetch, (*FORMAT_SETTINGS, "sections")), *subtitles)


def split(shaping: Shaping) -> Sequence[Any]:
    """The section, but `given`: that counts where scenes are given, in what these videos are compared by (`given_digest`)."""
    section = shaping.recipe.split
    looks = section.model_dump(exclude={"given", *DAMAGE_LIMITS, *SPLIT_SETTINGS})
    changed = _changed(section, SPLIT_SETTINGS)
    return shaping.fingerprints["download"], looks, *changed, *shots.code_of(shaping.located.split.detector, looks)


def of_the_split(shaping: Shaping) -> Sequence[Any]:
    """The clips alone: no setting."""
    return (shaping.fingerprints["split"],)


def measure(shaping: Shaping) -> Sequence[Any]:
    """What the keyframe measure says of its model and settings."""
    return shaping.fingerprints["split"], measure_fingerprint(shaping.of, shaping.recipe.measure)


def pool(shaping: Shaping) -> Sequence[Any]:
    """How copies are found."""
    section = shaping.recipe.duplicates
    return (
        shaping.fingerprints["split"],
        section.model_dump(exclude={*COPY_SETTINGS}),
        *_changed(section, COPY_SETTINGS),
    )


def cut(shaping: Shaping) -> Sequence[Any]:
    """The section; and what finds the rectangles, if clips are cropped to them."""
    recipe = shaping.recipe
    rectangles = [measure_fingerprint(HOMES["clean_area"], recipe.measure)] if recipe.cut.crop == "clean" else []
    return shaping.fingerprints["split"], recipe.cut.shaping(), *rectangles


def caption(shaping: Shaping) -> Sequence[Any]:
    """The writer's settings, what its captioner says of its model, and the texts that it takes."""
    writer = shaping.recipe.caption.writers[shaping.of]
    captioner = shaping.located.caption.writers[shaping.of].captioner
    with name_in_errors(shaping.of):
        content = CAPTIONER.fingerprint(captioner, writer)
    taken = [] if writer.source is None else [shaping.fingerprints[stage_of(CAPTION, writer.source)]]
    return shaping.fingerprints["split"], writer.shaping(), content, *taken


def match(shaping: Shaping) -> Sequence[Any]:
    """The texts, and the embeddings they are matched with."""
    return shaping.fingerprints[stage_of(CAPTION, shaping.of)], shaping.fingerprints[HOMES["embedding"]]


def _changed(section: Settings, names: Sequence[str]) -> list[dict[str, Any]]:
    """Those of the settings that differ from their defaults, as one table; nothing if none does: a setting that is new
    in a version of hdvg names no part anew."""
    fields = type(section).model_fields
    changed = {name: value for name in names if (value := getattr(section, name)) != fields[name].default}
    return [changed] if changed else []
