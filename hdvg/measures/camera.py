"""Camera: whether it stands, pans, tilts, zooms, rolls or is held in a hand, from the optical flow that the pass has taken."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hdvg.measures.measure import Clip, Series, Sight, View
from hdvg.measures.motion import GRID, STATED_WIDTH_PX

Numbers = npt.NDArray[np.float64]

MOVES = (
    ("pan left", "pan right"),
    ("tilt down", "tilt up"),
    ("zoom out", "zoom in"),
    ("roll counterclockwise", "roll clockwise"),
)
"""The labels of a negative and of a positive rate, in the order of the rates."""
RATES = ("pan_pct_s", "tilt_pct_s", "zoom_pct_s", "roll_deg_s")
SHARES = ("pan_share", "tilt_share", "zoom_share", "roll_share")
TAKEN = np.array([1.0, 1.0, 0.71, 0.71])
"""The flow takes so much of what changes across the picture: medians over moves of known rates (tests/bench/bench_fields.py)."""
LEAST = np.array([2.0, 2.5, 2.8, 1.7])
"""Slower ones are none: % of the picture a second, degrees of the roll."""
AT_EDGE = np.array([1.0, 0.75, 0.5, 0.87])
"""By how much of the picture's width its edge moves for one of each."""
BESIDE = np.array([0.28, 0.28, 0.25, 0.38])
"""A move is seen beside a larger one if the edge moves by at least this share of what that does."""
MOST, STATIC = 0.5, 0.25
"""A move of the clip is one in more than the first share of the moments; without one the clip is static if the camera stands in
at least the second: a subject close by looks like a move now and then."""
HAND_LEAST, HAND_SHARE, OVER_HAND = 4.0, 0.3, 0.8
"""A hand's unrest is so much, % of the width a second, and this share of what the camera moves; what it moves must be so
many times larger to be a move."""

WITHIN_PX, WITHIN_SHARE = 0.12, 0.12
"""A place of the grid follows a motion if it is no further off, px at the stated width, and share of the median motion."""
STANDS = 0.05
"""A camera that stands explains so much more of the picture than it does: of two answers it is the likelier."""
AGREED = 0.3
"""A moment says what the camera does if so much of the picture follows one motion."""
ONE_SIDED = 1.5
"""See `_agreed`."""
ANNEALED = (4, 4, 2, 1.5)
"""How many times further off places still count while a motion is looked for, round by round."""
DOUBLED = 0.25
"""A pair that changes by less than this share of its neighbour shows one picture twice."""

ACROSS, DOWN = (one.ravel() for one in np.meshgrid(np.linspace(-1, 1, GRID[0]), np.linspace(-1, 1, GRID[1])))
PLACES = np.stack([np.ones(ACROSS.size), ACROSS, DOWN], axis=1)
PRODUCTS = (PLACES[:, :, None] * PLACES[:, None]).reshape(-1, 9)
RIDGE = np.diag([1e-3, 0.3, 0.3])
"""Where hardly a place counts, a shift is likelier than a growth."""
RIM = (np.abs(ACROSS) == 1) | (np.abs(DOWN) == 1)


class Camera:
    """Of the moments that flow was taken at, about one a second: what the camera does in most of them.

    pan_pct_s (positive: to the right), tilt_pct_s (up), zoom_pct_s (in) and roll_deg_s (clockwise): the median rate, in % of
    the picture's width, height and size a second, 0 where it is no move of the clip; pan_share, tilt_share, zoom_share and
    roll_share: in how many of the moments it goes that way, 0-1; camera_static_share: in how many it does nothing.
    handheld_pct_s: how unsteady a hand makes pan and tilt, % of the picture a second. camera_moves: the labels, the strongest
    first, with commas, `static` alone where nothing is, `mixed` where it does now this, now that; camera: the first of them. A camera that
    travels sideways pans, one that comes nearer zooms: the flow is the same. What fills most of the picture counts as the
    camera's. None where no flow was taken, as in a clip of one frame.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "camera", "camera_moves", *RATES, "handheld_pct_s", *SHARES, "camera_static_share"
    )  # fmt: skip
    sees: ClassVar[Sight] = "stare"
    uses: ClassVar[tuple[str, ...]] = ("motion", "stillness")

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}

    def see(self, view: View) -> None:
        """Nothing: the flow is `Motion`'s."""

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, Any]:
        moments = _Moments(clip)
        return described(moments.rates(), moments.unrest()) if len(moments.flow) else dict.fromkeys(Camera.columns)


