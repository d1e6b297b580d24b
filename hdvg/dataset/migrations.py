"""Numbered steps from one layout of a dataset to the next; a dataset of an earlier layout is read through those that follow it.

A step is a pure function over the table that dataset.toml holds: what it changes is written when a run next writes the
settings. Files of an earlier layout stay as they are: what differs in them is known to `hdvg/dataset/layout.py` and
`hdvg/dataset/parts.py` alone, which read both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

Step = Callable[[dict[str, Any]], dict[str, Any]]

MIGRATIONS: dict[int, Step] = {}
"""Layout -> the step from the one before it to it; none is needed yet. docs/layout.md says when one is."""


def migrate(table: Mapping[str, Any], layout: int, *, steps: Mapping[int, Step] | None = None) -> dict[str, Any]:
    """The table of settings, as the newest layout has it, of one that a dataset of `layout` holds; `table` stays as it is."""
    known = MIGRATIONS if steps is None else steps
    changed = copy.deepcopy(dict(table))
    for number in sorted(number for number in known if number > layout):
        changed = known[number](changed)
    return changed
