"""Packs of clips: the cut clips of one video as one file in media/, each of which is read by its place.

A pack is a zip, not compressed, of `<clip_id>.mp4`, so that any tool lists it and takes a clip out. The rows of `cut` say in
which pack a clip lies, from which byte on, and how many bytes it has: no reader needs the zip's own list. A pack never changes,
and holds clips of one video only: what is taken down takes its packs with it, and none of another video's.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path


def write_pack(path: Path, clips: Iterable[tuple[str, bytes]]) -> dict[str, int]:
    """Write a pack of (clip_id, mp4); where each mp4 begins, by clip_id. One of them is in memory at a time.

    The same clips in the same order are the same bytes.
    """
    places: dict[str, int] = {}
    with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as pack:
        for clip_id, content in clips:
            entry = zipfile.ZipInfo(f"{clip_id}.mp4")  # without the time of its writing
            entry.file_size = len(content)
            with pack.open(entry, "w") as member:
                places[clip_id] = file.tell()
                member.write(content)
    return places
