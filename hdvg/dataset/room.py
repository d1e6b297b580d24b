"""How much media and shards of a dataset in a bucket a mirror keeps: within a bound, the longest unused go first."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from hdvg.dataset.layout import files
from hdvg.errors import UsageError

BOUND = "HDVG_MIRROR_GB"
SHARE = 0.25
"""Of the room that the mirrors' disk has, the bound where the variable says none."""
STAYS = "stays"
"""In a mirror: the folder of empty files that are named as the sources in it that the bucket lacks."""
YOUNG_S = 600.0
"""How long a file that was asked for is left alone while a command goes on: somebody may read it."""


def drop_oldest(root: Path, *, young_s: float = 0.0, stays: bool = False) -> None:
    """Take files of media/ and shards/ out of the mirror until those that are left keep to the bound.

    All are in the bucket but sources, which are fetched again from their links: these go only if `stays`, and then last.
    """
    found = []
    for path in (*files(root, "media"), *files(root, "shards")):
        try:
            stat = path.stat()
        except FileNotFoundError:  # in the bucket alone, or gone meanwhile
            continue
        found.append(((root / STAYS / path.name).exists(), stat.st_mtime, stat.st_size, path))
    left = sum(size for *_, size, _ in found)
    most, now = _most_bytes(root, left), time.time()
    for is_source, touched, size, path in sorted(found):
        if left <= most or (is_source and not stays):
            return
        if now - touched >= young_s:
            path.unlink(missing_ok=True)
            (root / STAYS / path.name).unlink(missing_ok=True)
            left -= size


def require_room(root: Path, size: int) -> None:
    """Raise UsageError if a mirror keeps less than so many bytes, which a command needs all at once."""
    most = _most_bytes(root, sum(path.stat().st_size for path in files(root, "shards") if path.exists()))
    if size > most:
        raise UsageError(
            f"{root}: all its shards are needed here, {size / 1e9:.1f} GB, and of a dataset in a bucket this machine keeps {most / 1e9:.1f} GB: "
            f"let {BOUND} say more gigabytes, or XDG_CACHE_HOME name a folder on a larger disk"
        )


def _most_bytes(root: Path, held: int) -> float:
    asked = os.environ.get(BOUND)
    if asked is None:
        return SHARE * (shutil.disk_usage(root).free + held)
    try:
        return float(asked) * 1e9
    except ValueError:
        raise UsageError(f"{BOUND}={asked}: a number of gigabytes would be fine, such as 50") from None
