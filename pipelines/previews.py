"""Previews of one video's clips, as the section of its pack: of the source, or of the cut files where that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pyarrow as pa

from hdvg.dataset.clip_files import find_clip_file, own_file
from hdvg.errors import ItemError
from hdvg.media import measure_calls
from hdvg.media.measure_calls import ALL, Previewed, PreviewSpan
from pipelines.items import RemeasureItem
from pipelines.stages import source_file
from pipelines.work import Work
from schemas.previews import PREVIEWS

FPS, FRAMES_MOST = 2, 32
"""Frames a second, and most of one clip: of one longer than 16 s they lie further apart, over all of it."""

BYTES_MOST = 2**20
"""Of one frame: a child that writes more is not believed."""


def take_previews(work: Work[RemeasureItem], items: list[RemeasureItem], scratch: Path) -> pa.Table:
    """The section's rows for all clips of one video; what decodes of none of a clip's frames gives an empty list.

    Raises ItemError as the decode does, or if the child wrote something else.
    """
    frames = list(_of_cut_files(work, items, scratch) or _of_source(work, items, scratch))
    rows = {
        "clip_id": [item["clip_id"] for item in items],
        "at_s": [at_s for at_s, _ in frames],
        "frames": [pictures for _, pictures in frames],
    }
    return pa.table(rows, schema=PREVIEWS)


Frames = tuple[list[float], list[bytes]]
"""Of one clip: seconds, and WebPs."""


def _of_source(work: Work[RemeasureItem], items: list[RemeasureItem], scratch: Path) -> list[Frames]:
    spans: list[PreviewSpan] = [
        {"start_pts": item["start_pts"], "end_pts": item["end_pts"], "step_s": _step_s(item), "most": FRAMES_MOST}
        for item in items
    ]
    return _decoded(work, source_file(work, items[0]), spans, scratch)


def _of_cut_files(work: Work[RemeasureItem], items: list[RemeasureItem], scratch: Path) -> list[Frames]:
    """Nothing if the source is there, or a clip has no file."""
    store = work.dataset.store
    if store.find_media(items[0]["sha256"]):
        return []
    if any(find_clip_file(store, item) is None for item in items):
        return []
    found: list[Frames] = []
    for item in items:
        whole: PreviewSpan = {"start_pts": -ALL, "end_pts": ALL, "step_s": _step_s(item), "most": FRAMES_MOST}
        with own_file(store, item) as path:
            found += _decoded(work, path, [whole], scratch)
    return found


def _step_s(item: RemeasureItem) -> float:
    length_s = (item["end_pts"] - item["start_pts"]) * Fraction(item["time_base"])
    return max(1 / FPS, float(length_s) / FRAMES_MOST)


def _decoded(work: Work[RemeasureItem], path: Path, spans: list[PreviewSpan], scratch: Path) -> list[Frames]:
    """The frames of each span. The child is not trusted: it may have said or written anything."""
    recipe, out = work.dataset.recipe, scratch / "previews"
    asked = measure_calls.keep_preview(str(path), str(out), spans, work.threads, recipe.limits.max_pixels)
    said = work.sandbox.call(asked, scratch, work.limits)
    try:
        content = b"" if out.is_symlink() else out.read_bytes()
    except OSError as error:
        raise ItemError("error", f"a child wrote no previews: {error}") from error
    if len(said) != len(spans) or sum(sum(one["sizes"]) for one in said) != len(content):
        raise ItemError("error", "a child wrote other previews than it says")
    pieces = _pieces(content, said)
    return [(one["at_s"], [next(pieces) for _ in one["sizes"]]) for one in said]


def _pieces(content: bytes, said: list[Previewed]) -> Iterator[bytes]:
    """The WebPs, in order. Raises ItemError for anything else."""
    start = 0
    for one in said:
        sizes, at_s = one["sizes"], one["at_s"]
        if len(sizes) > FRAMES_MOST or len(at_s) != len(sizes) or at_s != sorted(at_s):
            raise ItemError("error", f"a child gave {len(sizes)} frames with {len(at_s)} times")
        for size in sizes:
            webp = content[start : start + size]
            if not 0 < size <= BYTES_MOST or webp[:4] != b"RIFF" or webp[8:12] != b"WEBP":
                raise ItemError("error", f"a child gave {size} bytes that are no small WebP")
            yield webp
            start += size
