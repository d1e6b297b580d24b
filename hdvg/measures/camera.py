"""Camera: whether it stands, pans, tilts, zooms, rolls or is held in a hand, from how some places of it move, six times a second."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.measures.affine import ACROSS, DOWN, GRID, PLACES, Numbers, dominant, rates_of, sway
from hdvg.measures.measure import Clip, Picture, Series, Sight, View
from hdvg.measures.motion import LEAST_PX, STATED_WIDTH_PX, small

PER_S = 6
"""Moments that are looked at, each a pair of pictures: a hand is told by how these differ among themselves."""
FOLLOWED_BY: Mapping[str, Any] = {
    "winSize": (9, 9),
    "maxLevel": 2,
    "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03),
    "minEigThreshold": 1e-4,
}
"""How a place of the small picture is followed; where hardly anything is to be seen it is not."""
TOGETHER = 6
"""Moments of which the mean says what the camera does: a hand's unrest mostly cancels out."""
LEFT_OUT = 0.25
"""Of these at each place, the largest and again the smallest: a subject that passes there."""
LEAST_MOMENTS = 8
"""To tell a hand by."""
AT_ONCE = 1000
"""Moments that are reckoned with at once, for the memory's sake."""

MOVES = (
    ("pan left", "pan right"),
    ("tilt down", "tilt up"),
    ("zoom out", "zoom in"),
    ("roll counterclockwise", "roll clockwise"),
)
"""The labels of a negative and of a positive rate, in the order of the rates."""
RATES = ("pan_pct_s", "tilt_pct_s", "zoom_pct_s", "roll_deg_s")
SHARES = ("pan_share", "tilt_share", "zoom_share", "roll_share")
TAKEN = np.array([1.0, 1.0, 0.94, 0.94])
"""So much is taken of what changes across the picture: medians over moves of known rates (tests/bench/bench_fields.py)."""
LEAST = np.array([2.0, 2.5, 2.4, 1.45])
"""Slower ones are none: % of the picture a second, degrees of the roll."""
AT_EDGE = np.array([1.0, 0.75, 0.5, 0.87])
"""By how much of the picture's width its edge moves for one of each."""
BESIDE = np.array([0.28, 0.28, 0.21, 0.32])
"""A move is seen beside a larger one if the edge moves by at least this share of what that does."""
MOST, STATIC = 0.5, 0.25
"""A move of the clip is one in more than the first share of the moments; without one the clip is static if the camera stands in
at least the second: a subject close by looks like a move now and then."""
HAND_LEAST, HAND_MOST, HAND_SHARE, OVER_HAND = 3.4, 60.0, 0.19, 0.65
"""A hand's unrest is from the first to the second, % of the width a second (what goes to and fro faster is a subject), and at
least this share of what the camera moves; what it moves must be so many times larger to be a move."""

AGREED, FOLLOWED = 0.3, 0.08
"""A moment says what the camera does if so much of what is followed has one motion, and so much of the picture is followed."""
MOST_CLEAR = 0.5
"""Where less of them is clear, something moves before a ground that shows nothing, and the camera is said to stand."""
DOUBLED = 0.25
"""A pair that changes by less than this share of its neighbour shows one picture twice."""


class Camera:
    """Of the moments that flow was taken at, six a second: what the camera does in most of them.

    pan_pct_s (positive: to the right), tilt_pct_s (up), zoom_pct_s (in) and roll_deg_s (clockwise): the median rate, in % of
    the picture's width, height and size a second, 0 where it is no move of the clip; pan_share, tilt_share, zoom_share and
    roll_share: in how much of the clip it goes that way, 0-1; camera_static_share: in how much it does nothing.
    handheld_pct_s: how unsteady a hand makes pan and tilt, % of the picture a second. camera_moves: the labels, the strongest
    first, with commas, `static` alone where nothing is, `mixed` where it does now this, now that; camera: the first of them. A camera that
    travels sideways pans, one that comes nearer zooms: the flow is the same. What fills most of the picture counts as the
    camera's. None where no flow was taken, as in a clip of one frame.

    The flow is that of Lucas and Kanade 1981, by pyramids (Bouguet 2001).
    """

    columns: ClassVar[tuple[str, ...]] = (
        "camera", "camera_moves", *RATES, "handheld_pct_s", *SHARES, "camera_static_share"
    )  # fmt: skip
    sees: ClassVar[Sight] = "frame"
    uses: ClassVar[tuple[str, ...]] = ("stillness",)

    def __init__(self) -> None:
        self.series = {"places": Series()}
        self._before: View | None = None

    def see(self, view: View) -> None:
        before, self._before = self._before, view
        if before is None or int(before.seconds * PER_S) == int(view.seconds * PER_S):
            return
        pair = small(before.grey), small(view.grey)
        if min(pair[1].shape) >= LEAST_PX:
            self.series["places"].add(view.index, _followed(*pair))

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, Any]:
        moments = _Moments(clip)
        return described(moments.rates, moments.unrest()) if len(moments.rates) else dict.fromkeys(Camera.columns)


def _followed(before: Picture, after: Picture) -> npt.NDArray[np.float16]:
    """How far each place has gone (places, 2), px at the stated width; not a number where that cannot be told."""
    height, width = before.shape
    places = _places(width, height)
    gone, is_found, _ = cv2.calcOpticalFlowPyrLK(before, after, places, None, **FOLLOWED_BY)  # type: ignore[call-overload]  # None: no first guess
    flow = (gone - places) * (STATED_WIDTH_PX / width)
    flow[is_found[:, 0] == 0] = np.nan
    return np.asarray(flow, np.float16)


