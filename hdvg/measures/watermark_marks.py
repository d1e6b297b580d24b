"""What stays put in pictures that are otherwise unlike: views, candidates for marks, and how surely they are marks.

Shapes: H, W are a plane's height and width; plane 0 is luma, plane 1 both chroma planes at half the size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.networks.pictures import decode

Gradients = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]

LONG_PX, SCENE_PX, BLOCK_PX = 640, 320, 16
"""Long side at which marks are looked for, and scenery is compared; side of the blocks it is compared by."""

CLIP_LEVELS = 40
"""A gradient's components (Sobel / 4, levels) are clipped to this, so that no picture outvotes the others."""

PER_LEVEL = 127 / CLIP_LEVELS
"""Gradients are held in int8, so many units a level."""

LEVELS_LEAST = (3.0, 2.5)
"""Least length of a persistent gradient, by plane."""

CHANCE = 0.003
"""Share of the pixels of unlike pictures that may pass as persistent."""

AGREEMENT = (0.25, 0.7)
"""Bounds of the agreement (0-1, squared length of the mean gradient over the mean squared length) that is asked for."""

PIXELS_LEAST, CANDIDATES_MOST = 12, 6
GAP_SHARE, LINE_SHARE = 0.012, 0.2
"""Of the long side: edges closer than the first belong together; straight lines longer than the second are no marks."""

BRIDGED_PX = 9
"""Gaps in a line that do not end it."""

AROUND_PX, BESIDE_PX = 10, 3
"""A mark is looked for within so many pixels of its place; less than BESIDE_PX away it is still its place."""

NOISE_LEVELS = 2.0
EDGY, SHARED, SHARED_SHARE, SHARED_LEAST = 5.0, 0.5, 0.25, 6
THUMB, THUMB_LIKE, THUMB_UNLIKE = (32, 18), 3.0, 30.0
WINDOWS = ((0, 4), (0, 2), (1, 3), (2, 4))
"""Runs of views that are looked at, in quarters of the video; parts only if that leaves WINDOW_VIEWS of them."""

WINDOW_VIEWS = 8


