"""Affine motion: what most places of the picture follow, in how a few of them have gone."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from hdvg.measures.motion import STATED_WIDTH_PX

Numbers = npt.NDArray[np.floating]

GRID = (10, 6)
"""Places across and down."""
WITHIN_PX, WITHIN_SHARE = 0.18, 0.18
"""A place of the grid follows a motion if it is no further off, px at the stated width, and share of the median motion."""
STANDS = 0.1
"""A camera that stands explains so much more of the picture than it does: of two answers it is the likelier."""
ONE_SIDED = 1.5
"""See `_agreed`."""
ANNEALED = (4, 4, 2, 1.5)
"""How many times further off places still count while a motion is looked for, round by round."""
KNOWN = 0.3
"""What a place mostly does is known if it is followed in so many of the fields."""
ACROSS, DOWN = (one.ravel() for one in np.meshgrid(np.linspace(-1, 1, GRID[0]), np.linspace(-1, 1, GRID[1])))
PLACES = np.stack([np.ones(ACROSS.size), ACROSS, DOWN], axis=1).astype(np.float32)
PRODUCTS = (PLACES[:, :, None] * PLACES[:, None]).reshape(-1, 9)
RIDGE = np.diag([1e-3, 0.1, 0.1]).astype(np.float32)
"""Where hardly a place counts, a shift is likelier than a growth."""
RIM = (np.abs(ACROSS) == 1) | (np.abs(DOWN) == 1)


def dominant(flow: Numbers) -> tuple[Numbers, Numbers]:
    """The terms (n, 3, 2) of the affine motion that most of the known places of each flow field (n, places, 2), in px, follow
    closely, and which share of them does, (n,).

    It is looked for from three beginnings: none, the median's, and that of the rim, which a subject leaves free.
    """
    is_known = np.isfinite(flow[..., 0])
    weights = is_known.astype(np.float32)
    known = np.ascontiguousarray(np.moveaxis(np.where(is_known[..., None], flow, 0), 2, 0), np.float32)
    within = WITHIN_PX + WITHIN_SHARE * median(np.hypot(*known), is_known)
    count = len(flow)
    begins = np.zeros((2, 3, count, 3), np.float32)
    for way in range(2):
        begins[way, 1, :, 0] = median(known[way], is_known)
        begins[way, 2, :, 0] = median(known[way][:, RIM], is_known[:, RIM])
    terms, shares = _closest(
        np.tile(known, (1, 3, 1)), np.tile(weights, (3, 1)), begins.reshape(2, -1, 3), np.tile(within, 3)
    )
    terms, shares = terms.reshape(2, 3, count, 3), shares.reshape(3, count)
    best = (shares + np.array([STANDS, 0, 0])[:, None]).argmax(axis=0), np.arange(count)
    return np.moveaxis(terms, 0, 3)[best].astype(np.float64), shares[best]


def median(values: Numbers, is_known: npt.NDArray[np.bool_]) -> Numbers:
    """Of the known ones of each row, (n,); 0 of a row without any."""
    ordered = np.sort(np.where(is_known, values, np.inf), axis=1)
    middle = np.take_along_axis(ordered, is_known.sum(axis=1, keepdims=True) // 2, axis=1)[:, 0]
    return np.where(np.isfinite(middle), middle, 0)


def sway(flow: Numbers) -> Numbers:
    """By how much most places of each flow field (n, places, 2) go beyond what each mostly does, (n, 2): 0 for an even move."""
    is_known = np.isfinite(flow[..., 0])
    is_known &= is_known.mean(axis=0) >= KNOWN
    ways = np.moveaxis(flow, 2, 0)
    return np.stack([median(way - median(way.T, is_known.T), is_known) for way in ways], axis=1)


def _closest(flow: Numbers, known: Numbers, terms: Numbers, within: Numbers) -> tuple[Numbers, Numbers]:
    """The terms (2, n, 3), led from the given ones to what more of the known places follow, and which share of these does, (n,)."""
    for times in ANNEALED:
        weights = known * np.square(np.maximum(1 - _off(flow, terms) / np.square(times * within)[:, None], 0))
        squares = (weights @ PRODUCTS).reshape(-1, 3, 3) + RIDGE
        terms = np.moveaxis(np.linalg.solve(squares, np.moveaxis((weights * flow) @ PLACES, 0, 2)), 2, 0)
    is_near = _off(flow, terms) < np.square(within)[:, None]
    return terms, (is_near * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def _off(flow: Numbers, terms: Numbers) -> Numbers:
    """Squared distance of each place's flow from the terms' motion, (n, places)."""
    return np.asarray(np.square(flow - terms @ PLACES.T).sum(axis=0))


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
