"""Where a dataset may lie: in a folder of this machine's file system, named by its path."""

from __future__ import annotations

import re
from pathlib import Path

from hdvg.errors import UsageError

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+")
"""As a `Path` has it too, which keeps one slash of `s3://`."""
BUCKETS = frozenset({"s3", "s3a", "s3n", "gs", "gcs", "az", "azure"})
"""Schemes of `hdvg.sources.buckets.spelling`, which other commands do not load."""


def local_text(text: str) -> str:
    """The text as it is. Raises UsageError if it begins with a scheme, such as `s3://`."""
    found = SCHEME.match(text)
    if found is None:
        return text
    rest = text[found.end() :]
    if found[1].lower() == "file":
        raise UsageError(f"{text}: give the path of the folder itself: /{rest}")
    read = (
        "; one that was copied into a bucket is read by `hdvg query` and `hdvg.open`"
        if found[1].lower() in BUCKETS
        else ""
    )
    raise UsageError(
        f"{found[1]}://{rest}: datasets lie in folders of this machine, {found[1]}:// is not supported here; give a path, "
        f"which may be of a mounted file system, and copy the dataset when it is done{read}"
    )


def local_folder(path: Path | None) -> Path | None:
    """The path that a user named, if one; raises as `local_text`."""
    if path is not None:
        local_text(str(path))
    return path
