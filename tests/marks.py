"""A child's function that shows that it ran."""

from __future__ import annotations

from pathlib import Path

from hdvg.sandbox.seam import in_child


@in_child
def leave_mark(path: str) -> None:
    """Make a folder."""
    Path(path).mkdir()