def described(rates: Numbers, unrest: float | None) -> dict[str, Any]:
    """The columns, of the moments' rates (n, 4) and of how unsteady a hand makes them, None if that is not known."""
    edges = np.abs(rates) * AT_EDGE
    median, strongest = np.median(rates, axis=0), np.median(edges, axis=0)
    is_held = unrest is not None and unrest >= max(HAND_LEAST, HAND_SHARE * float(np.hypot(*strongest[:2])))
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
    """The frames that were looked at, of each the `flow` (n, places, 2) of the pairs before and behind it, px a second at the
    stated width; and `changes`, by how much these two differ, of moments that have both of them, and not one picture twice."""

    def __init__(self, clip: Clip) -> None:
        self._shape = clip.shape
        looks = clip.values("look")[0]
        indices, flow = clip.values("flow", skip=1)
        counts = np.isin(indices, looks) | np.isin(
            indices - 1, looks
        )  # a segment's first pair is there though none may look
        indices, flow = indices[counts], flow[counts]
        ones, change = clip.values("change", skip=1)
        changes = change[np.searchsorted(ones, indices)]
        at = indices - clip.start
        self._step_s = np.maximum(clip.seconds[at] - clip.seconds[at - 1], 1e-6)
        flow = flow.astype(np.float64).reshape(len(indices), len(PLACES), 2) / self._step_s[:, None, None]
        here = [np.flatnonzero((indices == look) | (indices == look + 1)) for look in looks]
        here = [pair for pair in here if len(pair)]
        both = [pair for pair in here if len(pair) == 2 and changes[pair].min() >= DOUBLED * changes[pair].max()]
        self.flow = np.array([flow[pair].mean(axis=0) for pair in here])
        self.changes = np.array([flow[pair[1]] - flow[pair[0]] for pair in both])

    def rates(self) -> Numbers:
        """Pan, tilt, zoom and roll of each, (n, 4)."""
        rates, shares = self._motion(self.flow)
        sure = shares >= AGREED
        return rates[sure] if sure.any() else rates

    def unrest(self) -> float | None:
        """How unsteady pan and tilt are, % of the picture a second: the geometric mean of how they change from one frame to the
        next, which a move does not, and from one moment to another, which noise does not. None if it cannot be told."""
        found = []
        for differences in (self.changes, np.diff(self.flow, axis=0)):
            if not len(differences):
                return None
            rates, shares = self._motion(differences)
            sure = rates[shares >= AGREED, :2]
            if not len(sure):
                return None
            found.append(float(np.median(np.hypot(*sure.T))))
        return float(np.sqrt(np.prod(found)))

    def _motion(self, flow: Numbers) -> tuple[Numbers, Numbers]:
        """The rates of the camera's motion in each, and which share of the picture follows it."""
        step_s = float(np.median(self._step_s))
        terms, shares = dominant(flow * step_s)
        return rates_of(terms / step_s, self._shape) / TAKEN, shares


def dominant(flow: Numbers) -> tuple[Numbers, Numbers]:
    """The terms (n, 3, 2) of the affine motion that most places of each flow field (n, places, 2), in px, follow closely, and
    which share of them does, (n,).

    It is looked for from three beginnings: none, the median's, and that of the rim, which a subject leaves free.
    """
    within = WITHIN_PX + WITHIN_SHARE * np.median(np.sqrt(np.square(flow).sum(axis=2)), axis=1)
    count = len(flow)
    begins = np.zeros((3, count, 3, 2))
    begins[1, :, 0] = np.median(flow, axis=1)
    begins[2, :, 0] = np.median(flow[:, RIM], axis=1)
    terms, shares = _closest(np.tile(flow, (3, 1, 1)), begins.reshape(-1, 3, 2), np.tile(within, 3))
    terms, shares = terms.reshape(3, count, 3, 2), shares.reshape(3, count)
    best = (shares + np.array([STANDS, 0, 0])[:, None]).argmax(axis=0), np.arange(count)
    return terms[best], shares[best]


def _closest(flow: Numbers, terms: Numbers, within: Numbers) -> tuple[Numbers, Numbers]:
    """The terms, led from the given ones to what more places follow, and which share of the places does, (n,)."""
    for times in ANNEALED:
        nearness = np.maximum(1 - _off(flow, terms) / np.square(times * within)[:, None], 0)
        weights = np.square(nearness)
        squares = (weights @ PRODUCTS).reshape(-1, 3, 3) + RIDGE
        terms = np.asarray(np.linalg.solve(squares, PLACES.T @ (weights[:, :, None] * flow)), np.float64)
    return terms, (_off(flow, terms) < np.square(within)[:, None]).mean(axis=1)


def _off(flow: Numbers, terms: Numbers) -> Numbers:
    """Squared distance of each place's flow from the terms' motion, (n, places)."""
    return np.asarray(np.square(flow - PLACES @ terms).sum(axis=2), np.float64)


def rates_of(terms: Numbers, shape: Mapping[str, Any]) -> Numbers:
    """Pan to the right and tilt up in % of the picture, zoom in in %, roll clockwise in degrees, a second, (n, 4): of the terms
    (n, 3, 2) in px a second at the stated width, of coded pictures of this `geometry`."""
    wide, tall = shape["coded_width"], shape["coded_height"]
    angle, across = np.radians(shape["rotation"]), float(Fraction(shape["sar"]))
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([across, 1.0])
    shown = np.diag([-1.0 if shape["mirrored"] else 1.0, 1.0]) @ turned
    terms = terms * (wide / STATED_WIDTH_PX)
    reach = np.array([wide / 2 * (1 - 1 / GRID[0]), tall / 2 * (1 - 1 / GRID[1])])
    middle = terms[:, 0] @ shown.T
    change = (
        shown @ np.swapaxes(terms[:, 1:] / reach[:, None], 1, 2) @ np.linalg.inv(shown)
    )  # (n, of x and y, by x and y)
    return np.column_stack(
        [
            -100 * middle[:, 0] / shape["width"],
            100 * middle[:, 1] / shape["height"],
            100 * _agreed(change[:, 0, 0], change[:, 1, 1]),
            np.degrees(_agreed(change[:, 0, 1], -change[:, 1, 0])),
        ]
    )


def _agreed(one: Numbers, other: Numbers) -> Numbers:
    """What both say, (n,): their mean, at most `ONE_SIDED` times the smaller, 0 if their signs differ. A zoom widens the picture
    across as down, a roll moves its sides as its top; what is nearer below, and passes faster, only one of them."""
    smaller = np.where(one * other > 0, np.minimum(np.abs(one), np.abs(other)), 0.0)
    mean: Numbers = (one + other) / 2
    return np.asarray(np.sign(mean) * np.minimum(np.abs(mean), ONE_SIDED * smaller), np.float64)
