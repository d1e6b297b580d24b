"""What the camera does, in plain words."""

from __future__ import annotations

VERBS = {"pan": "pans", "tilt": "tilts", "zoom": "zooms", "roll": "rolls"}

STATES = {"static": "the camera stands still", "mixed": "the camera moves now this way, now that"}


def camera_words(moves: str | None) -> str:
    """Of the measure `camera_moves`: "the camera pans left and zooms in"; "" if it was not measured."""
    if not moves:
        return ""
    if moves in STATES:
        return STATES[moves]
    does = [f"{VERBS[verb]} {way}" for verb, _, way in (move.partition(" ") for move in moves.split(", ")) if way]
    if not does:
        return "the camera is held in a hand"
    said = f"{', '.join(does[:-1])} and {does[-1]}" if len(does) > 1 else does[0]
    return f"the camera, held in a hand, {said}" if "handheld" in moves else f"the camera {said}"
