"""A folder given as links: which of its files are taken, and which are passed over for what reason."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

VIDEO_NAMES = """
    mp4 m4v mov qt mkv webm avi divx mpg mpeg mpe m1v m2v m2p vob ts mts m2ts tod flv f4v wmv asf rm rmvb ogv ogm 3gp 3g2 y4m
    mxf ivf gif apng nut dv h264 264 hevc h265 265
"""
VIDEO_SUFFIXES = frozenset(f".{name}" for name in VIDEO_NAMES.split())
"""Of the containers that are opened (media.containers)."""
LISTED_SUFFIXES = VIDEO_SUFFIXES - {".gif", ".apng"}
"""In listings, where most files that end so are single pictures, these are not taken for videos."""
MOST_REASONS = 6


def taken_files(folder: str, *, all_files: bool = False) -> list[str]:
    """The files below the folder that are taken, in the order of their paths: those that end as videos do, or with
    `all_files` every one; hidden files and folders never."""
    return sorted((path for path, why in _files(folder, all_files=all_files) if why is None), key=os.fsencode)


def passed_over(folder: str, *, all_files: bool = False) -> str:
    """How many files below the folder are not taken, by reason; "" if all are."""
    why = Counter(reason for _, reason in _files(folder, all_files=all_files) if reason is not None)
    if not why:
        return ""
    ranked = why.most_common()
    named = [f"{count} {reason}" for reason, count in ranked[:MOST_REASONS]]
    named += [f"{sum(count for _, count in ranked[MOST_REASONS:])} others"] * (len(ranked) > MOST_REASONS)
    hint = "; --all-files takes them for what they hold" if why.keys() - {"hidden"} else ""
    return f"{sum(why.values())} files passed over: {', '.join(named)}{hint}"


def is_folder(source: str) -> bool:
    """Whether the links are a folder."""
    return stat.S_ISDIR(_mode(source))


def is_pipe(source: str) -> bool:
    """Whether the links come from what can be read but once: a pipe, or a terminal."""
    mode = _mode(source)
    return mode != 0 and not stat.S_ISDIR(mode) and not stat.S_ISREG(mode)


def _mode(source: str) -> int:
    try:
        return Path(source).stat().st_mode
    except (OSError, ValueError):  # a link, or what cannot be a path
        return 0


def _is_new(folder: str, seen: set[tuple[int, int]]) -> bool:
    """Whether the folder was not come to before, by whatever name; notes that it was."""
    try:
        found = os.stat(folder)
    except OSError:
        return False
    key = found.st_dev, found.st_ino
    is_first = key not in seen
    seen.add(key)
    return is_first


def _files(folder: str, *, all_files: bool) -> Iterator[tuple[str, str | None]]:
    """Every file below the folder, and why it is not taken: hidden, or its suffix. Links to folders are followed, each once."""
    seen: set[tuple[int, int]] = set()
    _is_new(folder, seen)
    for place, folders, names in os.walk(os.path.abspath(folder), followlinks=True):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and _is_new(os.path.join(place, name), seen)
        )
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            why = None if all_files or suffix in VIDEO_SUFFIXES else suffix or "without suffix"
            yield os.path.join(place, name), "hidden" if name.startswith(".") else why
