"""Where a dataset may lie: in a folder of this machine's file system, named by its path."""

from __future__ import annotations

import re
from pathlib import Path

from hdvg.errors import UsageError

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+")
"""As a `Path` has it too, which keeps one slash of `s3://`."""


def local_text(text: str) -> str:
    """The text as it is. Raises UsageError if it begins with a scheme, such as `s3://`."""
    found = SCHEME.match(text)
    if found is None:
        return text
    rest = text[found.end() :]
    if found[1].lower() == "file":
        raise UsageError(f"{text}: give the path of the folder itself: /{rest}")
    raise UsageError(
        f"{found[1]}://{rest}: datasets lie in folders of this machine, {found[1]}:// is not supported; give a path, "
        "which may be of a mounted file system, and copy the dataset when it is done"
    )


def local_folder(path: Path | None) -> Path | None:
    """The path that a user named, if one; raises as `local_text`."""
    if path is not None:
        local_text(str(path))
    return path
