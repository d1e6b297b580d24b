"""A dataset in a bucket on the nodes of a cluster: each has a mirror of its own, brought up to date for one unit at a time."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from hdvg.dataset.far import Far, far_of, write_whole
from hdvg.dataset.mirror import TABLES, mirror_path, open_mirror
from hdvg.dataset.run_lock import is_held_here


def link_of(root: Path) -> str | None:
    """Where a dataset that several nodes are to work on lies, if it is in a bucket; from now on sources come into it too."""
    far = far_of(root)
    if far is None:
        return None
    far.is_shared = True
    return far.link


def root_here(link: str, run: str, *, fresh: bool = False) -> Path:
    """The mirror that this node has of the dataset, for a job of that run; it is made as the first job comes.

    `fresh`: it is made equal to the bucket in any case. Raises UsageError if this node cannot reach the bucket.
    """
    root = mirror_path(link).resolve()
    if fresh or not (root / "tmp" / run).is_dir():
        root = _opened(link, run, fresh=fresh)
    far = far_of(root)
    assert far is not None, "a mirror is marked"
    far.is_shared = True
    return root


def follow(root: Path, unit: str) -> None:
    """Bring what other nodes have put of a unit since, and take away the pieces that they have put together.

    Raises ResourceError. One listing from the unit's name on for each stage.
    """
    far = far_of(root)
    if far is None:
        return
    stages = sorted(f"parts/{path.name}/" for path in (root / "parts").iterdir() if path.is_dir())
    for folder in [*stages, *(f"{stage}pieces/" for stage in stages)]:
        with far.speaking(folder):
            names = [name for name in far.bucket.names_from(folder, unit) if TABLES.fullmatch(name)]
            for name in names:
                if not (root / name).exists():
                    write_whole(root / name, far.bucket.read(name))
        if folder.endswith("pieces/"):
            _drop_others(far, folder, unit, names)


def _drop_others(far: Far, folder: str, unit: str, names: list[str]) -> None:
    for path in (far.root / folder).glob(f"{unit}-*"):
        if f"{folder}{path.name}" not in names:
            path.unlink(missing_ok=True)


def _opened(link: str, run: str, *, fresh: bool) -> Path:
    """This node's mirror, with the run's temporary folder; those of earlier runs go, and their ghosts are shut out."""
    if fresh:
        open_mirror(link)
    root = open_mirror(link, only_once=run)
    if is_held_here(root):  # the node of `hdvg run` itself, or one that shares its folder
        return root
    for path in (root / "tmp").iterdir():
        if path.name != run:
            gone = path.with_name(f"gone-{uuid.uuid4().hex}")
            path.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
    return root