@dataclass(frozen=True, eq=False)
class View:
    """A picture as gradients (C, H, W) by plane, and its scenery: unit vectors by block, 0 where there are no edges."""

    planes: tuple[Gradients, ...]
    scenery: Floats
    edgy: npt.NDArray[np.bool_]
    thumb: npt.NDArray[np.int16]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the luma plane."""
        return self.planes[0].shape[1], self.planes[0].shape[2]


def look(jpeg: bytes, shape: tuple[int, int] | None = None) -> View | None:
    """A picture's view, of a given height and width if need be; None if it does not decode or is tiny."""
    picture: Any = decode(jpeg)
    if picture is None or min(picture.shape[:2]) < 4 * BLOCK_PX:
        return None
    height, width = shape or _reduced(picture.shape, LONG_PX)
    if (height, width) != picture.shape[:2]:
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    luma, *chroma = cv2.split(cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb))
    half = (width // 2, height // 2)
    small = [cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in chroma]
    planes = _gradients([luma]), _gradients(small)
    scenery, edgy = _scenery(luma)
    return View(planes, scenery, edgy, cv2.resize(luma, THUMB, interpolation=cv2.INTER_AREA).astype(np.int16))


def _reduced(shape: tuple[int, ...], long_px: int) -> tuple[int, int]:
    scale = min(1.0, long_px / max(shape[:2]))
    return round(shape[0] * scale), round(shape[1] * scale)


def _gradients(planes: Sequence[Any]) -> Gradients:
    """(2 * planes, H, W): across and down, 0 at the picture's rim, where coders leave edges of their own."""
    height, width = planes[0].shape
    out = np.empty((2 * len(planes), height, width), np.int8)
    steps = [(plane, step) for plane in planes for step in ((1, 0), (0, 1))]
    for channel, (plane, step) in zip(out, steps, strict=True):
        shifted = cv2.Sobel(plane, cv2.CV_8U, *step, ksize=3, scale=0.25 * PER_LEVEL, delta=128)
        channel[:] = (shifted ^ 128).view(np.int8)
    out[:, :2] = out[:, -2:] = 0
    out[:, :, :2] = out[:, :, -2:] = 0
    return out


def _scenery(luma: Any) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(blocks, 2 * BLOCK_PX ** 2) gradients of unit length by block, and which blocks have edges worth the name."""
    height, width = (max(side // BLOCK_PX, 1) * BLOCK_PX for side in _reduced(luma.shape, SCENE_PX))
    small = cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA)
    field = np.stack([cv2.Sobel(small, cv2.CV_32F, *step, ksize=3, scale=0.25) for step in ((1, 0), (0, 1))])
    blocks = field.reshape(2, height // BLOCK_PX, BLOCK_PX, width // BLOCK_PX, BLOCK_PX)
    flat = blocks.transpose(1, 3, 0, 2, 4).reshape(-1, 2 * BLOCK_PX**2)
    length = np.linalg.norm(flat, axis=1)
    edgy = length > EDGY * BLOCK_PX
    return (flat / np.maximum(length, 1e-6)[:, None]).astype(np.float32), edgy


def leaders(views: Sequence[View]) -> list[int]:
    """For each view the index of the first one that shows the same scenery; its own if there is none before."""
    found: list[int] = []
    for number, view in enumerate(views):
        known = [other for other in dict.fromkeys(found) if _same(view, views[other])]
        found.append(known[0] if known else number)
    return found


def _same(one: View, other: View) -> bool:
    """Do they share a quarter of their edgy blocks, or all but look alike?"""
    apart = float(np.abs(one.thumb - other.thumb).mean())
    if apart < THUMB_LIKE or apart > THUMB_UNLIKE:
        return apart < THUMB_LIKE
    edgy = one.edgy | other.edgy
    alike = np.einsum("bp,bp->b", one.scenery[edgy], other.scenery[edgy]) > SHARED
    return int(alike.sum()) >= max(SHARED_SHARE * int(edgy.sum()), SHARED_LEAST)


@dataclass(frozen=True, eq=False)
class Mark:
    """A candidate: where it is, and the sum of its gradients over `members`, the views (by number) that it was found in.

    `top`, `left` and `mask` (h, w) are in pixels of its plane, `total` is (C, h, w). `box` is left, top, width, height and
    `area` the area of what it covers, in shares of the picture.
    """

    plane: int
    top: int
    left: int
    mask: Floats
    total: Floats
    members: tuple[int, ...]
    box: tuple[float, float, float, float]
    area: float

    def margin(self, view: View, *, without: View | None) -> float:
        """How much better the mark fits at its place than anywhere beside it, as a difference of correlations, -2 to 2.

        `without`: the member whose gradients are taken out of the mark first, so that no picture vouches for itself.
        """
        template, count = self.total, len(self.members)
        height, width = self.mask.shape
        rows, columns = slice(self.top, self.top + height), slice(self.left, self.left + width)
        if without is not None:
            template, count = template - without.planes[self.plane][:, rows, columns], count - 1
        mean: Any = template / max(count, 1) * self.mask
        return _margin(mean, self.mask, view.planes[self.plane], (self.top, self.left))


def _margin(template: Any, mask: Floats, plane: Gradients, at: tuple[int, int]) -> float:
    (top, left), (height, width) = at, mask.shape
    above, before = min(top, AROUND_PX), min(left, AROUND_PX)
    part = plane[:, top - above : top + height + AROUND_PX, left - before : left + width + AROUND_PX]
    field = np.zeros((len(plane), height + 2 * AROUND_PX, width + 2 * AROUND_PX), np.float32)
    rows, columns = AROUND_PX - above, AROUND_PX - before
    field[:, rows : rows + part.shape[1], columns : columns + part.shape[2]] = part
    fit = sum(cv2.matchTemplate(one, other, cv2.TM_CCORR) for one, other in zip(field, template, strict=True))
    energy = cv2.matchTemplate((field * field).sum(axis=0), mask, cv2.TM_CCORR)
    least = (NOISE_LEVELS * PER_LEVEL) ** 2 * float(mask.sum())
    length = float(np.linalg.norm(template)) + 1e-6
    correlation: Any = fit / (length * np.sqrt(np.maximum(energy, least)))
    here = float(correlation[AROUND_PX, AROUND_PX])
    its_place = slice(AROUND_PX - BESIDE_PX + 1, AROUND_PX + BESIDE_PX)
    correlation[its_place, its_place] = -1
    return here - float(correlation.max())


def candidates(views: Sequence[View]) -> list[Mark]:
    """What stays put in all of the views (unlike one another) or in a run of them."""
    return [mark for plane in range(2) for mark in _in_plane(views, plane)]


def _in_plane(views: Sequence[View], plane: int) -> Iterator[Mark]:
    quarters = [range(len(views) * at // 4, len(views) * (at + 1) // 4) for at in range(4)]
    sums = [_sums([views[number].planes[plane] for number in quarter]) for quarter in quarters]
    for first, last in WINDOWS:
        members = tuple(number for quarter in quarters[first:last] for number in quarter)
        if (first, last) != (0, 4) and len(members) < WINDOW_VIEWS:
            continue
        kept = [one for one in sums[first:last] if one is not None]
        total, energy = sum(one[0] for one in kept), sum(one[1] for one in kept)
        yield from _persistent(total, energy, plane=plane, members=members)


def _sums(planes: Sequence[Gradients]) -> tuple[Any, Any] | None:
    """(C, H, W) sum of the gradients and (H, W) sum of their squared lengths."""
    if not planes:
        return None
    total = np.zeros(planes[0].shape, np.int16)
    energy = np.zeros(planes[0].shape[1:], np.int32)
    for plane in planes:
        total += plane
        wide = plane.astype(np.int16)
        for channel in wide:
            energy += channel * channel
    return total, energy


def _persistent(total: Any, energy: Any, *, plane: int, members: tuple[int, ...]) -> Iterator[Mark]:
    """Regions of pixels whose gradients agree more than those of unlike pictures do by chance, the most surprising first."""
    count = len(members)
    wide = total.astype(np.float32)
    squared: Any = sum(channel * channel for channel in wide)
    least = min(max(1 - CHANCE ** (1 / (count - 1)), AGREEMENT[0]), AGREEMENT[1])
    agrees = (squared > least * count * energy) & (squared > (LEVELS_LEAST[plane] * PER_LEVEL * count) ** 2)
    mask = without_lines(agrees.astype(np.uint8))
    places = np.flatnonzero(mask)
    agreement = squared.ravel()[places] / (count * energy.ravel()[places])
    surprise = -(count - 1) * np.log(np.maximum(1 - agreement, 1e-3))
    height, width = mask.shape
    for region in _regions(mask, places, surprise):
        rows, columns = slice(region.top, region.top + region.height), slice(region.left, region.left + region.width)
        yield Mark(
            plane=plane,
            top=region.top,
            left=region.left,
            mask=cv2.dilate(region.pixels, np.ones((3, 3), np.uint8)).astype(np.float32),
            total=wide[:, rows, columns].copy(),
            members=members,
            box=(region.left / width, region.top / height, region.width / width, region.height / height),
            area=region.area / (height * width),
        )


@dataclass(frozen=True)
class _Region:
    """Pixels that lie close together: their bounding box, the area with the gaps between them closed, and which they are."""

    left: int
    top: int
    width: int
    height: int
    area: int
    pixels: Any


def _regions(mask: Any, places: Any, surprise: Any) -> Iterator[_Region]:
    """The regions of the mask by what they hold of surprise, sum and mean; `places` are its pixels, as flat indices."""
    if len(places) < PIXELS_LEAST:
        return
    gap = max(round(GAP_SHARE * max(mask.shape)), 3) | 1
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8), borderValue=0)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    region_of = labels.ravel()[places]
    pixels = np.bincount(region_of, minlength=count)
    worth = np.bincount(region_of, surprise, minlength=count) ** 2 / np.maximum(pixels, 1)
    worth[pixels < PIXELS_LEAST] = worth[0] = 0
    for number in np.argsort(-worth, kind="stable")[:CANDIDATES_MOST]:
        if worth[number] <= 0:
            return
        left, top, width, height, area = (int(one) for one in stats[number])
        rows, columns = slice(top, top + height), slice(left, left + width)
        own = ((labels[rows, columns] == number) & (mask[rows, columns] > 0)).astype(np.uint8)
        yield _Region(left, top, width, height, area, own)


def without_lines(mask: Any) -> Any:
    """The mask without straight lines right across a good part of the picture: the edges of black bars, panes, windows."""
    length = max(round(LINE_SHARE * max(mask.shape)), 8)
    out = mask
    for kernel, grow in (((1, length), (5, 1)), ((length, 1), (1, 5))):
        along = np.ones((min(kernel[0], BRIDGED_PX), min(kernel[1], BRIDGED_PX)), np.uint8)
        bridged = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, along, borderValue=0)
        lines = cv2.morphologyEx(bridged, cv2.MORPH_OPEN, np.ones(kernel, np.uint8), borderValue=0)
        out = out & (1 - cv2.dilate(lines, np.ones(grow, np.uint8)))
    return out
