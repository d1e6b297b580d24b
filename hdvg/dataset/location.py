"""Where a dataset may lie: in a folder of this machine's file system, named by its path, or in a bucket, named by its link."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hdvg.errors import UsageError

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+")
"""As a `Path` has it too, which keeps one slash of `s3://`."""
BUCKETS = frozenset({"s3", "s3a", "s3n", "gs", "gcs", "az", "azure"})
"""Schemes of `hdvg.sources.buckets.spelling`, which commands on folders do not load."""

_links: dict[str, str] = {}
"""The link of each mirror that this process has opened, by its path."""


def local_text(text: str) -> str:
    """The text as it is. Raises UsageError if it begins with a scheme, such as `s3://`."""
    found = SCHEME.match(text)
    if found is None:
        return text
    rest = text[found.end() :]
    if found[1].lower() == "file":
        raise UsageError(f"{text}: give the path of the folder itself: /{rest}")
    raise UsageError(
        f"{found[1]}://{rest}: {found[1]}:// is not supported here; give the path of a folder, which may be of a mounted file system"
        + (", and copy what is written when it is done" if found[1].lower() in BUCKETS else "")
    )


def local_folder(path: Path | None) -> Path | None:
    """The path that a user named, if one; raises as `local_text`."""
    if path is not None:
        local_text(str(path))
    return path


def folder_or_bucket(path: Path | None) -> Path | None:
    """The path that a user named, if one, which may be a link into a bucket; raises as `local_text` for others."""
    return path if path is not None and bucket_link(str(path)) else local_folder(path)


def dataset_text(text: str, *, new: bool = False) -> str:
    """The path of a dataset's folder; of a link into a bucket that of its mirror, made equal to it now.

    With `new` there may be no dataset yet. Raises UsageError for other schemes, and as `mirror.open_mirror`.
    """
    link = bucket_link(text)
    if link is None:
        return local_text(text)
    from hdvg.dataset.mirror import open_mirror

    return str(open_mirror(link, new=new))


def bucket_link(text: str) -> str | None:
    """The text as a link into a bucket; None for what is none."""
    found = SCHEME.match(text)
    return f"{found[1]}://{text[found.end() :]}" if found and found[1].lower() in BUCKETS else None


def dataset_name(text: str) -> str:
    """The same of one that must be there, or of another name: for the command line."""
    return dataset_text(text)


def dataset_folder(path: Path | None) -> Path | None:
    """The folder of the dataset that a user named, if one; see `dataset_text`."""
    return None if path is None else Path(dataset_text(str(path)))


def new_folder(path: Path | None) -> Path | None:
    """The same of one that may be new."""
    return None if path is None else Path(dataset_text(str(path), new=True))


def from_here(path: Path) -> str:
    """How a user may name a file or folder: the path from here, if it lies below; the link of a dataset in a bucket."""
    if str(path) in _links:
        return _links[str(path)]
    below = os.path.relpath(path)
    return str(path.absolute()) if below.startswith("..") else below


def relative(path: str | Path) -> str:
    """The path from here, whatever lies between; the link of a dataset in a bucket."""
    text = shown(str(path))
    return text if SCHEME.match(text) else os.path.relpath(path)


def is_mirror(root: Path) -> bool:
    """Whether a user knows that folder by a link into a bucket."""
    return str(root) in _links


def refuse_mirror(root: Path, what: str) -> None:
    """Raise UsageError of what does not work on a dataset in a bucket: `what`, and what to do instead."""
    if is_mirror(root):
        raise UsageError(f"{shown(str(root))} is a dataset in a bucket: {what}")


def called(root: Path, link: str) -> None:
    """Remember the link by which a user knows a mirror."""
    _links[str(root)] = link.rstrip("/")


def shown(text: str) -> str:
    """The text with the links of datasets in the place of the paths of their mirrors."""
    for path, link in _links.items():
        text = text.replace(path, link)
    return text
