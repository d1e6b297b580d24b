"""The pages' scripts and styles, as built from `source/` and kept here, so that nobody needs node to use them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

BUILT = ("audit.css", "audit.js", "explore.css", "explore.js", "licences.txt", "report.css", "report.js")


@cache
def built(name: str) -> str:
    """The text of one of `BUILT`; KeyError for other names. Scripts are classic ones, safe within a `<script>` element."""
    if name not in BUILT:
        raise KeyError(name)
    return files(__name__).joinpath("built", name).read_text(encoding="utf-8")
