"""Frames of interlaced video whose two fields are of two shots: a cut between the fields of one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hdvg.shots.transition import Transition

APART = 20.0
"""Grey levels by which two shots differ, at least, for a frame between them to be told from both."""
NEAR_MIDDLE = 0.25
"""Of that difference: how far a woven frame may be from the mean of the two."""


def leave_out_woven(transition: Transition, looks: Sequence[bytes]) -> Transition:
    """A hard cut beside a woven frame, with that frame in neither shot: each of its fields belongs to another one.

    `looks` are the 8 x 8 grey levels of all frames so far.
    """
    if transition.kind != "cut" or transition.end != transition.start:
        return transition
    if _is_woven(transition.start, looks):
        return replace(transition, start=transition.start + 1)
    if _is_woven(transition.end - 1, looks):
        return replace(transition, end=transition.end - 1)
    return transition


def _is_woven(number: int, looks: Sequence[bytes]) -> bool:
    if not 0 < number < len(looks) - 1:
        return False
    before, look, after = (np.frombuffer(looks[at], np.uint8).astype(float) for at in (number - 1, number, number + 1))
    apart = np.abs(before - after).mean()
    return bool(apart > APART and np.abs(look - (before + after) / 2).mean() < NEAR_MIDDLE * apart)


def look_to_find(number: int, looks: Sequence[bytes], *, interlaced: bool) -> str | None:
    """What a cut is checked against, hexadecimal; None for a woven frame, of which a progressive clip shows one field alone."""
    return None if interlaced and _is_woven(number, looks) else looks[number].hex()