@cache
def _places(width: int, height: int) -> npt.NDArray[np.float32]:
    """Where the places lie in a small picture, px, (places, 2): in the middles of the grid's cells."""
    cell = np.array([width, height]) / GRID
    half = (np.array([width, height]) - cell) / 2
    return (np.stack([ACROSS, DOWN], axis=1) * half + (np.array([width, height]) - 1) / 2).astype(np.float32)


def described(rates: Numbers, unrest: float | None) -> dict[str, Any]:
    """The columns, of the moments' rates (n, 4) and of how unsteady a hand makes them, None if that is not known."""
    edges = np.abs(rates) * AT_EDGE
    median, strongest = np.median(rates, axis=0), np.median(edges, axis=0)
    least = max(HAND_LEAST, HAND_SHARE * float(np.linalg.norm(strongest)))
    is_held = unrest is not None and least <= unrest <= HAND_MOST
    hand = unrest if unrest is not None and is_held else 0.0
    is_seen = edges >= np.maximum(
        np.maximum(LEAST * AT_EDGE, OVER_HAND * hand), BESIDE * edges.max(axis=1, keepdims=True)
    )
    shares = (is_seen & (np.sign(rates) == np.sign(median))).mean(axis=0)
    is_move = shares > MOST
    found = [(float(strongest[axis]), MOVES[axis][int(median[axis] > 0)]) for axis in np.flatnonzero(is_move)]
    found += [(hand, "handheld")] if hand else []
    static_share = 0.0 if hand else float((~is_seen.any(axis=1)).mean())
    labels = [label for _, label in sorted(found, reverse=True)] or (
        ["static"] if static_share >= STATIC else ["mixed"]
    )
    return {
        "camera": labels[0],
        "camera_moves": ", ".join(labels),
        **dict(zip(RATES, np.where(is_move, median, 0.0).tolist(), strict=True)),
        "handheld_pct_s": unrest,
        **dict(zip(SHARES, shares.tolist(), strict=True)),
        "camera_static_share": static_share,
    }


class _Moments:
    """The moments of a clip at which its picture changes: the camera's `rates` in a few of them together, pan, tilt, zoom and
    roll, (n, 4)."""

    def __init__(self, clip: Clip) -> None:
        indices, flow = clip.values("places", skip=1)
        before, at = _changed_before(clip), indices - clip.start
        at, flow = at[before[at] >= 0], flow[before[at] >= 0]
        steps_s = np.maximum(clip.seconds[at] - clip.seconds[before[at]], 1e-6)
        step_s = float(np.median(steps_s)) if len(at) else 1.0
        flow = flow.reshape(-1, len(PLACES), 2) * (step_s / steps_s)[:, None, None].astype(np.float32)
        self._shape = clip.shape
        kinds = [flow, _together(flow, 0), _together(flow, LEFT_OUT)]
        every = np.concatenate(kinds)
        found = [dominant(some) for some in np.array_split(every, len(every) // AT_ONCE + 1)]
        terms, shares = (np.concatenate(some) for some in zip(*found, strict=True))
        is_clear = (shares >= AGREED) & (np.isfinite(every[..., 0]).mean(axis=1) >= FOLLOWED)
        rates = rates_of(terms / step_s, clip.shape) / TAKEN
        ends = np.cumsum([len(kind) for kind in kinds])[:-1]
        (singles, _, means), (is_single, is_whole, is_mean) = np.split(rates, ends), np.split(is_clear, ends)
        self._singles, self._flow = singles[is_single], flow[is_single] / step_s
        self._is_known = len(flow) > 0 and min(is_single.mean(), is_whole.mean(), is_mean.mean()) >= MOST_CLEAR
        self.rates = means[is_mean] if self._is_known else np.zeros((min(len(flow), 1), 4))

    def unrest(self) -> float | None:
        """How far pan and tilt mostly are from the usual ones, % of the picture's width a second: those of the dominant motion,
        or those that most places share, if these are less. None if it cannot be told."""
        if not self._is_known or len(self._singles) < LEAST_MOMENTS:
            return None
        shared = np.zeros((len(self._flow), 3, 2))
        shared[:, 0] = sway(self._flow)
        off = [one - np.median(one, axis=0) for one in (self._singles, rates_of(shared, self._shape))]
        return min(float(np.median(np.hypot(*(one * AT_EDGE)[:, :2].T))) for one in off)


def _changed_before(clip: Clip) -> npt.NDArray[np.int64]:
    """For each frame, as which one before it looked until then; -1 for a frame that is shown again, and for the first."""
    ones, changes = clip.values("change", skip=1)
    change = np.zeros(clip.end - clip.start + 1)
    change[ones - clip.start] = changes
    is_again = change[:-1] < DOUBLED * np.maximum(np.roll(change, 1)[:-1], change[1:])
    is_again[0] = False
    frames = np.arange(clip.end - clip.start)
    shown = np.maximum.accumulate(np.where(is_again, 0, frames))
    return np.where(is_again, -1, np.concatenate([[-1], shown[:-1]]))


def _together(flow: Numbers, left_out: float) -> Numbers:
    """Means of a few moments together, (n, places, 2), of each place without that share of its largest and of its smallest:
    not a number for a place that is followed in less than half as many as another."""
    means = []
    for some in np.array_split(flow, max(round(len(flow) / TOGETHER), 1)):
        known = np.isfinite(some[..., 0]).sum(axis=0)
        first, at = (known * left_out).astype(int), np.arange(len(some))[:, None]
        is_in = (at >= first) & (at < known - first)
        ordered = np.sort(some, axis=0)  # what is not a number comes last
        mean = np.where(is_in[..., None], ordered, 0).sum(axis=0) / np.maximum(is_in.sum(axis=0), 1)[:, None]
        mean[known < max(known.max(initial=0) / 2, 1)] = np.nan
        means.append(mean)
    return np.array(means)
