"""A folder given as links, on a disk or in a bucket: which of its files are taken, and which are passed over for what reason."""

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
HIDDEN = "hidden"


def taken_files(folder: str, passed: Counter[str], *, all_files: bool = False) -> list[str]:
    """The files below the folder that are taken, in the order of their paths: those that end as videos do, or with
    `all_files` every one; hidden files and folders never. The others are counted in `passed`, by reason."""
    found = list(_files(folder, all_files=all_files))
    passed.update(why for _, why in found if why is not None)
    return sorted((path for path, why in found if why is None), key=os.fsencode)


def why_not(name: str, *, all_files: bool = False) -> str | None:
    """Why a file of a folder is not taken, by its path from there: hidden, or its suffix; None if it is."""
    if any(part.startswith(".") for part in name.split("/")):
        return HIDDEN
    suffix = os.path.splitext(name)[1].lower()
    return None if all_files or suffix in VIDEO_SUFFIXES else suffix or "without suffix"


def passed_over(why: Counter[str]) -> str:
    """How many files below a folder are not taken, by reason; "" if all are."""
    if not why:
        return ""
    ranked = why.most_common()
    named = [f"{count} {reason}" for reason, count in ranked[:MOST_REASONS]]
    named += [f"{sum(count for _, count in ranked[MOST_REASONS:])} others"] * (len(ranked) > MOST_REASONS)
    hint = "; --all-files takes them for what they hold" if why.keys() - {HIDDEN} else ""
    return f"{sum(why.values())} files passed over: {', '.join(named)}{hint}"


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
            yield os.path.join(place, name), why_not(name, all_files=all_files)
