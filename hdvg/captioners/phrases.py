"""A shot as one English sentence: its subject, and at most two of what the measures say of text, motion, light and colour.

The limits between words were chosen by eye on 30 real shots. How near the camera is stays unsaid: where in the picture the
classifier responds did not separate a subject that fills 10 % of the picture from one that fills 40 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hdvg.networks.pictures import Picture

Measures = Mapping[str, float | str | None]

PARTS = 2
"""Most optional parts in a sentence."""

LONG = 6
"""Words of a subject that leaves room for one colour only."""

# Upper end of OpenCV's hue (0-179, two degrees a step) -> name; above the last it is red again.
HUES = (
    (8, "red"),
    (20, "orange"),
    (34, "yellow"),
    (85, "green"),
    (100, "teal"),
    (130, "blue"),
    (150, "purple"),
    (172, "pink"),
)

ALL_BLACK = 0.98  # share of frames that are black
DARK, BRIGHT = 45, 180  # mean luminance, 0-255
UPRIGHT = 0.8  # width / height
TEXT_LEAST, TEXT_MUCH = 0.005, 0.07  # share of the picture under boxes of text
SCREEN = 0.7  # of the measure of that name

STILL, SLOW, FAST = 2, 15, 60  # px/s at 256 px width
STATIC, SLIDES = 0.9, 0.5  # shares of frames
STEADY, MOVING = 4, 5  # px/s of the camera
PLAIN = 2  # the camera's motion over the rest, or the rest over the camera's: one of them alone explains the picture
JERKY = 20  # px/s of shake
JERKY_SHARE, SMOOTH_SHARE = 0.5, 0.2  # of the camera's motion: as shake, from the one on and up to the other


def colours(picture: Picture) -> list[str]:
    """The one or two colour names that cover most of a BGR picture, largest first; a second covers a fifth of it."""
    import cv2

    small = cv2.resize(picture, (64, 36), interpolation=cv2.INTER_AREA)
    counts: dict[str, int] = {}
    for pixel in cv2.cvtColor(small, cv2.COLOR_BGR2HSV).reshape(-1, 3):
        name = colour_name(int(pixel[0]), saturation=int(pixel[1]), value=int(pixel[2]))
        counts[name] = counts.get(name, 0) + 1
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    return [name for name in ranked[:2] if name == ranked[0] or counts[name] >= 64 * 36 / 5]


def colour_name(hue: int, *, saturation: int, value: int) -> str:
    """The everyday name of a colour in OpenCV's HSV (hue 0-179, saturation and value 0-255)."""
    if value < 50:
        return "black"
    if saturation < 40:
        return "white" if value > 200 else "grey"
    name = next((name for end, name in HUES if hue < end), "red")
    if name in {"orange", "yellow"} and saturation < 110 and value > 140:
        return "beige"
    return "brown" if name == "orange" and value < 170 else name


def sentence(thing: str, *, tones: Sequence[str], measures: Measures) -> str:
    """One English sentence with capital and stop; `thing` may be "", `tones` has 1 or 2, absent measures stay unsaid.

    What is rarer goes first: text, motion that stands out, light and form; colours and ordinary motion fill what room is
    left. Where no thing is known, the colours stand in for it.
    """
    thing = thing or _card(measures)
    if not thing and _at_least(measures, "black_share", ALL_BLACK):
        return "A black picture."
    motion, stands_out = _motion(measures)
    said = {"text": _text(measures), "motion": motion, "look": _look(measures), "colours": "yes" if thing else ""}
    order = ("text", "motion", "look", "colours") if stands_out else ("text", "look", "colours", "motion")
    chosen = [part for part in order if said[part]][:PARTS]
    scene = " ".join(filter(None, ["a", said["look"] if "look" in chosen else "", "scene"]))
    if not thing or "colours" in chosen:
        shown = tones if len(thing.split()) <= LONG else tones[:1]
        scene += f" of {' and '.join(shown)} tones" if len(shown) > 1 else f" of mostly {shown[0]} tones"
    where = f"{thing} in {scene}" if thing and scene != "a scene" else thing or scene
    line = " ".join([where, *(said[part] for part in ("text", "motion") if part in chosen)])
    return f"{line[0].upper()}{line[1:]}."


def _card(measures: Measures) -> str:
    """What was drawn and not filmed, where a measure says so."""
    if measures.get("title_card") is True:
        return "a title card"
    return "what looks like a screen or a slide" if _at_least(measures, "screen", SCREEN) else ""


def _text(measures: Measures) -> str:
    """Text in the picture; "" if there is hardly any, or nobody looked."""
    if measures.get("subtitle") is True:
        return "with subtitles"
    if measures.get("title_card") is True or not _at_least(measures, "text_area", TEXT_LEAST):
        return ""
    return (
        "with much text in the picture" if _at_least(measures, "text_area", TEXT_MUCH) else "with text in the picture"
    )


def _look(measures: Measures) -> str:
    """ "dark", "bright", "vertical", "dark vertical", ... or "" """
    light = "bright" if _at_least(measures, "luma_mean", BRIGHT) else ""
    light = light if _at_least(measures, "luma_mean", DARK, absent=True) else "dark"
    form = "" if _at_least(measures, "aspect", UPRIGHT, absent=True) else "vertical"
    return " ".join(filter(None, [light, form]))


def _motion(measures: Measures) -> tuple[str, bool]:
    """What moves, in words, and whether it stands out; "" if it was not measured.

    The camera is said to move, or to be steady, only where one motion explains the picture and the rest is small beside it,
    or the other way round; it moves smoothly, as what fills the picture (a bird before the lens) counts as the camera's too.
    Pan, tilt and zoom are one number, so it only "moves".
    """
    motion = _number(measures, "motion_px_s")
    if _at_least(measures, "slideshow_share", SLIDES):
        return "in a slideshow of still pictures", True
    if motion is None:
        return "", False
    if motion < STILL or _at_least(measures, "static_share", STATIC):
        return "with almost no motion", True
    jerky = _is_jerky(measures)
    camera = None if jerky else _camera(measures)
    if camera:
        return camera, True
    if motion >= FAST:
        return "with fast, jerky motion" if jerky else "with fast motion", True
    return ("with little motion" if motion < SLOW else "with moderate motion"), False


def _camera(measures: Measures) -> str:
    """That the camera moves, or something before it; "" where that is not clear."""
    camera, local, shake = (_number(measures, f"{name}_px_s") for name in ("camera", "local", "shake"))
    if camera is None or local is None or shake is None:
        return ""
    if camera >= MOVING and camera >= PLAIN * local and shake <= SMOOTH_SHARE * camera:
        return f"as the camera moves{_pace(camera)}"
    if camera <= STEADY and local >= SLOW and local >= PLAIN * camera:
        return f"as something moves{_pace(local)} before a steady camera"
    return ""


def _is_jerky(measures: Measures) -> bool:
    shake, camera = _number(measures, "shake_px_s"), _number(measures, "camera_px_s")
    return shake is not None and camera is not None and shake >= max(JERKY, JERKY_SHARE * camera)


def _pace(px_s: float) -> str:
    return " slowly" if px_s < SLOW else "" if px_s < FAST else " quickly"


def _at_least(measures: Measures, name: str, least: float, *, absent: bool = False) -> bool:
    """Whether a measure reaches `least`; `absent` if nobody measured it."""
    value = _number(measures, name)
    return absent if value is None else value >= least


def _number(measures: Measures, name: str) -> float | None:
    """A measure as a number; None if it is absent or NaN."""
    value = measures.get(name)
    return float(value) if isinstance(value, (int, float)) and value == value else None
