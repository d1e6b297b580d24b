"""Measures of a clip: frames, sound, pictures or texts in, typed values out."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from schemas.pass_measures import PASS

if TYPE_CHECKING:
    from hdvg.measures.measure import Measure


@functools.cache
def pass_measures() -> Mapping[str, type[Measure]]:
    """The classes of the measures of the decode pass, by name; they load OpenCV."""
    return {name: _class(measure.made_by) for name, measure in PASS.items()}


def _class(path: str) -> type[Measure]:
    module, _, name = path.partition(":")
    found: type[Measure] = getattr(importlib.import_module(module), name)
    return found
