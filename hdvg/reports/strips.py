"""Strips: a few small frames of a clip side by side in one WebP, from what its video's pack holds; no video is decoded.

The pictures are those of the clip's preview, where there is one (`measure.preview`), else its keyframes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from PIL import Image, ImageOps

from hdvg.config.own_measures import PREVIEW, PREVIEW_VERSION
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.packs import KEYFRAMES, read_section, sections
from hdvg.dataset.store import Store
from schemas.previews import PREVIEWS

Kind = TypeVar("Kind")

FRAMES = 8
SIZE = (90, 160)
"""Height and width of a frame of a strip, px."""
QUALITY = 45
"""Of the WebP, 0-100: about 1 kB a frame."""


def strips(
    folder: Dataset, clip_ids: Sequence[str], *, frames: int = FRAMES, size: tuple[int, int] = SIZE
) -> dict[str, bytes]:
    """By clip, one WebP: at most `frames` frames of `size` (height, width) side by side in order of time, letterboxed.

    A clip with fewer pictures has fewer frames, none twice: the count is the picture's width through that of `size`.
    Clips without pictures, or of which nothing is known here, are left out; the others come in the order asked.
    """
    with folder.manifest() as manifest:
        rows = manifest.rows(
            "select clip_id, keyframes from measured where clip_id in (select unnest(?::varchar[]))", [list(clip_ids)]
        )
    found = {row["clip_id"]: row["keyframes"] for row in rows if row["keyframes"]}
    packs = {clip: found[clip] for clip in clip_ids if clip in found}
    return strips_of(folder.store, packs, frames=frames, size=size)


def strips_of(
    store: Store, packs: Mapping[str, str], *, frames: int = FRAMES, size: tuple[int, int] = SIZE
) -> dict[str, bytes]:
    """The same for who knows each clip's pack already, the column `keyframes` of `clips`."""
    return {clip: _strip(images, size) for clip, images in frames_of(store, packs, frames=frames, size=size).items()}


def frames_of(
    store: Store, packs: Mapping[str, str], *, frames: int = FRAMES, size: tuple[int, int] = SIZE
) -> dict[str, list[Image.Image]]:
    """The frames of such strips, one by one, RGB: at least one of each clip."""
    found: dict[str, list[Image.Image]] = {}
    for pack in dict.fromkeys(packs.values()):
        clips = [clip for clip, its in packs.items() if its == pack]
        for clip, pictures in _stored(store, pack, clips).items():
            found[clip] = [image for one in spread(pictures, frames) if (image := decoded(one, size)) is not None]
    return {clip: found[clip] for clip in packs if found.get(clip)}


def spread(all_of: Sequence[Kind], count: int) -> list[Kind]:
    """`count` of them, evenly, the middle of each stretch; all, if there are not more."""
    if len(all_of) <= count:
        return list(all_of)
    return [all_of[(2 * number + 1) * len(all_of) // (2 * count)] for number in range(count)]


def decoded(picture: bytes, size: tuple[int, int]) -> Image.Image | None:
    """A stored picture as RGB of `size` (height, width), with black bars; None if it does not decode."""
    height, width = size
    try:
        with Image.open(BytesIO(picture), formats=["JPEG", "WEBP"]) as image:
            image.draft("RGB", (2 * width, 2 * height))
            return ImageOps.pad(image.convert("RGB"), (width, height), Image.Resampling.BICUBIC, color="black")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _stored(store: Store, pack: str, clips: Sequence[str]) -> dict[str, list[bytes]]:
    """The pictures of clips of one pack, in order of time; of one that is lost or broken, none."""
    path = store.find_media(pack)
    if path is None:
        return {}
    try:
        found = _previews(path, clips)
        others = [clip for clip in clips if clip not in found]
        return found | (_keyframes(path, others) if others else {})
    except (OSError, zipfile.BadZipFile, KeyError, pa.ArrowException):
        return {}


def _previews(path: Path, clips: Sequence[str]) -> dict[str, list[bytes]]:
    """Of the clips that have frames in the section of previews."""
    if sections(path).get(PREVIEW) != PREVIEW_VERSION:
        return {}
    rows = read_section(path, PREVIEW, columns=PREVIEWS.names, clips=clips)
    if rows.column_names != PREVIEWS.names:
        return {}  # a series of that name, of a measure of the user's own
    return {row["clip_id"]: row["frames"] for row in rows.to_pylist() if row["frames"]}


def _keyframes(path: Path, clips: Sequence[str]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    rows = read_section(path, KEYFRAMES, columns=["clip_id", "pts", "jpeg"], clips=clips)
    for row in rows.sort_by("pts").to_pylist():
        found.setdefault(row["clip_id"], []).append(row["jpeg"])
    return found


def _strip(images: Sequence[Image.Image], size: tuple[int, int]) -> bytes:
    height, width = size
    strip = Image.new("RGB", (width * len(images), height))
    for number, image in enumerate(images):
        strip.paste(image, (number * width, 0))
    sink = BytesIO()
    strip.save(sink, "WEBP", quality=QUALITY)
    return sink.getvalue()
